#include <algorithm>
#include <array>
#include <utility>

#include "core/limits.h"
#include "dialect/anthropic/parts.h"
#include "dialect/members.h"

namespace ccrules::dialect::anthropic_messages {
namespace {

constexpr std::array<std::pair<std::string_view, chat::StopReason>, 7> kStopReasons = {{
    {"end_turn", chat::StopReason::kEndTurn},
    {"max_tokens", chat::StopReason::kMaxTokens},
    {"tool_use", chat::StopReason::kToolUse},
    {"stop_sequence", chat::StopReason::kStopSequence},
    {"refusal", chat::StopReason::kRefusal},
    {"pause_turn", chat::StopReason::kPauseTurn},
    {"model_context_window_exceeded", chat::StopReason::kContextExceeded},
}};

/// The member `name` of an object value, as a count.
Result<std::optional<std::int64_t>> nested_count(json::Value& value, std::string_view name) {
  std::optional<std::int64_t> count;
  if (!value.is(json::Type::kObject)) return count;
  CCR_TRY(object, value.object());
  while (object.next()) {
    if (object.key() == name) count = told_count(object.value());
  }
  CCR_CHECK(object.done());
  return count;
}

/// A name of at most limits::kModelNameBytes; else empty.
std::string name_of(json::Value& value) {
  if (!value.is(json::Type::kString)) return {};
  const auto name = value.string();
  return name.ok() && name->size() <= limits::kModelNameBytes ? std::string(*name) : std::string();
}

Result<chat::Iteration> read_iteration(json::Value& value) {
  chat::Iteration iteration;
  CCR_TRY(members, value.object());
  while (members.next()) {
    const std::string_view key = members.key();
    json::Value& member = members.value();
    if (key == "type") {
      iteration.type = name_of(member);
    } else if (key == "model") {
      iteration.model = name_of(member);
    } else if (key == "input_tokens") {
      iteration.input_tokens = told_count(member).value_or(0);
    } else if (key == "output_tokens") {
      iteration.output_tokens = told_count(member).value_or(0);
    } else if (key == "cache_read_input_tokens") {
      iteration.cache_read_tokens = told_count(member).value_or(0);
    } else if (key == "cache_creation_input_tokens") {
      iteration.cache_write_tokens = told_count(member).value_or(0);
    } else if (key == "cache_creation") {
      CCR_TRY(count, nested_count(member, "ephemeral_1h_input_tokens"));
      iteration.cache_write_1h_tokens = count.value_or(0);
    }
  }
  CCR_CHECK(members.done());
  return iteration;
}

/// Beta headers compact-2026-01-12, advisor-tool-2026-03-01 and server-side-fallback-2026-07-01 bring these.
Result<std::vector<chat::Iteration>> read_iterations(json::Value& value) {
  std::vector<chat::Iteration> iterations;
  if (!value.is(json::Type::kArray)) return iterations;
  CCR_TRY(items, value.array());
  while (items.next()) {
    if (!items.value().is(json::Type::kObject)) continue;
    CCR_TRY(iteration, read_iteration(items.value()));
    if (iterations.size() < limits::kIterations) {
      iterations.push_back(std::move(iteration));
    } else {
      iterations.back() += iteration;
    }
  }
  CCR_CHECK(items.done());
  return iterations;
}

void write_iterations(json::Writer& writer, const std::vector<chat::Iteration>& iterations) {
  writer.key("iterations").begin_array();
  for (const chat::Iteration& each : iterations) {
    writer.begin_object().member("type", each.type);
    if (!each.model.empty()) writer.member("model", each.model);
    const std::int64_t written_1h = std::min(each.cache_write_tokens, each.cache_write_1h_tokens);
    writer.member("input_tokens", each.input_tokens).member("output_tokens", each.output_tokens);
    writer.member("cache_read_input_tokens", each.cache_read_tokens);
    writer.member("cache_creation_input_tokens", each.cache_write_tokens);
    writer.key("cache_creation").begin_object().member("ephemeral_5m_input_tokens", each.cache_write_tokens - written_1h);
    writer.member("ephemeral_1h_input_tokens", written_1h).end_object().end_object();
  }
  writer.end_array();
}

}  // namespace

Result<chat::Usage> read_usage(json::Value& value) {
  chat::Usage usage;
  if (!value.is(json::Type::kObject)) return usage;
  CCR_TRY(object, value.object());
  while (object.next()) {
    const std::string_view key = object.key();
    if (key == "input_tokens") {
      usage.input_tokens = told_count(object.value());
    } else if (key == "output_tokens") {
      usage.output_tokens = told_count(object.value());
    } else if (key == "cache_read_input_tokens") {
      usage.cache_read_tokens = told_count(object.value());
    } else if (key == "cache_creation_input_tokens") {
      usage.cache_write_tokens = told_count(object.value());
    } else if (key == "cache_creation") {
      CCR_TRY(count, nested_count(object.value(), "ephemeral_1h_input_tokens"));
      usage.cache_write_1h_tokens = count;
    } else if (key == "output_tokens_details") {
      CCR_TRY(count, nested_count(object.value(), "thinking_tokens"));
      usage.reasoning_tokens = count;
    } else if (key == "service_tier") {
      usage.service_tier = chat::tier_named(name_of(object.value()));
    } else if (key == "speed") {
      usage.speed = chat::tier_named(name_of(object.value()));
    } else if (key == "server_tool_use") {
      CCR_TRY(count, nested_count(object.value(), "web_search_requests"));
      usage.charge(chat::fee::kWebSearch, count.value_or(0));
    } else if (key == "inference_geo") {
      const std::string geo = name_of(object.value());
      if (!geo.empty() && geo != "global" && geo != "not_available") usage.charge(chat::fee::kInferenceGeo, 1);
    } else if (key == "iterations") {
      CCR_TRY(iterations, read_iterations(object.value()));
      usage.iterations = std::move(iterations);
    }
  }
  CCR_CHECK(object.done());
  return usage;
}

void note_refusal(chat::StopReason reason, chat::Usage& usage) {
  if (reason != chat::StopReason::kRefusal || usage.output_tokens != 0) return;
  if (usage.total().output_tokens == 0) {
    usage.cost_nanousd = 0;
  } else {
    usage.declined = true;  // a summary was written before it, or an advisor asked
  }
}

void write_usage(json::Writer& writer, const chat::Usage& usage, std::int64_t estimated_input_tokens) {
  const std::int64_t written = usage.cache_write_tokens.value_or(0);
  const std::int64_t written_1h = std::min(written, usage.cache_write_1h_tokens.value_or(0));
  writer.begin_object();
  writer.member("input_tokens", usage.input_tokens.value_or(estimated_input_tokens));
  writer.member("cache_creation_input_tokens", written);
  writer.member("cache_read_input_tokens", usage.cache_read_tokens.value_or(0));
  writer.key("cache_creation").begin_object();
  writer.member("ephemeral_5m_input_tokens", written - written_1h)
      .member("ephemeral_1h_input_tokens", written_1h);
  writer.end_object();
  writer.member("output_tokens", usage.output_tokens.value_or(0));
  if (usage.reasoning_tokens) {
    writer.key("output_tokens_details")
        .begin_object()
        .member("thinking_tokens", *usage.reasoning_tokens)
        .end_object();
  }
  if (!usage.iterations.empty()) write_iterations(writer, usage.iterations);
  writer.member("service_tier", "standard").end_object();
}

chat::StopReason stop_reason_from(std::string_view word) {
  for (const auto& [name, reason] : kStopReasons) {
    if (name == word) return reason;
  }
  return chat::StopReason::kOther;
}

std::string_view stop_reason_word(chat::StopReason reason) {
  for (const auto& [name, known] : kStopReasons) {
    if (known == reason) return name;
  }
  return "end_turn";
}

std::string safe_name(std::string_view name) {
  const bool plain = !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
  return plain ? std::string(name) : "?";
}

Result<void> take(json::Value& value, std::string& out) {
  if (value.is_null()) return {};
  CCR_TRY(text, value.string());
  out = text;
  return {};
}

Result<void> keep(json::Object& object, std::string& extra_json) {
  const std::string name(object.key());
  CCR_TRY(raw, object.value().raw());
  keep_member(extra_json, name, raw);
  return {};
}

void write_members(json::Writer& writer, std::string_view extra_json) {
  if (extra_json.empty()) return;
  auto document = json::Document::open_view(extra_json);
  if (!document.ok()) return;
  auto object = document->root_object();
  if (!object.ok()) return;
  while (object->next()) {
    const auto raw = object->value().raw();
    if (raw.ok()) writer.member_raw(object->key(), *raw);
  }
}

}  // namespace ccrules::dialect::anthropic_messages
