#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/splice.h"
#include "core/text.h"
#include "dialect/anthropic/history_writer.h"
#include "dialect/anthropic/parts.h"
#include "dialect/expected_bytes.h"
#include "dialect/fit.h"
#include "dialect/foreign_members.h"
#include "dialect/kept_state.h"
#include "dialect/tools.h"
#include "dialect/unknown_members.h"
#include "dialect/words.h"

namespace ccrules::dialect::anthropic_messages {
namespace {

/// What a request without max_tokens gets when the model's own limit is not known: Anthropic insists on a
/// number.
constexpr std::int64_t kDefaultMaxTokens = 4096;
/// The smallest thinking budget the API takes.
constexpr std::int64_t kLeastBudgetTokens = 1024;

struct EffortBudget {
  std::string_view effort;
  std::int64_t budget_tokens;  ///< what models before adaptive thinking get for the word; also its upper edge
                               ///< the other way
};
constexpr std::array<EffortBudget, 6> kEfforts = {
    {{"minimal", 1024}, {"low", 4096}, {"medium", 12288}, {"high", 24576}, {"xhigh", 32768}, {"max", 65536}}};

std::int64_t budget_of(std::string_view effort) {
  for (const auto& [word, budget] : kEfforts) {
    if (word == effort) return budget;
  }
  return 12288;
}

std::string effort_of(std::int64_t budget_tokens) {
  for (const auto& [word, budget] : kEfforts) {
    if (budget_tokens <= budget) return std::string(word == "minimal" ? "low" : word);
  }
  return "max";
}

/// How the answer shall be thought about, as the target takes it.
struct Thought {
  std::string type;  ///< "" : the member is left out
  std::int64_t budget_tokens = 0;
  std::string effort;  ///< output_config.effort; empty: left out
};

/// The strongest accepted effort that is not above the wanted one; else the weakest accepted.
std::string accepted_effort(const std::string& wanted, const Capabilities& target, chat::LossNotes& losses) {
  std::string effort = wanted == "minimal" ? "low" : wanted;
  if (effort.empty() || effort == "none" || target.efforts.empty())
    return effort == "none" ? std::string() : effort;
  const auto accepted = [&](std::string_view word) {
    return std::find(target.efforts.begin(), target.efforts.end(), word) != target.efforts.end();
  };
  if (accepted(effort)) return effort;
  std::string best;
  for (const auto& [word, budget] : kEfforts) {
    if (!accepted(word)) continue;
    if (best.empty() || budget <= budget_of(effort)) best = word;
  }
  losses.add("effort", "the model takes another effort word");
  return best;
}

/// No thinking, or what comes nearest to it.
void write_off(Thought& thought, const Capabilities& target, chat::LossNotes& losses) {
  if (!target.thinking_disabled) {
    thought.effort = accepted_effort("low", target, losses);
    return;
  }
  thought.type = "disabled";
  if (thought.effort.empty()) return;
  if (!target.thinking_adaptive || target.effort_when_disabled == "none") {
    thought.effort.clear();
    losses.add("effort", "not taken beside disabled thinking");
  } else if (effort_exceeds(thought.effort, target.effort_when_disabled)) {
    thought.effort = target.effort_when_disabled;
    losses.add("effort", "the strongest that is taken beside disabled thinking");
  }
}

/// Claude models differ in the kinds of thinking they take; a wrong kind is a 400 (G-10).
Thought thought_for(const chat::Request& request, const Capabilities& target, std::int64_t max_tokens,
                    chat::LossNotes& losses) {
  using chat::ThinkingKind;
  Thought thought;
  thought.effort = accepted_effort(request.effort, target, losses);
  ThinkingKind kind = request.thinking.kind;
  std::int64_t budget = request.thinking.budget_tokens.value_or(budget_of(request.effort));
  if (kind == ThinkingKind::kBetweenTools || (kind == ThinkingKind::kDisabled && !target.thinking_disabled)) {
    // Where one of the two is not taken, the other one comes nearest.
    if (target.thinking_between_tools) {
      thought.type = "between_tools";
      if (kind == ThinkingKind::kDisabled) losses.add("thinking.disabled", "the model thinks at least between tools");
      return thought;
    }
    write_off(thought, target, losses);
    if (kind == ThinkingKind::kDisabled) {
      losses.add("thinking.disabled", "the model always thinks; its effort is set to low");
    } else if (thought.type.empty()) {
      losses.add("thinking.between_tools", "the model always thinks; its effort is set to low");
    } else {
      losses.add("thinking.between_tools", "the model does not take it; thinking is off");
    }
    return thought;
  }
  if (kind == ThinkingKind::kDisabled) {
    write_off(thought, target, losses);
    return thought;
  }
  if (kind == ThinkingKind::kEnabled && !target.thinking_enabled) {
    kind = ThinkingKind::kAdaptive;
    if (thought.effort.empty()) thought.effort = accepted_effort(effort_of(budget), target, losses);
    losses.add("thinking.budget_tokens", "the model takes an effort instead of a budget");
  } else if (kind == ThinkingKind::kAdaptive && !target.thinking_adaptive) {
    kind = ThinkingKind::kEnabled;
    thought.effort.clear();
    losses.add("thinking.adaptive", "the model takes a budget instead");
  }
  if (kind == ThinkingKind::kAdaptive) thought.type = "adaptive";
  if (kind == ThinkingKind::kEnabled) {
    if (budget >= max_tokens) {
      budget = max_tokens - 1;
      if (request.thinking.budget_tokens) losses.add("thinking.budget_tokens", "lowered below max_tokens");
    }
    if (budget < kLeastBudgetTokens) {
      losses.add("thinking", "max_tokens leaves no room for the smallest thinking budget");
      return thought;
    }
    thought.type = "enabled";
    thought.budget_tokens = budget;
  }
  return thought;
}

class RequestWriter {
 public:
  RequestWriter(chat::Request request, const Capabilities& target, chat::LossNotes& losses)
      : request_(std::move(request)), target_(target), losses_(losses), own_(request_.dialect == kName) {}

