#include "dialect/ollama/chunk.h"

#include "dialect/members.h"

namespace ccrules::dialect::ollama {
namespace {

using json::Type;

Result<void> take_text(json::Value& value, std::string_view& text) {
  if (!value.is(Type::kString)) return {};
  CCR_TRY(decoded, value.string());
  text = decoded;
  return {};
}

Result<void> read_function(json::Value& value, Call& call) {
  CCR_TRY(function, value.object());
  while (function.next()) {
    json::Value& member = function.value();
    if (function.key() == "name") {
      CCR_CHECK(take_text(member, call.name));
    } else if (function.key() == "arguments" && member.is(Type::kString)) {
      CCR_CHECK(take_text(member, call.arguments_json));
    } else if (function.key() == "arguments" && !member.is_null()) {
      CCR_TRY(json, member.raw());
      call.arguments_json = json;
    }
  }
  return function.done();
}

Result<void> read_calls(json::Value& value, std::vector<Call>& calls) {
  CCR_TRY(array, value.array());
  while (array.next()) {
    if (!array.value().is(Type::kObject)) continue;
    Call call;
    CCR_TRY(members, array.value().object());
    while (members.next()) {
      if (members.key() == "id") {
        CCR_CHECK(take_text(members.value(), call.id));
      } else if (members.key() == "function" && members.value().is(Type::kObject)) {
        CCR_CHECK(read_function(members.value(), call));
      }
    }
    CCR_CHECK(members.done());
    calls.push_back(call);
  }
  return array.done();
}

Result<void> read_message(json::Value& value, Chunk& chunk) {
  CCR_TRY(message, value.object());
  chunk.has_message = true;
  while (message.next()) {
    json::Value& member = message.value();
    if (message.key() == "content") {
      CCR_CHECK(take_text(member, chunk.text));
    } else if (message.key() == "thinking") {
      CCR_CHECK(take_text(member, chunk.thinking));
    } else if (message.key() == "tool_calls" && member.is(Type::kArray)) {
      CCR_CHECK(read_calls(member, chunk.calls));
    }
  }
  return message.done();
}

}  // namespace

Result<void> read_chunk(json::Document& document, Chunk& chunk) {
  chunk.calls.clear();
  std::vector<Call> calls = std::move(chunk.calls);
  chunk = Chunk{};
  chunk.calls = std::move(calls);
  CCR_TRY(root, document.root_object());
  while (root.next()) {
    const std::string_view key = root.key();
    json::Value& value = root.value();
    if (key == "message" && value.is(Type::kObject)) {
      CCR_CHECK(read_message(value, chunk));
    } else if (key == "model") {
      CCR_CHECK(take_text(value, chunk.model));
    } else if (key == "done" && value.is(Type::kBool)) {
      CCR_TRY(done, value.boolean());
      chunk.done = done;
    } else if (key == "done_reason") {
      CCR_CHECK(take_text(value, chunk.done_reason));
    } else if (key == "prompt_eval_count") {
      chunk.usage.input_tokens = told_count(value);
    } else if (key == "eval_count") {
      chunk.usage.output_tokens = told_count(value);
    } else if (key == "error") {
      chunk.failed = !value.is_null();
    }
  }
  CCR_CHECK(root.done());
  return document.at_end();
}

}  // namespace ccrules::dialect::ollama
