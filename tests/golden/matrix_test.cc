#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include <catch2/catch.hpp>

#include "core/json.h"
#include "dialect/dialect.h"
#include "support/files.h"
#include "support/json_tree.h"
#include "support/judges.h"

/// Every client dialect to every provider dialect, topic by topic. A folder of tests/golden/matrix holds
///   about.json              why
///   request.<dialect>.json  the same conversation as each dialect's clients send it
///   reply.<dialect>.json    the same answer as each dialect's providers give it, whole
///   stream.<dialect>.sse    and as a stream (Ollama: .ndjson)
///   error.<dialect>.json    status and body of an error answer
///   expected.json           what goes out for each of the 25 pairs, and what is lost
/// What lies there was not made by the product. docs/dialects/matrix.md is made from it and kept true here.
/// CCR_UPDATE_GOLDEN=1 writes both; read the difference before you commit it.
using namespace ccrules;
using namespace ccrules::test;

namespace {

constexpr std::array<std::string_view, 5> kDialects = {"anthropic", "openai_chat", "openai_responses", "gemini", "ollama"};
constexpr std::size_t kCutStep = 61;  ///< between two dialects; within one a stream is cut at every byte

bool updating() {
  return std::getenv("CCR_UPDATE_GOLDEN") != nullptr;
}

const dialect::Dialect& named(std::string_view name) {
  const dialect::Dialect* found = dialect::by_name(name);
  if (found == nullptr) FAIL("there is no dialect " << name);
  return *found;
}

Tree text_tree(std::string_view text) {
  Tree tree;
  tree.kind = Tree::Kind::kString;
  tree.text = text;
  return tree;
}

Tree number_tree(std::int64_t number) {
  Tree tree;
  tree.kind = Tree::Kind::kNumber;
  tree.text = std::to_string(number);
  return tree;
}

Tree object_tree() {
  Tree tree;
  tree.kind = Tree::Kind::kObject;
  return tree;
}

Tree list_tree(const std::vector<std::string>& texts) {
  Tree tree;
  tree.kind = Tree::Kind::kArray;
  for (const std::string& text : texts) tree.items.push_back(text_tree(text));
  return tree;
}

Tree parsed(const std::string& json) {
  auto tree = parse_tree(json);
  if (!tree) FAIL("not valid JSON: " << json);
  return *tree;
}

std::vector<std::string> slugs(const chat::LossNotes& losses) {
  std::set<std::string> names;
  for (const chat::Loss& loss : losses.all()) names.insert(loss.what);
  return {names.begin(), names.end()};
}

/// One line for each cell: a change of one shows as one.
std::string lines_of(const Tree& cells) {
  std::string text = "{";
  for (const auto& [key, value] : cells.members) {
    text += text.size() > 1 ? ",\n" : "\n";
    text += compact(text_tree(key)) + ": " + compact(value);
  }
  return text + "\n}\n";
}

std::string joined(const std::vector<std::string>& faults) {
  std::string text;
  for (const std::string& fault : faults) text += fault + "\n";
  return text;
}

/// One topic's folder, and what comes of it.
struct Topic {
  std::string name;
  std::string folder;
  Tree expected = object_tree();
  /// "client provider" -> what is lost on the way there ("→ x") and back ("← x").
  std::map<std::string, std::set<std::string>> lost;
  std::set<std::string> cells;  ///< "client provider" that the topic has

