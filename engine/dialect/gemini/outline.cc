#include <algorithm>
#include <array>

#include "core/limits.h"
#include "core/text.h"
#include "dialect/gemini/parts.h"
#include "dialect/members.h"
#include "dialect/outline_members.h"
#include "dialect/recalled_tools.h"

namespace ccrules::dialect::gemini {
namespace {

using json::Type;

/// Top-level members that decisions read: sent twice, two readers could see two different requests.
constexpr std::array<std::string_view, 4> kOnlyOnce = {"contents", "tools", "generationConfig", "systemInstruction"};
constexpr std::array<std::string_view, 7> kConfigOnlyOnce = {"maxOutputTokens", "temperature",   "topP",          "topK",
                                                             "stopSequences",   "candidateCount", "thinkingConfig"};
constexpr std::array<std::string_view, 2> kThinkingOnlyOnce = {"thinkingBudget", "thinkingLevel"};

/// What one turn is found to hold, before its role is known.
struct TurnFacts {
  std::string_view role = "user";
  std::string_view last_text;
  bool has_result = false;
  bool called = false;
  bool unsigned_call = false;  ///< the first of its calls is
};

class OutlineReader {
 public:
  Result<chat::Outline> read(json::Document& document) {
    document.rewind(json::Escapes::kUnchecked);
    CCR_TRY(root, document.root_object());
    CCR_CHECK(read_members(root));
    CCR_CHECK(document.at_end());
    if (outline_.messages == 0) return bad_request("contents is missing or empty: send at least one message");
    outline_.last_role = last_.role == "model" ? "assistant" : last_.has_result ? "tool" : "user";
    return std::move(outline_);
  }

 private:
  Result<void> read_members(json::Object& root) {
    while (root.next()) {
      std::string room;
      const std::string_view key = camel(root.key(), room);
      for (std::size_t i = 0; i < kOnlyOnce.size(); ++i) {
        if (key != kOnlyOnce[i]) continue;
        const unsigned bit = 1u << i;
        if ((seen_ & bit) != 0) return bad_request(std::string(key) + " is sent twice: send it once");
        seen_ |= bit;
      }
      CCR_CHECK(read_member(key, root.value()));
    }
    return root.done();
  }

  Result<void> read_member(std::string_view key, json::Value& value) {
    if (key == "contents") return each(value, [this](json::Value& turn) { return read_turn(turn); });
    if (value.is_null()) return {};
    if (key == "systemInstruction") return read_system(value);
    if (key == "tools") return add_tools(value, kName, outline_, read_tools);
    if (key == "generationConfig" && value.is(Type::kObject)) return read_config(value);
    if (key == "generateContentRequest" && value.is(Type::kObject)) {  // countTokens
      CCR_TRY(request, value.object());
      return read_members(request);
    }
    if (key == "model" && value.is(Type::kString)) {
      CCR_TRY(model, value.string());
      if (model.starts_with("models/")) model.remove_prefix(7);
      outline_.model = model;
    } else if (key == "stream" && value.is(Type::kBool)) {
      CCR_TRY(stream, value.boolean());
      outline_.stream = stream;
    }
    return {};
  }

  /// The items of a list; where one is all there is, its brackets may be left out.
  template <class Take>
  static Result<void> each(json::Value& value, const Take& take) {
    if (value.is(Type::kObject)) return take(value);
    CCR_TRY(items, value.array());
    while (items.next()) {
      if (!items.value().is(Type::kObject)) return items.value().error("must be an object");
      CCR_CHECK(take(items.value()));
    }
    return items.done();
  }

  Result<void> read_config(json::Value& value) {
    CCR_TRY(config, value.object());
    OnlyOnce once(kConfigOnlyOnce);
    while (config.next()) {
      std::string room;
      const std::string_view key = camel(config.key(), room);
      CCR_CHECK(once.check(key));
      if (key == "maxOutputTokens" && !config.value().is_null()) {  // Google takes "800" too: a limit nobody here would see
        CCR_TRY(most, config.value().integer());
        outline_.max_tokens = most;
      } else if (key == "candidateCount" && config.value().is(Type::kNumber)) {
        const auto choices = config.value().integer();
        if (choices) outline_.choices = std::clamp<std::int64_t>(*choices, 1, limits::kChoices);
      } else if (key == "thinkingConfig" && config.value().is(Type::kObject)) {
        CCR_CHECK(read_thinking_config(config.value(), outline_.thinking, outline_.effort));
      } else if ((key == "responseSchema" || key == "responseJsonSchema") && config.value().is(Type::kObject)) {
        outline_.json_schema_answer = true;
      }
    }
    return config.done();
  }

