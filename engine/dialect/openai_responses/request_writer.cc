#include <algorithm>
#include <vector>

#include "core/digest.h"
#include "dialect/expected_bytes.h"
#include "dialect/fit.h"
#include "dialect/foreign_members.h"
#include "dialect/kept_state.h"
#include "dialect/misplaced_blocks.h"
#include "dialect/openai_responses/input_writer.h"
#include "dialect/openai_responses/parts.h"
#include "dialect/tools.h"
#include "dialect/unknown_members.h"
#include "dialect/words.h"

namespace ccrules::dialect::responses {
namespace {

constexpr FormatName kFormat = {kName, "responses"};
/// Less is refused.
constexpr std::int64_t kLeastOutputTokens = 16;

class RequestWriter {
 public:
  RequestWriter(const chat::Request& request, const Capabilities& target, chat::LossNotes& losses)
      : request_(request), target_(target), losses_(losses), own_(request.dialect == kName), writer_(out_) {}

  Result<std::string> write() {
    if (!own_) CCR_CHECK(refuse_kept_state(request_, target_));
    out_.reserve(expected_bytes(request_));
    writer_.begin_object().member("model", target_.model.empty() ? request_.model : target_.model);
    write_instructions();
    writer_.key("input").raw({});  // written straight behind it
    CCR_CHECK(append_input(out_, request_, target_, losses_));
    CCR_CHECK(write_tools());
    write_max_tokens();
    write_sampling();
    write_reasoning();
    write_text_settings();
    write_user();
    write_state();
    if (request_.stream) writer_.member("stream", true);
    write_others();
    writer_.end_object();
    note_misplaced_blocks(request_, losses_);
    if (!own_) note_unknown_members(request_, losses_);
    return std::move(out_);
  }

 private:
  /// A member of the client's own request that this build does not model; empty when there is none.
  [[nodiscard]] std::string own_member(std::string_view name) const {
    if (!own_ || request_.extra_json.empty()) return {};
    auto document = json::Document::open_view(request_.extra_json);
    if (!document) return {};
    const auto root = document->root();
    if (!root) return {};
    const auto member = root->peek(name);
    return member ? std::string(member->peek_raw()) : std::string();
  }

  void append_members(std::string_view object_json) {
    if (object_json.empty()) return;
    auto document = json::Document::open_view(object_json);
    auto members = document ? document->root_object() : Result<json::Object>(document.error());
    while (members && members->next()) {
      if (const auto raw = members->value().raw()) writer_.member_raw(members->key(), *raw);
    }
  }

  void write_instructions() {
    std::vector<json::TextView> texts;
    bool any = false;
    for (const chat::Block& block : request_.system) {
      if (const auto* part = std::get_if<chat::Text>(&block.value)) {
        if (!part->cache_control_json.empty())
          losses_.add("cache_control", "responses have no such cache breakpoints");
        const json::TextView shown = without_attribution(part->text, losses_);
        any = any || !is_blank(shown);
        if (!shown.empty()) texts.push_back(shown);
      } else if (const auto* opaque = std::get_if<chat::Opaque>(&block.value)) {
        losses_.add("system." + opaque->type, "responses have no such content");
      } else if (std::holds_alternative<chat::Image>(block.value)) {
        losses_.add("system.image", "instructions are text only");
      } else if (std::holds_alternative<chat::Document>(block.value)) {
        losses_.add("system.document", "instructions are text only");
      }
    }
    if (!any) return;
    writer_.key("instructions").raw({});  // written straight behind it
    JoinedString joined(out_, "\n\n");
    for (const json::TextView text : texts) joined.add(text);
    joined.close();
  }

  // --- tools

  Result<void> write_tools() {
    CCR_TRY(sent, tools_to_send(request_, target_, kFormat, losses_));
    if (sent.empty()) {
      if (request_.tool_choice && request_.tool_choice->kind != chat::ToolChoiceKind::kAuto &&
          request_.tool_choice->kind != chat::ToolChoiceKind::kNone) {
        losses_.add("tool_choice", "no tool is left to choose");
      }
      return {};
    }
    writer_.key("tools").begin_array();
    for (const std::size_t i : sent) write_tool(request_.tools[i]);
    writer_.end_array();
    if (request_.tool_choice) write_tool_choice(*request_.tool_choice, sent);
    return {};
  }

