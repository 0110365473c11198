#include "rules/fixed_counters.h"

namespace ccrules::rules {

std::optional<double> FixedCounters::spend_usd(Scope scope, Period period) const {
  if (!scope.by.empty() && any_spent_usd) return any_spent_usd;
  const auto found = spent_usd.find(period);
  return found == spent_usd.end() ? any_spent_usd : found->second;
}

std::optional<double> FixedCounters::budget_left_usd(Scope) const { return left_usd; }
std::optional<double> FixedCounters::requests(Scope, std::chrono::milliseconds) const { return rate; }

std::string_view FixedCounters::health(std::string_view provider) const {
  const auto found = health_of.find(provider);
  return found == health_of.end() ? std::string_view(any_health) : std::string_view(found->second);
}

std::optional<Warmth> FixedCounters::warm(const Target&, std::string_view) const { return warmth; }
std::optional<Move> FixedCounters::move(const Target&, const Target&, std::string_view) const { return moving; }

}  // namespace ccrules::rules
