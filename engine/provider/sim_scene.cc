#include "provider/sim_scene.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/json.h"
#include "core/text.h"
#include "dialect/failure.h"
#include "provider/sim_input.h"

namespace ccrules::provider::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kQuotedBytes = 80;      ///< of the user's text, in the friendly answer
constexpr std::int64_t kMostTokens = 200000;  ///< of one simulated reply
constexpr std::int64_t kMostTools = 32;
constexpr std::int64_t kMostMilliseconds = 3600000;

/// The messages since the model last ended its turn: the question and the tool rounds it led to.
struct Turn {
  std::string text;  ///< the last user text, or the one that holds the marker, without the marker
  std::optional<Marker> marker;
  std::size_t rounds = 0;                        ///< tool rounds since that text
  std::vector<const chat::ToolResult*> results;  ///< of the last round
};

bool calls_tools(const chat::Message& message) {
  return std::any_of(message.blocks.begin(), message.blocks.end(), [](const chat::Block& block) {
    return std::holds_alternative<chat::ToolCall>(block.value);
  });
}

std::size_t first_of_turn(const std::vector<chat::Message>& messages) {
  std::size_t first = messages.size();
  while (first > 0 && messages[first - 1].role == chat::Role::kAssistant)
    --first;  // a prefill belongs to the turn
  while (first > 0) {
    const chat::Message& before = messages[first - 1];
    if (before.role == chat::Role::kAssistant && !calls_tools(before)) break;
    --first;
  }
  return first;
}

Result<Turn> read_turn(const chat::Request& request) {
  Turn turn;
  const auto& messages = request.messages;
  for (std::size_t i = first_of_turn(messages); i < messages.size(); ++i) {
    const chat::Message& message = messages[i];
    if (message.role == chat::Role::kAssistant && calls_tools(message)) {
      ++turn.rounds;
      turn.results.clear();
    }
    if (message.role != chat::Role::kUser) continue;
    for (const chat::Block& block : message.blocks) {
      if (const auto* result = std::get_if<chat::ToolResult>(&block.value)) turn.results.push_back(result);
      const auto* text = std::get_if<chat::Text>(&block.value);
      if (text == nullptr || text->text.empty()) continue;
      const auto span = find_marker(text->text);
      // A text without a marker beside tool results or after a marked text is a remark of the client's
      // program.
      if (!span && (turn.marker || turn.rounds > 0)) continue;
      turn.text = text->text;
      if (!span) continue;
      turn.rounds = 0;
      CCR_TRY(marker,
              parse_marker(std::string_view(text->text).substr(span->begin, span->end - span->begin)));
      turn.marker = std::move(marker);
      turn.text.erase(span->begin, span->end - span->begin);
    }
  }
  return turn;
}

// --- options

Error bad_option(const Marker& marker, std::string_view key, std::string_view wanted) {
  std::string message = "the sim marker ";
  message += marker.name;
  message += ": ";
  message += key;
  message += " must be ";
  message += wanted;
  message += " (docs/sim.md)";
  return bad_request(std::move(message));
}

class Options {
 public:
  explicit Options(const Marker& marker) : marker_(marker) {}

