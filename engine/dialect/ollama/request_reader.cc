#include "dialect/ollama/request_reader.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "dialect/members.h"
#include "dialect/recalled_tools.h"

namespace ccrules::dialect::ollama {
namespace {

using json::Type;

/// Ollama's images are base64 without a type: the first bytes of each format, in base64, tell.
std::string_view image_type(std::string_view base64) {
  if (base64.starts_with("/9j/")) return "image/jpeg";
  if (base64.starts_with("R0lGOD")) return "image/gif";
  if (base64.starts_with("UklGR")) return "image/webp";
  return "image/png";
}

class RequestReader {
 public:
  Result<chat::Request> read(json::Document& document) {
    document.rewind();
    request_.dialect = "ollama";
    request_.stream = true;  // unless it says otherwise
    CCR_TRY(root, document.root_object());
    while (root.next()) CCR_CHECK(read_member(root.key(), root.value()));
    CCR_CHECK(root.done());
    CCR_CHECK(document.at_end());
    if (request_.model.empty()) return bad_request("model is missing: send the name of a model");
    if (!has_messages_) return bad_request("messages is missing or empty: send at least one message");
    return std::move(request_);
  }

 private:
  Result<void> read_member(std::string_view key, json::Value& value) {
    if (key == "messages") return read_messages(value);
    if (key == "model") {
      CCR_TRY(model, take_string(value));
      request_.model = std::move(model);
      return {};
    }
    if (value.is_null()) return {};
    if (key == "tools") return add_tools(value, "ollama", request_, read_tools);
    if (key == "options" && value.is(Type::kObject)) return read_options(value);
    if (key == "stream") {
      CCR_TRY(stream, value.boolean());
      request_.stream = stream;
    } else if (key == "think" && value.is(Type::kBool)) {
      CCR_TRY(thinks, value.boolean());
      request_.thinking.kind = thinks ? chat::ThinkingKind::kAdaptive : chat::ThinkingKind::kDisabled;
    } else if (key == "think" && value.is(Type::kString)) {
      CCR_TRY(level, take_string(value));
      request_.effort = std::move(level);
      request_.thinking.kind = chat::ThinkingKind::kAdaptive;
    } else if (key == "format" && value.is(Type::kObject)) {
      CCR_TRY(schema, value.raw());
      request_.response_schema_json = schema;
    } else if (key == "format" && value.is(Type::kString)) {
      CCR_TRY(word, value.string());
      request_.json_object_mode = word == "json";
    } else {
      return keep_unknown(request_.extra_json, key, value);
    }
    return {};
  }

  /// Those that every format knows are read; the others (num_ctx, seed ...) are kept as `options`.
  Result<void> read_options(json::Value& value) {
    std::string others;
    CCR_TRY(options, value.object());
    while (options.next()) {
      const std::string_view key = options.key();
      json::Value& member = options.value();
      if (key == "num_predict" && member.is(Type::kNumber)) {
        CCR_TRY(most, member.integer());
        if (most > 0) request_.max_tokens = most;  // -1 and -2: no limit
      } else if (key == "temperature" && member.is(Type::kNumber)) {
        CCR_TRY(number, member.number());
        request_.temperature = number;
      } else if (key == "top_p" && member.is(Type::kNumber)) {
        CCR_TRY(number, member.number());
        request_.top_p = number;
      } else if (key == "top_k" && member.is(Type::kNumber)) {
        CCR_TRY(number, member.integer());
        request_.top_k = number;
      } else if (key == "stop" && member.is(Type::kString)) {
        CCR_TRY(stop, take_string(member));
        request_.stop_sequences.push_back(std::move(stop));
      } else if (key == "stop" && member.is(Type::kArray)) {
        CCR_TRY(stops, member.array());
        while (stops.next()) {
          CCR_TRY(stop, take_string(stops.value()));
          request_.stop_sequences.push_back(std::move(stop));
        }
        CCR_CHECK(stops.done());
      } else {
        CCR_CHECK(keep_unknown(others, key, member));
      }
    }
    CCR_CHECK(options.done());
    if (!others.empty()) keep_member(request_.extra_json, "options", others);
    return {};
  }

