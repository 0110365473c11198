#include <array>

#include "dialect/anthropic/parts.h"
#include "dialect/outline_members.h"
#include "dialect/recalled_tools.h"
#include "dialect/signature.h"

namespace ccrules::dialect::anthropic_messages {
namespace {

using json::Type;

/// Blocks hold blocks (a tool result's content, a document's); deeper ones are skipped.
constexpr int kBlockDepth = 3;

/// Top-level members that decisions read: sent twice, two readers could see two different requests.
constexpr std::array<std::string_view, 8> kOnlyOnce = {"model",  "messages", "stream",   "max_tokens",
                                                       "system", "tools",    "thinking", "output_config"};
constexpr std::array<std::string_view, 2> kThinkingOnlyOnce = {"type", "budget_tokens"};
constexpr std::array<std::string_view, 1> kOutputOnlyOnce = {"effort"};

/// What one message is found to hold, before its role is known.
struct MessageFacts {
  std::string_view role;
  std::string_view last_text;
  bool has_tool_result = false;
  std::size_t first_spawn = 0;
  std::size_t first_mid_system = 0;
};

class OutlineReader {
 public:
  Result<chat::Outline> read(json::Document& document) {
    // Escapes in texts nobody reads here are the provider's to judge: checking them would cost a third of
    // this pass.
    document.rewind(json::Escapes::kUnchecked);
    CCR_TRY(root, document.root_object());
    while (root.next()) {
      CCR_CHECK(once_.check(root.key()));
      CCR_CHECK(read_member(root.key(), root.value()));
    }
    CCR_CHECK(root.done());
    CCR_CHECK(document.at_end());
    if (outline_.model.empty()) return bad_request("model is missing: send the name of a model");
    if (outline_.messages == 0) return bad_request("messages is missing or empty: send at least one message");
    return std::move(outline_);
  }

 private:
  Result<void> read_member(std::string_view key, json::Value& value) {
    if (key == "messages") return read_messages(value);
    if (key == "system") return read_system(value);
    if (key == "tools") return add_tools(value, kName, outline_, read_tools);
    if (key == "model") return read_model(value, outline_);
    if (key == "stream") {
      if (value.is_null()) return {};
      CCR_TRY(stream, value.boolean());
      outline_.stream = stream;
    } else if (key == "max_tokens") {
      if (value.is_null()) return {};
      CCR_TRY(max_tokens, value.integer());
      outline_.max_tokens = max_tokens;
    } else if (key == "thinking") {
      return read_thinking(value);
    } else if (key == "output_config") {
      return read_output_config(value);
    } else if (key == "output_format") {
      outline_.json_schema_answer = outline_.json_schema_answer || value.is(Type::kObject);
    } else if (key == "metadata") {
      return read_metadata(value);
    }
    return {};
  }

  Result<void> read_thinking(json::Value& value) {
    if (value.is_null()) return {};
    CCR_TRY(thinking, value.object());
    OnlyOnce once(kThinkingOnlyOnce);
    while (thinking.next()) {
      CCR_CHECK(once.check(thinking.key()));
      if (thinking.key() == "type") {
        CCR_TRY(type, thinking.value().string());
        outline_.thinking.kind = type == "enabled"         ? chat::ThinkingKind::kEnabled
                                 : type == "adaptive"      ? chat::ThinkingKind::kAdaptive
                                 : type == "disabled"      ? chat::ThinkingKind::kDisabled
                                 : type == "between_tools" ? chat::ThinkingKind::kBetweenTools
                                                           : chat::ThinkingKind::kAbsent;
      } else if (thinking.key() == "budget_tokens" && thinking.value().is(Type::kNumber)) {
        CCR_TRY(budget, thinking.value().integer());
        outline_.thinking.budget_tokens = budget;
      } else if (thinking.key() == "display" && thinking.value().is(Type::kString)) {
        CCR_TRY(display, thinking.value().string());
        outline_.thinking.display = display;
      }
    }
    return thinking.done();
  }

