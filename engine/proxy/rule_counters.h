#pragma once
#include <cstdint>

#include "rules/counters.h"
#include "rules/facts.h"
#include "rules/rates.h"

namespace ccrules::proxy {

/// What rules of this proxy know beyond a request; one per worker. Rates are counted here; spending, health and warmth are
/// not known yet, so conditions on them do not hold.
class RuleCounters final : public rules::Counters {
 public:
  /// `rates` is shared by all workers and outlives them.
  explicit RuleCounters(rules::Rates& rates) : rates_(rates) {}

  /// The request whose rules are decided next: counts it.
  void begin(const rules::Identity& who, std::string_view model, std::int64_t wall_us) {
    wall_us_ = wall_us;
    rates_.arrived(who, model, wall_us);
  }
  [[nodiscard]] std::optional<double> requests(rules::Scope scope, std::chrono::milliseconds window) const override {
    return rates_.count(scope, window, wall_us_);
  }

 private:
  rules::Rates& rates_;
  std::int64_t wall_us_ = 0;
};

}  // namespace ccrules::proxy
