#include "ledger/spend_table.h"

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

}  // namespace

Result<SpendTable> SpendTable::prepare(Connection& connection) {
  CCR_TRY(read, Statement::prepare(connection, std::string("SELECT ") + kNumbers + " FROM spend WHERE scope = ? AND key = ?"));
  CCR_TRY(write, Statement::prepare(connection,
                                    "INSERT OR REPLACE INTO spend (scope, key, hour, hour_nanousd, day, day_nanousd, week,"
                                    " week_nanousd, month, month_nanousd, total_nanousd) VALUES (?,?,?,?,?,?,?,?,?,?,?)"));
  return SpendTable(std::move(read), std::move(write));
}

Result<void> SpendTable::add(const SumMap& sums) {
  for (const auto& [whose, more] : sums) {
    read_.bind_always(1, whose.first);
    read_.bind_always(2, whose.second);
    const Result<bool> found = read_.step();
    Sum sum = more;
    if (found.ok() && *found) sum.add(sum_at(read_, 0));
    read_.reset();
    if (!found) return found.error();
    int at = 0;
    write_.bind_always(++at, whose.first);
    write_.bind_always(++at, whose.second);
    for (std::size_t i = 0; i < kSpans; ++i) {
      if (static_cast<Span>(i) != Span::kTotal) write_.bind(++at, sum.number[i]);
      write_.bind(++at, sum.nanousd[i]);
    }
    const Result<bool> written = write_.step();
    write_.reset();
    if (!written) return written.error();
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
  CCR_TRY(rows, Statement::prepare(connection,
                                   "SELECT seq, at_us, cost_nanousd, session, user, project, client, agent, requested_model, key,"
                                   " subagent, tags, payer FROM requests WHERE seq <= ? ORDER BY seq DESC LIMIT ?"));
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
    if (rows.number(2) <= 0) continue;
    row.at_us = rows.number(1);
    row.cost_nanousd = rows.number(2);
    int column = 3;
    for (std::string* text : {&row.session, &row.user, &row.project, &row.client, &row.agent, &row.requested_model, &row.key,
                              &row.subagent, &row.tags_json, &row.payer}) {
      *text = rows.text(column++);
    }
    add_row(sums, row);
  }
  CCR_CHECK(add(sums));
  CCR_TRY(state, Statement::prepare(connection, "UPDATE spend_state SET until_seq = ?"));
  state.bind(1, left > 0 ? 0 : oldest - 1);
  CCR_CHECK(state.step());
  CCR_CHECK(connection.run("COMMIT"));
  return sums;
}

Result<void> SpendTable::prune(Connection& connection, std::int64_t before_us) {
  CCR_TRY(statement, Statement::prepare(connection, "DELETE FROM spend WHERE scope IN ('session', 'subagent') AND day < ?"));
  statement.bind(1, span_number(Span::kDay, before_us));
  CCR_CHECK(statement.step());
  return {};
}

}  // namespace ccrules::ledger