  /// A whole number within the limits, or nothing when it is not given.
  std::optional<std::int64_t> number(std::string_view key, std::int64_t least, std::int64_t most) {
    const auto found = marker_.options.find(key);
    if (found == marker_.options.end()) return std::nullopt;
    used_.emplace_back(key);
    const auto value = text::to_int(found->second);
    if (!value || *value < least || *value > most) {
      fail(key, "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
      return std::nullopt;
    }
    return value;
  }
  std::string text(std::string_view key, std::string_view otherwise) {
    const auto found = marker_.options.find(key);
    if (found == marker_.options.end()) return std::string(otherwise);
    used_.emplace_back(key);
    return found->second;
  }
  std::optional<bool> flag(std::string_view key) {
    const std::string word = text(key, "");
    if (word.empty()) return std::nullopt;
    if (word != "true" && word != "false") fail(key, "true or false");
    return word == "true";
  }
  std::string object(std::string_view key) {
    std::string value = text(key, "");
    if (!value.empty() && !value.starts_with('{')) fail(key, "a JSON object");
    return value;
  }
  /// The first thing that was wrong; an option nobody asked for is wrong too.
  std::optional<Error> problem() {
    if (problem_) return problem_;
    for (const auto& [key, value] : marker_.options) {
      if (std::find(used_.begin(), used_.end(), key) != used_.end()) continue;
      std::string message = "the sim marker " + marker_.name + " has no option " + key;
      if (const std::string near = text::did_you_mean(key, used_or_known()); !near.empty())
        message += "; did you mean " + near + "?";
      return bad_request(message + " (docs/sim.md)");
    }
    return std::nullopt;
  }
  void fail(std::string_view key, std::string_view wanted) {
    if (!problem_) problem_ = bad_option(marker_, key, wanted);
  }

 private:
  static const std::vector<std::string>& used_or_known() {
    static const std::vector<std::string> known = {"say",
                                                   "tokens",
                                                   "after",
                                                   "status",
                                                   "type",
                                                   "message",
                                                   "retry_after",
                                                   "should_retry",
                                                   "html",
                                                   "name",
                                                   "input",
                                                   "count",
                                                   "wait_ms",
                                                   "pause_ms",
                                                   "fail_after",
                                                   "cut_after",
                                                   "model",
                                                   "think",
                                                   "input_tokens",
                                                   "cache_read_tokens",
                                                   "cache_write_tokens"};
    return known;
  }
  const Marker& marker_;
  std::vector<std::string> used_;
  std::optional<Error> problem_;
};

// --- texts

/// The beginning of a text, at most `bytes`, never in the middle of a character.
std::string beginning(std::string_view text, std::size_t bytes) {
  text = text::trim(text);
  if (text.size() <= bytes) return std::string(text);
  std::size_t end = bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "...";
}

std::string text_of(const chat::ToolResult& result) {
  std::string out;
  std::size_t images = 0;
  for (const chat::Block& block : result.content) {
    if (const auto* text = std::get_if<chat::Text>(&block.value)) {
      if (!out.empty()) out += '\n';
      out += text->text;
    }
    if (std::holds_alternative<chat::Image>(block.value)) ++images;
  }
  if (images > 0)
    out += (out.empty() ? "[" : " [") + std::to_string(images) + (images == 1 ? " image]" : " images]");
  return out;
}

std::string joined_results(const Turn& turn) {
  std::string out;
  for (const chat::ToolResult* result : turn.results) {
    if (!out.empty()) out += "; ";
    out += text_of(*result);
  }
  return out;
}

std::string answer_to_results(const Turn& turn) {
  const bool failed =
      std::any_of(turn.results.begin(), turn.results.end(), [](const auto* one) { return one->is_error; });
  return (failed ? "The tool failed: " : "The tool answered: ") + joined_results(turn);
}

struct Media {
  std::int64_t images = 0;
  std::int64_t documents = 0;
  std::vector<std::string> types;
};

void count_media(const std::vector<chat::Block>& blocks, Media& media) {
  for (const chat::Block& block : blocks) {
    if (const auto* image = std::get_if<chat::Image>(&block.value)) {
      ++media.images;
      media.types.push_back(image->kind == chat::SourceKind::kBase64 ? image->media_type : "by reference");
    } else if (std::holds_alternative<chat::Document>(block.value)) {
      ++media.documents;
    } else if (const auto* result = std::get_if<chat::ToolResult>(&block.value)) {
      count_media(result->content, media);
    }
  }
}

Media media_of(const chat::Request& request) {
  Media media;
  for (const chat::Message& message : request.messages) count_media(message.blocks, media);
  return media;
}

std::string describe_media(const chat::Request& request) {
  const Media media = media_of(request);
  std::string out = "I see " + std::to_string(media.images) + (media.images == 1 ? " image" : " images");
  for (std::size_t i = 0; i < media.types.size(); ++i) out += (i == 0 ? " (" : ", ") + media.types[i];
  if (!media.types.empty()) out += ')';
  return out + " and " + std::to_string(media.documents) +
         (media.documents == 1 ? " document." : " documents.");
}

std::string system_text(const chat::Request& request) {
  std::string out;
  for (const chat::Block& block : request.system) {
    const auto* text = std::get_if<chat::Text>(&block.value);
    if (text == nullptr) continue;
    if (!out.empty()) out += "\n\n";
    out += text->text;
  }
  return out;
}

std::string_view role_name(chat::Role role) {
  switch (role) {
    case chat::Role::kUser:
      return "user";
    case chat::Role::kAssistant:
      return "assistant";
    case chat::Role::kSystem:
      return "system";
  }
  return "";
}

std::string_view thinking_name(chat::ThinkingKind kind) {
  switch (kind) {
    case chat::ThinkingKind::kAbsent:
      return "absent";
    case chat::ThinkingKind::kEnabled:
      return "enabled";
    case chat::ThinkingKind::kAdaptive:
      return "adaptive";
    case chat::ThinkingKind::kDisabled:
      return "disabled";
    case chat::ThinkingKind::kBetweenTools:
      return "between_tools";
  }
  return "";
}

std::string choice_name(const std::optional<chat::ToolChoice>& choice) {
  if (!choice) return "absent";
  switch (choice->kind) {
    case chat::ToolChoiceKind::kAuto:
      return "auto";
    case chat::ToolChoiceKind::kAny:
      return "any";
    case chat::ToolChoiceKind::kTool:
      return "tool:" + choice->name;
    case chat::ToolChoiceKind::kNone:
      return "none";
  }
  return "";
}

/// What arrived, as JSON: lets a client check how its request was translated on the way.
std::string inspect(const chat::Request& request) {
  std::string out;
  json::Writer writer(out);
  writer.begin_object().member("model", request.model).member("system", system_text(request));
  writer.key("roles").begin_array();
  for (const chat::Message& message : request.messages) writer.string(role_name(message.role));
  writer.end_array().key("tools").begin_array();
  for (const chat::Tool& tool : request.tools) writer.string(tool.name);
  writer.end_array().member("tool_choice", choice_name(request.tool_choice));
  if (request.tool_choice && request.tool_choice->parallel_tool_calls) {
    writer.member("parallel_tool_calls", *request.tool_choice->parallel_tool_calls);
  }
  if (request.max_tokens) writer.member("max_tokens", *request.max_tokens);
  if (request.temperature) writer.member("temperature", *request.temperature);
  if (request.top_p) writer.member("top_p", *request.top_p);
  if (request.top_k) writer.member("top_k", *request.top_k);
  writer.key("stop_sequences").begin_array();
  for (const std::string& one : request.stop_sequences) writer.string(one);
  writer.end_array().member("thinking", thinking_name(request.thinking.kind));
  if (request.thinking.budget_tokens) writer.member("budget_tokens", *request.thinking.budget_tokens);
  if (!request.effort.empty()) writer.member("effort", request.effort);
  if (!request.user_id.empty()) writer.member("user_id", request.user_id);
  const Media media = media_of(request);
  writer.member("images", media.images).member("documents", media.documents);
  writer.member("stream", request.stream).end_object();
  return out;
}

std::string long_text(std::int64_t tokens) {
  static constexpr std::array<std::string_view, 8> kWords = {"the ",   "quick ", "brown ", "fox ",
                                                             "jumps ", "over ",  "lazy ",  "dogs "};
  std::string out;
  for (std::int64_t i = 0; i < tokens; ++i) out += kWords[static_cast<std::size_t>(i) % kWords.size()];
  return out;
}

std::string friendly(const chat::Request& request, const Turn& turn) {
  if (!request.response_schema_json.empty()) return plausible_input(request.response_schema_json);
  if (request.json_object_mode) return R"({"answer":"This is the ccrules simulator."})";
  return "Hello from the ccrules simulator. You said: " + beginning(turn.text, kQuotedBytes);
}

// --- parts

Part say(std::string text) {
  return Part{.kind = Part::Kind::kText, .text = std::move(text), .tools = {}};
}
Part think(std::string text) {
  return Part{.kind = Part::Kind::kThinking, .text = std::move(text), .tools = {}};
}

bool has_custom_input(const chat::Tool& tool) {
  return tool.original_json.empty();
}

/// A call of the first offered tool among `names` (any tool when there are none), with an input that fits its
/// schema.
Part call(const chat::Request& request, const std::vector<std::string>& names, std::string input) {
  Part part;
  part.kind = Part::Kind::kTool;
  const chat::Tool* chosen = nullptr;
  for (const std::string& name : names) {
    for (const chat::Tool& tool : request.tools) {
      if (chosen == nullptr && tool.name == name) chosen = &tool;
    }
  }
  if (names.empty()) {
    const auto own = std::find_if(request.tools.begin(), request.tools.end(), has_custom_input);
    if (own != request.tools.end()) chosen = &*own;
  }
  std::string name = "example_tool";
  if (chosen != nullptr) {
    name = chosen->name;
  } else if (!names.empty()) {
    name = names.front();
  }
  part.tools.push_back(std::move(name));
  part.text = std::move(input);
  if (part.text.empty()) part.text = chosen == nullptr ? "{}" : plausible_input(chosen->schema_json);
  return part;
}

std::vector<std::string> named(std::string name) {
  std::vector<std::string> names;
  if (!name.empty()) names.push_back(std::move(name));
  return names;
}

/// `count` calls: of the named tool, or of the offered tools in turn.
void call_several(const chat::Request& request, Options& options, std::vector<Part>& parts) {
  const std::string name = options.text("name", "");
  const std::int64_t count = options.number("count", 1, kMostTools).value_or(2);
  const std::string input = options.object("input");
  for (std::int64_t i = 0; i < count; ++i) {
    std::vector<std::string> names = named(name);
    if (names.empty() && !request.tools.empty()) {
      names.push_back(request.tools[static_cast<std::size_t>(i) % request.tools.size()].name);
    }
    parts.push_back(call(request, names, input));
  }
}

void forced_call(const chat::Request& request, std::vector<Part>& parts) {
  std::vector<std::string> names;
  if (request.tool_choice->kind == chat::ToolChoiceKind::kTool) names.push_back(request.tool_choice->name);
  parts.push_back(call(request, names, ""));
}

bool is_forced(const chat::Request& request) {
  return request.tool_choice && (request.tool_choice->kind == chat::ToolChoiceKind::kAny ||
                                 request.tool_choice->kind == chat::ToolChoiceKind::kTool);
}

// --- scenes by name

struct Stage {
  const chat::Request& request;
  const Turn& turn;
  Options& options;
  Scene& scene;
};

void play_text(Stage& stage) {
  const auto tokens = stage.options.number("tokens", 0, kMostTokens);
  std::string text = stage.options.text("say", "");
  if (text.empty()) text = tokens ? long_text(*tokens) : friendly(stage.request, stage.turn);
  stage.scene.parts.push_back(say(std::move(text)));
}

void play_echo(Stage& stage) {
  stage.scene.parts.push_back(say(std::string(text::trim(stage.turn.text))));
}
void play_inspect(Stage& stage) {
  stage.scene.heeds_stop_sequences = false;  // the answer names them
  stage.scene.parts.push_back(say(inspect(stage.request)));
}
void play_images(Stage& stage) {
  stage.scene.parts.push_back(say(describe_media(stage.request)));
}

void play_thinking(Stage& stage) {
  stage.scene.parts.push_back(
      think(stage.options.text("think", "The user wants an answer. I will give a short one.")));
  play_text(stage);
}

void play_redacted(Stage& stage) {
  Part part;
  part.kind = Part::Kind::kRedacted;
  part.text = "c2ltdWxhdG9yOiByZWRhY3RlZA==";
  stage.scene.parts.push_back(std::move(part));
  play_text(stage);
}

void play_tool(Stage& stage) {
  const std::string words = stage.options.text("say", "");
  const std::vector<std::string> names = named(stage.options.text("name", ""));
  std::string input = stage.options.object("input");
  if (stage.turn.rounds > 0) return stage.scene.parts.push_back(say(answer_to_results(stage.turn)));
  if (!words.empty()) stage.scene.parts.push_back(say(words));
  stage.scene.parts.push_back(call(stage.request, names, std::move(input)));
}

void play_tools(Stage& stage) {
  std::vector<Part> parts;
  call_several(stage.request, stage.options, parts);
  if (stage.turn.rounds > 0) return stage.scene.parts.push_back(say(answer_to_results(stage.turn)));
  stage.scene.parts = std::move(parts);
}

void play_interleaved(Stage& stage) {
  std::vector<Part> calls;
  call_several(stage.request, stage.options, calls);
  if (stage.turn.rounds > 0) return stage.scene.parts.push_back(say(answer_to_results(stage.turn)));
  for (std::size_t i = 0; i < calls.size(); ++i) {
    stage.scene.parts.push_back(say("Call number " + std::to_string(i + 1) + " follows."));
    stage.scene.parts.push_back(std::move(calls[i]));
  }
}

void play_long(Stage& stage) {
  stage.scene.parts.push_back(say(long_text(stage.options.number("tokens", 0, kMostTokens).value_or(5000))));
}

void play_slow(Stage& stage) {
  stage.scene.pause = 200ms;
  stage.scene.parts.push_back(say(long_text(stage.options.number("tokens", 0, kMostTokens).value_or(5))));
}

void play_silent(Stage& stage) {
  stage.scene.wait = 20s;
  play_text(stage);
}

void play_hang(Stage& stage) {
  stage.scene.hangs = true;
  play_text(stage);
}

void play_garbage(Stage& stage) {
  stage.scene.garbage = true;
}

void play_error(Stage& stage) {
  Scene::Failure failure;
  failure.status = static_cast<int>(stage.options.number("status", 400, 599).value_or(529));
  failure.type = stage.options.text("type", dialect::error_type_of(failure.status));
  failure.message = stage.options.text(
      "message", "The simulator was asked for status " + std::to_string(failure.status) + ".");
  failure.retry_after_s = stage.options.number("retry_after", 0, 86400).value_or(-1);
  failure.should_retry = stage.options.flag("should_retry");
  failure.html = stage.options.flag("html").value_or(false);
  stage.scene.failure = std::move(failure);
}

void play_overflow(Stage& stage) {
  Scene::Failure failure;
  failure.status = 400;
  failure.type = "invalid_request_error";
  failure.message = "prompt is too long: 210000 tokens > 200000 maximum";
  stage.scene.failure = std::move(failure);
}

void play_midstream_error(Stage& stage) {
  stage.scene.fail_after = stage.options.number("after", 0, kMostTokens).value_or(3);
  play_text(stage);
}

void play_cut(Stage& stage) {
  stage.scene.cut_after = stage.options.number("after", 0, kMostTokens).value_or(3);
  play_text(stage);
}

void play_refusal(Stage& stage) {
  stage.scene.reason = chat::StopReason::kRefusal;
  stage.scene.stop_details_json =
      R"({"type":"refusal","category":null,"explanation":"The simulator was asked to refuse."})";
  stage.scene.parts.push_back(say(stage.options.text("say", "I cannot help with that.")));
}

void play_max_tokens(Stage& stage) {
  stage.scene.reason = chat::StopReason::kMaxTokens;
  stage.scene.parts.push_back(say(stage.options.text("say", "This answer ends in the middle of a")));
}

void play_pause_turn(Stage& stage) {
  stage.scene.reason = chat::StopReason::kPauseTurn;
  play_text(stage);
}

void play_empty(Stage&) {}

struct Scenario {
  std::string_view name;
  void (*play)(Stage&);
};
constexpr std::array<Scenario, 23> kScenarios = {{{"text", play_text},
                                                  {"echo", play_echo},
                                                  {"inspect", play_inspect},
                                                  {"images", play_images},
                                                  {"image", play_images},
                                                  {"thinking", play_thinking},
                                                  {"redacted-thinking", play_redacted},
                                                  {"tool", play_tool},
                                                  {"tools", play_tools},
                                                  {"interleaved", play_interleaved},
                                                  {"long", play_long},
                                                  {"slow", play_slow},
                                                  {"silent", play_silent},
                                                  {"hang", play_hang},
                                                  {"garbage", play_garbage},
                                                  {"error", play_error},
                                                  {"overflow", play_overflow},
                                                  {"midstream-error", play_midstream_error},
                                                  {"cut", play_cut},
                                                  {"refusal", play_refusal},
                                                  {"max-tokens", play_max_tokens},
                                                  {"pause-turn", play_pause_turn},
                                                  {"empty", play_empty}}};

Error unknown_scenario(const std::string& name) {
  std::vector<std::string> names = {"script"};
  for (const Scenario& one : kScenarios) names.emplace_back(one.name);
  std::string message = "the simulator knows no marker [[sim:" + name + "]]";
  if (const std::string near = text::did_you_mean(name, names); !near.empty())
    message += "; did you mean " + near + "?";
  return bad_request(message + " (docs/sim.md lists them)");
}

Result<Scene> play_script(const chat::Request& request, const Turn& turn) {
  CCR_TRY(replies, parse_script(turn.marker->script));
  Scene scene;
  if (turn.rounds >= replies.size()) {
    scene.parts.push_back(say("The script has no further reply."));
    return scene;
  }
  const std::string result = joined_results(turn);
  for (Part& part : replies[turn.rounds]) {
    if (part.kind == Part::Kind::kTool) {
      scene.parts.push_back(call(request, part.tools, std::move(part.text)));
      continue;
    }
    constexpr std::string_view kResult = "{result}";
    if (const std::size_t at = part.text.find(kResult); at != std::string::npos)
      part.text.replace(at, kResult.size(), result);
    scene.parts.push_back(std::move(part));
  }
  return scene;
}

std::optional<std::chrono::milliseconds> duration(Options& options, std::string_view key) {
  const auto value = options.number(key, 0, kMostMilliseconds);
  if (!value) return std::nullopt;
  return std::chrono::milliseconds(*value);
}

/// What every scenario understands.
void common_options(Options& options, Scene& scene) {
  scene.wait = duration(options, "wait_ms").value_or(scene.wait);
  scene.pause = duration(options, "pause_ms").value_or(scene.pause);
  if (const auto events = options.number("fail_after", 0, kMostTokens)) scene.fail_after = events;
  if (const auto events = options.number("cut_after", 0, kMostTokens)) scene.cut_after = events;
  scene.input_tokens = options.number("input_tokens", 0, 1'000'000'000);
  scene.cache_read_tokens = options.number("cache_read_tokens", 0, 1'000'000'000);
  scene.cache_write_tokens = options.number("cache_write_tokens", 0, 1'000'000'000);
}

/// The answer when nothing was asked for in particular.
Scene unmarked(const chat::Request& request, const Turn& turn) {
  Scene scene;
  if (!turn.results.empty()) {
    scene.parts.push_back(say(answer_to_results(turn)));
  } else if (is_forced(request)) {
    forced_call(request, scene.parts);
  } else {
    scene.parts.push_back(say(friendly(request, turn)));
  }
  return scene;
}

}  // namespace

Result<Scene> direct(const chat::Request& request) {
  CCR_TRY(turn, read_turn(request));
  if (!turn.marker) return unmarked(request, turn);
  const Marker& marker = *turn.marker;
  if (marker.name == "script") return play_script(request, turn);

  Options options(marker);
  Scene scene;
  if (const std::string only = options.text("model", "");
      !only.empty() && !text::glob_match(only, request.model)) {
    return unmarked(request, turn);
  }
  Stage stage{request, turn, options, scene};
  const auto* found = std::find_if(kScenarios.begin(), kScenarios.end(),
                                   [&](const Scenario& one) { return one.name == marker.name; });
  if (found == kScenarios.end()) return unknown_scenario(marker.name);
  found->play(stage);
  common_options(options, scene);
  if (auto problem = options.problem()) return std::move(*problem);
  return scene;
}

}  // namespace ccrules::provider::sim