  Result<void> read_system(json::Value& value) {
    if (value.is(Type::kString)) return add_system_text(value);
    CCR_TRY(content, value.object());
    while (content.next()) {
      if (content.key() != "parts") continue;
      CCR_CHECK(each(content.value(), [this](json::Value& part) -> Result<void> {
        CCR_TRY(members, part.object());
        while (members.next()) {
          if (members.key() == "text" && members.value().is(Type::kString)) CCR_CHECK(add_system_text(members.value()));
        }
        return members.done();
      }));
    }
    return content.done();
  }

  Result<void> add_system_text(json::Value& value) {
    CCR_TRY(literal, value.raw());
    if (literal == "\"\"") return {};
    outline_.system_json.push_back(literal);
    outline_.text_bytes += inner_bytes(literal);
    return {};
  }

  static Result<ToolsOutline> read_tools(json::Value& value) {
    ToolsOutline found;
    CCR_CHECK(each(value, [&found](json::Value& tool) { return read_tool(tool, found); }));
    return found;
  }

  static Result<void> read_tool(json::Value& value, ToolsOutline& found) {
    CCR_TRY(tool, value.object());
    while (tool.next()) {
      std::string room;
      if (camel(tool.key(), room) == "functionDeclarations") {
        CCR_CHECK(each(tool.value(), [&found](json::Value& function) { return read_function(function, found); }));
      } else {
        ++found.count;
      }
    }
    return tool.done();
  }

  static Result<void> read_function(json::Value& value, ToolsOutline& found) {
    ++found.count;
    CCR_TRY(function, value.object());
    while (function.next()) {
      const bool is_name = function.key() == "name";
      CCR_TRY(raw, function.value().raw());
      if (is_name && raw.starts_with('"')) found.names.push_back(raw.substr(1, raw.size() - 2));
      found.text_bytes += static_cast<std::int64_t>(raw.size());
    }
    return function.done();
  }

  Result<void> read_turn(json::Value& value) {
    TurnFacts facts;
    CCR_TRY(turn, value.object());
    while (turn.next()) {
      if (turn.key() == "role" && turn.value().is(Type::kString)) {
        CCR_TRY(role, turn.value().string());
        facts.role = role;
      } else if (turn.key() == "parts") {
        CCR_CHECK(each(turn.value(), [this, &facts](json::Value& part) { return read_part(part, facts); }));
      }
    }
    CCR_CHECK(turn.done());
    ++outline_.messages;
    note_calls(facts);
    last_ = facts;
    if (facts.role != "model" && !facts.last_text.empty()) {
      if (outline_.first_user_json.empty()) outline_.first_user_json = facts.last_text;
      outline_.last_user_json = facts.last_text;
    }
    return {};
  }

  /// Contents of the model that stand side by side are one turn of it.
  void note_calls(const TurnFacts& facts) {
    if (facts.role != "model") {
      called_ = false;
      if (!facts.has_result) outline_.unsigned_call = false;  // Google looks at the turn that is not over yet
    } else if (facts.called) {
      outline_.unsigned_call = outline_.unsigned_call || (!called_ && facts.unsigned_call);
      called_ = true;
    }
  }

