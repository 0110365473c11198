#include <utility>

#include "dialect/anthropic/parts.h"
#include "dialect/members.h"
#include "dialect/recalled_tools.h"

namespace ccrules::dialect::anthropic_messages {
namespace {

using json::Type;

Result<void> take_number(json::Value& value, std::optional<double>& out) {
  if (value.is_null()) return {};
  CCR_TRY(number, value.number());
  out = number;
  return {};
}

Result<void> take_integer(json::Value& value, std::optional<std::int64_t>& out) {
  if (value.is_null()) return {};
  CCR_TRY(number, value.integer());
  out = number;
  return {};
}

Result<void> read_message(json::Value& value, chat::Message& message) {
  std::string role;
  bool has_content = false;
  json::Value here = value;
  CCR_TRY(object, value.object());
  while (object.next()) {
    if (object.key() == "role") {
      CCR_TRY(word, object.value().string());
      role = word;
      if (role != "user" && role != "assistant" && role != "system") {
        return object.value().error("must be user, assistant or system");
      }
    } else if (object.key() == "content") {
      CCR_CHECK(read_content(object.value(), message.blocks, message.plain_string));
      has_content = true;
    } else {
      CCR_CHECK(keep(object, message.extra_json));
    }
  }
  CCR_CHECK(object.done());
  if (role.empty()) return here.error("has no role");
  if (!has_content) return here.error("has no content");
  message.role = role == "user"        ? chat::Role::kUser
                 : role == "assistant" ? chat::Role::kAssistant
                                       : chat::Role::kSystem;
  return {};
}

Result<void> read_tool(json::Value& value, chat::Tool& tool) {
  tool.type = std::string(value.peek_string("type").value_or(std::string_view()));
  const bool provider_defined = !tool.type.empty() && tool.type != "custom";
  if (provider_defined) {
    if (const auto name = value.peek_string("name")) tool.name = *name;
    CCR_TRY(raw, value.raw());
    tool.original_json = raw;
    return {};
  }
  json::Value here = value;
  CCR_TRY(object, value.object());
  while (object.next()) {
    const std::string_view key = object.key();
    json::Value& member = object.value();
    if (key == "name") {
      CCR_CHECK(take(member, tool.name));
    } else if (key == "description") {
      tool.has_description = !member.is_null();
      CCR_TRY(description, take_optional_text(member));
      tool.description = std::move(description);
    } else if (key == "input_schema") {
      CCR_TRY(raw, member.raw());
      tool.schema_json = raw;
    } else if (key == "strict" && member.is(Type::kBool)) {
      CCR_TRY(strict, member.boolean());
      tool.strict = strict;
    } else if (key == "defer_loading" && member.is(Type::kBool)) {
      CCR_TRY(defer, member.boolean());
      tool.defer_loading = defer;
    } else if (key == "cache_control") {
      if (member.is_null()) continue;
      CCR_TRY(raw, member.raw());
      tool.cache_control_json = raw;
    } else if (key != "type") {
      CCR_CHECK(keep(object, tool.extra_json));
    }
  }
  CCR_CHECK(object.done());
  if (tool.name.empty()) return here.error("has no name");
  return {};
}

class RequestReader {
 public:
  Result<chat::Request> read(json::Document& document) {
    document.rewind();
    CCR_TRY(root, document.root_object());
    request_.dialect = kName;
    while (root.next()) CCR_CHECK(read_member(root));
    CCR_CHECK(root.done());
    CCR_CHECK(document.at_end());
    if (request_.model.empty()) return bad_request("model is missing: send the name of a model");
    if (request_.messages.empty())
      return bad_request("messages is missing or empty: send at least one message");
    return std::move(request_);
  }

 private:
  Result<void> read_member(json::Object& root) {
    const std::string_view key = root.key();
    json::Value& value = root.value();
    if (key == "model") return take(value, request_.model);
    if (key == "messages") return read_messages(value);
    if (key == "system") return read_system(value);
    if (key == "tools") return add_tools(value, kName, request_, read_tools);
    if (key == "tool_choice") return read_tool_choice(value);
    if (key == "thinking") return read_thinking(value);
    if (key == "output_config") return read_output_config(value);
    if (key == "output_format") return read_format(value, root.key());
    if (key == "max_tokens") return take_integer(value, request_.max_tokens);
    if (key == "temperature") return take_number(value, request_.temperature);
    if (key == "top_p") return take_number(value, request_.top_p);
    if (key == "top_k") return take_integer(value, request_.top_k);
    if (key == "stop_sequences") return read_stop_sequences(value);
    if (key == "metadata") return read_metadata(value);
    if (key == "stream") {
      if (value.is_null()) return {};
      CCR_TRY(stream, value.boolean());
      request_.stream = stream;
      return {};
    }
    if (value.is_null()) return {};
    if (key == "thread") {
      // The provider would answer without the history it does not have; the SDK sends all of it after this
      // error.
      Error error = bad_request("thread is not supported here: send the whole conversation in messages");
      error.type = kThreadUnsupported;
      error.should_retry_false = true;
      return error;
    }
    return keep(root, request_.extra_json);
  }

  Result<void> read_messages(json::Value& value) {
    CCR_TRY(messages, value.array());
    request_.messages.reserve(kUsualItems);
    while (messages.next()) CCR_CHECK(read_message(messages.value(), request_.messages.emplace_back()));
    return messages.done();
  }

