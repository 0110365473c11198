#include <algorithm>
#include <array>
#include <string>

#include "core/json.h"
#include "core/limits.h"
#include "dialect/members.h"
#include "dialect/openai_chat/request_reader.h"
#include "dialect/outline_members.h"
#include "dialect/recalled_tools.h"

namespace ccrules::dialect::openai {
namespace {

using json::Type;

/// Top-level members that decisions read: sent twice, two readers could see two different requests.
constexpr std::array<std::string_view, 8> kOnlyOnce = {
    "model", "messages", "stream", "max_tokens", "max_completion_tokens", "tools", "reasoning_effort", "n"};

class OutlineReader {
 public:
  Result<chat::Outline> read(json::Document& document) {
    document.rewind(json::Escapes::kUnchecked);
    CCR_TRY(root, document.root_object());
    outline_.include_usage = false;
    while (root.next()) {
      CCR_CHECK(once_.check(root.key()));
      CCR_CHECK(read_member(root.key(), root.value()));
    }
    CCR_CHECK(root.done());
    CCR_CHECK(document.at_end());
    if (outline_.model.empty()) return bad_request("model is missing: send the name of a model");
    if (outline_.messages == 0) return bad_request("messages is missing or empty: send at least one message");
    if (!outline_.stream) outline_.include_usage = true;
    return std::move(outline_);
  }

 private:
  Result<void> read_member(std::string_view key, json::Value& value) {
    if (key == "messages") return read_messages(value);
    if (key == "model") return read_model(value, outline_);
    if (value.is_null()) return {};
    if (key == "tools" || key == "functions") return add_tools(value, "openai_chat", outline_, read_tools);
    if (key == "stream") {
      CCR_TRY(stream, value.boolean());
      outline_.stream = stream;
    } else if (key == "stream_options" && value.is(Type::kObject)) {
      return read_stream_options(value, outline_);
    } else if (key == "max_completion_tokens" || key == "max_tokens") {
      CCR_TRY(max_tokens, value.integer());
      // Sent under both names, who knows which one the provider heeds: the larger one is what it may cost.
      outline_.max_tokens = std::max(outline_.max_tokens.value_or(max_tokens), max_tokens);
    } else if (key == "n" && value.is(Type::kNumber)) {
      const auto choices = value.integer();
      if (choices) outline_.choices = std::clamp<std::int64_t>(*choices, 1, limits::kChoices);
    } else if (key == "reasoning_effort" && value.is(Type::kString)) {
      CCR_TRY(effort, value.string());
      set_effort(effort);
    } else if ((key == "thinking" || key == "reasoning") && value.is(Type::kObject)) {
      return read_thinking(value);
    } else if (key == "response_format" && value.is(Type::kObject)) {
      outline_.json_schema_answer = value.peek_string("type") == "json_schema";
    } else if ((key == "safety_identifier" || (key == "user" && outline_.user_id.empty())) &&
               value.is(Type::kString)) {
      CCR_TRY(user, value.string());
      outline_.user_id = user;
      outline_.session_id = session_in(outline_.user_id);
    }
    return {};
  }

  void set_effort(std::string_view effort) {
    outline_.effort = effort;
    outline_.thinking.kind = effort == "none" ? chat::ThinkingKind::kDisabled : chat::ThinkingKind::kAdaptive;
  }

  /// DeepSeek's thinking {type}, OpenRouter's reasoning {effort, max_tokens, enabled}.
  Result<void> read_thinking(json::Value& value) {
    CCR_TRY(thinking, value.object());
    while (thinking.next()) {
      const std::string_view key = thinking.key();
      json::Value& member = thinking.value();
      if (key == "type" && member.is(Type::kString)) {
        CCR_TRY(type, member.string());
        if (type == "enabled") outline_.thinking.kind = chat::ThinkingKind::kEnabled;
        if (type == "disabled") outline_.thinking.kind = chat::ThinkingKind::kDisabled;
      } else if (key == "effort" && member.is(Type::kString)) {
        CCR_TRY(effort, member.string());
        set_effort(effort);
      } else if (key == "max_tokens" && member.is(Type::kNumber)) {
        CCR_TRY(budget, member.integer());
        outline_.thinking = {chat::ThinkingKind::kEnabled, budget, {}};
      } else if (key == "enabled" && member.is(Type::kBool)) {
        CCR_TRY(enabled, member.boolean());
        if (outline_.thinking.kind == chat::ThinkingKind::kAbsent) {
          outline_.thinking.kind = enabled ? chat::ThinkingKind::kAdaptive : chat::ThinkingKind::kDisabled;
        }
      }
    }
    return thinking.done();
  }

  /// The session of Claude Code's user_id, for requests that another translator made of its own.
  static std::string session_in(const std::string& user_id) {
    if (user_id.starts_with('{')) {
      auto document = json::Document::open(user_id);
      if (!document) return {};
      auto root = document->root();
      if (!root || !root->is(Type::kObject)) return {};
      return std::string(root->peek_string("session_id").value_or(std::string_view()));
    }
    constexpr std::string_view kMark = "_session_";
    const std::size_t at = user_id.rfind(kMark);
    return at == std::string::npos ? std::string() : user_id.substr(at + kMark.size());
  }

