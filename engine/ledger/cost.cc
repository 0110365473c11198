#include "ledger/cost.h"

#include <algorithm>
#include <limits>

#include "core/text.h"

namespace ccrules::ledger {
namespace {

constexpr std::int64_t kPicoPerNano = 1000;
/// Counts beyond this are nonsense from a hostile or broken upstream; capping them keeps every sum in range.
constexpr std::int64_t kMostTokens = 1'000'000'000'000;

std::int64_t sane(const std::optional<std::int64_t>& count) noexcept {
  return std::clamp<std::int64_t>(count.value_or(0), 0, kMostTokens);
}

/// Adds tokens * rate; false when the tokens cost something unknown.
bool add(std::int64_t& sum_picousd, std::int64_t tokens,
         const std::optional<std::int64_t>& rate_picousd) noexcept {
  if (tokens == 0) return true;
  if (!rate_picousd) return false;
  std::int64_t part = 0;
  if (__builtin_mul_overflow(tokens, *rate_picousd, &part) ||
      __builtin_add_overflow(sum_picousd, part, &sum_picousd)) {
    sum_picousd = std::numeric_limits<std::int64_t>::max();
  }
  return true;
}

bool price_is_for(const config::Price& price, std::string_view provider, std::string_view model) {
  const auto comma = price.model.find(',');
  if (comma == std::string::npos) return text::glob_match(price.model, model);
  const std::string_view pattern = price.model;
  return text::glob_match(pattern.substr(0, comma), provider) &&
         text::glob_match(pattern.substr(comma + 1), model);
}

constexpr std::string_view kBatch = "batch";

/// True when `prices` has a row for the model at the tier: "claude-opus-*@fast".
bool is_for_tier(const config::Price& price, std::string_view provider, std::string_view model, std::string_view tier) {
  std::string_view name = price.model;
  if (tier.empty() || !name.ends_with(tier)) return false;
  name.remove_suffix(tier.size());
  return name.ends_with('@') && price_is_for(price, provider, std::string(model).append("@").append(tier));
}

bool has_tier_price(std::string_view provider, std::string_view model, std::string_view tier, const config::Snapshot& snapshot) {
  return std::any_of(snapshot.prices.begin(), snapshot.prices.end(),
                     [&](const config::Price& price) { return is_for_tier(price, provider, model, tier); });
}

/// The rates of one request: built-in row and tier, then configured prices, the least exact first; those of a service tier last.
config::Rates rates_of(std::int64_t prompt, std::string_view provider, std::string_view model, const config::Snapshot& snapshot,
                       std::string_view service_tier = {}) {
  config::Rates rates;
  if (const config::Model* row = snapshot.models().find(model, provider))
    rates = row->rates_for(prompt);
  for (auto price = snapshot.prices.rbegin(); price != snapshot.prices.rend(); ++price) {
    if (!price_is_for(*price, provider, model)) continue;
    rates.overlay(price->rates);
  }
  if (service_tier.empty()) return rates;
  for (auto price = snapshot.prices.rbegin(); price != snapshot.prices.rend(); ++price) {
    if (is_for_tier(*price, provider, model, service_tier)) rates.overlay(price->rates);
  }
  return rates;
}

/// Rates for some tokens at a model and a tier.
struct TierRates {
  config::Rates rates;
  bool half = false;  ///< they cost half of what these say
  [[nodiscard]] std::int64_t of(std::int64_t cost) const { return half ? cost / 2 + cost % 2 : cost; }
};
TierRates tier_rates(const chat::Usage& counts, std::string_view provider, std::string_view model, std::string_view tier,
                     const config::Snapshot& snapshot) {
  return {rates_of(prompt_tokens(counts), provider, model, snapshot, tier),
          tier == kBatch && !has_tier_price(provider, model, tier, snapshot)};
}

bool has_own_price(std::string_view provider, std::string_view model, const config::Snapshot& snapshot) {
  return std::any_of(snapshot.prices.begin(), snapshot.prices.end(),
                     [&](const config::Price& price) { return price_is_for(price, provider, model); });
}

/// The model whose price a part of an answer's bill has that another model made. `named` by the part itself, when its price is known
/// and it is another model than `answered`, not the same by another name; else `answered`.
std::string_view part_model(std::string_view provider, std::string_view answered, std::string_view named,
                            const config::Snapshot& snapshot) {
  if (named.empty() || named == answered) return answered;
  if (has_own_price(provider, named, snapshot)) return named;
  const config::Model* there = snapshot.models().find(named, provider);
  return there == nullptr || there == snapshot.models().find(answered, provider) ? answered : named;
}

chat::Usage usage_of(const chat::Iteration& part) {
  chat::Usage usage;
  usage.input_tokens = part.input_tokens;
  usage.output_tokens = part.output_tokens;
  usage.cache_read_tokens = part.cache_read_tokens;
  usage.cache_write_tokens = part.cache_write_tokens;
  usage.cache_write_1h_tokens = part.cache_write_1h_tokens;
  return usage;
}

std::int64_t saturating_sum(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<std::int64_t>::max() : sum;
}

/// Each part of the bill at its own model. With `at_requested`, what the model that was asked did is at `model`, whichever did it.
/// @param take bool(const chat::Usage& counts, std::string_view model); false: no more
template <class Take>
void each_part(const chat::Usage& usage, std::string_view provider, std::string_view model, const config::Snapshot& snapshot,
               bool at_requested, const Take& take) {
  if (usage.iterations.empty()) {
    take(usage, model);
    return;
  }
  const bool fell_back = std::any_of(usage.iterations.begin(), usage.iterations.end(),
                                     [](const chat::Iteration& part) { return part.type == "fallback_message"; });
  for (const chat::Iteration& part : usage.billed()) {
    std::string_view at = model;
    if (!part.is_by_asked() || (fell_back && !at_requested)) {
      at = part_model(provider, model, part.model, snapshot);
    } else if (!at_requested) {
      at = priced_model(provider, model, part.model, snapshot);  // it may only call itself by another name
    }
    if (!take(usage_of(part), at)) return;
  }
}

bool counts_nothing(const chat::Usage& usage) {
  return usage.iterations.empty() && !usage.input_tokens && !usage.output_tokens && !usage.cache_read_tokens && !usage.cache_write_tokens;
}

std::optional<std::int64_t> list_price(const chat::Usage& usage, std::string_view provider, std::string_view model,
                                       const config::Snapshot& snapshot, bool at_requested = false) {
  if (counts_nothing(usage)) return std::nullopt;
  std::optional<std::int64_t> sum = 0;
  each_part(usage, provider, model, snapshot, at_requested, [&](const chat::Usage& counts, std::string_view at) {
    const TierRates tier = tier_rates(counts, provider, at, usage.tier(), snapshot);
    const auto cost = cost_at(counts, tier.rates);
    sum = cost ? std::optional(saturating_sum(*sum, tier.of(*cost))) : std::nullopt;
    return cost.has_value();
  });
  return sum;
}

/// What is not known is taken for nothing.
config::Rates rates_at_least(const config::Rates& rates) {
  config::Rates known{0, 0, 0, 0, 0};
  known.overlay(rates);
  return known;
}

bool is_free(std::string_view provider, const config::Snapshot& snapshot) {
  const config::Provider* row = snapshot.provider(provider);
  return row != nullptr && (row->local || row->dialect == "sim");
}

}  // namespace

std::int64_t prompt_tokens(const chat::Usage& usage) noexcept {
  return sane(usage.input_tokens) + sane(usage.cache_read_tokens) + sane(usage.cache_write_tokens);
}

std::optional<std::int64_t> cost_at(const chat::Usage& usage, const config::Rates& rates) {
  const std::int64_t written = sane(usage.cache_write_tokens);
  const std::int64_t written_1h = std::min(written, sane(usage.cache_write_1h_tokens));
  std::int64_t sum_picousd = 0;
  const bool known = add(sum_picousd, sane(usage.input_tokens), rates.input_picousd) &&
                     add(sum_picousd, sane(usage.output_tokens), rates.output_picousd) &&
                     add(sum_picousd, sane(usage.cache_read_tokens), rates.cache_read_picousd) &&
                     add(sum_picousd, written - written_1h, rates.cache_write_5m_picousd) &&
                     add(sum_picousd, written_1h, rates.cache_write_1h_picousd);
  if (!known) return std::nullopt;
  return sum_picousd / kPicoPerNano + (sum_picousd % kPicoPerNano >= kPicoPerNano / 2 ? 1 : 0);
}

std::optional<std::int64_t> cost_nanousd(const chat::Usage& usage, std::string_view provider,
                                         std::string_view model, const config::Snapshot& snapshot) {
  if (usage.cost_nanousd) return std::max<std::int64_t>(0, *usage.cost_nanousd);
  if (is_free(provider, snapshot)) return usage.empty() ? std::nullopt : std::optional<std::int64_t>(0);
  return list_price(usage, provider, model, snapshot);
}

config::Rates rates_at_most(config::Rates rates) noexcept {
  std::optional<std::int64_t> dearest;
  for (const auto& rate : {rates.input_picousd, rates.cache_read_picousd, rates.cache_write_5m_picousd, rates.cache_write_1h_picousd}) {
    if (rate) dearest = std::max(dearest.value_or(0), *rate);
  }
  if (!rates.cache_read_picousd && rates.input_picousd) rates.cache_read_picousd = rates.input_picousd;
  for (auto* rate : {&rates.input_picousd, &rates.cache_read_picousd, &rates.cache_write_5m_picousd, &rates.cache_write_1h_picousd}) {
    if (!*rate) *rate = dearest;
  }
  return rates;
}

CostRange cost_range(const chat::Usage& usage, std::string_view provider, std::string_view model, const config::Snapshot& snapshot) {
  CostRange range;
  if (usage.cost_nanousd || is_free(provider, snapshot)) {
    range.most_nanousd = cost_nanousd(usage, provider, model, snapshot);
    range.least_nanousd = range.most_nanousd.value_or(0);
    return range;
  }
  if (counts_nothing(usage)) return range;
  range.most_nanousd = 0;
  each_part(usage, provider, model, snapshot, false, [&](const chat::Usage& counts, std::string_view at) {
    const TierRates tier = tier_rates(counts, provider, at, usage.tier(), snapshot);
    range.least_nanousd = saturating_sum(range.least_nanousd, tier.of(cost_at(counts, rates_at_least(tier.rates)).value_or(0)));
    const auto most = cost_at(counts, rates_at_most(tier.rates));
    if (!most) range.most_nanousd.reset();
    if (range.most_nanousd) range.most_nanousd = saturating_sum(*range.most_nanousd, tier.of(*most));
    return true;
  });
  return range;
}

std::string unpriced_tier(const chat::Usage& usage, std::string_view provider, std::string_view model, const config::Snapshot& snapshot) {
  const std::string_view tier = usage.tier();
  if (tier.empty() || tier == kBatch || usage.cost_nanousd || is_free(provider, snapshot)) return {};
  return std::string(has_tier_price(provider, model, tier, snapshot) ? std::string_view() : tier);
}

std::string unpriced_fees(const chat::Usage& usage, std::string_view provider, const config::Snapshot& snapshot) {
  std::string names;
  if (usage.fees.empty() || usage.cost_nanousd || is_free(provider, snapshot)) return names;
  for (const chat::Fee& fee : usage.fees) {
    names.append(names.empty() ? "" : ", ").append(fee.name).append(1, ' ').append(std::to_string(fee.count));
  }
  return names;
}

config::Rates rates_at(std::int64_t prompt, std::string_view provider, std::string_view model, const config::Snapshot& snapshot,
                       std::string_view service_tier) {
  constexpr config::Rates kFree{0, 0, 0, 0, 0};
  return is_free(provider, snapshot) ? kFree : rates_of(prompt, provider, model, snapshot, service_tier);
}

bool has_configured_price(std::string_view provider, std::string_view model, const config::Snapshot& snapshot) {
  return has_own_price(provider, model, snapshot);
}

std::vector<std::string_view> priced_tiers(std::string_view provider, std::string_view model, const config::Snapshot& snapshot) {
  std::vector<std::string_view> tiers;
  for (const config::Price& price : snapshot.prices) {
    const std::string_view name = price.model;
    const std::size_t at = name.rfind('@');
    if (at != std::string_view::npos && is_for_tier(price, provider, model, name.substr(at + 1))) tiers.push_back(name.substr(at + 1));
  }
  return tiers;
}

std::string_view priced_model(std::string_view provider, std::string_view asked, std::string_view answered,
                              const config::Snapshot& snapshot) {
  if (answered.empty() || answered == asked) return asked;
  const bool asked_is_set = has_own_price(provider, asked, snapshot);
  const bool answered_is_set = has_own_price(provider, answered, snapshot);
  if (asked_is_set != answered_is_set) return asked_is_set ? asked : answered;
  const config::Model* here = snapshot.models().find(asked, provider);
  const config::Model* there = snapshot.models().find(answered, provider);
  if (there == nullptr || there == here) return asked;
  const bool sold_elsewhere = here != nullptr && here->provider == provider && there->provider != provider;
  return sold_elsewhere ? asked : answered;
}

std::optional<std::int64_t> requested_cost_nanousd(const chat::Usage& usage,
                                                   std::string_view answering_provider,
                                                   std::string_view requested_model,
                                                   const config::Snapshot& snapshot) {
  const config::Provider* answering = snapshot.provider(answering_provider);
  if (answering != nullptr && answering->dialect == "sim") return std::nullopt;  // a simulated answer saves nobody money
  if (usage.cost_nanousd == 0 && usage.output_tokens == 0) return 0;             // nor does none
  if (answering != nullptr && !answering->price_like.empty()) requested_model = answering->price_like;
  const auto comma = requested_model.find(',');
  if (comma == std::string_view::npos) return list_price(usage, {}, requested_model, snapshot, true);
  const std::string_view named = requested_model.substr(0, comma);
  if (is_free(named, snapshot)) return usage.empty() ? std::nullopt : std::optional<std::int64_t>(0);
  return list_price(usage, named, requested_model.substr(comma + 1), snapshot, true);
}

}  // namespace ccrules::ledger