  Result<std::string> write() {
    if (!own_) {
      CCR_CHECK(refuse_kept_state(request_, target_));
      note_unknown_members(request_, losses_);
    }
    const std::size_t room = expected_bytes(request_);
    HistoryWriter history(request_.dialect, std::move(request_.messages), target_, losses_);
    if (history.empty()) return nothing_to_send();
    out_.reserve(room);
    json::Writer writer(out_);
    const std::int64_t max_tokens = most_output();
    Thought thought = thought_for(request_, target_, max_tokens, losses_);
    if (thought.type == "enabled" && history.continues_unthought_call()) {
      thought.type.clear();
      losses_.add("thinking", "the tool call being continued was made without thinking");
    }
    writer.begin_object().member("model", target_.model.empty() ? request_.model : target_.model);
    writer.member("max_tokens", max_tokens);
    write_system(writer);
    writer.key("messages").begin_array();
    history.write(writer);
    writer.end_array();
    write_tools(writer);
    write_tool_choice(writer, thought);
    write_thinking(writer, thought);
    write_sampling(writer, thought);
    write_stop(writer);
    write_metadata(writer);
    if (request_.stream) writer.member("stream", true);
    write_rest(writer);
    writer.end_object();
    return std::move(out_);
  }

 private:
  /// Not lowered to what the window leaves (G-2): Anthropic counts that better, and clients recover from its own words.
  std::int64_t most_output() {
    const std::int64_t asked = request_.max_tokens.value_or(target_.max_output_tokens.value_or(kDefaultMaxTokens));
    if (!target_.max_output_tokens || asked <= *target_.max_output_tokens) return asked;
    losses_.add("max_tokens", "lowered to the most that the model writes");
    return *target_.max_output_tokens;
  }

  void write_system(json::Writer& writer) {
    if (request_.system.empty()) return;
    const auto* only =
        request_.system.size() == 1 ? std::get_if<chat::Text>(&request_.system.front().value) : nullptr;
    if (request_.system_plain_string && only != nullptr) {
      if (!only->text.empty()) writer.member("system", only->text);
      return;
    }
    writer.key("system").begin_array();
    for (const chat::Block& block : request_.system) {
      const auto* words = std::get_if<chat::Text>(&block.value);
      if (words != nullptr && words->text.empty()) continue;
      if (const auto* opaque = std::get_if<chat::Opaque>(&block.value);
          opaque != nullptr && opaque->dialect != kName) {
        losses_.add("system block " + safe_name(opaque->type), "Anthropic has no such block");
        continue;
      }
      if (!own_ && std::holds_alternative<chat::Image>(block.value)) {
        losses_.add("system.image", "system prompts are text only");
        continue;
      }
      if (!own_ && std::holds_alternative<chat::Document>(block.value)) {
        losses_.add("system.document", "system prompts are text only");
        continue;
      }
      write_block(writer, block);
    }
    writer.end_array();
  }

