#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/json_text.h"

/// The neutral request: what any client dialect is read into and any provider dialect is written from.
/// Anthropic-like, because that is the richest. Texts are UTF-8, the long ones as core/json_text.h keeps them; members
/// ending in `_json` are verbatim JSON, empty when absent.
namespace ccrules::chat {

enum class Role : std::uint8_t {
  kUser,
  kAssistant,
  kSystem
};  ///< kSystem: a mid-conversation system message

struct Text {
  json::Text text;
  std::string cache_control_json;
  std::string extra_json;  ///< unmodelled members (citations ...) as one JSON object
};

struct Thinking {
  std::string text;       ///< the thinking; of redacted thinking, its opaque data
  std::string signature;  ///< empty: none. "ccr1." + ...: made by us for another provider's reasoning (see
                          ///< dialect/signature.h)
  bool redacted = false;
};

enum class SourceKind : std::uint8_t { kBase64, kUrl, kFile, kText, kBlocks };

struct Image {
  SourceKind kind = SourceKind::kBase64;  ///< kBase64, kUrl or kFile
  std::string media_type;                 ///< "image/png"; empty unless kBase64
  std::string data;                       ///< base64, URL or file id
  std::string detail;                     ///< OpenAI's low|high|auto, empty when absent
  std::string cache_control_json;
  std::string extra_json;
};

struct Block;

struct Document {
  SourceKind kind = SourceKind::kBase64;
  std::string media_type;
  std::string data;  ///< base64, URL, file id or plain text
  std::string title;
  std::string context;
  std::string blocks_json;  ///< kBlocks: the source's content, verbatim Anthropic JSON
  std::string cache_control_json;
  std::string extra_json;
};

struct ToolCall {
  std::string id;
  std::string name;
  /// Whatever the model wrote: normally a JSON object; may be invalid JSON in a reply that was cut.
  std::string arguments_json;
  std::string cache_control_json;
  std::string extra_json;
};

struct ToolResult {
  std::string call_id;
  std::vector<Block> content;  ///< Text, Image, Document, Opaque
  bool is_error = false;
  bool content_absent = false;  ///< the client sent no content member at all
  std::string cache_control_json;
  std::string extra_json;
};

/// A block this build does not model, kept verbatim: it goes out unchanged to its own dialect and is a loss
/// elsewhere.
struct Opaque {
  std::string dialect;  ///< "anthropic", "openai_chat"
  std::string type;     ///< the block's own type name
  std::string json;
};

struct Block {
  std::variant<Text, Thinking, Image, Document, ToolCall, ToolResult, Opaque> value;
};

/// Appends a block of this kind, to be filled where it stays.
template <class Kind>
Kind& add_block(std::vector<Block>& blocks) {
  return blocks.emplace_back().value.emplace<Kind>();
}

struct Message {
  Role role = Role::kUser;
  std::vector<Block> blocks;
  bool plain_string = false;  ///< content came as a string, not as blocks; writers may keep that form
  std::string name;           ///< OpenAI's participant name
  std::string extra_json;
};

struct Tool {
  std::string name;
  json::Text description;
  bool has_description = false;
  std::string schema_json;  ///< JSON schema of the input; empty for provider-defined tools
  std::string type;         ///< "" or "custom" for ours to call; "web_search_20250305" ... otherwise
  std::optional<bool> strict;
  bool defer_loading = false;
  std::string cache_control_json;
  std::string extra_json;     ///< unmodelled members as one JSON object
  std::string original_json;  ///< the whole tool, verbatim, when `type` names a provider-defined tool
};

/// The tools of a request, in order. Copies share them: requests that bring the same ones were read once. They stay with the thread that
/// read them, as json::Text asks for.
class Tools {
 public:
  Tools() = default;
  explicit Tools(std::vector<Tool> tools) : tools_(tools.empty() ? nullptr : std::make_shared<std::vector<Tool>>(std::move(tools))) {}

  [[nodiscard]] std::size_t size() const noexcept { return tools_ ? tools_->size() : 0; }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] const Tool* begin() const noexcept { return tools_ ? tools_->data() : nullptr; }
  [[nodiscard]] const Tool* end() const noexcept { return begin() + size(); }
  [[nodiscard]] const Tool& operator[](std::size_t i) const { return (*tools_)[i]; }
  /// To be changed: no longer shared.
  [[nodiscard]] std::vector<Tool>& edit() {
    if (!tools_) {
      tools_ = std::make_shared<std::vector<Tool>>();
    } else if (tools_.use_count() > 1) {
      tools_ = std::make_shared<std::vector<Tool>>(*tools_);
    }
    return *tools_;
  }

 private:
  std::shared_ptr<std::vector<Tool>> tools_;  ///< null: none
};

enum class ToolChoiceKind : std::uint8_t { kAuto, kAny, kTool, kNone };
struct ToolChoice {
  ToolChoiceKind kind = ToolChoiceKind::kAuto;
  std::string name;                         ///< kTool only
  std::optional<bool> parallel_tool_calls;  ///< false: at most one call per reply
};

enum class ThinkingKind : std::uint8_t { kAbsent, kEnabled, kAdaptive, kDisabled, kBetweenTools };
struct ThinkingMode {
  ThinkingKind kind = ThinkingKind::kAbsent;
  std::optional<std::int64_t> budget_tokens;
  std::string display;  ///< "summarized", "omitted", empty
};

struct Request {
  std::string model;
  std::vector<Block> system;  ///< Text or Opaque
  bool system_plain_string = false;
  std::vector<Message> messages;
  Tools tools;
  std::optional<ToolChoice> tool_choice;
  ThinkingMode thinking;
  std::string effort;  ///< none|minimal|low|medium|high|xhigh|max, empty when absent
  std::optional<std::int64_t> max_tokens;
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<std::int64_t> top_k;
  std::vector<std::string> stop_sequences;
  bool stream = false;
  bool include_usage = true;         ///< OpenAI stream_options.include_usage; Anthropic streams always report
  std::string response_schema_json;  ///< the JSON schema of a structured answer, empty when absent
  std::string response_schema_name;
  std::string response_schema_extra_json;  ///< what else stands beside name and schema (strict, description);
                                           ///< as extra_json
  bool json_object_mode = false;           ///< OpenAI response_format json_object
  std::string user_id;                     ///< metadata.user_id / user / safety_identifier
  std::string dialect;                     ///< the dialect it was read from
  std::string extra_json;  ///< unmodelled top-level members as one JSON object; goes back out to the same
                           ///< dialect only
};

}  // namespace ccrules::chat
