#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include <catch2/catch.hpp>

#include "core/json.h"
#include "dialect/dialect.h"
#include "dialect/spent_request.h"
#include "support/files.h"
#include "support/json_tree.h"
#include "support/judges.h"
#include "support/stream_cuts.h"
#include "support/validators.h"

/// Translation, tested by files. A folder of tests/golden/cases holds
///   case.json      why, kind (request, reply, stream, error), from, to, and what the target can do
///   input.*        what arrives, in the dialect `from`
///   expected.*     what must go out, in the dialect `to`
///   losses.json    what could not be carried, when anything
/// JSON is compared by meaning, streams event by event. CCR_UPDATE_GOLDEN=1 writes the expected files; read
/// them before you commit them.
using namespace ccrules;
using namespace ccrules::test;

namespace {

using Kind = Tree::Kind;

bool updating() {
  return std::getenv("CCR_UPDATE_GOLDEN") != nullptr;
}

Tree parsed(const std::string& text, const std::string& what) {
  auto tree = parse_tree(text);
  if (!tree) FAIL(what << " is not valid JSON: " << text);
  return *tree;
}

std::string optional_file(const std::string& path) {
  return std::filesystem::exists(path) ? read_file(path) : std::string();
}

void set_capability(dialect::Capabilities& target, const std::string& name, const Tree& value) {
  const std::map<std::string, bool*> switches = {
      {"vision", &target.vision},
      {"documents", &target.documents},
      {"tool_message_images", &target.tool_message_images},
      {"developer_role", &target.developer_role},
      {"mid_system", &target.mid_system},
      {"max_completion_tokens", &target.max_completion_tokens},
      {"stream_usage", &target.stream_usage},
      {"sampling", &target.sampling},
      {"forced_tool_choice", &target.forced_tool_choice},
      {"reasoning_effort", &target.reasoning_effort},
      {"prefill", &target.prefill},
      {"json_schema", &target.json_schema},
      {"parallel_tool_calls", &target.parallel_tool_calls},
      {"thinking_enabled", &target.thinking_enabled},
      {"thinking_adaptive", &target.thinking_adaptive},
      {"thinking_disabled", &target.thinking_disabled},
      {"thinking_between_tools", &target.thinking_between_tools},
      {"encrypted_reasoning", &target.encrypted_reasoning},
      {"user_identifiers", &target.user_identifiers},
  };
  if (const auto found = switches.find(name); found != switches.end()) {
    *found->second = value.boolean;
  } else if (name == "context_tokens") {
    target.context_tokens = std::stoll(value.text);
  } else if (name == "max_output_tokens") {
    target.max_output_tokens = std::stoll(value.text);
  } else if (name == "estimated_input_tokens") {
    target.estimated_input_tokens = std::stoll(value.text);
  } else if (name == "reasoning_replay") {
    target.reasoning_replay = value.text;
  } else if (name == "reasoning_style") {
    target.reasoning_style = value.text;
  } else if (name == "effort_when_disabled") {
    target.effort_when_disabled = value.text;
  } else if (name == "efforts") {
    for (const Tree& one : value.items) target.efforts.push_back(one.text);
  } else if (name == "model") {
    target.model = value.text;
  } else if (name == "provider") {
    target.provider = value.text;
  } else {
    FAIL("case.json: there is no capability " << name);
  }
}

/// One case, with its description read.
struct Case {
  std::string folder;
  Tree about;
  const dialect::Dialect* from = nullptr;
  const dialect::Dialect* to = nullptr;
  dialect::Capabilities target;
  dialect::StreamWriterOptions options;
  dialect::ReaderOptions reader;

