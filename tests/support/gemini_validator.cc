#include "support/gemini_validator.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "support/json_tree.h"

namespace ccrules::test {
namespace {

using Kind = Tree::Kind;

const std::set<std::string> kKinds = {"text",           "inlineData",          "fileData", "functionCall", "functionResponse",
                                      "executableCode", "codeExecutionResult", "toolCall", "toolResponse"};

bool is_base64(const std::string& text) {
  return text.size() % 4 == 0 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '+' || c == '/' || c == '=' || c == '-' || c == '_';
  });
}

void add_text(Seen& seen, const char* type, const std::string& text) {
  if (text.empty()) return;
  if (seen.blocks.empty() || seen.blocks.back().type != type) {
    seen.blocks.emplace_back();
    seen.blocks.back().type = type;
  }
  seen.blocks.back().text += text;
}

/// What is wrong with a part, of an answer or of a request.
void check_part(const Tree& part, std::vector<std::string>& faults) {
  int kinds = 0;
  for (const auto& [name, value] : part.members) {
    if (kKinds.contains(name)) {
      ++kinds;
    } else if (name != "thought" && name != "thoughtSignature" && name != "videoMetadata" && name != "partMetadata") {
      faults.push_back("a part has no member " + name);
    }
  }
  if (kinds != 1) faults.push_back("a part must be of one kind, not of " + std::to_string(kinds));
  if (const Tree* signature = part.get("thoughtSignature")) {
    const bool sentinel = signature->text == "skip_thought_signature_validator";
    if (!signature->is(Kind::kString) || (!sentinel && !is_base64(signature->text))) {
      faults.emplace_back("thoughtSignature must be base64");
    }
  }
  for (const char* call : {"functionCall", "functionResponse"}) {
    const Tree* made = part.get(call);
    if (made == nullptr) continue;
    if (made->string("name").empty()) faults.push_back(std::string(call) + " needs a name");
    const Tree* object = made->get(call == std::string("functionCall") ? "args" : "response");
    if (object != nullptr && !object->is(Kind::kObject)) faults.push_back(std::string(call) + " must hold an object");
  }
  for (const char* media : {"inlineData", "fileData"}) {
    const Tree* file = part.get(media);
    if (file != nullptr && file->string("mimeType").empty()) faults.push_back(std::string(media) + " needs a mimeType");
  }
}

void read_part(Seen& seen, const Tree& part) {
  check_part(part, seen.faults);
  const Tree* thought = part.get("thought");
  if (const Tree* call = part.get("functionCall")) {
    SeenBlock block;
    block.type = "tool_use";
    block.id = call->string("id");
    block.name = call->string("name");
    const Tree* args = call->get("args");
    block.arguments = args == nullptr ? "{}" : compact(*args);
    seen.blocks.push_back(std::move(block));
  } else {
    add_text(seen, thought != nullptr && thought->boolean ? "thinking" : "text", part.string("text"));
  }
}

void read_usage(Seen& seen, const Tree& usage) {
  for (const auto& [name, value] : usage.members) {
    if (value.is(Kind::kNumber) && value.text.starts_with('-')) seen.faults.push_back(name + " is negative");
  }
  seen.input_tokens = usage.integer("promptTokenCount").value_or(0) + usage.integer("toolUsePromptTokenCount").value_or(0);
  seen.output_tokens = usage.integer("candidatesTokenCount").value_or(0) + usage.integer("thoughtsTokenCount").value_or(0);
  seen.cache_read_tokens = usage.integer("cachedContentTokenCount");
}

void read_error(Seen& seen, const Tree& error) {
  if (!error.integer("code") || error.string("message").empty() || error.string("status").empty()) {
    seen.faults.emplace_back("an error needs code, message and status");
  }
  seen.error_message = error.string("message");
  seen.error_type = error.string("status");
  seen.ending = Ending::kError;
}

/// One answer, of a stream or whole. @return whether it says how the answer ended
bool read_answer(Seen& seen, const Tree& answer) {
  if (const Tree* error = answer.get("error")) {
    read_error(seen, *error);
    return true;
  }
  seen.id = answer.string("responseId");
  seen.model = answer.string("modelVersion");
  if (const Tree* usage = answer.get("usageMetadata")) read_usage(seen, *usage);
  const Tree* feedback = answer.get("promptFeedback");
  if (feedback != nullptr && !feedback->string("blockReason").empty()) {
    seen.stop = feedback->string("blockReason");
    seen.ending = Ending::kClean;
    return true;
  }
  const Tree* candidates = answer.get("candidates");
  if (candidates == nullptr || candidates->items.empty()) {
    if (answer.get("usageMetadata") == nullptr) seen.faults.emplace_back("an answer without candidates");
    return false;
  }
  const Tree& first = candidates->items.front();
  if (const Tree* content = first.get("content")) {
    if (content->get("role") != nullptr && content->string("role") != "model") seen.faults.emplace_back("an answer is the model's");
    if (const Tree* parts = content->get("parts")) {
      for (const Tree& part : parts->items) read_part(seen, part);
    }
  }
  const Tree* reason = first.get("finishReason");
  if (reason == nullptr || reason->text.empty()) return false;
  seen.stop = reason->text;
  seen.ending = Ending::kClean;
  return true;
}