  void write_tools(json::Writer& writer) {
    if (request_.tools.empty()) return;
    writer.key("tools").begin_array();
    for (const chat::Tool& tool : request_.tools) {
      if (!own_ && tool.type == kNamespaceTool) {
        if (!tool.description.empty()) losses_.add("tools[].namespace.description", "the functions of a namespace are sent by themselves");
        continue;
      }
      const bool foreign = !tool.type.empty() && tool.type != "custom" && tool.type != "function";
      if (foreign || (!own_ && tool.type == "custom" && tool.schema_json.empty())) {
        if (own_) {
          writer.raw(tool.original_json);
        } else {
          losses_.add("tools[] " + safe_name(tool.type), "Anthropic has no such tool type");
        }
        continue;
      }
      writer.begin_object().member("name", own_ ? tool.name : sent_tool_name(tool.name));
      if (!tool.description.empty()) writer.member("description", tool.description);
      writer.member_raw("input_schema", object_schema(tool.schema_json));
      if (own_) {
        if (!tool.type.empty()) writer.member("type", tool.type);
        if (tool.strict) writer.member("strict", *tool.strict);
        if (tool.defer_loading) writer.member("defer_loading", true);
        write_members(writer, tool.extra_json);
      } else {
        if (tool.strict.value_or(false))
          losses_.add("tools[].strict", "Anthropic takes it with a beta header only");
        if (!tool.extra_json.empty()) losses_.add("tools[] members", "unknown members of another dialect");
      }
      if (!tool.cache_control_json.empty()) writer.member_raw("cache_control", tool.cache_control_json);
      writer.end_object();
    }
    writer.end_array();
  }

  /// Anthropic insists on a schema of type object; others take an empty one or none.
  static std::string object_schema(const std::string& schema_json) {
    constexpr std::string_view kUsual = R"({"type":)";
    if (schema_json.starts_with(kUsual)) return schema_json;
    auto document = json::Document::open_view(schema_json);
    if (!document.ok()) return R"({"type":"object","properties":{}})";
    const auto root = document->root();
    if (!root.ok() || !root->is(json::Type::kObject)) return R"({"type":"object","properties":{}})";
    if (root->peek("type")) return schema_json;
    json::Edit edit;
    edit.path.emplace_back("type");
    edit.value_json = "\"object\"";
    auto typed = json::splice(schema_json, {edit});
    return typed.ok() ? *std::move(typed) : schema_json;
  }

  /// Unmodelled members of one of the objects that the model takes apart; empty when there are none.
  [[nodiscard]] std::string others_in(std::string_view name) const {
    if (!own_ || request_.extra_json.empty()) return {};
    auto document = json::Document::open_view(request_.extra_json);
    if (!document.ok()) return {};
    const auto root = document->root();
    if (!root.ok()) return {};
    auto member = root->peek(name);
    if (!member || !member->is(json::Type::kObject)) return {};
    return std::string(member->peek_raw());
  }

  void write_metadata(json::Writer& writer) {
    const std::string others = others_in("metadata");
    if (request_.user_id.empty() && others.empty()) return;
    writer.key("metadata").begin_object();
    if (!request_.user_id.empty()) writer.member("user_id", request_.user_id);
    write_members(writer, others);
    writer.end_object();
  }

  void write_tool_choice(json::Writer& writer, const Thought& thought) {
    if (!request_.tool_choice || request_.tools.empty()) return;
    const chat::ToolChoice& choice = *request_.tool_choice;
    chat::ToolChoiceKind kind = choice.kind;
    const bool forced = kind == chat::ToolChoiceKind::kAny || kind == chat::ToolChoiceKind::kTool;
    if (forced && (!target_.forced_tool_choice || thought.type == "enabled")) {
      kind = chat::ToolChoiceKind::kAuto;
      losses_.add("tool_choice", "the model does not take a forced tool; it may choose");
    }
    writer.key("tool_choice").begin_object();
    switch (kind) {
      case chat::ToolChoiceKind::kAuto:
        writer.member("type", "auto");
        break;
      case chat::ToolChoiceKind::kAny:
        writer.member("type", "any");
        break;
      case chat::ToolChoiceKind::kTool:
        writer.member("type", "tool").member("name", own_ ? choice.name : sent_tool_name(choice.name));
        break;
      case chat::ToolChoiceKind::kNone:
        writer.member("type", "none");
        break;
    }
    if (choice.parallel_tool_calls && kind != chat::ToolChoiceKind::kNone) {
      writer.member("disable_parallel_tool_use", !*choice.parallel_tool_calls);
    }
    writer.end_object();
  }

