#pragma once
#include <cstdint>
#include <string>
#include <utility>

#include "core/result.h"
#include "ledger/spend_sum.h"
#include "ledger/sqlite.h"

namespace ccrules::ledger {

/// The table `spend` on the writer's connection: what was spent, in sums that are written in the same transaction as the rows
/// they are made of, so that a start reads a few of them instead of all rows. Used by one thread.
class SpendTable {
 public:
  /// @param calendar whose periods the sums are of; a table that was kept in another time zone is turned over to it, from the
  /// rows of the running periods
  static Result<SpendTable> prepare(Connection& connection, Calendar calendar);
  [[nodiscard]] const Calendar& calendar() const noexcept { return calendar_; }

  enum class When : std::uint8_t { kNow, kPast };
  /// Adds to the stored sums; inside the caller's transaction.
  Result<void> add(const SumMap& sums, When when = When::kNow);
  /// The sums of those that spent most recently, at most limits::kSpendKeys of a scope.
  static Result<SumMap> load(Connection& connection);
  /// The sum of one; zero when it has spent nothing.
  static Result<Sum> find(const Connection& connection, const std::string& scope, const std::string& key);
  /// Everything that was spent from then on is in the sums; Spend::kAlways: all there is.
  static Result<std::int64_t> known_since(Connection& connection);
  /// One portion of the rows that are older than the sums, the newest first, in a transaction of its own.
  /// @return what was added; nothing when there is no more
  Result<SumMap> catch_up(Connection& connection, std::int64_t most_rows);
  /// Forgets sessions and subagent runs that have spent nothing since.
  Result<void> prune(Connection& connection, std::int64_t before_us);

 private:
  SpendTable(Statement read, Statement write, Calendar calendar)
      : read_(std::move(read)), write_(std::move(write)), calendar_(std::move(calendar)) {}
  Result<void> keep_zone(Connection& connection);
  Result<void> turn_over(Connection& connection, std::int64_t newest_us);
  Result<void> put(const std::string& scope, const std::string& key, const Sum& sum);
  Result<SumMap> add_older(Connection& connection, std::int64_t until_seq, std::int64_t most_rows);

  Statement read_, write_;
  Calendar calendar_;
};

}  // namespace ccrules::ledger