  Result<void> read_part(json::Value& value, TurnFacts& facts) {
    bool is_call = false;
    bool is_signed = false;
    CCR_TRY(part, value.object());
    while (part.next()) {
      std::string room;
      const std::string_view key = camel(part.key(), room);
      json::Value& member = part.value();
      if (key == "text" && member.is(Type::kString)) {
        CCR_TRY(literal, member.raw());
        facts.last_text = literal;
        outline_.text_bytes += inner_bytes(literal);
      } else if ((key == "inlineData" || key == "fileData") && member.is(Type::kObject)) {
        CCR_CHECK(read_media(member));
      } else if (key == "functionCall" || key == "functionResponse") {
        is_call = key == "functionCall";
        if (!is_call) {
          ++outline_.tool_results;
          facts.has_result = true;
          const auto parts = member.is(Type::kObject) ? member.peek("parts") : std::nullopt;
          if (parts) CCR_CHECK(read_result_parts(parts->peek_raw()));
        }
        CCR_TRY(raw, member.raw());
        outline_.text_bytes += static_cast<std::int64_t>(raw.size());
      } else if (key == "thoughtSignature" && member.is(Type::kString)) {
        CCR_TRY(literal, member.raw());
        outline_.own_reasoning = outline_.own_reasoning || literal.starts_with(kOwnSignatureStart);
        is_signed = literal != "\"\"";
      }
    }
    if (is_call && !facts.called) {
      facts.called = true;
      facts.unsigned_call = !is_signed;
    }
    return part.done();
  }

  /// Pictures and files in a tool's result. Their base64 is counted with the result's text, so it is taken out again.
  Result<void> read_result_parts(std::string_view parts_json) {
    const std::int64_t media_before = outline_.media_bytes;
    CCR_TRY(document, json::Document::open_view(parts_json, json::Escapes::kUnchecked));
    CCR_TRY(root, document.root());
    CCR_CHECK(each(root, [this](json::Value& part) -> Result<void> {
      CCR_TRY(members, part.object());
      while (members.next()) {
        std::string room;
        const std::string_view key = camel(members.key(), room);
        const bool media = (key == "inlineData" || key == "fileData") && members.value().is(Type::kObject);
        if (media) CCR_CHECK(read_media(members.value()));
      }
      return members.done();
    }));
    outline_.text_bytes -= outline_.media_bytes - media_before;
    return {};
  }

  Result<void> read_media(json::Value& value) {
    bool image = false;
    CCR_TRY(media, value.object());
    while (media.next()) {
      std::string room;
      const std::string_view key = camel(media.key(), room);
      if (!media.value().is(Type::kString)) continue;
      if (key == "mimeType") {
        CCR_TRY(type, media.value().string());
        image = type.starts_with("image/");
      } else if (key == "data") {
        CCR_TRY(literal, media.value().raw());
        outline_.media_bytes += inner_bytes(literal);
      }
    }
    ++(image ? outline_.images : outline_.documents);
    return media.done();
  }

  chat::Outline outline_;
  TurnFacts last_;       ///< of the last turn
  bool called_ = false;  ///< the model's turn that is not over holds a call
  unsigned seen_ = 0;
};

}  // namespace

Result<chat::Outline> read_outline(json::Document& body) { return OutlineReader().read(body); }

Result<void> read_thinking_config(json::Value& value, chat::ThinkingMode& thinking, std::string& effort) {
  CCR_TRY(config, value.object());
  bool shown = false;
  OnlyOnce once(kThinkingOnlyOnce);
  while (config.next()) {
    std::string room;
    const std::string_view key = camel(config.key(), room);
    CCR_CHECK(once.check(key));
    json::Value& member = config.value();
    if (key == "thinkingBudget" && member.is(Type::kNumber)) {
      CCR_TRY(budget, member.integer());
      thinking.kind = budget == 0  ? chat::ThinkingKind::kDisabled
                      : budget < 0 ? chat::ThinkingKind::kAdaptive
                                   : chat::ThinkingKind::kEnabled;
      if (budget > 0) thinking.budget_tokens = budget;
    } else if (key == "thinkingLevel" && member.is(Type::kString)) {
      CCR_TRY(level, member.string());
      if (level != "THINKING_LEVEL_UNSPECIFIED") {
        effort = text::lower(level);
        thinking.kind = chat::ThinkingKind::kAdaptive;
      }
    } else if (key == "includeThoughts" && member.is(Type::kBool)) {
      CCR_TRY(included, member.boolean());
      shown = included;
    }
  }
  CCR_CHECK(config.done());
  if (thinking.kind == chat::ThinkingKind::kAbsent && shown) thinking.kind = chat::ThinkingKind::kAdaptive;
  if (thinking.kind != chat::ThinkingKind::kAbsent && thinking.kind != chat::ThinkingKind::kDisabled) {
    thinking.display = shown ? "summarized" : "omitted";
  }
  return {};
}

}  // namespace ccrules::dialect::gemini