  void write_thinking(json::Writer& writer, const Thought& thought) {
    if (!thought.type.empty()) {
      writer.key("thinking").begin_object().member("type", thought.type);
      if (thought.type == "enabled") writer.member("budget_tokens", thought.budget_tokens);
      if (!request_.thinking.display.empty() && thought.type != "disabled")
        writer.member("display", request_.thinking.display);
      write_members(writer, others_in("thinking"));
      writer.end_object();
    }
    if (request_.json_object_mode && request_.response_schema_json.empty())
      losses_.add("response_format json_object", "Anthropic takes a schema only");
    if (!own_) note_schema_settings(request_, "Anthropic takes the schema alone", losses_);
    const std::string others = others_in("output_config");
    if (thought.effort.empty() && request_.response_schema_json.empty() && others.empty()) return;
    writer.key("output_config").begin_object();
    if (!thought.effort.empty()) writer.member("effort", thought.effort);
    if (!request_.response_schema_json.empty()) {
      writer.key("format")
          .begin_object()
          .member("type", "json_schema")
          .member_raw("schema", request_.response_schema_json)
          .end_object();
    }
    write_members(writer, others);
    writer.end_object();
  }

  void write_sampling(json::Writer& writer, const Thought& thought) {
    const bool thinks = thought.type == "enabled" || thought.type == "adaptive";
    if (!request_.temperature && !request_.top_p && !request_.top_k) return;
    if (!target_.sampling || (thinks && !own_)) {
      losses_.add("sampling", "the model does not take temperature, top_p or top_k here");
      return;
    }
    if (request_.temperature) {
      if (*request_.temperature > 1.0) losses_.add("temperature", "Anthropic's highest temperature is 1");
      writer.member("temperature", std::min(*request_.temperature, 1.0));
    }
    if (request_.top_p && request_.temperature && !own_) {
      losses_.add("top_p", "Claude takes temperature or top_p, not both");
    } else if (request_.top_p) {
      writer.member("top_p", *request_.top_p);
    }
    if (request_.top_k) writer.member("top_k", *request_.top_k);
  }

  void write_stop(json::Writer& writer) {
    std::vector<std::string_view> stops;
    for (const std::string& stop : request_.stop_sequences) {
      if (own_ || !text::trim(stop).empty()) {
        stops.push_back(stop);
      } else {
        losses_.add("stop", "Anthropic takes no stop sequence of white space only");
      }
    }
    if (stops.empty()) return;
    writer.key("stop_sequences").begin_array();
    for (const std::string_view stop : stops) writer.string(stop);
    writer.end_array();
  }

  void write_rest(json::Writer& writer) {
    if (request_.extra_json.empty()) return;
    if (!own_) return note_foreign_members(request_, "Anthropic has no such setting", losses_);
    auto document = json::Document::open_view(request_.extra_json);
    if (!document.ok()) return;
    auto members = document->root_object();
    if (!members.ok()) return;
    while (members->next()) {
      const std::string_view name = members->key();
      if (name == "thinking" || name == "output_config" || name == "metadata")
        continue;  // written with their objects
      if (const auto raw = members->value().raw(); raw.ok()) writer.member_raw(name, *raw);
    }
  }

  chat::Request request_;  ///< without its messages, once they are being written
  const Capabilities& target_;
  chat::LossNotes& losses_;
  bool own_;
  std::string out_;
};

}  // namespace

Result<std::string> write_request(chat::Request request, const Capabilities& target, chat::LossNotes& losses) {
  return RequestWriter(std::move(request), target, losses).write();
}

std::string sent_tool_name(const std::string& name) {
  constexpr std::size_t kLongestName = 128;
  const bool fits = name.size() <= kLongestName && (is_tool_name(name) || std::all_of(name.begin(), name.end(), [](char c) {
                      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
                    }));
  return fits ? name : shortened_tool_name(name);
}

std::vector<RenamedTool> renamed_tools(const chat::Request& request) {
  std::vector<RenamedTool> renamed;
  if (request.dialect == kName) return renamed;
  for (const chat::Tool& tool : request.tools) {
    if (is_tool_name(tool.name)) continue;
    std::string sent = sent_tool_name(tool.name);
    if (sent != tool.name) renamed.push_back({std::move(sent), tool.name});
  }
  return renamed;
}

}  // namespace ccrules::dialect::anthropic_messages