  Result<void> read_system(json::Value& value) {
    if (value.is_null()) return {};
    return read_content(value, request_.system, request_.system_plain_string);
  }

  static Result<std::vector<chat::Tool>> read_tools(json::Value& value) {
    std::vector<chat::Tool> read;
    if (value.is_null()) return read;
    CCR_TRY(tools, value.array());
    while (tools.next()) {
      if (!tools.value().is(Type::kObject)) return tools.value().error("must be an object");
      CCR_CHECK(read_tool(tools.value(), read.emplace_back()));
    }
    CCR_CHECK(tools.done());
    return read;
  }

  Result<void> read_tool_choice(json::Value& value) {
    if (value.is_null()) return {};
    chat::ToolChoice choice;
    CCR_TRY(object, value.object());
    while (object.next()) {
      if (object.key() == "type") {
        CCR_TRY(type, object.value().string());
        if (type == "any")
          choice.kind = chat::ToolChoiceKind::kAny;
        else if (type == "tool")
          choice.kind = chat::ToolChoiceKind::kTool;
        else if (type == "none")
          choice.kind = chat::ToolChoiceKind::kNone;
        else if (type != "auto")
          return object.value().error("must be auto, any, tool or none");
      } else if (object.key() == "name") {
        CCR_CHECK(take(object.value(), choice.name));
      } else if (object.key() == "disable_parallel_tool_use" && object.value().is(Type::kBool)) {
        CCR_TRY(disabled, object.value().boolean());
        choice.parallel_tool_calls = !disabled;
      }
    }
    CCR_CHECK(object.done());
    request_.tool_choice = std::move(choice);
    return {};
  }

  Result<void> read_thinking(json::Value& value) {
    if (value.is_null()) return {};
    std::string others;
    CCR_TRY(object, value.object());
    while (object.next()) {
      json::Value& member = object.value();
      if (object.key() == "type") {
        CCR_TRY(type, member.string());
        if (type == "enabled")
          request_.thinking.kind = chat::ThinkingKind::kEnabled;
        else if (type == "adaptive")
          request_.thinking.kind = chat::ThinkingKind::kAdaptive;
        else if (type == "disabled")
          request_.thinking.kind = chat::ThinkingKind::kDisabled;
        else if (type == "between_tools")
          request_.thinking.kind = chat::ThinkingKind::kBetweenTools;
        else
          return member.error("must be enabled, adaptive, disabled or between_tools");
      } else if (object.key() == "budget_tokens") {
        CCR_CHECK(take_integer(member, request_.thinking.budget_tokens));
      } else if (object.key() == "display") {
        CCR_CHECK(take(member, request_.thinking.display));
      } else {
        CCR_CHECK(keep(object, others));
      }
    }
    CCR_CHECK(object.done());
    if (!others.empty()) keep_member(request_.extra_json, "thinking", others);
    return {};
  }

  Result<void> read_output_config(json::Value& value) {
    if (value.is_null()) return {};
    std::string others;
    CCR_TRY(object, value.object());
    while (object.next()) {
      if (object.key() == "effort") {
        CCR_CHECK(take(object.value(), request_.effort));
      } else if (object.key() == "format" && object.value().peek_string("type") == "json_schema") {
        CCR_CHECK(read_format(object.value(), "format"));
      } else if (!object.value().is_null()) {
        CCR_CHECK(keep(object, others));
      }
    }
    CCR_CHECK(object.done());
    if (!others.empty()) keep_member(request_.extra_json, "output_config", others);
    return {};
  }

  /// {"type":"json_schema","schema":{...}}
  Result<void> read_format(json::Value& value, std::string_view name) {
    if (value.is_null()) return {};
    if (value.peek_string("type") != "json_schema") {
      CCR_TRY(raw, value.raw());
      keep_member(request_.extra_json, name, raw);
      return {};
    }
    CCR_TRY(object, value.object());
    while (object.next()) {
      if (object.key() == "schema") {
        CCR_TRY(raw, object.value().raw());
        request_.response_schema_json = raw;
      } else if (object.key() == "name" && object.value().is(Type::kString)) {
        CCR_CHECK(take(object.value(), request_.response_schema_name));
      }
    }
    return object.done();
  }

  Result<void> read_stop_sequences(json::Value& value) {
    if (value.is_null()) return {};
    CCR_TRY(array, value.array());
    while (array.next()) {
      CCR_TRY(text, array.value().string());
      request_.stop_sequences.emplace_back(text);
    }
    return array.done();
  }

  Result<void> read_metadata(json::Value& value) {
    if (value.is_null()) return {};
    std::string others;
    CCR_TRY(object, value.object());
    while (object.next()) {
      if (object.key() == "user_id") {
        CCR_CHECK(take(object.value(), request_.user_id));
      } else {
        CCR_CHECK(keep(object, others));
      }
    }
    CCR_CHECK(object.done());
    if (!others.empty()) keep_member(request_.extra_json, "metadata", others);
    return {};
  }

  chat::Request request_;
};

}  // namespace

Result<chat::Request> read_request(json::Document& body) {
  return RequestReader().read(body);
}

}  // namespace ccrules::dialect::anthropic_messages
