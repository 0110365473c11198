#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "ledger/record.h"

namespace ccrules::ledger {

/// Calendar periods in UTC; a week begins on Monday.
enum class Span : std::uint8_t { kHour, kDay, kWeek, kMonth };
inline constexpr std::size_t kSpans = 4;
/// Number of the period that a moment belongs to; neighbours have neighbouring numbers.
std::int64_t span_number(Span span, std::int64_t wall_us) noexcept;
/// When the period of a moment began.
std::int64_t span_begin_us(Span span, std::int64_t wall_us) noexcept;

/// When the next one begins.
std::int64_t span_end_us(Span span, std::int64_t wall_us) noexcept;

/// A budget as it applies to one request.
struct Cap {
  std::string by;   ///< as in Spend::nanousd()
  std::string key;
  Span span = Span::kDay;
  std::int64_t nanousd = 0;
};

/// What was spent in the running periods, by session, user, project, client, agent and requested model, and by all. In memory,
/// so that rules may ask during a decision; restore() brings back what a restart forgot. Costs that are not known are not in
/// it. Bounded memory: the least of many sessions are forgotten first. Any thread.
class Spend {
 public:
  /// Adds what a finished request cost.
  void add(const Record& row);
  /// @param by "session", "user", "project", "client", "agent", "model"; empty: all
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
  /// Sets everything to what the ledger at `path` says. Reads the rows of the running month and week.
  Result<void> restore(const std::string& path, std::int64_t wall_us);

 private:
  struct Sum {
    std::array<std::int64_t, kSpans> number{};
    std::array<std::int64_t, kSpans> nanousd{};
    void add(std::int64_t amount_nanousd, std::int64_t wall_us);
  };
  using Sums = std::map<std::string, Sum, std::less<>>;
  static constexpr std::size_t kGroupings = 6;
  static std::optional<std::size_t> grouping(std::string_view by);
  [[nodiscard]] std::optional<std::int64_t> spent(std::string_view by, std::string_view key, Span span, std::int64_t wall_us) const;
  [[nodiscard]] std::int64_t left(const Cap& cap, std::int64_t wall_us) const;
  static std::string name_of(const Cap& cap);
  static void forget_some(Sums& sums);
  static void add_to(Sums& sums, std::string_view key, std::int64_t amount_nanousd, std::int64_t wall_us);

  mutable std::mutex mutex_;
  Sum all_;
  std::array<Sums, kGroupings> groups_;
  std::map<std::string, std::int64_t> reserved_;  ///< by cap; only what requests under way have set aside
};

}  // namespace ccrules::ledger
