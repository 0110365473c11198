#include "chat/usage.h"

#include <algorithm>
#include <array>

namespace ccrules::chat {
namespace {

Iteration counts_of(const Usage& usage) {
  Iteration counts;
  counts.type = "message";
  counts.input_tokens = usage.input_tokens.value_or(0);
  counts.output_tokens = usage.output_tokens.value_or(0);
  counts.cache_read_tokens = usage.cache_read_tokens.value_or(0);
  counts.cache_write_tokens = usage.cache_write_tokens.value_or(0);
  counts.cache_write_1h_tokens = usage.cache_write_1h_tokens.value_or(0);
  return counts;
}

/// What `counts` has more than `parts`; nothing below zero.
Iteration beyond(Iteration counts, const Iteration& parts) {
  const auto less = [](std::int64_t& count, std::int64_t part) { count = std::max<std::int64_t>(0, count - part); };
  less(counts.input_tokens, parts.input_tokens);
  less(counts.output_tokens, parts.output_tokens);
  less(counts.cache_read_tokens, parts.cache_read_tokens);
  less(counts.cache_write_tokens, parts.cache_write_tokens);
  less(counts.cache_write_1h_tokens, parts.cache_write_1h_tokens);
  return counts;
}

bool has_tokens(const Iteration& part) {
  return part.input_tokens > 0 || part.output_tokens > 0 || part.cache_read_tokens > 0 || part.cache_write_tokens > 0;
}

void add(std::optional<std::int64_t>& count, std::int64_t more) {
  if (more > 0) count = count.value_or(0) + more;
}

void add(Usage& usage, const Iteration& part) {
  add(usage.input_tokens, part.input_tokens);
  add(usage.output_tokens, part.output_tokens);
  add(usage.cache_read_tokens, part.cache_read_tokens);
  add(usage.cache_write_tokens, part.cache_write_tokens);
  add(usage.cache_write_1h_tokens, part.cache_write_1h_tokens);
}

}  // namespace

Iteration& Iteration::operator+=(const Iteration& other) {
  input_tokens += other.input_tokens;
  output_tokens += other.output_tokens;
  cache_read_tokens += other.cache_read_tokens;
  cache_write_tokens += other.cache_write_tokens;
  cache_write_1h_tokens += other.cache_write_1h_tokens;
  return *this;
}

void Usage::merge(const Usage& later) {
  const auto take = [](std::optional<std::int64_t>& mine, const std::optional<std::int64_t>& theirs) {
    if (theirs) mine = theirs;
  };
  take(input_tokens, later.input_tokens);
  take(output_tokens, later.output_tokens);
  take(cache_read_tokens, later.cache_read_tokens);
  take(cache_write_tokens, later.cache_write_tokens);
  take(cache_write_1h_tokens, later.cache_write_1h_tokens);
  take(reasoning_tokens, later.reasoning_tokens);
  take(cost_nanousd, later.cost_nanousd);
  if (!later.iterations.empty()) iterations = later.iterations;
  // Each in its own right: the end of a stream may tell the tier again and not the speed.
  if (later.service_tier) service_tier = later.service_tier;
  if (later.speed) speed = later.speed;
  for (const Fee& fee : later.fees) charge(fee.name, fee.count);
  declined = declined || later.declined;
}

void Usage::charge(std::string_view fee, std::int64_t count) {
  if (count <= 0) return;
  for (Fee& known : fees) {
    if (known.name != fee) continue;
    known.count = count;
    return;
  }
  fees.push_back({fee, count});
}

std::vector<Iteration> Usage::billed() const {
  // platform.claude.com, "Compaction" (2026-10): the counts of the answer "do not include compaction iteration usage. They reflect
  // the sum of all non-compaction iterations"; what is billed is the sum "across all entries". "Advisor tool" (2026-10): each of
  // them "is the sum of that field across all executor iterations", and "advisor tokens are not rolled into" them: an entry is
  // billed at its own model's rates. "Refusals and fallback" (2026-07): they describe only the attempt that answered; each attempt
  // is billed at its own model's rates, and one that declined before any output, though listed, is not. So entries of type
  // "message" are in the counts already, and the list alone is the bill.
  const bool fell_back =
      std::any_of(iterations.begin(), iterations.end(), [](const Iteration& each) { return each.type == "fallback_message"; });
  std::vector<Iteration> parts;
  Iteration listed;
  for (const Iteration& each : iterations) {
    if (each.is_answer()) listed += each;
    const bool unbilled = (fell_back || declined) && each.is_answer() && each.output_tokens == 0;
    if (!unbilled) parts.push_back(each);
  }
  if (declined) return parts;  // the counts are those of the refusal
  // A list that says less than the counts: it is from an earlier event of a stream, or not Anthropic's.
  const Iteration rest = beyond(counts_of(*this), listed);
  if (has_tokens(rest)) parts.push_back(rest);
  return parts;
}

Usage Usage::total() const {
  if (iterations.empty()) return *this;
  Usage sum;
  sum.reasoning_tokens = reasoning_tokens;
  sum.cost_nanousd = cost_nanousd;
  sum.service_tier = service_tier;
  sum.speed = speed;
  sum.fees = fees;
  if (input_tokens) sum.input_tokens = 0;
  if (output_tokens) sum.output_tokens = 0;
  for (const Iteration& part : billed()) add(sum, part);
  return sum;
}

Usage Usage::with_compaction() const {
  Usage sum = *this;
  sum.iterations.clear();
  sum.declined = false;  // what ran before a refusal is all that it tells of
  for (const Iteration& each : iterations) {
    if (each.type == "compaction") add(sum, each);
  }
  return sum;
}

std::string_view Usage::tier() const noexcept {
  if (speed && !speed->empty()) return *speed;
  return service_tier ? std::string_view(*service_tier) : std::string_view();
}

bool Usage::empty() const noexcept {
  return !input_tokens && !output_tokens && !cache_read_tokens && !cache_write_tokens && !cache_write_1h_tokens && !reasoning_tokens &&
         !cost_nanousd && iterations.empty();
}

std::optional<std::string> tier_named(std::string_view word) {
  constexpr std::size_t kLongest = 32;
  constexpr std::array<std::string_view, 4> kStandard = {"standard", "default", "auto", "on_demand"};
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789_";
  const bool plain = !word.empty() && word.find_first_not_of(kLetters) == std::string_view::npos;
  if (!plain || word.size() > kLongest) return std::nullopt;
  const bool standard = std::find(kStandard.begin(), kStandard.end(), word) != kStandard.end();
  return standard ? std::string() : std::string(word);
}

}  // namespace ccrules::chat
