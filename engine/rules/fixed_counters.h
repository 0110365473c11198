#pragma once
#include <map>
#include <optional>
#include <string>

#include "rules/counters.h"

namespace ccrules::rules {

/// Counters that say what they were told, whatever the scope: for test cases and replay.
class FixedCounters final : public Counters {
 public:
  std::map<Period, double> spent_usd;   ///< by everybody
  std::optional<double> any_spent_usd;  ///< in any scope but everybody's, and in periods that `spent_usd` does not name
  std::optional<double> left_usd;
  std::optional<double> rate;
  std::map<std::string, std::string, std::less<>> health_of;  ///< by provider
  std::string any_health = "ok";                              ///< of providers that `health_of` does not name
  std::optional<Warmth> warmth;
  std::optional<Move> moving;  ///< between any two targets

  [[nodiscard]] std::optional<double> spend_usd(Scope scope, Period period) const override;
  [[nodiscard]] std::optional<double> budget_left_usd(Scope scope) const override;
  [[nodiscard]] std::optional<double> requests(Scope scope, std::chrono::milliseconds window) const override;
  [[nodiscard]] std::string_view health(std::string_view provider) const override;
  [[nodiscard]] std::optional<Warmth> warm(const Target& target, std::string_view session) const override;
  [[nodiscard]] std::optional<Move> move(const Target& from, const Target& to, std::string_view session) const override;
};

}  // namespace ccrules::rules
