#include <algorithm>
#include <array>
#include <utility>

#include "core/text.h"
#include "dialect/gemini/parts.h"
#include "dialect/members.h"
#include "dialect/signature.h"
#include "dialect/tools.h"

namespace ccrules::dialect::gemini {
namespace {

constexpr std::size_t kLongestName = 128;
constexpr std::string_view kWrapped = "ccr:";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

using Count = std::optional<std::int64_t>;

void take(json::Value& value, Count& count) {
  if (const auto told = told_count(value)) count = told;
}

/// `serviceTier` ("standard", "priority"; also "SERVICE_TIER_PRIORITY") of Google's own API, `trafficType` ("ON_DEMAND",
/// "ON_DEMAND_FLEX", "PROVISIONED_THROUGHPUT") of Vertex AI, as Usage has a tier.
std::optional<std::string> tier_of(json::Value& value) {
  constexpr std::array<std::string_view, 3> kPrefixes = {"service_tier_", "traffic_type_", "on_demand_"};
  if (!value.is(json::Type::kString)) return std::nullopt;
  const auto told = value.string();
  if (!told) return std::nullopt;
  const std::string lower = text::lower(*told);
  std::string_view word = lower;
  for (const std::string_view prefix : kPrefixes) {
    if (word.starts_with(prefix)) word.remove_prefix(prefix.size());
  }
  return word == "unspecified" ? std::nullopt : chat::tier_named(word);
}

}  // namespace

std::string_view camel(std::string_view key, std::string& room) {
  if (key.find('_') == std::string_view::npos) return key;
  room.clear();
  bool raise = false;
  for (const char c : key) {
    if (c == '_') {
      raise = !room.empty();
      continue;
    }
    room += raise && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    raise = false;
  }
  return room;
}

chat::Usage read_usage(json::Value& value) {
  chat::Usage usage;
  if (!value.is(json::Type::kObject)) return usage;
  Count prompt, cached, candidates, thoughts, tool_prompt;
  auto object = value.object();
  while (object && object->next()) {
    const std::string_view key = object->key();
    if (key == "promptTokenCount") take(object->value(), prompt);
    if (key == "cachedContentTokenCount") take(object->value(), cached);
    if (key == "candidatesTokenCount") take(object->value(), candidates);
    if (key == "thoughtsTokenCount") take(object->value(), thoughts);
    if (key == "toolUsePromptTokenCount") take(object->value(), tool_prompt);
    if (key == "serviceTier" || key == "trafficType") {
      if (auto tier = tier_of(object->value())) usage.service_tier = std::move(tier);  // one of them may leave it open
    }
  }
  if (prompt || tool_prompt) {
    usage.input_tokens = std::max<std::int64_t>(0, prompt.value_or(0) + tool_prompt.value_or(0) - cached.value_or(0));
  }
  if (candidates || thoughts) usage.output_tokens = candidates.value_or(0) + thoughts.value_or(0);
  usage.cache_read_tokens = cached;
  usage.reasoning_tokens = thoughts;
  return usage;
}

void write_usage(json::Writer& writer, const chat::Usage& reported, std::int64_t estimated_input_tokens) {
  const chat::Usage usage = reported.with_compaction();
  const std::int64_t cached = usage.cache_read_tokens.value_or(0);
  const std::int64_t prompt =
      usage.input_tokens.value_or(estimated_input_tokens) + cached + usage.cache_write_tokens.value_or(0);
  const std::int64_t output = usage.output_tokens.value_or(0);
  const std::int64_t thoughts = std::min(output, usage.reasoning_tokens.value_or(0));
  writer.begin_object().member("promptTokenCount", prompt);
  if (usage.cache_read_tokens) writer.member("cachedContentTokenCount", cached);
  writer.member("candidatesTokenCount", output - thoughts);
  if (thoughts > 0) writer.member("thoughtsTokenCount", thoughts);
  writer.member("totalTokenCount", prompt + output).end_object();
}

Finish finish_of(std::string_view reason, std::string_view message, bool called_tools) {
  Finish finish;
  if (is_one_of(reason, {"MAX_TOKENS", "CONTINUATION"})) {
    finish.reason = chat::StopReason::kMaxTokens;
  } else if (is_one_of(reason, {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE"}) ||
             reason.starts_with("IMAGE_")) {
    finish.reason = chat::StopReason::kRefusal;
    finish.stop_details_json = refusal_details(reason, message);
  } else if (is_one_of(reason, {"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE"})) {
    finish.failed = true;
  } else if (called_tools) {
    finish.reason = chat::StopReason::kToolUse;
  } else if (reason != "STOP") {
    finish.reason = chat::StopReason::kOther;
  }
  return finish;
}

std::string refusal_details(std::string_view reason, std::string_view message) {
  std::string explanation = "the provider blocked this with reason " + std::string(reason);
  if (!message.empty()) explanation += ": " + std::string(message);
  std::string out;
  json::Writer writer(out);
  writer.begin_object().member("type", "refusal").key("category").null().member("explanation", explanation).end_object();
  return out;
}

std::string_view finish_reason_of(chat::StopReason reason) {
  switch (reason) {
    case chat::StopReason::kMaxTokens:
    case chat::StopReason::kContextExceeded:
      return "MAX_TOKENS";
    case chat::StopReason::kRefusal:
      return "SAFETY";
    case chat::StopReason::kEndTurn:
    case chat::StopReason::kToolUse:
    case chat::StopReason::kStopSequence:
    case chat::StopReason::kPauseTurn:
    case chat::StopReason::kOther:
      return "STOP";
  }
  return "STOP";
}

bool is_function_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > kLongestName || !is_letter(name.front())) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '.' || c == ':' || c == '-';
  });
}

std::string sent_function_name(std::string_view name) {
  if (is_function_name(name)) return std::string(name);
  std::string sent = shortened_tool_name(name);
  return is_letter(sent.front()) ? sent : "_" + sent;
}

Generation generation_of(std::string_view model) noexcept {
  constexpr std::string_view kFamily = "gemini-";
  const std::size_t at = model.find(kFamily);
  if (at == std::string_view::npos) return model.find("gemma") == std::string_view::npos ? Generation::k3 : Generation::kBefore25;
  model.remove_prefix(at + kFamily.size());
  if (model.starts_with("2.5")) return Generation::k25;
  return model.starts_with('1') || model.starts_with('2') ? Generation::kBefore25 : Generation::k3;
}

std::string wrap_signature(std::string_view signature) {
  return signature::to_base64(std::string(kWrapped) + std::string(signature));
}

std::optional<std::string> unwrap_signature(std::string_view thought_signature) {
  if (!thought_signature.starts_with(kOwnSignatureStart.substr(1))) return std::nullopt;
  // SDKs that keep bytes may send them back in the alphabet for URLs.
  std::string standard(thought_signature);
  std::replace(standard.begin(), standard.end(), '-', '+');
  std::replace(standard.begin(), standard.end(), '_', '/');
  while (standard.size() % 4 != 0) standard += '=';
  auto bytes = signature::from_base64(standard);
  if (!bytes || !bytes->starts_with(kWrapped)) return std::nullopt;
  return bytes->substr(kWrapped.size());
}

}  // namespace ccrules::dialect::gemini