  [[nodiscard]] std::string path(const std::string& name) const { return folder + "/" + name; }
};

const dialect::Dialect& dialect_named(const std::string& name) {
  const dialect::Dialect* found = dialect::by_name(name);
  if (found == nullptr) FAIL("case.json: there is no dialect \"" << name << "\"");
  return *found;
}

Case load(const std::string& folder) {
  Case one;
  one.folder = folder;
  one.about = parsed(read_file(folder + "/case.json"), "case.json");
  REQUIRE_FALSE(one.about.string("why").empty());
  one.from = &dialect_named(one.about.string("from"));
  one.to = &dialect_named(one.about.string("to"));
  one.target.model = "target-model";
  one.target.provider = "target";
  if (const Tree* target = one.about.get("target")) {
    for (const auto& [name, value] : target->members) set_capability(one.target, name, value);
  }
  one.options.model = "asked-model";
  one.options.id = "made-id";
  one.options.created_s = 1700000000;
  one.options.estimated_input_tokens = one.about.integer("estimated_input_tokens").value_or(0);
  if (const Tree* names = one.about.get("custom_tools")) {
    for (const Tree& name : names->items) one.options.custom_tools.push_back(name.text);
  }
  if (const Tree* usage = one.about.get("include_usage")) one.options.include_usage = usage->boolean;
  one.reader.provider = one.target.provider;
  one.reader.model = one.target.model;
  one.reader.seed = 1;
  if (const Tree* renamed = one.about.get("renamed_tools")) {
    for (const auto& [sent, original] : renamed->members) {
      one.reader.renamed_tools.push_back(dialect::RenamedTool{.sent = sent, .original = original.text});
    }
  }
  return one;
}

/// case.json may name texts that the bytes must hold (`contains`) or must not (`lacks`): escapes and number
/// spelling.
void check_bytes(const Case& one, const std::string& actual) {
  INFO("actual:\n" << actual);
  if (const Tree* wanted = one.about.get("contains")) {
    for (const Tree& text : wanted->items) CHECK(actual.find(text.text) != std::string::npos);
  }
  if (const Tree* unwanted = one.about.get("lacks")) {
    for (const Tree& text : unwanted->items) CHECK(actual.find(text.text) == std::string::npos);
  }
}

void compare_json(const Case& one, const std::string& name, const std::string& actual) {
  check_bytes(one, actual);
  const std::string path = one.path(name);
  const Tree got = parsed(actual, name);
  if (updating()) write_file(path, pretty(got) + "\n");
  const Tree wanted = parsed(read_file(path), path);
  INFO("actual:\n" << pretty(got));
  CHECK(difference(wanted, got) == "");
}

void compare_losses(const Case& one, const chat::LossNotes& losses) {
  const std::string path = one.path("losses.json");
  std::set<std::string> got;
  for (const chat::Loss& loss : losses.all()) got.insert(loss.what);
  if (updating()) {
    std::string text = "[";
    for (const std::string& slug : got) text += (text.size() > 1 ? ", \"" : "\"") + slug + "\"";
    if (got.empty()) {
      std::filesystem::remove(path);
    } else {
      write_file(path, text + "]\n");
    }
  }
  std::set<std::string> wanted;
  if (const std::string text = optional_file(path); !text.empty()) {
    for (const Tree& slug : parsed(text, path).items) wanted.insert(slug.text);
  }
  CHECK(got == wanted);
}

std::string error_json(const Error& error) {
  std::string out;
  json::Writer writer(out);
  writer.begin_object().key("refused").begin_object();
  writer.member("status", error.http_status).member("message", error.message).end_object().end_object();
  return out;
}

void check_requests(const Case& one, const std::string& written) {
  std::string report;
  for (const std::string& fault : judge_of(one.to->name()).request(written)) report += fault + "\n";
  CHECK(report == "");
}

/// As the proxy does it: the request's texts are views into the body. What is read from any other bytes is gone by now.
std::string written_from_lent(const Case& one) {
  const std::string input = read_file(one.path("input.json"));
  auto request = one.from->read_lent_request(input);
  if (!request) return error_json(request.error());
  chat::LossNotes losses;
  const auto written = dialect::write_spent_request(*one.to, *std::move(request), one.target, losses);
  return written ? *written : error_json(written.error());
}

/// A request that outlives its body.
Result<chat::Request> read_alone(const Case& one) {
  std::string input = read_file(one.path("input.json"));
  return one.from->read_request(json::padded(input));
}

void run_request(const Case& one) {
  const auto request = read_alone(one);
  if (!request) return compare_json(one, "expected.json", error_json(request.error()));
  chat::LossNotes losses;
  const auto written = one.to->write_request(*request, one.target, losses);
  if (!written) return compare_json(one, "expected.json", error_json(written.error()));
  compare_json(one, "expected.json", *written);
  compare_losses(one, losses);
  check_requests(one, *written);
  CHECK(written_from_lent(one) == *written);
}

void run_reply(const Case& one) {
  const auto reply = one.from->read_reply(read_file(one.path("input.json")), one.reader);
  if (!reply) return compare_json(one, "expected.json", error_json(reply.error()));
  chat::LossNotes losses;
  for (const chat::Loss& loss : reply->losses.all()) losses.add(loss.what, loss.why);
  const std::string written = one.to->write_reply(*reply, one.options, losses);
  compare_json(one, "expected.json", written);
  compare_losses(one, losses);
  const Seen seen = judge_of(one.to->name()).reply(written);
  CHECK(seen.report() == "");
}

void run_error(const Case& one) {
  const std::string name = std::filesystem::exists(one.path("input.json")) ? "input.json" : "input.txt";
  const std::string body = read_file(one.path(name));
  dialect::UpstreamFailure failure;
  failure.status = static_cast<int>(one.about.integer("status").value_or(500));
  failure.body = body;
  failure.retry_after_ms = one.about.integer("retry_after_ms").value_or(-1);
  failure.provider = one.target.provider;
  failure.model = one.target.model;
  failure.estimated_input_tokens = one.target.estimated_input_tokens;
  failure.context_tokens = one.target.context_tokens;
  const Error error = one.from->read_error(failure);
  const std::string written = one.to->write_error(error, "req_1");
  const Seen seen = judge_of(one.to->name()).error(written);
  CHECK(seen.report() == "");
  std::string out;
  json::Writer writer(out);
  writer.begin_object()
      .member("status", one.to->error_status(error))
      .member("code", error_code_name(error.code));
  const char* const verdicts[] = {"never", "same_target", "next_target"};
  writer.member("retry", verdicts[static_cast<std::size_t>(error.retry)])
      .member("retry_after_ms", error.retry_after_ms);
  writer.member("should_retry_false", error.should_retry_false).member_raw("body", written).end_object();
  compare_json(one, "expected.json", out);
}

/// Reads one stream cut in two at `cut` and writes it. An unreadable stream shows as an error line of its
/// own.
std::string translate(const Case& one, std::string_view bytes, std::size_t cut) {
  const auto reader = one.from->stream_reader(one.reader);
  const auto writer = one.to->stream_writer(one.options);
  std::vector<chat::Event> events;
  auto fed = reader->feed(bytes.substr(0, cut), events);
  if (fed && cut < bytes.size()) fed = reader->feed(bytes.substr(cut), events);
  if (fed) fed = reader->finish(events);
  std::string out;
  for (const chat::Event& event : events) writer->write(event, out);
  if (!fed) out += "event: unreadable\ndata: " + error_json(fed.error()) + "\n\n";
  return out;
}

void compare_streams(const Judge& judge, const std::string& wanted, const std::string& actual) {
  const std::vector<SseEvent> left = judge.split(wanted);
  const std::vector<SseEvent> right = judge.split(actual);
  INFO("actual:\n" << actual);
  for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
    INFO("event " << i);
    CHECK(left[i].name == right[i].name);
    const auto a = parse_tree(left[i].data);
    const auto b = parse_tree(right[i].data);
    if (a && b) {
      CHECK(difference(*a, *b) == "");
    } else {
      CHECK(left[i].data == right[i].data);
    }
  }
  CHECK(left.size() == right.size());
}

