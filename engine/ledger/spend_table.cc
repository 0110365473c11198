#include "ledger/spend_table.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/limits.h"
#include "ledger/spend.h"

namespace ccrules::ledger {
namespace {

constexpr char kNumbers[] =
    "hour, hour_nanousd, day, day_nanousd, week, week_nanousd, month, month_nanousd, 0, total_nanousd";

Sum sum_at(const Statement& row, int column) {
  Sum sum;
  for (std::size_t i = 0; i < kSpans; ++i) {
    sum.number[i] = row.number(column++);
    sum.nanousd[i] = row.number(column++);
  }
  return sum;
}

constexpr char kRows[] =
    "SELECT seq, at_us, coalesce(cost_nanousd, budget_nanousd), session, user, project, client, agent, requested_model, key, subagent,"
    " tags, payer, billed_model FROM requests";

/// What add_row() needs of a row of kRows, with what budgets count as its cost; false: that is nothing.
bool read_row(const Statement& from, Record& row) {
  if (from.number(2) <= 0) return false;
  row.at_us = from.number(1);
  row.cost_nanousd = from.number(2);
  int column = 3;
  for (std::string* text : {&row.session, &row.user, &row.project, &row.client, &row.agent, &row.requested_model, &row.key,
                            &row.subagent, &row.tags_json, &row.payer, &row.billed_model}) {
    *text = from.text(column++);
  }
  return true;
}

}  // namespace

Result<SpendTable> SpendTable::prepare(Connection& connection, Calendar calendar) {
  CCR_TRY(read, Statement::prepare(connection, std::string("SELECT ") + kNumbers + " FROM spend WHERE scope = ? AND key = ?"));
  CCR_TRY(write, Statement::prepare(connection,
                                    "INSERT OR REPLACE INTO spend (scope, key, hour, hour_nanousd, day, day_nanousd, week,"
                                    " week_nanousd, month, month_nanousd, total_nanousd) VALUES (?,?,?,?,?,?,?,?,?,?,?)"));
  SpendTable table(std::move(read), std::move(write), std::move(calendar));
  CCR_CHECK(table.keep_zone(connection));
  return table;
}

/// The sums are those of our time zone afterwards.
Result<void> SpendTable::keep_zone(Connection& connection) {
  const auto is_ours = [&]() -> Result<bool> {
    CCR_TRY(zone, Statement::prepare(connection, "SELECT zone FROM spend_state"));
    CCR_TRY(known, zone.step());
    return known && zone.text(0) == calendar_.name();
  };
  CCR_TRY(ours, is_ours());
  if (ours) return {};
  CCR_CHECK(connection.run("BEGIN IMMEDIATE"));
  CCR_TRY(newest_us, connection.number("SELECT max(at_us) FROM requests"));
  Result<void> done = turn_over(connection, newest_us);
  if (done) done = connection.run("COMMIT");
  if (!done) (void)connection.run("ROLLBACK");  // the first error is the one to show
  return done;
}

/// Periods that ended are nobody's any more: only rows of those that run are added up again. What was spent in rows that are
/// deleted already still counts in its month.
Result<void> SpendTable::turn_over(Connection& connection, std::int64_t newest_us) {
  constexpr std::int64_t kTwoDaysUs = 2 * 86'400'000'000;  // farther than any two zones are apart
  const std::int64_t since_us =
      std::min(calendar_.begin_us(Span::kWeek, newest_us), calendar_.begin_us(Span::kMonth, newest_us)) - kTwoDaysUs;
  SumMap sums;
  {
    CCR_TRY(rows, Statement::prepare(connection, std::string(kRows) +
                                                     " WHERE at_us >= ? AND seq > (SELECT until_seq FROM spend_state)"));
    rows.bind(1, since_us);
    Record row;
    for (;;) {
      CCR_TRY(more, rows.step());
      if (!more) break;
      if (read_row(rows, row)) add_past_row(sums, row, calendar_);
    }
  }
  CCR_TRY(oldest_us, connection.number("SELECT min(at_us) FROM requests"));
  const bool all_there = oldest_us < since_us;
  constexpr auto kMonth = static_cast<std::size_t>(Span::kMonth);
  constexpr auto kTotal = static_cast<std::size_t>(Span::kTotal);
  for (auto& [whose, sum] : sums) {
    read_.bind_always(1, whose.first);
    read_.bind_always(2, whose.second);
    CCR_TRY(found, read_.step());
    if (found) {
      const Sum before = sum_at(read_, 0);
      sum.nanousd[kTotal] = before.nanousd[kTotal];
      if (!all_there && before.number[kMonth] == sum.number[kMonth])
        sum.nanousd[kMonth] = std::max(sum.nanousd[kMonth], before.nanousd[kMonth]);
    }
    read_.reset();
    CCR_CHECK(put(whose.first, whose.second, sum));
  }
  CCR_TRY(state, Statement::prepare(connection, "UPDATE spend_state SET zone = ?"));
  state.bind_always(1, calendar_.name());
  CCR_CHECK(state.step());
  return {};
}

Result<void> SpendTable::put(const std::string& scope, const std::string& key, const Sum& sum) {
  int at = 0;
  write_.bind_always(++at, scope);
  write_.bind_always(++at, key);
  for (std::size_t i = 0; i < kSpans; ++i) {
    if (static_cast<Span>(i) != Span::kTotal) write_.bind(++at, sum.number[i]);
    write_.bind(++at, sum.nanousd[i]);
  }
  const Result<bool> written = write_.step();
  write_.reset();
  if (!written) return written.error();
  return {};
}

Result<void> SpendTable::add(const SumMap& sums, When when) {
  for (const auto& [whose, more] : sums) {
    read_.bind_always(1, whose.first);
    read_.bind_always(2, whose.second);
    const Result<bool> found = read_.step();
    Sum sum = more;
    if (found.ok() && *found) {
      sum = sum_at(read_, 0);
      if (when == When::kPast) {
        sum.add(more);
      } else {
        sum.go_on(more, calendar_);
      }
    }
    read_.reset();
    if (!found) return found.error();
    CCR_CHECK(put(whose.first, whose.second, sum));
  }
  return {};
}

Result<SumMap> SpendTable::load(Connection& connection) {
  SumMap sums;
  const auto read = [&](const std::string& scope) -> Result<void> {
    CCR_TRY(rows, Statement::prepare(connection, std::string("SELECT key, ") + kNumbers +
                                                       " FROM spend WHERE scope = ? ORDER BY month DESC, month_nanousd DESC LIMIT ?"));
    rows.bind_always(1, scope);
    rows.bind(2, static_cast<std::int64_t>(limits::kSpendKeys));
    for (;;) {
      CCR_TRY(more, rows.step());
      if (!more) return {};
      sums.emplace(std::pair(scope, rows.text(0)), sum_at(rows, 1));
    }
  };
  CCR_CHECK(read(""));
  for (const std::string_view scope : kScopes) CCR_CHECK(read(std::string(scope)));
  return sums;
}

Result<Sum> SpendTable::find(const Connection& connection, const std::string& scope, const std::string& key) {
  CCR_TRY(row, Statement::prepare(connection, std::string("SELECT ") + kNumbers + " FROM spend WHERE scope = ? AND key = ?"));
  row.bind_always(1, scope);
  row.bind_always(2, key);
  CCR_TRY(found, row.step());
  return found ? sum_at(row, 0) : Sum();
}

Result<std::int64_t> SpendTable::known_since(Connection& connection) {
  constexpr std::int64_t kSlackUs = 10'000'000;  // rows are written a moment after their requests end
  CCR_TRY(newest, Statement::prepare(connection,
                                     "SELECT at_us + duration_us FROM requests WHERE seq <= (SELECT until_seq FROM spend_state)"
                                     " ORDER BY seq DESC LIMIT 1"));
  CCR_TRY(any, newest.step());
  return any ? newest.number(0) + kSlackUs : Spend::kAlways;
}

Result<SumMap> SpendTable::catch_up(Connection& connection, std::int64_t most_rows) {
  CCR_TRY(until_seq, connection.number("SELECT until_seq FROM spend_state"));
  if (until_seq <= 0) return SumMap();
  CCR_CHECK(connection.run("BEGIN IMMEDIATE"));
  Result<SumMap> added = add_older(connection, until_seq, most_rows);
  if (!added.ok()) (void)connection.run("ROLLBACK");  // the first error is the one to show
  return added;
}

Result<SumMap> SpendTable::add_older(Connection& connection, std::int64_t until_seq, std::int64_t most_rows) {
  CCR_TRY(rows, Statement::prepare(connection, std::string(kRows) + " WHERE seq <= ? ORDER BY seq DESC LIMIT ?"));
  rows.bind(1, until_seq);
  rows.bind(2, most_rows);
  SumMap sums;
  std::int64_t left = most_rows;
  std::int64_t oldest = 1;
  Record row;
  for (;;) {
    CCR_TRY(more, rows.step());
    if (!more) break;
    --left;
    oldest = rows.number(0);
    if (read_row(rows, row)) add_past_row(sums, row, calendar_);
  }
  CCR_CHECK(add(sums, When::kPast));
  CCR_TRY(state, Statement::prepare(connection, "UPDATE spend_state SET until_seq = ?"));
  state.bind(1, left > 0 ? 0 : oldest - 1);
  CCR_CHECK(state.step());
  CCR_CHECK(connection.run("COMMIT"));
  return sums;
}

Result<void> SpendTable::prune(Connection& connection, std::int64_t before_us) {
  CCR_TRY(statement, Statement::prepare(connection, "DELETE FROM spend WHERE scope IN ('session', 'subagent') AND day < ?"));
  statement.bind(1, calendar_.number(Span::kDay, before_us));
  CCR_CHECK(statement.step());
  return {};
}

}  // namespace ccrules::ledger
