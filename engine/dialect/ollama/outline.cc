#include <array>
#include <string>

#include "core/json.h"
#include "core/text.h"
#include "dialect/members.h"
#include "dialect/ollama/request_reader.h"
#include "dialect/outline_members.h"
#include "dialect/recalled_tools.h"

namespace ccrules::dialect::ollama {
namespace {

using json::Type;

/// Top-level members that decisions read: sent twice, two readers could see two different requests.
constexpr std::array<std::string_view, 6> kOnlyOnce = {"model", "messages", "stream", "tools", "think", "options"};
constexpr std::array<std::string_view, 5> kOptionsOnlyOnce = {"num_predict", "stop", "temperature", "top_p", "top_k"};

class OutlineReader {
 public:
  Result<chat::Outline> read(json::Document& document) {
    document.rewind(json::Escapes::kUnchecked);
    outline_.stream = true;  // unless it says otherwise
    CCR_TRY(root, document.root_object());
    while (root.next()) {
      CCR_CHECK(check_once(root.key()));
      CCR_CHECK(read_member(root.key(), root.value()));
    }
    CCR_CHECK(root.done());
    CCR_CHECK(document.at_end());
    if (outline_.model.empty()) return bad_request("model is missing: send the name of a model");
    if (outline_.messages == 0) return bad_request("messages is missing or empty: send at least one message");
    return std::move(outline_);
  }

 private:
  Result<void> check_once(std::string_view key) {
    for (std::size_t i = 0; i < kOnlyOnce.size(); ++i) {
      if (!text::equals_ignore_case(key, kOnlyOnce[i])) continue;
      // An Ollama server takes "Model" for "model".
      if (key != kOnlyOnce[i]) return bad_request(std::string(key) + " must be written " + std::string(kOnlyOnce[i]));
      const unsigned bit = 1u << i;
      if ((seen_ & bit) != 0) return bad_request(std::string(key) + " is sent twice: send it once");
      seen_ |= bit;
    }
    return {};
  }

  Result<void> read_member(std::string_view key, json::Value& value) {
    if (key == "messages") return read_messages(value);
    if (key == "model") return read_model(value, outline_);
    if (value.is_null()) return {};
    if (key == "tools") return add_tools(value, "ollama", outline_, read_tools);
    if (key == "options" && value.is(Type::kObject)) return read_options(value);
    if (key == "stream") {
      CCR_TRY(stream, value.boolean());
      outline_.stream = stream;
    } else if (key == "think" && value.is(Type::kBool)) {
      CCR_TRY(thinks, value.boolean());
      outline_.thinking.kind = thinks ? chat::ThinkingKind::kAdaptive : chat::ThinkingKind::kDisabled;
    } else if (key == "think" && value.is(Type::kString)) {
      CCR_TRY(level, value.string());
      outline_.effort = level;
      outline_.thinking.kind = chat::ThinkingKind::kAdaptive;
    } else if (key == "format") {
      outline_.json_schema_answer = value.is(Type::kObject);
    }
    return {};
  }

  Result<void> read_options(json::Value& value) {
    CCR_TRY(options, value.object());
    OnlyOnce once(kOptionsOnlyOnce);
    while (options.next()) {
      CCR_CHECK(once.check(options.key()));
      if (options.key() != "num_predict" || !options.value().is(Type::kNumber)) continue;
      CCR_TRY(most, options.value().integer());
      if (most > 0) outline_.max_tokens = most;  // -1 and -2: no limit
    }
    return options.done();
  }

  static Result<ToolsOutline> read_tools(json::Value& value) {
    ToolsOutline found;
    CCR_TRY(tools, value.array());
    while (tools.next()) {
      ++found.count;
      add_name(tools.value(), found);
      CCR_TRY(json, tools.value().raw());
      found.text_bytes += static_cast<std::int64_t>(json.size());
    }
    CCR_CHECK(tools.done());
    return found;
  }

  static void add_name(const json::Value& tool, ToolsOutline& found) {
    const auto function = tool.peek("function");
    const auto name = function ? function->peek("name") : std::nullopt;
    if (!name || !name->is(Type::kString)) return;
    const std::string_view literal = name->peek_raw();
    found.names.push_back(literal.substr(1, literal.size() - 2));
  }

  Result<void> read_messages(json::Value& value) {
    CCR_TRY(messages, value.array());
    while (messages.next()) CCR_CHECK(read_message(messages.value()));
    return messages.done();
  }

  Result<void> read_message(json::Value& value) {
    std::string_view text;
    std::string role;
    CCR_TRY(message, value.object());
    while (message.next()) {
      const std::string_view key = message.key();
      json::Value& member = message.value();
      if (key == "role") {
        CCR_TRY(word, member.string());
        role = word;
      } else if (key == "content" && member.is(Type::kString)) {
        CCR_TRY(literal, member.raw());
        text = literal;
        outline_.text_bytes += inner_bytes(literal);
      } else if (key == "content" && !member.is_null()) {
        return member.error("must be a string");
      } else if (key == "images" && member.is(Type::kArray)) {
        CCR_CHECK(read_images(member));
      } else if ((key == "tool_calls" || key == "thinking") && !member.is_null()) {
        CCR_TRY(json, member.raw());
        outline_.text_bytes += inner_bytes(json);
      }
    }
    CCR_CHECK(message.done());
    ++outline_.messages;
    outline_.last_role = role;
    if (role == "tool") {
      ++outline_.tool_results;
    } else if (role == "system" && !conversation_started_ && !text.empty()) {
      outline_.system_json.push_back(text);
    } else if (role == "user" && !text.empty()) {
      if (outline_.first_user_json.empty()) outline_.first_user_json = text;
      outline_.last_user_json = text;
    }
    conversation_started_ = conversation_started_ || role != "system";
    return {};
  }

  Result<void> read_images(json::Value& value) {
    CCR_TRY(images, value.array());
    while (images.next()) {
      CCR_TRY(json, images.value().raw());
      ++outline_.images;
      outline_.media_bytes += inner_bytes(json);
    }
    return images.done();
  }

  chat::Outline outline_;
  bool conversation_started_ = false;
  unsigned seen_ = 0;
};

}  // namespace

Result<chat::Outline> read_outline(json::Document& body) { return OutlineReader().read(body); }

}  // namespace ccrules::dialect::ollama