void run_stream(const Case& one) {
  const Judge& judge = judge_of(one.to->name());
  const std::string input = read_file(one.path(std::string("input") + judge_of(one.from->name()).stream_suffix));
  const std::string expected = one.path(std::string("expected") + judge.stream_suffix);
  const std::string actual = translate(one, input, input.size());
  if (updating()) write_file(expected, actual);
  compare_streams(judge, read_file(expected), actual);

  const auto seen_in = [&](const std::string& bytes) { return judge.stream(bytes, one.options.include_usage, true); };
  const Seen whole = seen_in(actual);
  if (actual.find("event: unreadable") == std::string::npos) {
    INFO(actual);
    CHECK(whole.report() == "");
    CHECK(whole.ending != Ending::kCut);
  }
  for (std::size_t cut = 1; cut < input.size(); ++cut) {
    // Fragments may fall differently; what the client collects may not.
    const std::string again = translate(one, input, cut);
    const Seen seen = seen_in(again);
    const bool same = seen.blocks == whole.blocks && seen.stop == whole.stop && seen.ending == whole.ending &&
                      seen.error_message == whole.error_message && seen.output_tokens == whole.output_tokens;
    if (!same) FAIL("cut at " << cut << " changes the answer:\n" << again);
  }
}

std::vector<std::string> case_folders() {
  std::vector<std::string> folders;
  for (const auto& entry : std::filesystem::directory_iterator(tests_dir() + "/golden/cases")) {
    if (entry.is_directory()) folders.push_back(entry.path().string());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

}  // namespace

TEST_CASE("every golden case goes out as its expected file says") {
  const auto folders = case_folders();
  REQUIRE_FALSE(folders.empty());
  for (const std::string& folder : folders) {
    DYNAMIC_SECTION(std::filesystem::path(folder).filename().string()) {
      const Case one = load(folder);
      const std::string kind = one.about.string("kind");
      INFO(one.about.string("why"));
      if (kind == "request") {
        run_request(one);
      } else if (kind == "reply") {
        run_reply(one);
      } else if (kind == "error") {
        run_error(one);
      } else if (kind == "stream") {
        run_stream(one);
      } else {
        FAIL("case.json: kind \"" << kind << "\" does not exist");
      }
    }
  }
}
