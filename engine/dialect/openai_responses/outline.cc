#include <algorithm>
#include <array>
#include <iterator>

#include "dialect/members.h"
#include "dialect/openai_responses/parts.h"
#include "dialect/outline_members.h"
#include "dialect/recalled_tools.h"
#include "dialect/signature.h"
#include "dialect/tools.h"

namespace ccrules::dialect::responses {
namespace {

using json::Type;

/// Top-level members that decisions read: sent twice, two readers could see two different requests.
constexpr std::array<std::string_view, 7> kOnlyOnce = {
    "model", "input", "stream", "max_output_tokens", "tools", "instructions", "reasoning"};

class OutlineReader {
 public:
  Result<chat::Outline> read(json::Document& document) {
    document.rewind(json::Escapes::kUnchecked);
    CCR_TRY(root, document.root_object());
    while (root.next()) {
      CCR_CHECK(once_.check(root.key()));
      CCR_CHECK(read_member(root.key(), root.value()));
    }
    CCR_CHECK(root.done());
    CCR_CHECK(document.at_end());
    if (outline_.model.empty()) return bad_request("model is missing: send the name of a model");
    if (outline_.messages == 0 && !stateful_)
      return bad_request("input is missing or empty: send a text or at least one item");
    if (!instructions_json_.empty()) {  // they stand before everything else
      outline_.system_json.push_back(instructions_json_);
      std::rotate(outline_.system_json.begin(), outline_.system_json.end() - 1, outline_.system_json.end());
    }
    return std::move(outline_);
  }

 private:
  Result<void> read_member(std::string_view key, json::Value& value) {
    if (key == "model") return read_model(value, outline_);
    if (value.is_null()) return {};
    if (key == "input") return read_input(value);
    if (key == "tools") return add_tools(value, kName, outline_, read_tools);
    if (key == "instructions" && value.is(Type::kString)) {
      CCR_TRY(literal, value.raw());
      instructions_json_ = literal;
      outline_.text_bytes += inner_bytes(literal);
    } else if (key == "stream") {
      CCR_TRY(stream, value.boolean());
      outline_.stream = stream;
    } else if (key == "max_output_tokens") {
      CCR_TRY(max_tokens, value.integer());
      outline_.max_tokens = max_tokens;
    } else if (key == "reasoning" && value.is(Type::kObject)) {
      const auto effort = value.peek_string("effort");
      if (!effort) return {};
      outline_.effort = *effort;
      outline_.thinking.kind =
          *effort == "none" ? chat::ThinkingKind::kDisabled : chat::ThinkingKind::kAdaptive;
    } else if (key == "text" && value.is(Type::kObject)) {
      const auto format = value.peek("format");
      outline_.json_schema_answer =
          format && format->is(Type::kObject) && format->peek_string("type") == "json_schema";
    } else if (key == "previous_response_id" || key == "conversation" || key == "prompt") {
      stateful_ = true;
    } else if (key == "prompt_cache_key" && value.is(Type::kString)) {
      CCR_TRY(session, value.string());  // clients name their conversation by it (Codex)
      outline_.session_id = session;
    } else if ((key == "safety_identifier" || (key == "user" && outline_.user_id.empty())) &&
               value.is(Type::kString)) {
      CCR_TRY(user, value.string());
      outline_.user_id = user;
    }
    return {};
  }

  static Result<ToolsOutline> read_tools(json::Value& value) {
    ToolsOutline found;
    CCR_TRY(tools, value.array());
    while (tools.next()) {
      json::Value& tool = tools.value();
      note_inside(tool, found);
      const auto name = tool.peek("name");
      if (tool.peek_string("type") == "custom") {
        if (const auto text = tool.peek_string("name")) found.custom.emplace_back(*text);
      }
      if (name && name->is(Type::kString)) {
        const std::string_view literal = name->peek_raw();
        found.names.push_back(literal.substr(1, literal.size() - 2));
      }
      CCR_TRY(raw, tool.raw());
      ++found.count;
      found.text_bytes += static_cast<std::int64_t>(raw.size());
    }
    CCR_CHECK(tools.done());
    return found;
  }

  /// Of a namespace: the names of those of its tools that are called with a text.
  static void note_inside(const json::Value& tool, ToolsOutline& found) {
    if (tool.peek_string("type") != "namespace") return;
    const std::string_view space = tool.peek_string("name").value_or(std::string_view());
    if (space.size() > kNamespaceBytes) return;  // stands in the name of each; refused where it is read (request_reader.cc)
    const auto inside = tool.peek("tools");
    if (!inside || !inside->is(Type::kArray)) return;
    auto document = json::Document::open_view(inside->peek_raw(), json::Escapes::kUnchecked);
    auto root = document ? document->root() : Result<json::Value>(document.error());
    auto tools = root ? root->array() : Result<json::Array>(root.error());
    while (tools && tools->next()) {
      if (tools->value().peek_string("type") != "custom") continue;
      if (const auto name = tools->value().peek_string("name")) found.custom.push_back(spaced_name(space, *name));
    }
  }