  [[nodiscard]] std::optional<std::string> file(const std::string& kind, std::string_view dialect, const char* suffix) const {
    const std::string path = folder + "/" + kind + "." + std::string(dialect) + suffix;
    if (!std::filesystem::exists(path)) return std::nullopt;
    return read_file(path);
  }
  void expect(const std::string& key, Tree value) { expected.members.emplace_back(key, std::move(value)); }
};

dialect::Capabilities target_of(std::string_view provider) {
  dialect::Capabilities target;
  target.provider = "target";
  target.model = "target-model";
  target.reasoning_replay = provider == "openai_chat" ? "reasoning_content" : "";
  return target;
}

void run_request(Topic& topic, std::string_view client, std::string_view provider, const std::string& pair) {
  auto body = topic.file("request", client, ".json");
  if (!body) return;
  topic.cells.insert(pair);
  auto request = named(client).read_request(json::padded(*body));
  REQUIRE(request.ok());
  if (named(client).model_in_path()) request->model = "asked-model";
  chat::LossNotes losses;
  const auto written = named(provider).write_request(*request, target_of(provider), losses);
  INFO("request " << pair);
  if (!written) FAIL(written.error().message);
  INFO(*written);
  CHECK(joined(judge_of(provider).request(*written)) == "");
  Tree out = object_tree();
  out.members.emplace_back("body", parsed(*written));
  if (!losses.empty()) out.members.emplace_back("losses", list_tree(slugs(losses)));
  topic.expect("request " + pair, std::move(out));
  for (const std::string& slug : slugs(losses)) topic.lost[pair].insert("→ " + slug);
}

/// What the client understands is what the provider said.
void check_same(const Seen& said, const Seen& heard) {
  CHECK(heard.report() == "");
  CHECK(said.text() == heard.text());
  CHECK(said.thinking() == heard.thinking());
  REQUIRE(said.tools().size() == heard.tools().size());
  for (std::size_t i = 0; i < said.tools().size(); ++i) {
    CHECK(said.tools()[i].name == heard.tools()[i].name);
    CHECK(difference(parsed(said.tools()[i].arguments), parsed(heard.tools()[i].arguments)) == "");
  }
  CHECK(said.output_tokens == heard.output_tokens);
}

void run_reply(Topic& topic, std::string_view client, std::string_view provider, const std::string& pair) {
  const auto body = topic.file("reply", provider, ".json");
  if (!body) return;
  topic.cells.insert(pair);
  INFO("reply " << pair);
  const auto reply = named(provider).read_reply(*body, reading_from("target", "target-model"));
  if (!reply) FAIL(reply.error().message);
  chat::LossNotes losses;
  const std::string written = named(client).write_reply(*reply, writing_as_asked(), losses);
  INFO(written);
  check_same(judge_of(provider).reply(*body), judge_of(client).reply(written));
  Tree out = object_tree();
  out.members.emplace_back("body", parsed(written));
  if (!losses.empty()) out.members.emplace_back("losses", list_tree(slugs(losses)));
  topic.expect("reply " + pair, std::move(out));
  for (const std::string& slug : slugs(losses)) topic.lost[pair].insert("← " + slug);
}

/// Reads a stream cut in two and writes it for the client.
std::string translate(std::string_view client, std::string_view provider, std::string_view bytes, std::size_t cut) {
  const auto reader = named(provider).stream_reader(reading_from("target", "target-model"));
  const auto writer = named(client).stream_writer(writing_as_asked());
  std::vector<chat::Event> events;
  const bool read = reader->feed(bytes.substr(0, cut), events).ok() && reader->feed(bytes.substr(cut), events).ok() &&
                    reader->finish(events).ok();
  if (!read) FAIL("the stream cannot be read when it is cut at " << cut);
  std::string out;
  for (const chat::Event& event : events) writer->write(event, out);
  return out;
}

Tree summary(const Seen& seen) {
  Tree out = object_tree();
  Tree blocks = list_tree({});
  for (const SeenBlock& block : seen.blocks) {
    Tree one = object_tree();
    one.members.emplace_back("type", text_tree(block.type));
    if (!block.text.empty()) one.members.emplace_back("text", text_tree(block.text));
    if (!block.signature.empty()) one.members.emplace_back("signature", text_tree(block.signature));
    if (!block.name.empty()) one.members.emplace_back("name", text_tree(block.name));
    if (!block.id.empty()) one.members.emplace_back("id", text_tree(block.id));
    if (!block.arguments.empty()) one.members.emplace_back("arguments", text_tree(block.arguments));
    blocks.items.push_back(std::move(one));
  }
  out.members.emplace_back("blocks", std::move(blocks));
  constexpr std::array<std::string_view, 3> kEndings = {"cut", "clean", "error"};
  out.members.emplace_back("ending", text_tree(kEndings[static_cast<std::size_t>(seen.ending)]));
  if (!seen.stop.empty()) out.members.emplace_back("stop", text_tree(seen.stop));
  if (!seen.error_message.empty()) out.members.emplace_back("error", text_tree(seen.error_type + ": " + seen.error_message));
  if (seen.input_tokens) out.members.emplace_back("input_tokens", number_tree(*seen.input_tokens));
  if (seen.cache_read_tokens) out.members.emplace_back("cache_read_tokens", number_tree(*seen.cache_read_tokens));
  if (seen.output_tokens) out.members.emplace_back("output_tokens", number_tree(*seen.output_tokens));
  return out;
}

void run_stream(Topic& topic, std::string_view client, std::string_view provider, const std::string& pair) {
  const auto bytes = topic.file("stream", provider, judge_of(provider).stream_suffix);
  if (!bytes) return;
  topic.cells.insert(pair);
  INFO("stream " << pair);
  const Judge& judge = judge_of(client);
  const std::string whole = translate(client, provider, *bytes, bytes->size());
  INFO(whole);
  const Seen heard = judge.stream(whole, true, true);
  const Seen said = judge_of(provider).stream(*bytes, true, true);
  CHECK(heard.report() == "");
  // Never a clean end of what broke, never anything else than an error.
  CHECK((heard.ending == Ending::kClean) == (said.ending == Ending::kClean));
  CHECK(heard.ending != Ending::kCut);
  if (said.ending == Ending::kClean) check_same(said, heard);
  const Tree wanted = summary(heard);
  topic.expect("stream " + pair, wanted);
  const std::size_t step = client == provider ? 1 : kCutStep;
  for (std::size_t cut = 1; cut < bytes->size(); cut += step) {
    const Tree again = summary(judge.stream(translate(client, provider, *bytes, cut), true, true));
    if (const std::string differs = difference(wanted, again); !differs.empty())
      FAIL("cut at " << cut << " changes the answer: " << differs);
  }
}

void run_error(Topic& topic, std::string_view client, std::string_view provider, const std::string& pair) {
  const auto file = topic.file("error", provider, ".json");
  if (!file) return;
  topic.cells.insert(pair);
  INFO("error " << pair);
  const Tree answer = parsed(*file);
  const std::string body = compact(*answer.get("body"));
  dialect::UpstreamFailure failure;
  failure.status = static_cast<int>(answer.integer("status").value_or(0));
  failure.body = body;
  failure.provider = "target";
  failure.model = "target-model";
  const Error error = named(provider).read_error(failure);
  CHECK(error.retry == Retry::kSameTarget);
  const std::string written = named(client).write_error(error, "req_1");
  CHECK(judge_of(client).error(written).report() == "");
  Tree out = object_tree();
  out.members.emplace_back("status", number_tree(named(client).error_status(error)));
  out.members.emplace_back("body", parsed(written));
  topic.expect("error " + pair, std::move(out));
}

std::vector<std::string> folders() {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(tests_dir() + "/golden/matrix")) {
    if (entry.is_directory()) found.push_back(entry.path().string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string pair_of(std::string_view client, std::string_view provider) {
  return std::string(client) + " to " + std::string(provider);
}

Topic run(const std::string& folder) {
  Topic topic;
  topic.folder = folder;
  topic.name = std::filesystem::path(folder).filename().string().substr(3);
  for (const std::string_view client : kDialects) {
    for (const std::string_view provider : kDialects) {
      const std::string pair = pair_of(client, provider);
      run_request(topic, client, provider, pair);
      run_reply(topic, client, provider, pair);
      run_stream(topic, client, provider, pair);
      run_error(topic, client, provider, pair);
    }
  }
  return topic;
}

std::string heading(std::string text) {
  std::replace(text.begin(), text.end(), '-', ' ');
  text.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(text.front())));
  return text;
}

/// One table of the page: a row for each client dialect, a column for each provider dialect.
std::string table_of(const Topic& topic) {
  const Tree about = parsed(read_file(topic.folder + "/about.json"));
  std::string page = "\n## " + heading(topic.name) + "\n" + about.string("why") + "\n\n| client \\ provider |";
  for (const std::string_view provider : kDialects) page += " " + std::string(provider) + " |";
  page += "\n|---|---|---|---|---|---|\n";
  for (const std::string_view client : kDialects) {
    page += "| " + std::string(client) + " |";
    for (const std::string_view provider : kDialects) {
      const std::string pair = pair_of(client, provider);
      std::string cell;
      if (const auto lost = topic.lost.find(pair); lost != topic.lost.end()) {
        for (const std::string& slug : lost->second) cell += (cell.empty() ? "" : "<br>") + slug;
      }
      if (cell.empty()) cell = topic.cells.contains(pair) ? "all" : "–";
      page += " " + cell + " |";
    }
    page += "\n";
  }
  return page;
}

constexpr const char* kPageBegin = R"(# Every client dialect to every provider dialect

Made by `tests/golden/matrix_test.cc` from the files of `tests/golden/matrix/`, which also hold what goes out for each cell: change those, not this page.
Each cell is one pair, tested with a whole answer, a stream, and that stream cut at every position or every 61st.

- **all**: everything of this topic is carried.
- **→ x**: x of the request does not reach the provider as the client sent it. The answer says so in `x-ccrules-loss`.
- **← x**: x of the answer has no place in the client's dialect.
- **–**: the provider's dialect knows no such thing.

With the same dialect on both sides bytes pass through untouched; such a cell shows what translating it would lose, which
happens where a rule or a model's limits make it necessary. The tables of each dialect's page say what becomes of every member.
)";

}  // namespace

TEST_CASE("every client dialect to every provider dialect goes out as the matrix says") {
  std::string page = kPageBegin;
  const auto all = folders();
  REQUIRE(all.size() == 14);
  for (const std::string& folder : all) {
    INFO(folder);
    const Topic topic = run(folder);
    const std::string path = folder + "/expected.json";
    if (updating()) write_file(path, lines_of(topic.expected));
    const Tree wanted = parsed(read_file(path));
    for (const auto& [key, value] : topic.expected.members) {
      INFO(key);
      const Tree* one = wanted.get(key);
      REQUIRE(one != nullptr);
      CHECK(difference(*one, value) == "");
    }
    CHECK(wanted.members.size() == topic.expected.members.size());
    page += table_of(topic);
  }
  const std::string path = tests_dir() + "/../docs/dialects/matrix.md";
  if (updating()) write_file(path, page);
  CHECK(read_file(path) == page);
}