  static Result<std::vector<chat::Tool>> read_tools(json::Value& value) {
    std::vector<chat::Tool> read;
    CCR_TRY(tools, value.array());
    while (tools.next()) {
      chat::Tool& tool = read.emplace_back();
      CCR_TRY(members, tools.value().object());
      while (members.next()) {
        if (members.key() == "function" && members.value().is(Type::kObject)) {
          CCR_CHECK(read_definition(members.value(), tool));
        } else if (members.key() != "type") {
          CCR_CHECK(keep_unknown(tool.extra_json, members.key(), members.value()));
        }
      }
      CCR_CHECK(members.done());
      if (tool.name.empty()) return bad_request("tools: every tool needs a function with a name");
    }
    CCR_CHECK(tools.done());
    return read;
  }

  static Result<void> read_definition(json::Value& value, chat::Tool& tool) {
    CCR_TRY(definition, value.object());
    while (definition.next()) {
      const std::string_view key = definition.key();
      json::Value& member = definition.value();
      if (key == "name") {
        CCR_TRY(name, take_string(member));
        tool.name = std::move(name);
      } else if (key == "description" && member.is(Type::kString)) {
        CCR_TRY(description, member.text());
        tool.description = std::move(description);
        tool.has_description = true;
      } else if (key == "parameters" && member.is(Type::kObject)) {
        CCR_TRY(schema, member.raw());
        tool.schema_json = schema;
      } else {
        CCR_CHECK(keep_unknown(tool.extra_json, key, member));
      }
    }
    return definition.done();
  }

  // --- messages

  Result<void> read_messages(json::Value& value) {
    CCR_TRY(messages, value.array());
    request_.messages.reserve(kUsualItems);
    while (messages.next()) {
      has_messages_ = true;
      CCR_CHECK(read_message(messages.value()));
    }
    return messages.done();
  }

  struct Parts {
    std::string role, thinking, tool_name, tool_call_id, extra_json;
    json::Text text;
    std::vector<chat::Block> images, calls;
  };

  Result<void> read_message(json::Value& value) {
    Parts parts;
    const json::Value at = value;
    CCR_TRY(message, value.object());
    while (message.next()) {
      const std::string_view key = message.key();
      json::Value& member = message.value();
      if (key == "role") {
        CCR_TRY(role, take_string(member));
        parts.role = std::move(role);
      } else if (key == "content") {
        CCR_TRY(text, take_optional_text(member));
        parts.text = std::move(text);
      } else if (key == "thinking" || key == "tool_name" || key == "tool_call_id") {
        CCR_TRY(text, take_optional_string(member));
        (key == "thinking" ? parts.thinking : key == "tool_name" ? parts.tool_name : parts.tool_call_id) = std::move(text);
      } else if (key == "images" && member.is(Type::kArray)) {
        CCR_CHECK(read_images(member, parts.images));
      } else if (key == "tool_calls" && member.is(Type::kArray)) {
        CCR_CHECK(read_calls(member, parts.calls));
      } else {
        CCR_CHECK(keep_unknown(parts.extra_json, key, member));
      }
    }
    CCR_CHECK(message.done());
    keep_misplaced(parts, at);
    return add(parts);
  }

  /// Only the assistant thinks and calls, only others show images: in other messages these are members that nobody else knows.
  static void keep_misplaced(Parts& parts, const json::Value& at) {
    const bool assistant = parts.role == "assistant";
    if (assistant ? parts.images.empty() : parts.calls.empty() && parts.thinking.empty()) return;
    const auto keep = [&](std::string_view name) {
      if (const auto member = at.peek(name); member && !member->is_null()) keep_member(parts.extra_json, name, member->peek_raw());
    };
    if (assistant) return keep("images");
    keep("thinking");
    keep("tool_calls");
  }

