#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/store.h"
#include "config/model_name.h"
#include "ledger/spend.h"
#include "proxy/budget.h"
#include "proxy/cache_breaks.h"
#include "proxy/circuit.h"
#include "proxy/lanes.h"
#include "proxy/rate_limit.h"
#include "proxy/subagents.h"
#include "proxy/session_models.h"
#include "proxy/warm_caches.h"
#include "rules/counters.h"
#include "rules/facts.h"
#include "rules/rates.h"

namespace ccrules::proxy {

/// What this proxy counts and remembers for its rules; shared by all workers.
struct Tallies {
  rules::Rates rates;
  ledger::Spend spend;
  Circuits circuits;
  Lanes lanes;
  RateLimits limits;
  Subagents subagents;
  WarmCaches caches;
  CacheBreaks breaks;
  SessionModels models;
  cache::Store answers;
};

/// What rules of this proxy know beyond a request; one per worker.
class RuleCounters final : public rules::Counters {
 public:
  /// `tallies` outlive this.
  explicit RuleCounters(Tallies& tallies) : tallies_(tallies) {}

  /// The request whose rules are decided next: counts it.
  /// @param now_ms of the loop's clock
  void begin(const rules::Identity& who, std::string_view model, std::int64_t wall_us, std::int64_t now_ms,
             const std::shared_ptr<const config::Snapshot>& config) {
    go_on(wall_us, now_ms, config);
    tallies_.rates.arrived(who, model, wall_us);
  }
  /// The same for one that was counted, and decided about others meanwhile.
  void go_on(std::int64_t wall_us, std::int64_t now_ms, const std::shared_ptr<const config::Snapshot>& config) {
    wall_us_ = wall_us;
    now_ms_ = now_ms;
    config_ = config;
  }
  /// From now on, until forgotten() is called, what is not remembered of someone's spending is not known (nil), and noted.
  void note_forgotten() { notes_forgotten_ = true; }
  /// Whose spending was asked for and is not remembered: Spend::recall() it and decide again.
  [[nodiscard]] std::vector<ledger::Spend::Name> forgotten() {
    notes_forgotten_ = false;
    return std::exchange(forgotten_, {});
  }
  [[nodiscard]] std::optional<double> requests(rules::Scope scope, std::chrono::milliseconds window) const override {
    return tallies_.rates.count(scope, window, wall_us_);
  }
  [[nodiscard]] std::optional<double> spend_usd(rules::Scope scope, rules::Period period) const override {
    if (is_forgotten(scope.by, key_of(scope))) return std::nullopt;
    const auto nanousd = tallies_.spend.nanousd(scope.by, key_of(scope), span_of(period), wall_us_);
    if (!nanousd) return std::nullopt;
    return static_cast<double>(*nanousd) / kNanousdPerUsd;
  }
  [[nodiscard]] std::optional<double> budget_left_usd(rules::Scope scope) const override {
    std::optional<std::int64_t> least;
    if (config_ == nullptr) return std::nullopt;
    for (const ledger::Cap& cap : caps_of(*config_, scope.by, key_of(scope))) {
      if (!tallies_.spend.knows(cap, wall_us_) || is_forgotten(cap.by, cap.key)) return std::nullopt;
      const std::int64_t left = tallies_.spend.left_nanousd(cap, wall_us_);
      least = std::min(least.value_or(left), left);
    }
    if (!least) return std::nullopt;
    return static_cast<double>(*least) / kNanousdPerUsd;
  }
  [[nodiscard]] std::string_view health(std::string_view provider) const override {
    const config::Provider* row = config_ == nullptr ? nullptr : config_->provider(provider);
    if (row != nullptr && !row->lanes.empty() && tallies_.lanes.wait_ms(*row, now_ms_) > 0) return "down";
    return tallies_.circuits.state(provider, now_ms_);
  }
  [[nodiscard]] std::optional<rules::Warmth> warm(const rules::Target& target, std::string_view session) const override {
    return tallies_.caches.find(session, target, wall_us_);
  }
  [[nodiscard]] std::optional<rules::Move> move(const rules::Target& from, const rules::Target& to,
                                                std::string_view session) const override {
    if (config_ == nullptr) return std::nullopt;
    return tallies_.caches.move(session, {from, to}, wall_us_, *config_);
  }

 private:
  /// What is kept of a model is kept by what it is called, however it is spelt.
  [[nodiscard]] std::string_view key_of(rules::Scope scope) const {
    return scope.by == "model" && config_ != nullptr ? config::asked_model_name(config_->models(), scope.key) : scope.key;
  }
  [[nodiscard]] bool is_forgotten(std::string_view by, std::string_view key) const {
    if (!notes_forgotten_ || tallies_.spend.remembers(by, key)) return false;
    forgotten_.emplace_back(by, key);
    return true;
  }

  static ledger::Span span_of(rules::Period period) {
    switch (period) {
      case rules::Period::kHour:
        return ledger::Span::kHour;
      case rules::Period::kDay:
        return ledger::Span::kDay;
      case rules::Period::kWeek:
        return ledger::Span::kWeek;
      case rules::Period::kMonth:
        break;
    }
    return ledger::Span::kMonth;
  }

  static constexpr double kNanousdPerUsd = 1e9;

  Tallies& tallies_;
  std::int64_t wall_us_ = 0;
  std::int64_t now_ms_ = 0;
  std::shared_ptr<const config::Snapshot> config_;  ///< of the request that began last
  bool notes_forgotten_ = false;
  mutable std::vector<ledger::Spend::Name> forgotten_;  ///< asking is all that rules do
};

}  // namespace ccrules::proxy
