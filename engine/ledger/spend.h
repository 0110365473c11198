#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
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

/// What was spent in the running periods and in all, by everything in kScopes. In memory, so that rules may ask during a decision; a Ledger
/// that is opened with it (Settings::spend) fills in what was spent before the start. A cost that is not known counts by its bound
/// (Record::budget_nanousd). Bounded memory: the least of many sessions are forgotten first; what they have spent is still in the ledger's
/// table (spend_lookup.h). Any thread.
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
  [[nodiscard]] std::optional<Cap> reserve(const std::vector<Cap>& caps, std::int64_t worst_nanousd,
                                           std::int64_t wall_us);
  /// Sets `worst_nanousd` aside where every cap has room for `ample_nanousd`, which is more; false: nothing
  /// is set aside.
  [[nodiscard]] bool reserve_amply(const std::vector<Cap>& caps, std::int64_t worst_nanousd,
                                   std::int64_t ample_nanousd, std::int64_t wall_us);
  /// Gives back what reserve() has set aside: call after add(), so that nothing slips in between.
  void release(const std::vector<Cap>& caps, std::int64_t worst_nanousd);
  /// What is left under a cap, what is set aside taken off; negative when it is overspent.
  [[nodiscard]] std::int64_t left_nanousd(const Cap& cap, std::int64_t wall_us) const;

  /// A scope and one of its keys, as in nanousd().
  using Name = std::pair<std::string, std::string>;
  /// These are never forgotten: the keys that budgets name.
  void keep(const std::vector<Name>& named);
  [[nodiscard]] std::vector<Name> kept() const;
  /// Not everything of a scope has been added: there was too much of it.
  void forgets(std::string_view by);
  /// False when a cap's key may have spent more than is remembered here: recall() it first.
  [[nodiscard]] bool remembers(const Cap& cap) const { return remembers(cap.by, cap.key); }
  [[nodiscard]] bool remembers(std::string_view by, std::string_view key) const;
  /// What is remembered of a key: of one that was forgotten, what was added since.
  [[nodiscard]] Sum remembered(std::string_view by, std::string_view key) const;
  /// What the ledger's table says of a key, read once all that was added by then had been written; `before`: remembered() at that
  /// time. What was added since stays. False when something was: it may be in the table as well, and counts twice then, so that a
  /// budget is rather used up too early; recall it again to be exact.
  bool recall(std::string_view by, std::string_view key, const Sum& stored, const Sum& before);

  /// Everything that was spent from then on is in the sums; of what was spent earlier some may be missing. kAlways unless a
  /// ledger that is read for it says otherwise; kNever: it cannot be read.
  void known_since(std::int64_t wall_us);
  [[nodiscard]] std::int64_t known_since() const;
  /// True when the running period of a cap is known from its beginning.
  [[nodiscard]] bool knows(const Cap& cap, std::int64_t wall_us) const;

 private:
  struct Kept {
    Sum sum;
    bool partial = false;  ///< of a scope that has forgotten some: this may be one of them
  };
  using Sums = std::map<std::string, Kept, std::less<>>;
  /// What a sum that is set aside is kept by.
  struct Reserved {
    std::string by;
    std::string key;
    Span span = Span::kDay;
  };
  /// Looks a cap up without making strings of it.
  struct ReservedLess {
    using is_transparent = void;
    template <class Left, class Right>
    bool operator()(const Left& left, const Right& right) const noexcept {
      if (left.span != right.span) return left.span < right.span;
      const int order = left.by.compare(right.by);
      return order != 0 ? order < 0 : left.key < right.key;
    }
  };
  static std::optional<std::size_t> scope_index(std::string_view by);
  [[nodiscard]] std::optional<std::int64_t> spent(std::string_view by, std::string_view key, Span span, std::int64_t wall_us) const;
  [[nodiscard]] std::int64_t left(const Cap& cap, std::int64_t wall_us) const;
  /// The first cap that has less left; null: none has.
  [[nodiscard]] const Cap* without_room(const std::vector<Cap>& caps, std::int64_t nanousd,
                                        std::int64_t wall_us) const;
  void set_aside(const std::vector<Cap>& caps, std::int64_t nanousd);
  void forget_some(std::size_t scope);
  Kept& kept_of(std::size_t scope, std::string_view key);

  Calendar calendar_;
  mutable std::mutex mutex_;
  Sum all_;
  std::array<Sums, kScopes.size()> scopes_;
  std::array<std::atomic<bool>, kScopes.size()> forgot_{};  ///< some of a scope's keys
  std::set<Name> named_;
  std::map<Reserved, std::int64_t, ReservedLess> reserved_;  ///< only what requests under way have set aside
  std::atomic<std::int64_t> known_since_us_{kAlways};
};

}  // namespace ccrules::ledger