  void write_tool(const chat::Tool& tool) {
    if (!tool.cache_control_json.empty())
      losses_.add("cache_control", "responses have no such cache breakpoints");
    if (own_ && !tool.original_json.empty()) {
      writer_.raw(tool.original_json);
      return;
    }
    const KnownTool* known = is_function(tool) || !tool.schema_json.empty() ? nullptr : known_tool(tool.type);
    std::string name;
    append_tool_name(name, tool.name);
    writer_.begin_object().member("type", "function").member_raw("name", name);
    const bool described = known == nullptr || tool.has_description;
    writer_.member("description", described ? json::TextView(tool.description) : json::TextView(known->description));
    const std::string_view schema = known != nullptr           ? known->schema_json
                                    : tool.schema_json.empty() ? R"({"type":"object","properties":{}})"
                                                               : std::string_view(tool.schema_json);
    writer_.member_raw("parameters", schema);
    // Unsaid it would be true, and then most schemas are refused.
    writer_.member("strict", own_ ? tool.strict.value_or(true) : false);
    if (own_) {
      if (tool.defer_loading) writer_.member("defer_loading", true);
      append_members(tool.extra_json);
    }
    writer_.end_object();
    if (own_) return;
    if (known != nullptr) losses_.add("tools[]." + tool.type, "sent as a function with the same inputs");
    if (tool.strict.value_or(false))
      losses_.add("tools[].strict", "responses have stricter rules for strict schemas");
    note_members("tools[].", tool.extra_json);
  }

  void note_members(const std::string& prefix, std::string_view object_json) {
    if (object_json.empty()) return;
    auto document = json::Document::open_view(object_json);
    auto members = document ? document->root_object() : Result<json::Object>(document.error());
    while (members && members->next())
      losses_.add(prefix + std::string(members->key()), "responses have no such member");
  }

  void write_tool_choice(const chat::ToolChoice& choice, const std::vector<std::size_t>& sent) {
    using Kind = chat::ToolChoiceKind;
    const auto chosen = std::find_if(sent.begin(), sent.end(),
                                     [&](std::size_t i) { return request_.tools[i].name == choice.name; });
    const bool forced = choice.kind == Kind::kAny || choice.kind == Kind::kTool;
    const auto spaced = own_ ? split_name(choice.name) : std::nullopt;  // its namespace is sent, whole
    const bool offered = choice.kind != Kind::kTool || chosen != sent.end() || spaced;
    if (const std::string own = own_member("tool_choice"); !own.empty()) {
      writer_.member_raw("tool_choice", own);
    } else if (forced && (!target_.forced_tool_choice || !offered)) {
      losses_.add("tool_choice",
                  offered ? "this model takes no forced tool choice" : "the chosen tool could not be sent");
      writer_.member("tool_choice", "auto");
    } else if (choice.kind == Kind::kTool) {
      std::string name;
      append_tool_name(name, spaced ? spaced->inner : std::string_view(choice.name));
      const bool custom =
          own_ && !spaced && request_.tools[*chosen].type.empty() && !request_.tools[*chosen].original_json.empty();
      writer_.key("tool_choice").begin_object();
      writer_.member("type", custom ? "custom" : "function").member_raw("name", name);
      if (spaced) writer_.member("namespace", spaced->space);
      writer_.end_object();
    } else {
      writer_.member("tool_choice", choice.kind == Kind::kAny    ? "required"
                                    : choice.kind == Kind::kNone ? "none"
                                                                 : "auto");
    }
    if (!choice.parallel_tool_calls) return;
    if (target_.parallel_tool_calls)
      writer_.member("parallel_tool_calls", *choice.parallel_tool_calls);
    else if (!*choice.parallel_tool_calls)
      losses_.add("disable_parallel_tool_use", "the provider does not take parallel_tool_calls");
  }

  // --- numbers and settings

  void write_max_tokens() {
    if (!request_.max_tokens) return;
    std::int64_t most = allowed_max_tokens(*request_.max_tokens, target_, losses_);
    if (most < kLeastOutputTokens && !own_) {
      losses_.add("max_tokens", "changed to what the model and its window allow");
      most = kLeastOutputTokens;
    }
    writer_.member("max_output_tokens", most);
  }

  void write_sampling() {
    const bool asked = request_.temperature || request_.top_p;
    if (asked && !target_.sampling) losses_.add("sampling", "this model takes no temperature or top_p");
    if (target_.sampling && request_.temperature) writer_.member("temperature", *request_.temperature);
    if (target_.sampling && request_.top_p) writer_.member("top_p", *request_.top_p);
    if (request_.top_k) losses_.add("top_k", "responses have no top_k");
    if (!request_.stop_sequences.empty()) losses_.add("stop_sequences", "responses have no stop sequences");
  }

