#include "tokens/calibration.h"

#include <algorithm>
#include <cmath>

#include "core/limits.h"

namespace ccrules::tokens {
namespace {

constexpr double kLeastRatio = 0.5, kMostRatio = 2;
constexpr std::size_t kEnough = 8;       ///< samples before their spread is believed
constexpr double kPriorWeight = 3;       ///< samples' worth of believing that the estimate is right
constexpr std::int64_t kTooSmall = 200;  ///< tokens: of such prompts the frames are most
constexpr double kNewShareError = 0.15;  ///< p95 of what stands behind an anchor

digest::Hash128 joined(digest::Hash128 before, digest::Hash128 next, unsigned mark) {
  const std::uint64_t words[5] = {before.low, before.high, next.low, next.high, mark};
  return digest::hash128({static_cast<const char*>(static_cast<const void*>(words)), sizeof(words)}, 0);
}

std::int64_t scaled(std::int64_t tokens, double by) {
  return std::llround(static_cast<double>(tokens) * by);
}

constexpr std::string_view kKinds = " #";  ///< begins what a key says of a prompt

digest::Hash128 at_target(std::string_view target, digest::Hash128 chain) {
  return joined(chain, digest::hash128(target, 0), 102);
}

}  // namespace

Calibration::Ratio Calibration::ratio(std::string_view key) const {
  const std::lock_guard lock(mutex_);
  const auto found = ratios_.find(key);
  return found == ratios_.end() ? Ratio() : found->second.ratio;
}

void Calibration::learn(std::string_view key, std::int64_t estimate, std::int64_t billed) {
  if (estimate < kTooSmall || billed < kTooSmall || billed > limits::kUsageTokens) return;
  const double log = std::log(static_cast<double>(billed) / static_cast<double>(estimate));
  if (std::abs(log) > std::log(4.0)) return;  // not the same prompt, or no honest count
  const std::lock_guard lock(mutex_);
  if (const std::size_t comma = key.find(','); comma != std::string_view::npos) {
    const std::string_view behind = key.substr(comma + 1);
    const std::string_view model = behind.substr(0, behind.find(kKinds));
    auto answered = providers_.find(model);
    if (answered == providers_.end()) {
      if (providers_.size() >= limits::kRatios) providers_.erase(providers_.begin());
      answered = providers_.emplace(model, std::string()).first;
    }
    answered->second = key.substr(0, comma);
  }
  auto found = ratios_.find(key);
  if (found == ratios_.end()) {
    if (ratios_.size() >= limits::kRatios) ratios_.erase(ratios_.begin());
    found = ratios_.emplace(key, Samples()).first;
  }
  Samples& samples = found->second;
  if (samples.logs.size() < kSamples) {
    samples.logs.push_back(static_cast<float>(log));
  } else {
    samples.logs[samples.next++ % kSamples] = static_cast<float>(log);
  }
  std::vector<float> sorted = samples.logs;
  std::sort(sorted.begin(), sorted.end());
  const auto count = static_cast<double>(sorted.size());
  const double median = static_cast<double>(sorted[sorted.size() / 2]);
  samples.ratio.ratio =
      std::clamp(std::exp(median * count / (count + kPriorWeight)), kLeastRatio, kMostRatio);
  if (sorted.size() < kEnough) return;
  const auto centre = static_cast<float>(std::log(samples.ratio.ratio));
  for (float& value : sorted) value = std::abs(value - centre);
  std::sort(sorted.begin(), sorted.end());
  samples.ratio.p95 = std::exp(static_cast<double>(sorted[sorted.size() * 95 / 100])) - 1;
}

std::string Calibration::usual_target(std::string_view model) const {
  std::string target;
  {
    const std::lock_guard lock(mutex_);
    const auto found = providers_.find(model);
    const std::string_view provider = found == providers_.end() ? std::string_view() : std::string_view(found->second);
    target.reserve(provider.size() + 1 + model.size());
    target.append(provider);
  }
  return target.append(",").append(model);
}

void Calibration::keep(std::string_view target, digest::Hash128 chain, Anchor anchor) {
  if (anchor.prompt_tokens <= 0 || anchor.prompt_tokens > limits::kUsageTokens) return;
  chain = at_target(target, chain);
  const std::lock_guard lock(mutex_);
  const auto [place, is_new] = anchors_.insert_or_assign(chain, anchor);
  (void)place;
  if (!is_new) return;
  anchor_order_.push_back(chain);
  if (anchor_order_.size() <= limits::kAnchors) return;
  anchors_.erase(anchor_order_.front());
  anchor_order_.pop_front();
}

std::optional<Calibration::Anchor> Calibration::find(std::string_view target, digest::Hash128 chain) const {
  chain = at_target(target, chain);
  const std::lock_guard lock(mutex_);
  const auto found = anchors_.find(chain);
  if (found == anchors_.end()) return std::nullopt;
  return found->second;
}

std::int64_t Calibration::steady(std::string_view conversation, Count count, std::size_t messages) {
  if (conversation.empty()) return count.tokens;
  const std::lock_guard lock(mutex_);
  auto found = conversations_.find(conversation);
  if (found == conversations_.end()) {
    if (conversations_.size() >= limits::kAnchors) conversations_.erase(conversations_.begin());
    found = conversations_.emplace(conversation, Conversation()).first;
  }
  Conversation& last = found->second;
  const bool grew = messages >= last.messages;
  const bool within = count.tokens + std::max(count.p95, last.count.p95) >= last.count.tokens;
  if (grew && within && count.tokens < last.count.tokens && count.grade != Grade::kExact) {
    last.messages = messages;
    return last.count.tokens;
  }
  last = {count, messages};
  return count.tokens;
}

std::vector<digest::Hash128> chain_of(const Prompt& prompt) {
  std::vector<digest::Hash128> chain;
  chain.reserve(prompt.messages.size() + 1);
  digest::Hash128 now = prompt.context_edits;
  std::size_t at = 0;
  for (; at < prompt.parts.size() && prompt.parts[at].message < 0; ++at) {
    now = joined(now, prompt.parts[at].hash, static_cast<unsigned>(prompt.parts[at].kind));
  }
  chain.push_back(now);
  for (std::size_t message = 0; message < prompt.messages.size(); ++message) {
    now = joined(now, {}, prompt.messages[message].assistant ? 101 : 100);
    for (; at < prompt.parts.size() && prompt.parts[at].message == static_cast<std::int32_t>(message); ++at) {
      now = joined(now, prompt.parts[at].hash, static_cast<unsigned>(prompt.parts[at].kind));
    }
    chain.push_back(now);
  }
  return chain;
}

std::string ratio_key(std::string_view target, const Prompt& prompt) {
  std::string key(target);
  key.append(kKinds).append(prompt.has_tools ? "tools" : "text");
  if (prompt.has_media) key.append(kKinds).append("media");
  return key;
}

Count best_count(const Prompt& prompt, std::string_view target, const std::vector<digest::Hash128>& chain,
                 const Calibration& calibration) {
  Count count{prompt.tokens, prompt.grade, prompt.p95};
  if (prompt.grade == Grade::kExact) return count;
  const std::string_view model = target.substr(target.find(',') + 1);
  const Calibration::Ratio learned = calibration.ratio(ratio_key(target, prompt));
  count.tokens = scaled(prompt.tokens, learned.ratio);
  if (learned.p95 >= 0) count.p95 = scaled(count.tokens, std::min(0.5, learned.p95 + 0.005)) + 1;

  for (std::size_t known = prompt.messages.size(); known > 0; --known) {
    const auto anchor = calibration.find(target, chain[known]);
    if (!anchor) continue;
    std::int64_t fresh = 0;
    std::int64_t answer = 0;  // the message after the anchor is what the provider said then
    const bool answered = known < prompt.messages.size() && prompt.messages[known].assistant;
    for (const Part& part : prompt.parts) {
      if (part.message < static_cast<std::int32_t>(known)) continue;
      (answered && part.message == static_cast<std::int32_t>(known) ? answer : fresh) += part.tokens;
    }
    fresh += static_cast<std::int64_t>(prompt.messages.size() - known) * prompt.family->message_tokens;
    std::int64_t guessed = fresh;
    if (answered && anchor->output_tokens > 0 && keeps_thinking(*prompt.family, model)) {
      answer = anchor->output_tokens;
    } else {
      guessed += answer;
      answer = scaled(answer, learned.ratio);
    }
    count.tokens = anchor->prompt_tokens + answer + scaled(fresh, learned.ratio);
    const double error = learned.p95 >= 0 ? std::min(kNewShareError, learned.p95) : kNewShareError;
    count.p95 = scaled(guessed, error) + 4;
    count.grade = Grade::kAnchored;
    return count;
  }
  return count;
}

}  // namespace ccrules::tokens
