#include "support/ollama_validator.h"

#include <set>

#include "support/json_tree.h"

namespace ccrules::test {
namespace {

using Kind = Tree::Kind;

void add_text(Seen& seen, const char* type, const std::string& text) {
  if (text.empty()) return;
  if (seen.blocks.empty() || seen.blocks.back().type != type) {
    seen.blocks.emplace_back();
    seen.blocks.back().type = type;
  }
  seen.blocks.back().text += text;
}

void read_call(Seen& seen, const Tree& call) {
  const Tree* function = call.get("function");
  if (function == nullptr || function->string("name").empty()) {
    seen.faults.emplace_back("a tool call without a function's name");
    return;
  }
  SeenBlock block;
  block.type = "tool_use";
  block.id = call.string("id");
  block.name = function->string("name");
  const Tree* arguments = function->get("arguments");
  if (arguments == nullptr || !arguments->is(Kind::kObject)) {
    seen.faults.emplace_back("tool arguments must be an object");
  } else {
    block.arguments = compact(*arguments);
  }
  seen.blocks.push_back(std::move(block));
}

/// One object of a stream, or a whole reply. @return whether it was the last
bool read_piece(Seen& seen, const Tree& piece) {
  if (const Tree* error = piece.get("error")) {
    if (!error->is(Kind::kString) || error->text.empty()) seen.faults.emplace_back("error must be a non-empty string");
    seen.error_message = error->text;
    seen.ending = Ending::kError;
    return true;
  }
  for (const char* name : {"model", "created_at"}) {
    if (piece.string(name).empty()) seen.faults.push_back(std::string(name) + " must be a non-empty string");
  }
  seen.model = piece.string("model");
  const Tree* message = piece.get("message");
  if (message == nullptr || message->string("role") != "assistant") {
    seen.faults.emplace_back("message must be the assistant's");
    return false;
  }
  const Tree* content = message->get("content");
  if (content == nullptr || !content->is(Kind::kString)) seen.faults.emplace_back("message.content must be a string");
  add_text(seen, "thinking", message->string("thinking"));
  add_text(seen, "text", message->string("content"));
  if (const Tree* calls = message->get("tool_calls")) {
    if (calls->items.empty()) seen.faults.emplace_back("message.tool_calls must not be empty");
    for (const Tree& call : calls->items) read_call(seen, call);
  }
  const Tree* done = piece.get("done");
  if (done == nullptr || !done->is(Kind::kBool)) {
    seen.faults.emplace_back("done must be a boolean");
    return false;
  }
  if (!done->boolean) return false;
  seen.stop = piece.string("done_reason");
  if (seen.stop != "stop" && seen.stop != "length" && seen.stop != "refusal")
    seen.faults.push_back("\"" + seen.stop + "\" is not a done reason of an answer");
  seen.input_tokens = piece.integer("prompt_eval_count");
  seen.output_tokens = piece.integer("eval_count");
  for (const auto& count : {seen.input_tokens, seen.output_tokens}) {
    if (count && *count < 0) seen.faults.emplace_back("a count is negative");
  }
  seen.ending = Ending::kClean;
  return true;
}

}  // namespace

std::vector<SseEvent> split_lines(std::string_view bytes) {
  std::vector<SseEvent> events;
  while (!bytes.empty()) {
    const std::string_view line = bytes.substr(0, bytes.find('\n'));
    if (!line.empty()) events.push_back({std::string(), std::string(line)});
    bytes.remove_prefix(std::min(bytes.size(), line.size() + 1));
  }
  return events;
}

Seen check_ollama_stream(std::string_view ndjson, bool may_be_cut) {
  Seen seen;
  if (!ndjson.empty() && !ndjson.ends_with('\n')) seen.faults.emplace_back("the last line has no end");
  bool over = false;
  for (const SseEvent& line : split_lines(ndjson)) {
    const auto tree = parse_tree(line.data);
    if (over) seen.faults.emplace_back("a line follows the last one");
    if (!tree || !tree->is(Kind::kObject)) {
      seen.faults.push_back("a line is not a JSON object: " + line.data);
      continue;
    }
    over = read_piece(seen, *tree);
  }
  if (!over && !may_be_cut) seen.faults.emplace_back("the stream was cut");
  return seen;
}

Seen check_ollama_reply(std::string_view json) {
  Seen seen;
  const auto tree = parse_tree(json);
  if (!tree || !tree->is(Kind::kObject)) {
    seen.faults.emplace_back("the reply is not a JSON object");
  } else if (!read_piece(seen, *tree)) {
    seen.faults.emplace_back("the reply is not done");
  }
  return seen;
}

Seen check_ollama_error(std::string_view json) {
  Seen seen;
  const auto tree = parse_tree(json);
  if (!tree || tree->string("error").empty()) {
    seen.faults.emplace_back("the error body must be {\"error\": text}");
  } else {
    seen.error_message = tree->string("error");
  }
  return seen;
}

std::vector<std::string> check_ollama_request(std::string_view json) {
  std::vector<std::string> faults;
  const auto tree = parse_tree(json);
  if (!tree || !tree->is(Kind::kObject)) return {"the request is not a JSON object"};
  static const std::set<std::string> known = {"model",   "messages",   "stream",   "tools", "format",      "think",
                                              "options", "keep_alive", "truncate", "shift", "logprobs", "top_logprobs"};
  for (const auto& [name, value] : tree->members) {
    if (!known.contains(name)) faults.push_back("there is no member " + name);
  }
  if (tree->string("model").empty()) faults.emplace_back("model must be a non-empty string");
  const Tree* messages = tree->get("messages");
  if (messages == nullptr || messages->items.empty()) return {"messages must be a non-empty array"};
  std::set<std::string> open;
  for (const Tree& message : messages->items) {
    const std::string role = message.string("role");
    if (role != "system" && role != "user" && role != "assistant" && role != "tool")
      faults.push_back("\"" + role + "\" is not a role");
    const Tree* content = message.get("content");
    if (content == nullptr || !content->is(Kind::kString)) faults.emplace_back("content must be a string");
    if (role == "tool" && message.get("tool_call_id") != nullptr && open.erase(message.string("tool_call_id")) == 0)
      faults.emplace_back("a tool result without an open call");
    if (role != "tool" && !open.empty()) faults.emplace_back("a tool call was not answered at once");
    if (const Tree* images = message.get("images")) {
      for (const Tree& image : images->items) {
        if (!image.is(Kind::kString) || image.text.starts_with("data:") || image.text.starts_with("http"))
          faults.emplace_back("images must be base64");
      }
    }
    if (const Tree* calls = message.get("tool_calls")) {
      if (role != "assistant") faults.emplace_back("only the assistant calls tools");
      for (const Tree& call : calls->items) {
        const Tree* function = call.get("function");
        if (function == nullptr || function->string("name").empty() || function->get("arguments") == nullptr ||
            !function->get("arguments")->is(Kind::kObject))
          faults.emplace_back("a tool call needs a function with a name and an object of arguments");
        if (!call.string("id").empty() && !open.insert(call.string("id")).second)
          faults.emplace_back("two calls have one id");
      }
    }
  }
  if (!open.empty()) faults.emplace_back("the last tool calls were not answered");
  return faults;
}

}  // namespace ccrules::test
