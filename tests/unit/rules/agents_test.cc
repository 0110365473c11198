#include "rules/agents.h"

#include <catch2/catch.hpp>

#include "core/json.h"
#include "support.h"

using namespace ccrules;
using namespace ccrules::rules;

namespace {

std::string literal(std::string_view text) {
  std::string out;
  json::append_string(out, text);
  return out;
}

/// A request with system blocks and a first user message.
struct Request {
  explicit Request(std::vector<std::string> system_texts, const std::string& first_user = "Hello") {
    for (const std::string& text : system_texts) literals.push_back(literal(text));
    literals.push_back(literal(first_user));
    for (std::size_t i = 0; i + 1 < literals.size(); ++i) outline.system_json.push_back(literals[i]);
    outline.first_user_json = literals.back();
  }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  AgentFinder::Query query(std::string_view agent_id, std::int64_t now_ms = 0) {
    AgentFinder::Query query;
    query.outline = &outline;
    query.session = "s-1";
    query.project = "/srv/web";
    query.agent_id = agent_id;
    query.now_ms = now_ms;
    return query;
  }
  std::vector<std::string> literals;
  chat::Outline outline;
};

constexpr const char* kReviewer =
    "---\r\nname: code-reviewer\r\ndescription: \"Reviews: code\"\r\ntools: Read, Grep\r\n---\r\n\r\nYou review code.\r\n\"Quote\" h\xC3\xA9llo \xF0\x9F\x98\x80.\r\n\r\n";
constexpr const char* kReviewerPrompt = "You review code.\n\"Quote\" h\xC3\xA9llo \xF0\x9F\x98\x80.\n\nNotes:\n- absolute paths";

}  // namespace

TEST_CASE("a subagent is known by the agent file whose body begins one of its system blocks") {
  test::MemoryFiles files;
  files.files["/srv/web/.claude/agents/review.md"] = kReviewer;
  files.files["/users/u/.claude/agents/tester.md"] = "You write tests for everything.";
  files.files["/users/u/.claude/agents/team/deep.md"] = "---\nname: 'deep'\n---\nYou write tests for everything. Deeply.";
  AgentFinder finder(files, "/users/u");

  Request reviewer({"x-anthropic-billing-header: cc_version=1; cc_is_subagent=true", kReviewerPrompt});
  CHECK(finder.find(reviewer.query("a1")) == "code-reviewer");
  Request tester({"You write tests for everything.\n\nNotes"});
  CHECK(finder.find(tester.query("a2")) == "tester");
  Request deep({"You write tests for everything. Deeply."});
  CHECK(finder.find(deep.query("a3")) == "deep");
  Request unknown({"You do something else. You review code."});
  CHECK(finder.find(unknown.query("a4")).empty());
}

TEST_CASE("the main loop costs no file access") {
  test::MemoryFiles files;
  files.files["/srv/web/.claude/agents/review.md"] = kReviewer;
  AgentFinder finder(files, "/users/u");
  Request main({kReviewerPrompt});
  CHECK(finder.find(main.query("")) == "main");
  CHECK(files.reads == 0);
}

TEST_CASE("agent files are read again after two seconds and a known subagent keeps its name") {
  test::MemoryFiles files;
  AgentFinder finder(files, "/users/u");
  Request reviewer({kReviewerPrompt});
  CHECK(finder.find(reviewer.query("a1", 0)).empty());
  files.files["/srv/web/.claude/agents/review.md"] = kReviewer;
  CHECK(finder.find(reviewer.query("a1", 1999)).empty());
  CHECK(finder.find(reviewer.query("a1", 2000)) == "code-reviewer");
  files.files.clear();
  CHECK(finder.find(reviewer.query("a1", 9000)) == "code-reviewer");
}