  /// Moves out of `parts` what the request comes to hold.
  Result<void> add(Parts& parts) {
    if (parts.role == "system" && request_.messages.empty()) {
      chat::add_block<chat::Text>(request_.system).text = std::move(parts.text);
      for (chat::Block& image : parts.images) request_.system.push_back(std::move(image));
      if (!parts.extra_json.empty()) {  // the neutral request has no place for them: the writers name this
        request_.system.push_back({chat::Opaque{"ollama message", "members", std::move(parts.extra_json)}});
      }
      return {};
    }
    chat::Message& message = request_.messages.emplace_back();
    message.extra_json = std::move(parts.extra_json);
    if (parts.role == "assistant") {
      message.role = chat::Role::kAssistant;
      message.blocks.reserve(2 + parts.calls.size());
      if (!parts.thinking.empty()) chat::add_block<chat::Thinking>(message.blocks).text = std::move(parts.thinking);
      if (!parts.text.empty()) chat::add_block<chat::Text>(message.blocks).text = std::move(parts.text);
      for (chat::Block& call : parts.calls) message.blocks.push_back(std::move(call));
    } else if (parts.role == "tool") {
      auto& result = chat::add_block<chat::ToolResult>(message.blocks);
      result.call_id = answered_call(parts);
      chat::add_block<chat::Text>(result.content).text = std::move(parts.text);
      for (chat::Block& image : parts.images) result.content.push_back(std::move(image));
    } else if (parts.role == "user" || parts.role == "system") {
      if (parts.role == "system") message.role = chat::Role::kSystem;
      message.plain_string = parts.images.empty();
      message.blocks = std::move(parts.images);
      if (!parts.text.empty() || message.blocks.empty()) chat::add_block<chat::Text>(message.blocks).text = std::move(parts.text);
    } else {
      return bad_request("messages[" + std::to_string(request_.messages.size() - 1) +
                         "].role must be system, user, assistant or tool");
    }
    return {};
  }

  static Result<void> read_images(json::Value& value, std::vector<chat::Block>& images) {
    CCR_TRY(array, value.array());
    while (array.next()) {
      CCR_TRY(text, array.value().string());
      auto& image = chat::add_block<chat::Image>(images);
      if (const auto uri = data_uri(text)) {  // some clients leave the prefix
        image.media_type = uri->media_type;
        image.data = uri->base64;
      } else {
        image.media_type = image_type(text);
        image.data = text;
      }
    }
    return array.done();
  }

  Result<void> read_calls(json::Value& value, std::vector<chat::Block>& calls) {
    CCR_TRY(array, value.array());
    while (array.next()) {
      auto& call = chat::add_block<chat::ToolCall>(calls);
      CCR_TRY(members, array.value().object());
      while (members.next()) {
        if (members.key() == "id") {
          CCR_TRY(id, take_optional_string(members.value()));
          call.id = std::move(id);
        } else if (members.key() == "function") {
          CCR_CHECK(read_function(members.value(), call));
        } else if (members.key() != "type" && members.key() != "index") {
          CCR_CHECK(keep_unknown(call.extra_json, members.key(), members.value()));
        }
      }
      CCR_CHECK(members.done());
      // Older clients have no ids: calls are told apart by their number in the conversation.
      if (call.id.empty()) call.id = "call_" + std::to_string(made_ids_++);
      open_calls_.push_back({call.id, call.name});
    }
    return array.done();
  }

  static Result<void> read_function(json::Value& value, chat::ToolCall& call) {
    CCR_TRY(function, value.object());
    while (function.next()) {
      json::Value& member = function.value();
      if (function.key() == "name") {
        CCR_TRY(name, take_string(member));
        call.name = std::move(name);
      } else if (function.key() == "arguments" && member.is(Type::kString)) {
        CCR_TRY(text, take_string(member));
        call.arguments_json = std::move(text);
      } else if (function.key() == "arguments" && !member.is_null()) {
        CCR_TRY(json, member.raw());
        call.arguments_json = json;
      } else if (function.key() != "index") {
        CCR_CHECK(keep_unknown(call.extra_json, function.key(), member));
      }
    }
    return function.done();
  }

  /// The call a result belongs to: the one it names by id, else the oldest open one of its tool, else the oldest open one.
  std::string answered_call(const Parts& parts) {
    auto found = std::find_if(open_calls_.begin(), open_calls_.end(),
                              [&](const OpenCall& call) { return call.id == parts.tool_call_id; });
    if (found == open_calls_.end() && parts.tool_call_id.empty()) {
      found = std::find_if(open_calls_.begin(), open_calls_.end(),
                           [&](const OpenCall& call) { return call.name == parts.tool_name; });
      if (found == open_calls_.end() && parts.tool_name.empty()) found = open_calls_.begin();
    }
    if (found == open_calls_.end()) return parts.tool_call_id.empty() ? parts.tool_name : parts.tool_call_id;
    std::string id = found->id;
    open_calls_.erase(found);
    return id;
  }

  struct OpenCall {
    std::string id, name;
  };

  chat::Request request_;
  std::vector<OpenCall> open_calls_;  ///< without a result yet, in order
  int made_ids_ = 0;
  bool has_messages_ = false;
};

}  // namespace

Result<chat::Request> read_request(json::Document& body) { return RequestReader().read(body); }

}  // namespace ccrules::dialect::ollama
