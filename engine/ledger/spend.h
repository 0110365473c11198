#pragma once
#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ledger/record.h"
#include "ledger/spend_sum.h"

namespace ccrules::ledger {

/// A budget as it applies to one request.
struct Cap {
  std::string by;   ///< as in Spend::nanousd()
  std::string key;
  Span span = Span::kDay;
  std::int64_t nanousd = 0;
};

/// What was spent in the running periods and in all, by everything in kScopes. In memory, so that rules may ask during a
/// decision; a Ledger that is opened with it (Settings::spend) fills in what was spent before the start. Costs that are not
/// known are not in it. Bounded memory: the least of many sessions are forgotten first. Any thread.
class Spend {
 public:
  static constexpr std::int64_t kAlways = std::numeric_limits<std::int64_t>::min();
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  /// Whose periods count; UTC unless it is told. Call first.
  void use(Calendar calendar) { calendar_ = std::move(calendar); }
  [[nodiscard]] const Calendar& calendar() const noexcept { return calendar_; }
  /// Adds what a finished request cost.
  void add(const Record& row);
  /// Adds what was spent in the past.
  void add(const SumMap& sums);
  /// @param by one of kScopes, or "requested_model" for "model"; empty: all
  /// @return nano-USD in the period that `wall_us` belongs to; nothing for another `by`
  [[nodiscard]] std::optional<std::int64_t> nanousd(std::string_view by, std::string_view key, Span span,
                                                    std::int64_t wall_us) const;
  /// Sets `worst_nanousd` aside under all caps, or under none of them when that might overspend one.
  /// @return the cap in the way; nothing: it is reserved
  [[nodiscard]] std::optional<Cap> reserve(const std::vector<Cap>& caps, std::int64_t worst_nanousd, std::int64_t wall_us);
  /// Gives back what reserve() has set aside: call after add(), so that nothing slips in between.
  void release(const std::vector<Cap>& caps, std::int64_t worst_nanousd);
  /// What is left under a cap, what is set aside taken off; negative when it is overspent.
  [[nodiscard]] std::int64_t left_nanousd(const Cap& cap, std::int64_t wall_us) const;

  /// Everything that was spent from then on is in the sums; of what was spent earlier some may be missing. kAlways unless a
  /// ledger that is read for it says otherwise; kNever: it cannot be read.
  void known_since(std::int64_t wall_us);
  [[nodiscard]] std::int64_t known_since() const;
  /// True when the running period of a cap is known from its beginning.
  [[nodiscard]] bool knows(const Cap& cap, std::int64_t wall_us) const;

 private:
  using Sums = std::map<std::string, Sum, std::less<>>;
  static std::optional<std::size_t> scope_index(std::string_view by);
  [[nodiscard]] std::optional<std::int64_t> spent(std::string_view by, std::string_view key, Span span, std::int64_t wall_us) const;
  [[nodiscard]] std::int64_t left(const Cap& cap, std::int64_t wall_us) const;
  static std::string name_of(const Cap& cap);
  static void forget_some(Sums& sums);
  static Sum& sum_of(Sums& sums, std::string_view key);

  Calendar calendar_;
  mutable std::mutex mutex_;
  Sum all_;
  std::array<Sums, kScopes.size()> scopes_;
  std::map<std::string, std::int64_t> reserved_;  ///< by cap; only what requests under way have set aside
  std::int64_t known_since_us_ = kAlways;
};

}  // namespace ccrules::ledger
