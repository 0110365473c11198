#include "proxy/cache_breaks.h"

#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <string>
#include <utility>
#include <variant>

#include "core/json.h"
#include "core/limits.h"
#include "core/result.h"
#include "proxy/one_attempt.h"
#include "proxy/plan.h"
#include "proxy/visit.h"
#include "proxy/worker.h"

namespace ccrules::proxy {
namespace {

constexpr std::int64_t kHourUs = std::chrono::microseconds(std::chrono::hours(1)).count();
constexpr std::int64_t kWarmUs = std::chrono::microseconds(limits::kWarmTime).count();
constexpr std::string_view kAttribution = "\"x-anthropic-billing-header:";
constexpr std::int64_t kLargeShare = 4;    ///< a break: at least one token of so many that were held was not read,
constexpr std::int64_t kWrittenShare = 2;  ///< and one of so many of these was written; else the prompt has become shorter

/// What one agent of a session has at one target.
digest::Hash128 key_of(const CacheBreaks::Use& use) {
  std::string key;
  for (const std::string* part : {&use.who.session, &use.who.agent, &use.who.agent_id, &use.who.request_class, &use.target.provider,
                                  &use.target.model}) {
    key.append(*part).push_back('\n');
  }
  return digest::hash128(key, 0);
}

Result<void> add_tools(std::string_view body, PrefixParts& parts) {
  CCR_TRY(document, json::Document::open_view(body));
  CCR_TRY(root, document.root_object());
  while (root.next()) {
    if (root.key() != "tools" || !root.value().is(json::Type::kArray)) continue;
    CCR_TRY(tools, root.value().array());
    while (tools.next()) {
      CCR_TRY(tool_json, tools.value().raw());
      parts.tools = digest::hash64(tool_json, parts.tools);
      parts.tool_set += digest::hash64(tool_json);
    }
    return tools.done();
  }
  return root.done();
}

BreakCause cause_of(const PrefixParts& before, const PrefixParts& now) {
  if (before.tools != now.tools) return before.tool_set == now.tool_set ? BreakCause::kToolsReordered : BreakCause::kToolsChanged;
  if (before.attribution != now.attribution) return BreakCause::kAttribution;
  return before.system == now.system ? BreakCause::kMessages : BreakCause::kSystem;
}

/// Null: it has not said anything yet.
const chat::Usage* usage_so_far(const FirstReply& reply) {
  if (reply.reply) return &reply.reply->usage;
  for (const chat::Event& event : reply.events) {
    if (const auto* start = std::get_if<chat::MessageStart>(&event)) return &start->usage;
  }
  return nullptr;
}

/// What writing costs more than reading would have.
std::optional<std::int64_t> extra_nanousd(const Visit& visit, std::int64_t tokens, const chat::Usage& usage) {
  chat::Usage written;
  written.cache_write_tokens = tokens;
  if (usage.cache_write_1h_tokens) written.cache_write_1h_tokens = std::min(tokens, *usage.cache_write_1h_tokens);
  chat::Usage read;
  read.cache_read_tokens = tokens;
  const auto written_nanousd = visit.price_of(written);
  const auto read_nanousd = visit.price_of(read);
  if (!written_nanousd || !read_nanousd) return std::nullopt;
  return *written_nanousd - *read_nanousd;
}

}  // namespace

const char* break_cause_name(BreakCause cause) noexcept {
  switch (cause) {
    case BreakCause::kExpired:
      return "expired";
    case BreakCause::kToolsReordered:
      return "tools reordered";
    case BreakCause::kToolsChanged:
      return "tools changed";
    case BreakCause::kAttribution:
      return "attribution line";
    case BreakCause::kSystem:
      return "system changed";
    case BreakCause::kMessages:
      break;
  }
  return "early messages changed";
}

PrefixParts prefix_parts(const chat::Outline& outline, std::string_view body) {
  PrefixParts parts;
  for (const std::string_view text : outline.system_json) {
    if (text.data() == outline.system_json.front().data() && text.starts_with(kAttribution))
      parts.attribution = digest::hash64(text);
    else
      parts.system = digest::hash64(text, parts.system);
  }
  if (outline.tools > 0) (void)add_tools(body, parts);  // malformed: its provider has answered it all the same
  return parts;
}

std::optional<CacheBreaks::Break> CacheBreaks::answered(const Use& use, const chat::Outline& outline, std::string_view body) {
  const std::int64_t was_read = use.usage.cache_read_tokens.value_or(0);
  const std::int64_t written = use.usage.cache_write_tokens.value_or(0);
  if (use.who.session.empty() || was_read + written <= 0) return std::nullopt;
  const digest::Hash128 key = key_of(use);
  const bool for_an_hour = use.usage.cache_write_1h_tokens.value_or(0) > 0;
  Cache now;
  now.tokens = was_read + written;
  now.written_us = use.wall_us;
  now.lifetime_us = for_an_hour ? kHourUs : kWarmUs;
  std::optional<Cache> before;
  {
    const std::lock_guard lock(mutex_);
    const auto known = caches_.find(key);
    if (known != caches_.end()) {
      Cache& cache = known->second;
      if (was_read >= cache.tokens) {  // all that was held: it begins as before
        now.lifetime_us = std::max(now.lifetime_us, cache.lifetime_us);
        now.until_us = std::max(cache.until_us, use.arrived_us + now.lifetime_us);
        now.parts = cache.parts;
        cache = now;
        return std::nullopt;
      }
      before = cache;
    }
  }
  now.until_us = use.arrived_us + now.lifetime_us;
  now.parts = prefix_parts(outline, body);
  {
    const std::lock_guard lock(mutex_);
    if (caches_.size() >= limits::kWarmKeys && !caches_.contains(key)) {
      std::erase_if(caches_, [&use](const auto& entry) { return entry.second.until_us <= use.wall_us; });
      if (caches_.size() >= limits::kWarmKeys) caches_.clear();  // all of them warm: better none than any of them
    }
    caches_.insert_or_assign(key, now);
  }
  if (!before || use.arrived_us < before->written_us) return std::nullopt;
  const std::int64_t missed = before->tokens - was_read;
  if (missed < before->tokens / kLargeShare || written < missed / kWrittenShare || written == 0) return std::nullopt;
  Break found;
  found.cause = before->until_us <= use.arrived_us ? BreakCause::kExpired : cause_of(before->parts, now.parts);
  found.tokens = std::min(missed, written);
  return found;
}

void note_cache_use(Worker& worker, const Plan& plan, const FirstReply& reply, Visit& visit) {
  const chat::Usage* usage = plan.who.session.empty() ? nullptr : usage_so_far(reply);
  if (usage == nullptr || plan.body == nullptr) return;
  const rules::Target target{visit.row.provider, visit.row.model};
  const auto found =
      worker.tallies.breaks.answered({plan.who, target, *usage, visit.row.at_us, worker.clock.wall_us()}, plan.outline, *plan.body);
  if (!found) return;
  visit.row.cache_break = break_cause_name(found->cause);
  visit.row.cache_break_tokens = found->tokens;
  visit.row.cache_break_nanousd = extra_nanousd(visit, found->tokens, *usage);
}

}  // namespace ccrules::proxy