void check_schema(const Tree& schema, std::vector<std::string>& faults) {
  static const std::set<std::string> known = {"type",     "format",        "title",         "description", "nullable",  "enum",
                                              "items",    "minItems",      "maxItems",      "properties",  "required",  "propertyOrdering",
                                              "minimum",  "minProperties", "maxProperties", "maximum",     "minLength", "maxLength",
                                              "pattern",  "anyOf",         "default",       "example"};
  for (const auto& [name, value] : schema.members) {
    if (!known.contains(name)) faults.push_back("Unknown name \"" + name + "\" in a schema");
    if (name == "properties") {
      for (const auto& [key, property] : value.members) check_schema(property, faults);
    } else if (name == "items") {
      check_schema(value, faults);
    } else if (name == "anyOf") {
      for (const Tree& one : value.items) check_schema(one, faults);
    } else if (name == "enum") {
      for (const Tree& one : value.items) {
        if (!one.is(Kind::kString)) faults.emplace_back("an enum holds texts only");
      }
    }
  }
  if (schema.string("type").empty() && schema.get("anyOf") == nullptr) faults.emplace_back("a schema needs a type");
}

void check_function(const Tree& function, std::vector<std::string>& faults) {
  const std::string name = function.string("name");
  const bool good = !name.empty() && name.size() <= 128 && (std::isalpha(static_cast<unsigned char>(name[0])) != 0 || name[0] == '_') &&
                    std::all_of(name.begin(), name.end(), [](unsigned char c) {
                      return std::isalnum(c) != 0 || c == '_' || c == '.' || c == ':' || c == '-';
                    });
  if (!good) faults.push_back("\"" + name + "\" is not a function name");
  if (function.get("parameters") != nullptr && function.get("parametersJsonSchema") != nullptr) {
    faults.emplace_back("parameters and parametersJsonSchema exclude each other");
  }
  if (const Tree* parameters = function.get("parameters")) check_schema(*parameters, faults);
}

}  // namespace

Seen check_gemini_stream(std::string_view sse, bool may_be_cut) {
  Seen seen;
  bool unfinished = false;
  bool over = false;
  for (const SseEvent& event : split_sse(sse, &unfinished)) {
    const auto tree = parse_tree(event.data);
    if (seen.ending == Ending::kError) seen.faults.emplace_back("an event follows the error");
    if (!event.name.empty()) seen.faults.push_back("events have no names: " + event.name);
    if (!tree || !tree->is(Kind::kObject)) {
      seen.faults.push_back("an event is not a JSON object: " + event.data);
      continue;
    }
    over = read_answer(seen, *tree) || over;
  }
  if (unfinished) seen.faults.emplace_back("the last event has no end");
  if (!over && !may_be_cut) seen.faults.emplace_back("the stream was cut");
  return seen;
}

Seen check_gemini_reply(std::string_view json) {
  Seen seen;
  const auto tree = parse_tree(json);
  if (!tree || !tree->is(Kind::kObject)) {
    seen.faults.emplace_back("the reply is not a JSON object");
  } else if (!read_answer(seen, *tree)) {
    seen.faults.emplace_back("the reply does not say how it ended");
  }
  return seen;
}

Seen check_gemini_error(std::string_view json) {
  Seen seen;
  const auto tree = parse_tree(json);
  const Tree* error = tree ? tree->get("error") : nullptr;
  if (error == nullptr) {
    seen.faults.emplace_back("the error body must be {\"error\": {...}}");
  } else {
    read_error(seen, *error);
  }
  return seen;
}

std::vector<std::string> check_gemini_request(std::string_view json) {
  std::vector<std::string> faults;
  const auto tree = parse_tree(json);
  if (!tree || !tree->is(Kind::kObject)) return {"the request is not a JSON object"};
  static const std::set<std::string> known = {"contents",       "systemInstruction", "tools",  "toolConfig", "generationConfig",
                                              "safetySettings", "cachedContent",     "labels", "store",      "serviceTier"};
  for (const auto& [name, value] : tree->members) {
    if (!known.contains(name)) faults.push_back("there is no member " + name);
  }
  const Tree* contents = tree->get("contents");
  if (contents == nullptr || contents->items.empty()) return {"contents must be a non-empty array"};
  std::string before;
  std::vector<std::string> open;
  for (const Tree& content : contents->items) {
    const std::string role = content.string("role");
    if (role != "user" && role != "model") faults.push_back("\"" + role + "\" is not a role");
    if (role == before) faults.emplace_back("two contents of role " + role + " stand side by side");
    if (before.empty() && role != "user") faults.emplace_back("the user begins");
    before = role;
    const Tree* parts = content.get("parts");
    if (parts == nullptr || parts->items.empty()) {
      faults.emplace_back("a content without parts");
      continue;
    }
    std::vector<std::string> called;
    std::vector<std::string> answered;
    for (const Tree& part : parts->items) {
      check_part(part, faults);
      if (const Tree* call = part.get("functionCall")) called.push_back(call->string("name"));
      if (const Tree* answer = part.get("functionResponse")) answered.push_back(answer->string("name"));
      const Tree* text = part.get("text");
      if (text != nullptr && text->text.empty() && part.get("thoughtSignature") == nullptr) faults.emplace_back("an empty text");
    }
    std::sort(called.begin(), called.end());
    std::sort(answered.begin(), answered.end());
    if (answered != open) faults.emplace_back("every call is answered in the content behind it, and nothing else");
    open = called;
  }
  if (const Tree* tools = tree->get("tools")) {
    for (const Tree& tool : tools->items) {
      if (const Tree* functions = tool.get("functionDeclarations")) {
        if (functions->items.empty()) faults.emplace_back("functionDeclarations is empty");
        for (const Tree& function : functions->items) check_function(function, faults);
      }
    }
  }
  return faults;
}

}  // namespace ccrules::test