TEST_CASE("a subagent without a file is known by the spawn call its parent made in the same session") {
  test::MemoryFiles files;
  AgentFinder finder(files, "/users/u");
  Request parent({"main prompt"});
  const std::string first = R"({"description":"look","subagent_type":"explorer","prompt":"Find \u00fc the bug.\n"})";
  const std::string second = R"({"subagent_type":"planner","prompt":"Plan it."})";
  parent.outline.spawn_inputs_json = {first, second, "{}", "[1]"};
  CHECK(finder.find(parent.query("")) == "main");

  Request child({"generated prompt"}, "Find \xC3\xBC the bug.");
  CHECK(finder.find(child.query("a1")) == "explorer");
  Request other({"generated prompt"}, "Something else");
  CHECK(finder.find(other.query("a2")).empty());
  AgentFinder::Query elsewhere = child.query("a3");
  elsewhere.session = "s-2";
  CHECK(finder.find(elsewhere).empty());
}

TEST_CASE("the hint header and then the marker name a subagent that nothing else names") {
  test::MemoryFiles files;
  AgentFinder finder(files, "/users/u");
  Request request({"first block", std::string(5000, 'x') + "<!-- ccrules:agent helper --> and" + std::string(5000, 'y'), "third"});
  AgentFinder::Query query = request.query("a1");
  query.hint = "general-purpose";
  CHECK(finder.find(query) == "general-purpose");
  CHECK(finder.find(request.query("a2")) == "helper");
}

TEST_CASE("without an agent id the marker counts at the edges of a system block") {
  test::MemoryFiles files;
  AgentFinder finder(files, "/users/u");
  Request early({"block", "<!-- ccrules:agent nightly-job -->\nDo it."});
  CHECK(finder.find(early.query("")) == "nightly-job");
  Request late({std::string(5000, 'x') + "<!-- ccrules:agent nightly-job -->"});
  CHECK(finder.find(late.query("")) == "nightly-job");
}

TEST_CASE("memory stays bounded with endless sessions and subagents") {
  test::MemoryFiles files;
  AgentFinder finder(files, "/users/u");
  const std::string input = R"({"subagent_type":"explorer","prompt":"p"})";
  for (int i = 0; i < 20000; ++i) {
    Request request({"x"}, "p");
    request.outline.spawn_inputs_json = {input};
    const std::string session = "s" + std::to_string(i);
    AgentFinder::Query query = request.query("a");
    query.session = session;
    CHECK(finder.find(query) == "explorer");
  }
}

TEST_CASE("the working directory is read from Claude Code's system prompt") {
  chat::Outline outline;
  const std::string block = literal("You are.\n - Primary working directory: /srv/w\xC3\xA9" "b \"x\"\n - Is a git repository: true");
  outline.system_json = {"\"first\"", block};
  CHECK(working_directory(outline) == "/srv/w\xC3\xA9" "b \"x\"");
  outline.system_json = {"\"first\""};
  CHECK(working_directory(outline).empty());
  // claude-code 2.1.329 names it in a message of role system.
  outline.mid_system_json = {block};
  CHECK(working_directory(outline) == "/srv/w\xC3\xA9" "b \"x\"");
}

TEST_CASE("unescape decodes every escape JSON has and survives broken ones") {
  CHECK(unescape(R"("a\n\t\"\\\/\u0041\u00e9\ud83d\ude00")") == "a\n\t\"\\/A\xC3\xA9\xF0\x9F\x98\x80");
  CHECK(unescape(R"("\ud83d x")") == "\xEF\xBF\xBD x");
  CHECK(unescape("\"\\u00") == "\xEF\xBF\xBD");
  CHECK(unescape("\"\\") == "\\");
  CHECK(unescape("").empty());
}

TEST_CASE("a folder whose links lead back into it is not searched without end") {
  struct LinkLoop final : Files {
    mutable int lists = 0;
    [[nodiscard]] Result<std::string> read(const std::string& path) const override { return bad_request(path); }
    [[nodiscard]] bool exists(const std::string&) const override { return true; }
    [[nodiscard]] std::vector<std::string> list(const std::string&) const override {
      ++lists;
      std::vector<std::string> names;
      for (char name = 'a'; name <= 'z'; ++name) names.emplace_back(1, name);
      return names;
    }
  };
  const LinkLoop files;
  AgentFinder finder(files, "");
  Request request({kReviewerPrompt});
  CHECK(finder.find(request.query("a1")).empty());
  CHECK(files.lists <= 2001);
}