  Result<void> read_output_config(json::Value& value) {
    if (!value.is(Type::kObject)) return {};
    CCR_TRY(config, value.object());
    OnlyOnce once(kOutputOnlyOnce);
    while (config.next()) {
      CCR_CHECK(once.check(config.key()));
      if (config.key() == "effort" && config.value().is(Type::kString)) {
        CCR_TRY(effort, config.value().string());
        outline_.effort = effort;
      } else if (config.key() == "format" && config.value().is(Type::kObject)) {
        outline_.json_schema_answer = true;
      }
    }
    return config.done();
  }

  Result<void> read_metadata(json::Value& value) {
    if (!value.is(Type::kObject)) return {};
    CCR_TRY(metadata, value.object());
    while (metadata.next()) {
      if (metadata.key() != "user_id" || !metadata.value().is(Type::kString)) continue;
      CCR_TRY(user_id, metadata.value().string());
      outline_.user_id = user_id;
    }
    CCR_CHECK(metadata.done());
    outline_.session_id = session_in(outline_.user_id);
    return {};
  }

  /// Claude Code's user_id: a JSON text with session_id; before 2026 `user_<hash>_account_<id>_session_<id>`.
  static std::string session_in(std::string_view user_id) {
    if (user_id.starts_with('{')) {
      auto document = json::Document::open_view(user_id);
      if (!document.ok()) return {};
      auto root = document->root();
      if (!root.ok()) return {};
      return std::string(root->peek_string("session_id").value_or(std::string_view()));
    }
    constexpr std::string_view kMark = "_session_";
    const std::size_t at = user_id.rfind(kMark);
    return at == std::string_view::npos ? std::string() : std::string(user_id.substr(at + kMark.size()));
  }

  Result<void> read_system(json::Value& value) {
    if (value.is_null()) return {};
    if (value.is(Type::kString)) return add_system_text(value);
    CCR_TRY(blocks, value.array());
    while (blocks.next()) {
      CCR_TRY(block, blocks.value().object());
      while (block.next()) {
        if (block.key() == "text" && block.value().is(Type::kString))
          CCR_CHECK(add_system_text(block.value()));
      }
      CCR_CHECK(block.done());
    }
    return blocks.done();
  }

  Result<void> add_system_text(json::Value& value) {
    CCR_TRY(literal, value.raw());
    outline_.system_json.push_back(literal);
    outline_.text_bytes += inner_bytes(literal);
    return {};
  }

  static Result<ToolsOutline> read_tools(json::Value& value) {
    ToolsOutline found;
    if (value.is_null()) return found;
    CCR_TRY(tools, value.array());
    while (tools.next()) {
      const std::size_t begin = tools.value().offset();
      std::size_t end = begin;
      CCR_TRY(tool, tools.value().object());
      while (tool.next()) {
        CCR_TRY(member, tool.value().raw());
        if (tool.key() == "name" && member.starts_with('"')) found.names.push_back(member.substr(1, member.size() - 2));
        end = tool.value().offset() + member.size();
      }
      CCR_CHECK(tool.done());
      ++found.count;
      found.text_bytes += static_cast<std::int64_t>(end - begin);
    }
    CCR_CHECK(tools.done());
    return found;
  }

  Result<void> read_messages(json::Value& value) {
    CCR_TRY(messages, value.array());
    while (messages.next()) CCR_CHECK(read_message(messages.value()));
    return messages.done();
  }

  Result<void> read_message(json::Value& value) {
    MessageFacts facts;
    facts.first_spawn = outline_.spawn_inputs_json.size();
    facts.first_mid_system = outline_.mid_system_json.size();
    CCR_TRY(message, value.object());
    while (message.next()) {
      if (message.key() == "role") {
        CCR_TRY(role, message.value().string());
        facts.role = role;
      } else if (message.key() == "content") {
        if (message.value().is(Type::kString)) {
          CCR_TRY(literal, message.value().raw());
          add_text(literal, facts);
          outline_.text_bytes += inner_bytes(literal);
        } else if (message.value().is(Type::kArray)) {
          CCR_CHECK(read_blocks(message.value(), 1, facts));
        } else if (!message.value().is_null()) {
          return message.value().error("must be a string or an array");
        }
      }
    }
    CCR_CHECK(message.done());
    ++outline_.messages;
    if (facts.role != "assistant") outline_.spawn_inputs_json.resize(facts.first_spawn);
    if (facts.role != "system") outline_.mid_system_json.resize(facts.first_mid_system);
    if (facts.role == "user" && !facts.last_text.empty()) {
      if (outline_.first_user_json.empty()) outline_.first_user_json = facts.last_text;
      outline_.last_user_json = facts.last_text;
    }
    outline_.last_role =
        facts.role == "user" && facts.has_tool_result ? std::string_view("tool") : facts.role;
    return {};
  }