  void write_reasoning() {
    const chat::ThinkingMode& thinking = request_.thinking;
    std::string_view wanted = request_.effort;
    if (thinking.kind == chat::ThinkingKind::kDisabled)
      wanted = "none";
    else if (wanted.empty() && thinking.kind == chat::ThinkingKind::kEnabled && thinking.budget_tokens)
      wanted = effort_for_budget(*thinking.budget_tokens, target_.efforts);
    if (thinking.budget_tokens) losses_.add("thinking.budget_tokens", "sent as a reasoning effort");
    const bool thinks = wanted != "none" && (thinking.kind == chat::ThinkingKind::kEnabled ||
                                             thinking.kind == chat::ThinkingKind::kAdaptive);
    bool shows = thinks && thinking.display != "omitted";
    if (own_) shows = thinking.display == "summarized";
    const std::string others = own_member("reasoning");
    if (wanted.empty() && !shows && others.empty()) return;
    const std::string slug = request_.effort.empty() ? "thinking" : "effort";
    if (!target_.reasoning_effort && !own_) {
      if (wanted != "none") losses_.add(slug, "this model does not reason");
      return;
    }
    const std::string_view accepted = wanted.empty() ? wanted : accepted_effort(wanted, target_.efforts);
    if (accepted != wanted) losses_.add(slug, "changed to the nearest effort this model takes");
    if (accepted.empty() && !shows && others.empty()) return;
    writer_.key("reasoning").begin_object();
    if (!accepted.empty()) writer_.member("effort", accepted);
    if (shows) writer_.member("summary", "auto");
    append_members(others);
    writer_.end_object();
  }

  void write_text_settings() {
    const std::string others = own_member("text");
    if (request_.response_schema_json.empty() && !request_.json_object_mode && others.empty()) return;
    writer_.key("text").begin_object();
    if (!request_.response_schema_json.empty()) {
      writer_.key("format").begin_object().member("type", "json_schema");
      writer_.member("name",
                     request_.response_schema_name.empty() ? "answer" : request_.response_schema_name);
      writer_.member_raw("schema", request_.response_schema_json);
      append_members(schema_settings(request_, kName, "responses have no such member", losses_));
      writer_.end_object();
    } else if (request_.json_object_mode) {
      writer_.key("format").begin_object().member("type", "json_object").end_object();
    }
    append_members(others);
    writer_.end_object();
  }

  /// No other provider learns the client's own ids.
  void write_user() {
    if (request_.user_id.empty()) return;
    if (own_) {
      writer_.member("safety_identifier", request_.user_id);
    } else if (target_.user_identifiers) {
      const std::string hashed = digest::sha256_hex(request_.user_id);
      writer_.member("safety_identifier", hashed).member("prompt_cache_key", hashed.substr(0, 32));
      losses_.add("metadata.user_id", "sent as a hash");
    } else {
      losses_.add("metadata.user_id", "not told to other providers");
    }
  }

  /// We send whole conversations: nothing needs to be kept at the provider, and reasoning has to come back to
  /// us in a form that can be sent again.
  void write_state() {
    const std::string store = own_member("store");
    writer_.member_raw("store", store.empty() ? "false" : store);
    std::string include = own_member("include");
    if (include.size() <= 2) include.clear();
    const bool encrypted = target_.encrypted_reasoning && target_.reasoning_effort;
    if (include.empty() && !encrypted) return;
    if (include.empty())
      include = "[\"reasoning.encrypted_content\"]";
    else if (encrypted)
      include.insert(1, "\"reasoning.encrypted_content\",");
    writer_.member_raw("include", include);
  }

  void write_others() {
    if (request_.extra_json.empty()) return;
    if (!own_) return note_foreign_members(request_, "responses have no such member", losses_);
    auto document = json::Document::open_view(request_.extra_json);
    auto members = document ? document->root_object() : Result<json::Object>(document.error());
    while (members && members->next()) {
      const std::string name(members->key());
      const bool written = name == "reasoning" || name == "text" || name == "store" || name == "include" ||
                           name == "tool_choice";
      const auto raw = members->value().raw();
      if (raw && !written) writer_.member_raw(name, *raw);
    }
  }

  const chat::Request& request_;
  const Capabilities& target_;
  chat::LossNotes& losses_;
  const bool own_;  ///< the request came in this dialect: its own members go back out
  std::string out_;
  json::Writer writer_;
};

}  // namespace

Result<std::string> write_request(const chat::Request& request, const Capabilities& target,
                                  chat::LossNotes& losses) {
  return RequestWriter(request, target, losses).write();
}

}  // namespace ccrules::dialect::responses
