#include "rules/counters.h"

namespace ccrules::rules {

std::optional<Period> period_by_name(std::string_view name) noexcept {
  if (name == "hour") return Period::kHour;
  if (name == "day") return Period::kDay;
  if (name == "week") return Period::kWeek;
  if (name == "month") return Period::kMonth;
  return std::nullopt;
}

std::optional<double> Counters::spend_usd(Scope, Period) const { return std::nullopt; }
std::optional<double> Counters::budget_left_usd(Scope) const { return std::nullopt; }
std::optional<double> Counters::requests(Scope, std::chrono::milliseconds) const { return std::nullopt; }
std::string_view Counters::health(std::string_view) const { return {}; }
std::optional<Warmth> Counters::warm(const Target&, std::string_view) const { return std::nullopt; }
std::optional<Move> Counters::move(const Target&, const Target&, std::string_view) const { return std::nullopt; }

}  // namespace ccrules::rules