  /// A text of a message itself. Its role may stand behind its content.
  void add_text(std::string_view literal, MessageFacts& facts) {
    facts.last_text = literal;
    if (facts.role.empty() || facts.role == "system") outline_.mid_system_json.push_back(literal);
  }

  Result<void> read_blocks(json::Value& value, int depth, MessageFacts& facts) {
    CCR_TRY(blocks, value.array());
    while (blocks.next()) {
      if (blocks.value().is(Type::kObject)) CCR_CHECK(read_block(blocks.value(), depth, facts));
    }
    return blocks.done();
  }

  Result<void> read_block(json::Value& value, int depth, MessageFacts& facts) {
    std::string_view type;
    std::string_view text;
    std::string_view name;
    std::string_view input;
    CCR_TRY(block, value.object());
    while (block.next()) {
      const std::string_view key = block.key();
      json::Value& member = block.value();
      if (member.is(Type::kString)) {
        if (key == "type") {
          CCR_TRY(word, member.string());
          type = word;
        } else if (key == "text" || key == "thinking" || key == "content" || key == "title" ||
                   key == "context") {
          CCR_TRY(literal, member.raw());
          if (key == "text") text = literal;
          outline_.text_bytes += inner_bytes(literal);
        } else if (key == "name") {
          CCR_TRY(literal, member.raw());
          name = literal;
        } else if (key == "signature" || key == "data") {
          CCR_TRY(literal, member.raw());
          outline_.own_reasoning = outline_.own_reasoning || literal.starts_with(signature::kJsonStart);
        }
      } else if (key == "source" && member.is(Type::kObject)) {
        CCR_CHECK(read_source(member, depth, facts));
      } else if (key == "content" && member.is(Type::kArray) && depth < kBlockDepth) {
        CCR_CHECK(read_blocks(member, depth + 1, facts));
      } else if (key == "input") {
        CCR_TRY(json, member.raw());
        input = json;
      }
    }
    CCR_CHECK(block.done());
    if (type == "text") {
      if (depth == 1) add_text(text, facts);
    } else if (type == "image") {
      ++outline_.images;
    } else if (type == "document") {
      ++outline_.documents;
    } else if (type == "tool_result") {
      ++outline_.tool_results;
      facts.has_tool_result = true;
    } else if (!input.empty()) {
      outline_.text_bytes += static_cast<std::int64_t>(name.size() + input.size());
      const bool spawns = name == "\"Agent\"" || name == "\"Task\"";
      if (type == "tool_use" && depth == 1 && spawns) outline_.spawn_inputs_json.push_back(input);
    }
    return {};
  }

  /// The source of an image or a document: base64 is media, plain text and inner blocks are text.
  Result<void> read_source(json::Value& value, int depth, MessageFacts& facts) {
    const bool is_text = value.peek_string("type") == "text";
    CCR_TRY(source, value.object());
    while (source.next()) {
      if (source.key() == "data" && source.value().is(Type::kString)) {
        CCR_TRY(literal, source.value().raw());
        (is_text ? outline_.text_bytes : outline_.media_bytes) += inner_bytes(literal);
      } else if (source.key() == "content" && source.value().is(Type::kString)) {
        CCR_TRY(literal, source.value().raw());
        outline_.text_bytes += inner_bytes(literal);
      } else if (source.key() == "content" && source.value().is(Type::kArray) && depth < kBlockDepth) {
        CCR_CHECK(read_blocks(source.value(), depth + 1, facts));
      }
    }
    return source.done();
  }

  chat::Outline outline_;
  OnlyOnce<kOnlyOnce.size()> once_{kOnlyOnce};
};

}  // namespace

Result<chat::Outline> read_outline(json::Document& body) {
  return OutlineReader().read(body);
}

}  // namespace ccrules::dialect::anthropic_messages