  // --- items

  Result<void> read_input(json::Value& value) {
    if (value.is(Type::kString)) {
      CCR_TRY(literal, value.raw());
      if (literal.size() > 2) ++outline_.messages;
      outline_.text_bytes += inner_bytes(literal);
      outline_.first_user_json = literal;
      outline_.last_user_json = literal;
      outline_.last_role = "user";
      return {};
    }
    if (!value.is(Type::kArray)) return value.error("must be a string or an array of items");
    CCR_TRY(items, value.array());
    while (items.next()) CCR_CHECK(read_item_value(items.value()));
    return items.done();
  }

  Result<void> read_item_value(json::Value& value) {
    const std::string_view type = value.peek_string("type").value_or(std::string_view());
    texts_.clear();
    std::string_view role = value.peek_string("role").value_or(std::string_view());
    CCR_TRY(members, value.object());
    while (members.next()) {
      const std::string_view key = members.key();
      json::Value& member = members.value();
      if ((key == "content" || key == "output" || key == "summary") && member.is(Type::kArray)) {
        CCR_CHECK(read_parts(member));
      } else if ((key == "content" || key == "output" || key == "arguments" || key == "input") &&
                 member.is(Type::kString)) {
        CCR_TRY(literal, member.raw());
        if (key == "content") texts_.push_back(literal);
        outline_.text_bytes += inner_bytes(literal);
      } else if (key == "tools" && type == "additional_tools" && member.is(Type::kArray)) {
        CCR_TRY(brought, read_tools(member));
        outline_.tools += brought.count;
        outline_.text_bytes += brought.text_bytes;
        std::move(brought.custom.begin(), brought.custom.end(), std::back_inserter(outline_.custom_tools));
      } else if (key == "encrypted_content" && member.is(Type::kString)) {
        CCR_TRY(literal, member.raw());
        outline_.own_reasoning = outline_.own_reasoning || literal.starts_with(signature::kJsonStart);
      }
    }
    CCR_CHECK(members.done());
    if (type.empty() || type == "message") {
      count_message(role);
    } else if (type.ends_with("_output")) {
      ++outline_.messages;
      ++outline_.tool_results;
      outline_.last_role = "tool";
      started_ = true;
    } else {
      // Reasoning and calls are part of what the assistant said.
      if (outline_.last_role != "assistant") ++outline_.messages;
      outline_.last_role = "assistant";
      started_ = true;
    }
    return {};
  }

  void count_message(std::string_view role) {
    if (role == "system" || role == "developer") {
      ++outline_.messages;
      if (!started_)
        outline_.system_json.insert(outline_.system_json.end(), texts_.begin(), texts_.end());
      else
        outline_.mid_system_json.insert(outline_.mid_system_json.end(), texts_.begin(), texts_.end());
      outline_.last_role = "system";
      return;
    }
    started_ = true;
    const bool continues = role == "assistant" && outline_.last_role == "assistant";
    if (!continues) ++outline_.messages;
    if (role == "user" && !texts_.empty()) {
      if (outline_.first_user_json.empty()) outline_.first_user_json = texts_.back();
      outline_.last_user_json = texts_.back();
    }
    outline_.last_role = role.empty() ? std::string_view("user") : role;
  }

  Result<void> read_parts(json::Value& value) {
    CCR_TRY(parts, value.array());
    while (parts.next()) {
      if (!parts.value().is(Type::kObject)) continue;
      std::string_view type;
      bool picture = false;
      bool file = false;
      CCR_TRY(part, parts.value().object());
      while (part.next()) {
        if (!part.value().is(Type::kString)) continue;
        if (part.key() == "type") {
          CCR_TRY(word, part.value().string());
          type = word;
        } else if (part.key() == "file_id" || part.key() == "file_url") {
          file = true;
        } else if (part.key() == "text" || part.key() == "refusal") {
          CCR_TRY(literal, part.value().raw());
          texts_.push_back(literal);
          outline_.text_bytes += inner_bytes(literal);
        } else if (part.key() == "image_url" || part.key() == "file_data") {
          (part.key() == "image_url" ? picture : file) = true;
          CCR_TRY(literal, part.value().raw());
          if (literal.starts_with("\"data:") || part.key() == "file_data")
            outline_.media_bytes += inner_bytes(literal);
        }
      }
      CCR_CHECK(part.done());
      if (type == "input_image" || picture) ++outline_.images;
      else if (type == "input_file" || file) ++outline_.documents;
    }
    return parts.done();
  }

  chat::Outline outline_;
  std::string_view instructions_json_;
  std::vector<std::string_view> texts_;  ///< of the current item
  bool stateful_ = false;
  bool started_ = false;
  OnlyOnce<kOnlyOnce.size()> once_{kOnlyOnce};
};

}  // namespace

Result<chat::Outline> read_outline(json::Document& body) {
  return OutlineReader().read(body);
}

}  // namespace ccrules::dialect::responses
