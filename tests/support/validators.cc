#include "support/validators.h"

#include <algorithm>
#include <array>
#include <set>

#include "support/json_tree.h"

namespace ccrules::test {
namespace {

using Kind = Tree::Kind;

template <std::size_t N>
bool one_of(std::string_view text, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

constexpr std::array<std::string_view, 8> kStopReasons = {"end_turn",
                                                          "max_tokens",
                                                          "stop_sequence",
                                                          "tool_use",
                                                          "pause_turn",
                                                          "refusal",
                                                          "model_context_window_exceeded",
                                                          "compaction"};
constexpr std::array<std::string_view, 5> kFinishReasons = {"stop", "length", "tool_calls", "content_filter",
                                                            "function_call"};
constexpr std::array<std::string_view, 12> kErrorTypes = {
    "invalid_request_error", "authentication_error", "billing_error",
    "permission_error",      "not_found_error",      "conflict_error",
    "request_too_large",     "rate_limit_error",     "api_error",
    "timeout_error",         "overloaded_error",     "policy_blocked"};

bool is_tool_id(std::string_view id) {
  return !id.empty() &&
         id.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
             std::string_view::npos;
}

bool is_json_object(std::string_view text) {
  const auto tree = parse_tree(text);
  return tree && tree->is(Kind::kObject);
}

void expect_string(Seen& seen, const Tree& object, std::string_view name, std::string_view where) {
  const Tree* found = object.get(name);
  if (found == nullptr || !found->is(Kind::kString) || found->text.empty()) {
    seen.faults.push_back(std::string(where) + "." + std::string(name) + " must be a non-empty string");
  }
}

void expect_equal(Seen& seen, const Tree& object, std::string_view name, std::string_view wanted,
                  std::string_view where) {
  if (object.string(name) != wanted) {
    seen.faults.push_back(std::string(where) + "." + std::string(name) + " must be \"" + std::string(wanted) +
                          "\"");
  }
}

std::optional<std::int64_t> expect_count(Seen& seen, const Tree* object, std::string_view name,
                                         std::string_view where) {
  const auto count = object == nullptr ? std::nullopt : object->integer(name);
  if (!count || *count < 0)
    seen.faults.push_back(std::string(where) + "." + std::string(name) + " must be a whole number >= 0");
  return count;
}

/// Usage of a whole Anthropic reply and of message_start: all four counts and the split by lifetime.
void read_anthropic_usage(Seen& seen, const Tree* usage, std::string_view where) {
  if (usage == nullptr || !usage->is(Kind::kObject)) {
    seen.faults.push_back(std::string(where) + " has no usage");
    return;
  }
  seen.input_tokens = expect_count(seen, usage, "input_tokens", where);
  seen.output_tokens = expect_count(seen, usage, "output_tokens", where);
  seen.cache_read_tokens = expect_count(seen, usage, "cache_read_input_tokens", where);
  (void)expect_count(seen, usage, "cache_creation_input_tokens", where);  // only its presence matters
  const Tree* split = usage->get("cache_creation");
  if (split == nullptr || !split->is(Kind::kObject)) {
    seen.faults.push_back(std::string(where) +
                          ".cache_creation must be an object (Claude Code reads into it)");
  }
}

void read_anthropic_error(Seen& seen, const Tree& tree) {
  expect_equal(seen, tree, "type", "error", "error");
  const Tree* error = tree.get("error");
  if (error == nullptr || !error->is(Kind::kObject)) {
    seen.faults.emplace_back("the error body has no error object");
    return;
  }
  expect_string(seen, *error, "type", "error.error");
  expect_string(seen, *error, "message", "error.error");
  seen.error_type = error->string("type");
  seen.error_message = error->string("message");
  if (!one_of(seen.error_type, kErrorTypes))
    seen.faults.push_back("\"" + seen.error_type + "\" is not an Anthropic error type");
  seen.ending = Ending::kError;
}

void read_openai_error(Seen& seen, const Tree& tree) {
  const Tree* error = tree.get("error");
  if (error == nullptr || !error->is(Kind::kObject)) {
    seen.faults.emplace_back("the error body has no error object");
    return;
  }
  expect_string(seen, *error, "message", "error");
  expect_string(seen, *error, "type", "error");
  if (error->get("param") == nullptr) seen.faults.emplace_back("error.param must be there, null or a string");
  if (error->get("code") == nullptr) seen.faults.emplace_back("error.code must be there, null or a string");
  seen.error_type = error->string("type");
  seen.error_message = error->string("message");
  seen.ending = Ending::kError;
}

// --- Anthropic stream

class AnthropicStream {
 public:
  Seen check(std::string_view sse, bool may_be_cut) {
    bool unfinished = false;
    const std::vector<SseEvent> events = split_sse(sse, &unfinished);
    for (const SseEvent& event : events) take(event);
    if (unfinished) fault("the last event has no blank line behind it");
    if (seen_.ending == Ending::kCut && !may_be_cut) fault("the stream ends without message_stop or error");
    return std::move(seen_);
  }

 private:
  void fault(std::string text) { seen_.faults.push_back(std::move(text)); }

  void take(const SseEvent& event) {
    if (seen_.ending != Ending::kCut) return fault("event " + event.name + " after the end");
    const auto tree = parse_tree(event.data);
    if (!tree || !tree->is(Kind::kObject))
      return fault("data of event " + event.name + " is not a JSON object: " + event.data);
    if (event.name.empty()) fault("an event without a name: " + event.data);
    if (tree->string("type") != event.name)
      fault("event " + event.name + " holds type \"" + tree->string("type") + "\"");
    if (event.name == "ping") {
      ++seen_.pings;
    } else if (event.name == "error") {
      read_anthropic_error(seen_, *tree);
    } else if (event.name == "message_start") {
      start(*tree);
    } else if (!started_) {
      fault(event.name + " before message_start");
    } else if (event.name == "content_block_start") {
      open(*tree);
    } else if (event.name == "content_block_delta") {
      grow(*tree);
    } else if (event.name == "content_block_stop") {
      close(*tree);
    } else if (event.name == "message_delta") {
      message_delta(*tree);
    } else if (event.name == "message_stop") {
      if (open_) fault("message_stop while block " + std::to_string(next_ - 1) + " is open");
      if (!ended_) fault("message_stop without a message_delta that says the stop reason");
      seen_.ending = Ending::kClean;
    } else {
      fault("unknown event " + event.name);
    }
  }

  void start(const Tree& tree) {
    if (started_) fault("a second message_start");
    started_ = true;
    const Tree* message = tree.get("message");
    if (message == nullptr || !message->is(Kind::kObject)) return fault("message_start has no message");
    expect_string(seen_, *message, "id", "message");
    expect_string(seen_, *message, "model", "message");
    expect_equal(seen_, *message, "type", "message", "message");
    expect_equal(seen_, *message, "role", "assistant", "message");
    seen_.id = message->string("id");
    seen_.model = message->string("model");
    const Tree* content = message->get("content");
    if (content == nullptr || !content->is(Kind::kArray) || !content->items.empty())
      fault("message_start.content must be []");
    for (const char* name : {"stop_reason", "stop_sequence"}) {
      const Tree* value = message->get(name);
      if (value == nullptr || !value->is(Kind::kNull))
        fault(std::string("message_start.") + name + " must be null");
    }
    read_anthropic_usage(seen_, message->get("usage"), "message_start.usage");
  }

  void open(const Tree& tree) {
    if (ended_) fault("content_block_start after message_delta");
    if (open_) fault("content_block_start while block " + std::to_string(next_ - 1) + " is open");
    if (tree.integer("index") != next_) fault("content_block_start.index must be " + std::to_string(next_));
    ++next_;
    open_ = true;
    signatures_ = 0;
    SeenBlock block;
    const Tree* content = tree.get("content_block");
    if (content == nullptr || !content->is(Kind::kObject)) {
      fault("content_block_start has no content_block");
    } else {
      expect_string(seen_, *content, "type", "content_block");
      block.type = content->string("type");
      if (block.type == "text") {
        const Tree* text = content->get("text");
        if (text == nullptr || !text->is(Kind::kString) || !text->text.empty())
          fault("a text block must start with text \"\"");
      } else if (block.type == "thinking") {
        for (const char* name : {"thinking", "signature"}) {
          const Tree* text = content->get(name);
          if (text == nullptr || !text->is(Kind::kString) || !text->text.empty()) {
            fault(std::string("a thinking block must start with ") + name + " \"\"");
          }
        }
      } else if (block.type == "tool_use") {
        expect_string(seen_, *content, "id", "tool_use");
        expect_string(seen_, *content, "name", "tool_use");
        block.id = content->string("id");
        block.name = content->string("name");
        if (!is_tool_id(block.id))
          fault("tool_use.id \"" + block.id + "\" has other characters than [a-zA-Z0-9_-]");
        if (!ids_.insert(block.id).second) fault("tool_use.id \"" + block.id + "\" is used twice");
        const Tree* input = content->get("input");
        if (input == nullptr || !input->is(Kind::kObject) || !input->members.empty())
          fault("a tool_use block must start with input {}");
      } else {
        block.text = compact(*content);
      }
    }
    seen_.blocks.push_back(std::move(block));
  }

  void grow(const Tree& tree) {
    if (!open_) return fault("content_block_delta without an open block");
    if (tree.integer("index") != next_ - 1)
      fault("content_block_delta.index must be " + std::to_string(next_ - 1));
    const Tree* delta = tree.get("delta");
    if (delta == nullptr || !delta->is(Kind::kObject)) return fault("content_block_delta has no delta");
    SeenBlock& block = seen_.blocks.back();
    const std::string type = delta->string("type");
    const auto take_text = [&](std::string_view wanted_block, const char* member, std::string& into) {
      if (block.type.find(wanted_block) == std::string::npos)
        fault(type + " inside a " + block.type + " block");
      const Tree* text = delta->get(member);
      if (text == nullptr || !text->is(Kind::kString)) return fault(type + " has no " + member);
      into += text->text;
    };
    if (type == "text_delta") {
      take_text("text", "text", block.text);
    } else if (type == "thinking_delta") {
      if (signatures_ > 0) fault("thinking_delta after signature_delta");
      take_text("thinking", "thinking", block.text);
    } else if (type == "signature_delta") {
      ++signatures_;
      take_text("thinking", "signature", block.signature);
    } else if (type == "input_json_delta") {
      take_text("tool_use", "partial_json", block.arguments);
    } else if (type != "citations_delta" && type != "compaction_delta") {
      fault("unknown delta type \"" + type + "\"");
    }
  }

  void close(const Tree& tree) {
    if (!open_) return fault("content_block_stop without an open block");
    if (tree.integer("index") != next_ - 1)
      fault("content_block_stop.index must be " + std::to_string(next_ - 1));
    open_ = false;
    SeenBlock& block = seen_.blocks.back();
    if (block.type == "thinking" && signatures_ != 1)
      fault("a thinking block needs exactly one signature_delta, has " + std::to_string(signatures_));
    if (block.type == "tool_use") {
      if (block.arguments.empty()) block.arguments = "{}";
      if (!is_json_object(block.arguments)) broken_arguments_ = block.arguments;
    }
  }

  void message_delta(const Tree& tree) {
    if (open_) fault("message_delta while block " + std::to_string(next_ - 1) + " is open");
    ended_ = true;
    const Tree* delta = tree.get("delta");
    if (delta == nullptr || !delta->is(Kind::kObject)) return fault("message_delta has no delta");
    seen_.stop = delta->string("stop_reason");
    seen_.stop_sequence = delta->string("stop_sequence");
    if (!one_of(seen_.stop, kStopReasons)) fault("\"" + seen_.stop + "\" is not a stop reason");
    if (delta->get("stop_sequence") == nullptr) fault("message_delta.delta.stop_sequence must be there");
    const bool called = std::any_of(seen_.blocks.begin(), seen_.blocks.end(),
                                    [](const SeenBlock& block) { return block.type == "tool_use"; });
    if (seen_.stop == "tool_use" && !called) fault("stop_reason tool_use without a tool_use block");
    if (!broken_arguments_.empty() && seen_.stop != "max_tokens")
      fault("tool input is not a JSON object: " + broken_arguments_);
    const Tree* usage = tree.get("usage");
    seen_.output_tokens = expect_count(seen_, usage, "output_tokens", "message_delta.usage");
    if (usage != nullptr && usage->has("input_tokens"))
      seen_.input_tokens = expect_count(seen_, usage, "input_tokens", "message_delta.usage");
    if (usage != nullptr && usage->has("cache_read_input_tokens")) {
      seen_.cache_read_tokens = expect_count(seen_, usage, "cache_read_input_tokens", "message_delta.usage");
    }
  }

  Seen seen_;
  bool started_ = false;
  bool open_ = false;
  bool ended_ = false;
  int signatures_ = 0;
  std::int64_t next_ = 0;
  std::set<std::string> ids_;
  std::string broken_arguments_;
};

// --- OpenAI Chat stream

class OpenaiStream {
 public:
  OpenaiStream(bool include_usage, bool may_be_cut)
      : include_usage_(include_usage), may_be_cut_(may_be_cut) {}

  Seen check(std::string_view sse) {
    if (sse.starts_with('\n') || sse.find("\n\n\n") != std::string_view::npos)
      fault("a bare blank line (older openai-python crashes on it)");
    bool unfinished = false;
    for (const SseEvent& event : split_sse(sse, &unfinished)) take(event);
    if (unfinished) fault("the last event has no blank line behind it");
    for (std::size_t at = 0; at < sse.size();
         at = sse.find('\n', at) == std::string_view::npos ? sse.size() : sse.find('\n', at) + 1) {
      if (sse[at] == ':') ++seen_.pings;
    }
    if (seen_.ending == Ending::kCut && !may_be_cut_) fault("the stream ends without [DONE] or error");
    if (seen_.ending == Ending::kClean) close();
    gather();
    return std::move(seen_);
  }

 private:
  void fault(std::string text) { seen_.faults.push_back(std::move(text)); }

  void take(const SseEvent& event) {
    if (!event.name.empty()) fault("event name \"" + event.name + "\" in an OpenAI stream");
    if (seen_.ending != Ending::kCut) return fault("data after the end: " + event.data);
    if (event.data == "[DONE]") {
      seen_.ending = Ending::kClean;
      return;
    }
    const auto tree = parse_tree(event.data);
    if (!tree || !tree->is(Kind::kObject)) return fault("data is not a JSON object: " + event.data);
    if (tree->has("error")) return read_openai_error(seen_, *tree);
    envelope(*tree);
    const Tree* usage = tree->get("usage");
    const bool has_usage = usage != nullptr && usage->is(Kind::kObject);
    const Tree* choices = tree->get("choices");
    if (choices == nullptr || !choices->is(Kind::kArray)) return fault("a chunk without choices");
    if (has_usage) take_usage(*usage, choices->items.empty());
    if (choices->items.empty()) {
      if (!has_usage) fault("a chunk with neither choices nor usage");
      return;
    }
    if (choices->items.size() != 1) fault("a chunk with more than one choice");
    choice(choices->items[0]);
  }

  void envelope(const Tree& chunk) {
    expect_string(seen_, chunk, "id", "chunk");
    expect_string(seen_, chunk, "model", "chunk");
    expect_equal(seen_, chunk, "object", "chat.completion.chunk", "chunk");
    (void)expect_count(seen_, &chunk, "created", "chunk");  // only its presence matters
    if (seen_.id.empty()) {
      seen_.id = chunk.string("id");
      seen_.model = chunk.string("model");
    }
    if (chunk.string("id") != seen_.id)
      fault("the id changes from " + seen_.id + " to " + chunk.string("id"));
    if (chunk.string("model") != seen_.model)
      fault("the model changes from " + seen_.model + " to " + chunk.string("model"));
  }

  void take_usage(const Tree& usage, bool own_chunk) {
    if (!include_usage_) fault("usage although the client did not ask for it");
    if (!own_chunk) fault("usage in a chunk with choices");
    if (seen_.stop.empty()) fault("usage before finish_reason");
    if (usage_seen_) fault("a second usage chunk");
    usage_seen_ = true;
    seen_.input_tokens = expect_count(seen_, &usage, "prompt_tokens", "usage");
    seen_.output_tokens = expect_count(seen_, &usage, "completion_tokens", "usage");
    const auto total = expect_count(seen_, &usage, "total_tokens", "usage");
    if (total && seen_.input_tokens && seen_.output_tokens &&
        *total != *seen_.input_tokens + *seen_.output_tokens) {
      fault("usage.total_tokens is not the sum");
    }
    if (const Tree* details = usage.get("prompt_tokens_details"))
      seen_.cache_read_tokens = details->integer("cached_tokens");
  }

  void choice(const Tree& choice) {
    if (choice.integer("index") != 0) fault("choices[0].index must be 0");
    const Tree* delta = choice.get("delta");
    if (delta == nullptr || !delta->is(Kind::kObject)) return fault("a choice without delta");
    if (delta->get("role") != nullptr) {
      if (delta->string("role") != "assistant") fault("delta.role must be \"assistant\"");
      if (started_) fault("a second delta.role");
    } else if (!started_) {
      fault("the first delta must carry role");
    }
    started_ = true;
    bool grew = false;
    for (const char* name : {"content", "refusal", "reasoning_content"}) {
      const Tree* text = delta->get(name);
      if (text == nullptr || text->is(Kind::kNull)) continue;
      if (!text->is(Kind::kString)) {
        fault(std::string("delta.") + name + " must be a string");
        continue;
      }
      if (!text->text.empty()) grew = true;
      (std::string_view(name) == "reasoning_content" ? thinking_ : text_) += text->text;
    }
    if (const Tree* calls = delta->get("tool_calls")) {
      grew = true;
      for (const Tree& call : calls->items) tool(call);
    }
    if (grew && !seen_.stop.empty()) fault("content after finish_reason");
    const Tree* finish = choice.get("finish_reason");
    if (finish == nullptr) return fault("choices[0].finish_reason must be there, null or a string");
    if (finish->is(Kind::kNull)) return;
    if (!seen_.stop.empty()) fault("a second finish_reason");
    seen_.stop = finish->text;
    if (!one_of(seen_.stop, kFinishReasons)) fault("\"" + seen_.stop + "\" is not a finish reason");
  }

  void tool(const Tree& call) {
    const auto index = call.integer("index");
    const auto count = static_cast<std::int64_t>(tools_.size());
    const Tree* function = call.get("function");
    if (!index || function == nullptr || !function->is(Kind::kObject))
      return fault("tool_calls[] needs index and function");
    const Tree* arguments = function->get("arguments");
    if (arguments == nullptr || !arguments->is(Kind::kString))
      return fault("tool_calls[].function.arguments must be a string");
    if (*index == count) {
      SeenBlock block;
      block.type = "tool_use";
      block.id = call.string("id");
      block.name = function->string("name");
      if (!is_tool_id(block.id))
        fault("tool call id \"" + block.id + "\" is empty or has other characters than [a-zA-Z0-9_-]");
      if (!ids_.insert(block.id).second) fault("tool call id \"" + block.id + "\" is used twice");
      if (block.name.empty()) fault("the first fragment of a tool call needs a name");
      expect_equal(seen_, call, "type", "function", "tool_calls[]");
      tools_.push_back(std::move(block));
    } else if (*index != count - 1) {
      return fault("tool_calls[].index " + std::to_string(*index) +
                   " is not the current call nor the next one");
    } else if (call.has("id") || function->has("name")) {
      fault("id and name belong to the first fragment only");
    }
    tools_.back().arguments += arguments->text;
  }

  void close() {
    if (seen_.stop.empty()) fault("[DONE] without finish_reason");
    if (include_usage_ && !usage_seen_) fault("[DONE] without the usage chunk that was asked for");
    if (seen_.stop == "tool_calls" && tools_.empty()) fault("finish_reason tool_calls without a tool call");
    for (const SeenBlock& block : tools_) {
      if (seen_.stop != "length" && !is_json_object(block.arguments))
        fault("tool arguments are not a JSON object: " + block.arguments);
    }
  }

  void gather() {
    const auto add = [this](const char* type, std::string& text) {
      if (text.empty()) return;
      SeenBlock block;
      block.type = type;
      block.text = std::move(text);
      seen_.blocks.push_back(std::move(block));
    };
    add("thinking", thinking_);
    add("text", text_);
    for (SeenBlock& block : tools_) seen_.blocks.push_back(std::move(block));
  }

  Seen seen_;
  bool include_usage_;
  bool may_be_cut_;
  bool started_ = false;
  bool usage_seen_ = false;
  std::string text_;
  std::string thinking_;
  std::vector<SeenBlock> tools_;
  std::set<std::string> ids_;
};

// --- requests

void fault_if(std::vector<std::string>& faults, bool wrong, std::string text) {
  if (wrong) faults.push_back(std::move(text));
}

bool mentions(const Tree& tree, std::string_view member) {
  if (tree.get(member) != nullptr) return true;
  for (const Tree& item : tree.items) {
    if (mentions(item, member)) return true;
  }
  return std::any_of(tree.members.begin(), tree.members.end(),
                     [&](const auto& pair) { return mentions(pair.second, member); });
}

}  // namespace

std::string Seen::report() const {
  std::string out;
  for (const std::string& line : faults) out += line + "\n";
  return out;
}

std::string Seen::text() const {
  std::string out;
  for (const SeenBlock& block : blocks) {
    if (block.type == "text") out += block.text;
  }
  return out;
}

std::string Seen::thinking() const {
  std::string out;
  for (const SeenBlock& block : blocks) {
    if (block.type == "thinking") out += block.text;
  }
  return out;
}

std::vector<SeenBlock> Seen::tools() const {
  std::vector<SeenBlock> out;
  for (const SeenBlock& block : blocks) {
    if (block.type == "tool_use") out.push_back(block);
  }
  return out;
}

std::vector<SseEvent> split_sse(std::string_view bytes, bool* unfinished) {
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  std::vector<SseEvent> events;
  SseEvent event;
  bool has_data = false;
  std::size_t at = 0;
  while (at < bytes.size()) {
    std::size_t end = bytes.find_first_of("\r\n", at);
    if (end == std::string_view::npos) break;
    const std::string_view line = bytes.substr(at, end - at);
    at = end + (bytes.substr(end).starts_with("\r\n") ? 2 : 1);
    if (line.empty()) {
      if (has_data) events.push_back(event);
      event = SseEvent{};
      has_data = false;
      continue;
    }
    const std::size_t colon = line.find(':');
    const std::string_view field = line.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (field == "event") {
      event.name = value;
    } else if (field == "data") {
      if (has_data) event.data += '\n';
      event.data += value;
      has_data = true;
    }
  }
  if (unfinished != nullptr) *unfinished = at < bytes.size() || has_data;
  return events;
}

Seen check_anthropic_stream(std::string_view sse, bool may_be_cut) {
  return AnthropicStream().check(sse, may_be_cut);
}

Seen check_openai_chat_stream(std::string_view sse, bool include_usage, bool may_be_cut) {
  return OpenaiStream(include_usage, may_be_cut).check(sse);
}

Seen check_anthropic_reply(std::string_view json) {
  Seen seen;
  const auto tree = parse_tree(json);
  if (!tree || !tree->is(Kind::kObject)) {
    seen.faults.emplace_back("the reply is not a JSON object");
    return seen;
  }
  expect_string(seen, *tree, "id", "reply");
  expect_string(seen, *tree, "model", "reply");
  expect_equal(seen, *tree, "type", "message", "reply");
  expect_equal(seen, *tree, "role", "assistant", "reply");
  seen.id = tree->string("id");
  seen.model = tree->string("model");
  seen.stop = tree->string("stop_reason");
  seen.stop_sequence = tree->string("stop_sequence");
  if (!one_of(seen.stop, kStopReasons)) seen.faults.push_back("\"" + seen.stop + "\" is not a stop reason");
  if (tree->get("stop_sequence") == nullptr) seen.faults.emplace_back("reply.stop_sequence must be there");
  read_anthropic_usage(seen, tree->get("usage"), "usage");
  const Tree* content = tree->get("content");
  if (content == nullptr || !content->is(Kind::kArray)) {
    seen.faults.emplace_back("reply.content must be an array");
    return seen;
  }
  std::set<std::string> ids;
  for (const Tree& item : content->items) {
    SeenBlock block;
    block.type = item.string("type");
    if (block.type == "text") {
      block.text = item.string("text");
      if (item.get("text") == nullptr) seen.faults.emplace_back("a text block without text");
    } else if (block.type == "thinking") {
      block.text = item.string("thinking");
      block.signature = item.string("signature");
      if (item.get("signature") == nullptr) seen.faults.emplace_back("a thinking block without signature");
    } else if (block.type == "tool_use") {
      block.id = item.string("id");
      block.name = item.string("name");
      const Tree* input = item.get("input");
      if (!is_tool_id(block.id))
        seen.faults.push_back("tool_use.id \"" + block.id + "\" is empty or has bad characters");
      if (!ids.insert(block.id).second)
        seen.faults.push_back("tool_use.id \"" + block.id + "\" is used twice");
      if (block.name.empty()) seen.faults.emplace_back("a tool_use block without name");
      if (input == nullptr || !input->is(Kind::kObject)) {
        seen.faults.emplace_back("tool_use.input must be an object");
      } else {
        block.arguments = compact(*input);
      }
    } else if (block.type.empty()) {
      seen.faults.emplace_back("a block without type");
    } else {
      block.text = compact(item);
    }
    seen.blocks.push_back(std::move(block));
  }
  if (seen.stop == "tool_use" && seen.tools().empty())
    seen.faults.emplace_back("stop_reason tool_use without a tool_use block");
  seen.ending = Ending::kClean;
  return seen;
}

Seen check_openai_chat_reply(std::string_view json) {
  Seen seen;
  const auto tree = parse_tree(json);
  if (!tree || !tree->is(Kind::kObject)) {
    seen.faults.emplace_back("the reply is not a JSON object");
    return seen;
  }
  expect_string(seen, *tree, "id", "reply");
  expect_string(seen, *tree, "model", "reply");
  expect_equal(seen, *tree, "object", "chat.completion", "reply");
  (void)expect_count(seen, &*tree, "created", "reply");  // only its presence matters
  seen.id = tree->string("id");
  seen.model = tree->string("model");
  const Tree* choices = tree->get("choices");
  if (choices == nullptr || choices->items.size() != 1) {
    seen.faults.emplace_back("reply.choices must hold one choice");
    return seen;
  }
  const Tree& choice = choices->items[0];
  if (choice.integer("index") != 0) seen.faults.emplace_back("choices[0].index must be 0");
  seen.stop = choice.string("finish_reason");
  if (!one_of(seen.stop, kFinishReasons))
    seen.faults.push_back("\"" + seen.stop + "\" is not a finish reason");
  const Tree* message = choice.get("message");
  if (message == nullptr || !message->is(Kind::kObject)) {
    seen.faults.emplace_back("choices[0] has no message");
    return seen;
  }
  expect_equal(seen, *message, "role", "assistant", "message");
  const Tree* content = message->get("content");
  if (content == nullptr || !(content->is(Kind::kString) || content->is(Kind::kNull))) {
    seen.faults.emplace_back("message.content must be a string or null");
  }
  const auto add = [&seen](const char* type, const std::string& text) {
    if (text.empty()) return;
    SeenBlock block;
    block.type = type;
    block.text = text;
    seen.blocks.push_back(std::move(block));
  };
  add("thinking", message->string("reasoning_content"));
  add("text", message->string("content"));
  if (const Tree* calls = message->get("tool_calls")) {
    if (calls->items.empty()) seen.faults.emplace_back("message.tool_calls must not be empty");
    for (const Tree& call : calls->items) {
      SeenBlock block;
      block.type = "tool_use";
      block.id = call.string("id");
      expect_equal(seen, call, "type", "function", "tool_calls[]");
      if (!is_tool_id(block.id))
        seen.faults.push_back("tool call id \"" + block.id + "\" is empty or has bad characters");
      if (const Tree* function = call.get("function")) {
        block.name = function->string("name");
        block.arguments = function->string("arguments");
      }
      if (block.name.empty()) seen.faults.emplace_back("a tool call without name");
      if (seen.stop != "length" && !is_json_object(block.arguments)) {
        seen.faults.push_back("tool arguments are not a JSON object: " + block.arguments);
      }
      seen.blocks.push_back(std::move(block));
    }
  }
  if (seen.stop == "tool_calls" && seen.tools().empty())
    seen.faults.emplace_back("finish_reason tool_calls without a tool call");
  const Tree* usage = tree->get("usage");
  seen.input_tokens = expect_count(seen, usage, "prompt_tokens", "usage");
  seen.output_tokens = expect_count(seen, usage, "completion_tokens", "usage");
  const auto total = expect_count(seen, usage, "total_tokens", "usage");
  if (total && seen.input_tokens && seen.output_tokens &&
      *total != *seen.input_tokens + *seen.output_tokens) {
    seen.faults.emplace_back("usage.total_tokens is not the sum");
  }
  if (usage != nullptr) {
    if (const Tree* details = usage->get("prompt_tokens_details"))
      seen.cache_read_tokens = details->integer("cached_tokens");
  }
  seen.ending = Ending::kClean;
  return seen;
}

Seen check_anthropic_error(std::string_view json) {
  Seen seen;
  const auto tree = parse_tree(json);
  if (!tree) {
    seen.faults.emplace_back("the error body is not JSON");
  } else {
    read_anthropic_error(seen, *tree);
  }
  return seen;
}

Seen check_openai_chat_error(std::string_view json) {
  Seen seen;
  const auto tree = parse_tree(json);
  if (!tree) {
    seen.faults.emplace_back("the error body is not JSON");
  } else {
    read_openai_error(seen, *tree);
  }
  return seen;
}

std::vector<std::string> check_anthropic_request(std::string_view json) {
  std::vector<std::string> faults;
  const auto tree = parse_tree(json);
  if (!tree || !tree->is(Kind::kObject)) return {"the request is not a JSON object"};
  fault_if(faults, tree->string("model").empty(), "model is missing");
  fault_if(faults, !tree->integer("max_tokens"), "max_tokens is required");
  const Tree* messages = tree->get("messages");
  if (messages == nullptr || messages->items.empty()) {
    faults.emplace_back("messages must be a non-empty array");
    return faults;
  }
  std::set<std::string> asked;
  for (std::size_t i = 0; i < messages->items.size(); ++i) {
    const Tree& message = messages->items[i];
    const std::string where = "messages[" + std::to_string(i) + "]";
    const std::string role = message.string("role");
    fault_if(faults, role != "user" && role != "assistant" && role != "system",
             where + ".role \"" + role + "\" does not exist");
    const Tree* content = message.get("content");
    if (content == nullptr || !(content->is(Kind::kString) || content->is(Kind::kArray))) {
      faults.push_back(where + ".content must be a string or an array");
      continue;
    }
    fault_if(faults, content->is(Kind::kArray) && content->items.empty(), where + ".content is empty");
    std::set<std::string> answered;
    std::set<std::string> now;
    bool other = false;
    for (const Tree& block : content->items) {
      const std::string type = block.string("type");
      fault_if(faults, type == "text" && block.string("text").empty(), where + " holds an empty text block");
      if (type == "tool_use") {
        fault_if(faults, role != "assistant", where + ": tool_use outside an assistant message");
        fault_if(faults, !is_tool_id(block.string("id")),
                 where + ": tool_use id \"" + block.string("id") + "\"");
        const Tree* input = block.get("input");
        fault_if(faults, input == nullptr || !input->is(Kind::kObject),
                 where + ": tool_use.input must be an object");
        now.insert(block.string("id"));
      } else if (type == "tool_result") {
        fault_if(faults, role != "user", where + ": tool_result outside a user message");
        fault_if(faults, other, where + ": tool_result after other content");
        fault_if(faults, !asked.contains(block.string("tool_use_id")),
                 where + ": tool_result without its tool_use in the message before");
        answered.insert(block.string("tool_use_id"));
      }
      if (type != "tool_result") other = true;
    }
    for (const std::string& id : asked) {
      fault_if(faults, role != "system" && !answered.contains(id), where + ": no tool_result for " + id);
    }
    if (role != "system") asked = std::move(now);
  }
  return faults;
}

std::vector<std::string> check_openai_chat_request(std::string_view json) {
  std::vector<std::string> faults;
  const auto tree = parse_tree(json);
  if (!tree || !tree->is(Kind::kObject)) return {"the request is not a JSON object"};
  fault_if(faults, tree->string("model").empty(), "model is missing");
  const Tree* messages = tree->get("messages");
  if (messages == nullptr || messages->items.empty()) {
    faults.emplace_back("messages must be a non-empty array");
    return faults;
  }
  for (const char* foreign :
       {"system", "top_k", "stop_sequences", "context_management", "output_config"}) {
    fault_if(faults, tree->get(foreign) != nullptr, std::string(foreign) + " is no member of this dialect");
  }
  if (const Tree* thinking = tree->get("thinking")) {  // DeepSeek's and others', not Anthropic's
    const std::string type = thinking->string("type");
    fault_if(faults, (type != "enabled" && type != "disabled") || thinking->get("budget_tokens") != nullptr,
             "thinking is not as a chat vendor takes it");
    fault_if(faults, type == "disabled" && tree->get("reasoning_effort") != nullptr, "an effort beside disabled thinking");
  }
  std::set<std::string> open;
  for (std::size_t i = 0; i < messages->items.size(); ++i) {
    const Tree& message = messages->items[i];
    const std::string where = "messages[" + std::to_string(i) + "]";
    const std::string role = message.string("role");
    constexpr std::array<std::string_view, 6> roles = {"system",    "developer", "user",
                                                       "assistant", "tool",      "function"};
    fault_if(faults, !one_of(role, roles), where + ".role \"" + role + "\" does not exist");
    if (role == "tool") {
      fault_if(faults, open.erase(message.string("tool_call_id")) == 0,
               where + ": role tool without its call right before");
    } else {
      fault_if(faults, !open.empty(), where + ": a tool call before it has no answer yet");
      open.clear();
    }
    const Tree* content = message.get("content");
    const Tree* calls = message.get("tool_calls");
    fault_if(faults, content == nullptr && calls == nullptr && message.get("function_call") == nullptr,
             where + " has neither content nor tool_calls");
    if (content != nullptr) {
      fault_if(faults, content->is(Kind::kArray) && content->items.empty(), where + ".content is empty");
      fault_if(faults, content->is(Kind::kString) && content->text.empty() && role == "user",
               where + ".content is empty");
      fault_if(faults, content->is(Kind::kNull) && calls == nullptr && role != "assistant",
               where + ".content is null");
      for (const Tree& part : content->items) {
        fault_if(faults, part.string("type") == "text" && part.string("text").empty(),
                 where + " holds an empty text part");
        constexpr std::array<std::string_view, 5> parts = {"text", "image_url", "input_audio", "file",
                                                           "refusal"};
        fault_if(faults, !one_of(part.string("type"), parts),
                 where + ": part type \"" + part.string("type") + "\" does not exist");
      }
    }
    if (calls != nullptr) {
      fault_if(faults, role != "assistant", where + ": tool_calls outside an assistant message");
      fault_if(faults, calls->items.empty(), where + ".tool_calls is empty");
      for (const Tree& call : calls->items) {
        fault_if(faults, !open.insert(call.string("id")).second,
                 where + ": tool call id \"" + call.string("id") + "\" twice");
        const Tree* function = call.get("function");
        fault_if(faults, function == nullptr || function->string("name").empty(),
                 where + ": a tool call without name");
        const Tree* arguments = function == nullptr ? nullptr : function->get("arguments");
        fault_if(faults, arguments == nullptr || !arguments->is(Kind::kString),
                 where + ": arguments must be a string");
      }
    }
  }
  if (const Tree* tools = tree->get("tools")) {
    fault_if(faults, tools->items.empty(), "tools is empty");
    for (const Tree& tool : tools->items) {
      const Tree* function = tool.get("function");
      if (tool.string("type") != "function" || function == nullptr) continue;
      const std::string name = function->string("name");
      fault_if(faults, !is_tool_id(name) || name.size() > 64,
               "tool name \"" + name + "\" is not [a-zA-Z0-9_-]{1,64}");
    }
  } else {
    fault_if(faults, tree->get("tool_choice") != nullptr, "tool_choice without tools");
    fault_if(faults, tree->get("parallel_tool_calls") != nullptr, "parallel_tool_calls without tools");
  }
  fault_if(faults, mentions(*tree, "cache_control"), "cache_control is no member of this dialect");
  return faults;
}

}  // namespace ccrules::test
