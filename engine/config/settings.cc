#include "config/settings.h"

#include <array>

namespace ccrules::config {
namespace {

constexpr std::int64_t kPortMost = 65535;
constexpr std::int64_t kWorkersMost = 1024;
constexpr std::int64_t kDecisionsMost = 1'000'000;
constexpr std::int64_t kWeekMs = 7 * 24 * 3600 * std::int64_t{1000};
constexpr std::int64_t kGigabyte = std::int64_t{1024} * 1024 * 1024;

constexpr Bounds kSomeTime{1, kWeekMs};
constexpr Bounds kTimeOrNone{0, kWeekMs};

using Of = Setting<Snapshot>;
const std::array kSettings = {
    Of{"listen.host", [](Snapshot& s) -> Slot { return &s.listen.host; }},
    Of{"listen.port", [](Snapshot& s) -> Slot { return &s.listen.port; }, {0, kPortMost}},
    Of{"listen.api_key", [](Snapshot& s) -> Slot { return &s.listen.api_key; }},
    Of{"listen.admin_key", [](Snapshot& s) -> Slot { return &s.listen.admin_key; }},
    Of{"listen.allowed_hosts", [](Snapshot& s) -> Slot { return &s.listen.allowed_hosts; }},
    Of{"listen.tls.cert", [](Snapshot& s) -> Slot { return &s.listen.tls_cert; }},
    Of{"listen.tls.key", [](Snapshot& s) -> Slot { return &s.listen.tls_key; }},
    Of{"listen.shared", [](Snapshot& s) -> Slot { return &s.listen.shared; }},
    Of{"listen.compress", [](Snapshot& s) -> Slot { return &s.listen.compress; }},
    Of{"proxy", [](Snapshot& s) -> Slot { return &s.proxy; }},
    Of{"no_proxy", [](Snapshot& s) -> Slot { return &s.no_proxy; }},
    Of{"strict", [](Snapshot& s) -> Slot { return &s.strict; }},
    Of{"workers", [](Snapshot& s) -> Slot { return &s.workers; }, {0, kWorkersMost}},
    Of{"time_zone", [](Snapshot& s) -> Slot { return &s.time_zone; }},
    Of{"models_dir", [](Snapshot& s) -> Slot { return &s.models_dir; }},
    Of{"thresholds.longContext", [](Snapshot& s) -> Slot { return &s.long_context_tokens; }, {0}},
    Of{"rules", [](Snapshot& s) -> Slot { return &s.rules; }},
    Of{"shadow", [](Snapshot& s) -> Slot { return &s.shadow; }},
    Of{"reload.tests", [](Snapshot& s) -> Slot { return &s.reload.tests; }},
    Of{"reload.decisions", [](Snapshot& s) -> Slot { return &s.reload.decisions; }, {0, kDecisionsMost}},
    Of{"reload.max_change_percent", [](Snapshot& s) -> Slot { return &s.reload.max_change_percent; }, {0, 100}},
    Of{"reload.watch", [](Snapshot& s) -> Slot { return &s.reload.watch; }},
    Of{"ledger.path", [](Snapshot& s) -> Slot { return &s.ledger.path; }},
    Of{"ledger.keep_days", [](Snapshot& s) -> Slot { return &s.ledger.keep_days; }, {0, 36500}},
    Of{"ledger.bodies", [](Snapshot& s) -> Slot { return &s.ledger.bodies; }},
    Of{"ledger.durable", [](Snapshot& s) -> Slot { return &s.ledger.durable; }},
    Of{"cache.enabled", [](Snapshot& s) -> Slot { return &s.cache.enabled; }},
    Of{"cache.max_bytes", [](Snapshot& s) -> Slot { return &s.cache.max_bytes; }, {0, 1024 * kGigabyte}},
    Of{"cache.ttl", [](Snapshot& s) -> Slot { return &s.cache.ttl; }, kSomeTime},
    Of{"cache.persist", [](Snapshot& s) -> Slot { return &s.cache.persist; }},
    Of{"log.level", [](Snapshot& s) -> Slot { return &s.log.level; }},
    Of{"log.format", [](Snapshot& s) -> Slot { return LogFormat{&s.log.json}; }},
    Of{"log.file", [](Snapshot& s) -> Slot { return &s.log.file; }},
    Of{"timeouts.connect", [](Snapshot& s) -> Slot { return &s.timeouts.connect; }, kSomeTime},
    Of{"timeouts.first_byte", [](Snapshot& s) -> Slot { return &s.timeouts.first_byte; }, kSomeTime},
    Of{"timeouts.idle", [](Snapshot& s) -> Slot { return &s.timeouts.idle; }, kSomeTime},
    Of{"timeouts.total", [](Snapshot& s) -> Slot { return &s.timeouts.total; }, kTimeOrNone},
    Of{"limits.body", [](Snapshot& s) -> Slot { return &s.limits.body; }, {1024, kGigabyte}},
    Of{"limits.header", [](Snapshot& s) -> Slot { return &s.limits.header; }, {1024, 1024 * 1024}},
    Of{"limits.connections",
       [](Snapshot& s) -> Slot { return Amount{&s.limits.connections}; },
       {1, 1'000'000}},
    Of{"retry.max_attempts", [](Snapshot& s) -> Slot { return &s.retry.max_attempts; }, {1, 20}},
    Of{"retry.base", [](Snapshot& s) -> Slot { return &s.retry.base; }, kTimeOrNone},
    Of{"retry.at_most", [](Snapshot& s) -> Slot { return &s.retry.at_most; }, kTimeOrNone},
    Of{"hedge.after", [](Snapshot& s) -> Slot { return &s.hedge.after; }, kTimeOrNone},
    Of{"circuit.failures", [](Snapshot& s) -> Slot { return &s.circuit.failures; }, {0, 1000}},
    Of{"circuit.open_for", [](Snapshot& s) -> Slot { return &s.circuit.open_for; }, kSomeTime},
};

using OfProvider = Setting<Provider>;
const std::array kProviderSettings = {
    OfProvider{"dialect", [](Provider& p) -> Slot { return &p.dialect; }},
    OfProvider{"base_url", [](Provider& p) -> Slot { return &p.base_url; }},
    OfProvider{"api_key", [](Provider& p) -> Slot { return &p.api_key; }},
    OfProvider{"base_urls", [](Provider& p) -> Slot { return &p.base_urls; }},
    OfProvider{"api_keys", [](Provider& p) -> Slot { return &p.api_keys; }},
    OfProvider{"auth", [](Provider& p) -> Slot { return &p.auth; }},
    OfProvider{"models", [](Provider& p) -> Slot { return &p.models; }},
    OfProvider{"timeouts.connect", [](Provider& p) -> Slot { return &p.timeouts.connect; }, kSomeTime},
    OfProvider{"timeouts.first_byte", [](Provider& p) -> Slot { return &p.timeouts.first_byte; }, kSomeTime},
    OfProvider{"timeouts.idle", [](Provider& p) -> Slot { return &p.timeouts.idle; }, kSomeTime},
    OfProvider{"timeouts.total", [](Provider& p) -> Slot { return &p.timeouts.total; }, kTimeOrNone},
    OfProvider{"hedge.after", [](Provider& p) -> Slot { return &p.hedge.after; }, kTimeOrNone},
    OfProvider{"max_retries", [](Provider& p) -> Slot { return &p.max_retries; }, {0, 20}},
    OfProvider{"price_like", [](Provider& p) -> Slot { return &p.price_like; }},
    OfProvider{"local", [](Provider& p) -> Slot { return &p.local; }},
    OfProvider{"ca_file", [](Provider& p) -> Slot { return &p.ca_file; }},
    OfProvider{"compression", [](Provider& p) -> Slot { return &p.compression; }},
    OfProvider{"http2", [](Provider& p) -> Slot { return &p.http2; }},
    OfProvider{"proxy", [](Provider& p) -> Slot { return &p.proxy; }},
    OfProvider{"reasoning_replay", [](Provider& p) -> Slot { return &p.reasoning_replay; }},
    OfProvider{"reasoning_style", [](Provider& p) -> Slot { return &p.reasoning_style; }},
    OfProvider{"cloud", [](Provider& p) -> Slot { return &p.cloud; }},
    OfProvider{"aws_scope", [](Provider& p) -> Slot { return &p.aws_scope; }},
    OfProvider{"enabled", [](Provider& p) -> Slot { return &p.enabled; }},
};

constexpr std::array<std::string_view, 26> kSwitches = {"vision",
                                                        "documents",
                                                        "tool_message_images",
                                                        "developer_role",
                                                        "mid_system",
                                                        "max_completion_tokens",
                                                        "stream_usage",
                                                        "sampling",
                                                        "forced_tool_choice",
                                                        "reasoning_effort",
                                                        "prefill",
                                                        "parallel_tool_calls",
                                                        "thinking_enabled",
                                                        "thinking_adaptive",
                                                        "thinking_disabled",
                                                        "thinking_between_tools",
                                                        "effort_when_disabled",
                                                        "nine_character_tool_ids",
                                                        "cache_control",
                                                        "user_identifiers",
                                                        "tools_need_no_effort",
                                                        "count_tokens",
                                                        "batches",
                                                        "json_schema",
                                                        "encrypted_reasoning",
                                                        "whole_by_stream"};

constexpr std::array<std::string_view, 9> kSections = {"$schema", "providers", "routes",  "agents",     "fallbacks",
                                                       "tiers",   "prices",    "budgets", "rate_limits"};

}  // namespace

std::span<const Setting<Snapshot>> settings() {
  return kSettings;
}
std::span<const Setting<Provider>> provider_settings() {
  return kProviderSettings;
}
std::span<const std::string_view> switch_names() {
  return kSwitches;
}
std::span<const std::string_view> section_names() {
  return kSections;
}

std::string variable_name(std::string_view path) {
  std::string out;
  bool small = false;
  for (const char c : path) {
    if (c >= 'a' && c <= 'z') {
      out += static_cast<char>(c - 'a' + 'A');
      small = true;
      continue;
    }
    const bool capital = c >= 'A' && c <= 'Z';
    const bool digit = c >= '0' && c <= '9';
    if (capital && small) out += '_';
    out += capital || digit ? c : '_';
    small = false;
  }
  return out;
}

}  // namespace ccrules::config