  static Result<ToolsOutline> read_tools(json::Value& value) {
    ToolsOutline found;
    CCR_TRY(tools, value.array());
    while (tools.next()) {
      const std::size_t begin = tools.value().offset();
      std::size_t end = begin;
      CCR_TRY(tool, tools.value().object());
      while (tool.next()) {
        const bool is_definition = tool.key() == "function" || tool.key() == "custom";
        if (is_definition && tool.value().is(Type::kObject)) {
          CCR_CHECK(read_definition(tool.value(), found, end));
        } else {
          CCR_TRY(member, tool.value().raw());
          if (tool.key() == "name") add_name(member, found);
          end = tool.value().offset() + member.size();
        }
      }
      CCR_CHECK(tool.done());
      ++found.count;
      found.text_bytes += static_cast<std::int64_t>(end - begin);
    }
    CCR_CHECK(tools.done());
    return found;
  }

  static Result<void> read_definition(json::Value& value, ToolsOutline& found, std::size_t& end) {
    CCR_TRY(definition, value.object());
    while (definition.next()) {
      CCR_TRY(member, definition.value().raw());
      if (definition.key() == "name") add_name(member, found);
      end = definition.value().offset() + member.size();
    }
    return definition.done();
  }

  static void add_name(std::string_view literal, ToolsOutline& found) {
    if (literal.starts_with('"')) found.names.push_back(literal.substr(1, literal.size() - 2));
  }

  // --- messages

  Result<void> read_messages(json::Value& value) {
    CCR_TRY(messages, value.array());
    while (messages.next()) CCR_CHECK(read_message(messages.value()));
    return messages.done();
  }

  Result<void> read_message(json::Value& value) {
    texts_.clear();
    std::string_view role;
    CCR_TRY(message, value.object());
    while (message.next()) {
      const std::string_view key = message.key();
      json::Value& member = message.value();
      if (key == "role") {
        CCR_TRY(word, member.string());
        role = word;
      } else if (key == "content" && member.is(Type::kString)) {
        CCR_CHECK(add_text(member));
      } else if (key == "content" && member.is(Type::kArray)) {
        CCR_CHECK(read_parts(member));
      } else if (key == "content" && !member.is_null()) {
        return member.error("must be a string or an array");
      } else if (key == "tool_calls" && member.is(Type::kArray)) {
        CCR_CHECK(read_calls(member));
      } else if (key == "audio" && member.is(Type::kObject)) {  // what the model has said before, by its id
        ++outline_.documents;
      } else if ((key == "reasoning_content" || key == "reasoning" || key == "function_call") &&
                 !member.is_null()) {
        CCR_TRY(json, member.raw());
        outline_.text_bytes += inner_bytes(json);
      }
    }
    CCR_CHECK(message.done());
    ++outline_.messages;
    if (role == "tool" || role == "function") {
      ++outline_.tool_results;
      outline_.last_role = "tool";
    } else if (role == "system" || role == "developer") {
      if (!conversation_started_)
        outline_.system_json.insert(outline_.system_json.end(), texts_.begin(), texts_.end());
      outline_.last_role = "system";
    } else {
      if (role == "user" && !texts_.empty()) {
        if (outline_.first_user_json.empty()) outline_.first_user_json = texts_.back();
        outline_.last_user_json = texts_.back();
      }
      outline_.last_role = role;
    }
    conversation_started_ = conversation_started_ || outline_.last_role != "system";
    return {};
  }

  Result<void> add_text(json::Value& value) {
    CCR_TRY(literal, value.raw());
    texts_.push_back(literal);
    outline_.text_bytes += inner_bytes(literal);
    return {};
  }

  Result<void> read_calls(json::Value& value) {
    CCR_TRY(calls, value.array());
    while (calls.next()) {
      if (!calls.value().is(Type::kObject)) continue;
      CCR_TRY(call, calls.value().object());
      while (call.next()) {
        if (call.key() != "function" && call.key() != "custom") continue;
        CCR_TRY(json, call.value().raw());
        outline_.text_bytes += inner_bytes(json);
      }
      CCR_CHECK(call.done());
    }
    return calls.done();
  }

  Result<void> read_parts(json::Value& value) {
    CCR_TRY(parts, value.array());
    while (parts.next()) {
      if (parts.value().is(Type::kString)) {
        CCR_CHECK(add_text(parts.value()));
      } else if (parts.value().is(Type::kObject)) {
        CCR_CHECK(read_part(parts.value()));
      }
    }
    return parts.done();
  }

  Result<void> read_part(json::Value& value) {
    CCR_TRY(part, value.object());
    while (part.next()) {
      const std::string_view key = part.key();
      json::Value& member = part.value();
      if (key == "text" && member.is(Type::kString)) {
        CCR_CHECK(add_text(member));
      } else if (key == "image_url") {
        ++outline_.images;
        CCR_CHECK(add_media(member));
      } else if (key == "file" || key == "input_audio" || key == "video_url") {
        ++outline_.documents;
        CCR_CHECK(add_media(member));
      }
    }
    return part.done();
  }

  /// Base64 is most of such a part; its few other members do not matter.
  Result<void> add_media(json::Value& value) {
    CCR_TRY(json, value.raw());
    if (json.find("base64,") != std::string_view::npos || json.size() > 4096)
      outline_.media_bytes += inner_bytes(json);
    return {};
  }

  chat::Outline outline_;
  std::vector<std::string_view> texts_;  ///< of the current message
  bool conversation_started_ = false;
  OnlyOnce<kOnlyOnce.size()> once_{kOnlyOnce};
};

}  // namespace

Result<chat::Outline> read_outline(json::Document& body) {
  return OutlineReader().read(body);
}

}  // namespace ccrules::dialect::openai
