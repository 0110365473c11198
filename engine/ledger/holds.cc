#include "ledger/holds.h"

#include <fstream>
#include <unistd.h>
#include <vector>

#include "core/text.h"

namespace ccrules::ledger {
namespace {

/// When a process started, in clock ticks since the machine did; empty: there is no such process.
std::string start_time(std::string_view pid) {
  constexpr std::size_t kStartField = 19;  // counted behind the name in brackets, see proc(5), field 22
  if (!text::to_int(pid)) return {};
  std::ifstream file("/proc/" + std::string(pid) + "/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return {};
  const auto fields = text::split(std::string_view(line).substr(name_end + 2), ' ');
  return fields.size() > kStartField ? std::string(fields[kStartField]) : std::string();
}

constexpr const char* kNobody = "gone 0";  ///< no process is called so

bool is_running(const std::string& owner) {
  const std::size_t space = owner.find(' ');
  if (space == std::string::npos) return false;
  const std::string started = start_time(std::string_view(owner).substr(0, space));
  return !started.empty() && started == owner.substr(space + 1);
}

constexpr char kRecover[] =
    "INSERT INTO requests (id, at_us, client, dialect, path, session, user, project, agent, request_class, requested_model,"
    " decision_id, rule, reason, provider, model, attempts, status, stream, usage_estimated, cost_nanousd, cache, duration_us,"
    " error, tags, key, subagent, payer, billed_model)"
    " SELECT id, at_us, client, dialect, path, session, user, project, agent, request_class, requested_model, decision_id, rule,"
    " reason, provider, model, 1, 500, stream, 1, nanousd, 'bypass', 0, 'internal: the proxy was killed while this request was"
    " under way; its cost is what it may have cost at most', tags, key, subagent, payer, billed_model FROM holds"
    " WHERE owner = ?";

constexpr char kRecoverRuns[] =
    "INSERT INTO subagent_runs (run, root, at_us) SELECT nested_run, subagent, max(at_us) FROM holds"
    " WHERE owner = ? AND nested_run IS NOT NULL AND subagent IS NOT NULL GROUP BY nested_run"
    " ON CONFLICT (run) DO UPDATE SET root = excluded.root, at_us = max(at_us, excluded.at_us)";

}  // namespace

std::string process_name() {
  const std::string pid = std::to_string(::getpid());
  return pid + " " + start_time(pid);
}

Result<HoldTable> HoldTable::prepare(Connection& connection) {
  CCR_TRY(insert, Statement::prepare(connection,
                                     "INSERT OR REPLACE INTO holds (id, owner, at_us, nanousd, client, dialect, path, session, user,"
                                     " project, agent, request_class, requested_model, decision_id, rule, reason, provider, model,"
                                     " stream, tags, key, subagent, payer, billed_model, nested_run)"
                                     " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"));
  CCR_TRY(erase, Statement::prepare(connection, "DELETE FROM holds WHERE id = ?"));
  return HoldTable(std::move(insert), std::move(erase));
}

Result<void> HoldTable::put(const Record& row, const std::string& owner) {
  int at = 0;
  insert_.bind_always(++at, row.id);
  insert_.bind_always(++at, owner);
  insert_.bind(++at, row.at_us);
  insert_.bind(++at, row.cost_nanousd.value_or(0));
  for (const std::string* text :
       {&row.client, &row.dialect, &row.path, &row.session, &row.user, &row.project, &row.agent, &row.request_class,
        &row.requested_model, &row.decision_id, &row.rule, &row.reason, &row.provider, &row.model}) {
    insert_.bind(++at, *text);
  }
  insert_.bind(++at, std::int64_t{row.stream ? 1 : 0});
  for (const std::string* text : {&row.tags_json, &row.key, &row.subagent, &row.payer, &row.billed_model, &row.nested_run}) {
    insert_.bind(++at, *text);
  }
  const Result<bool> done = insert_.step();
  insert_.reset();
  if (!done) return done.error();
  return {};
}

Result<void> HoldTable::remove(const std::string& id) {
  erase_.bind_always(1, id);
  const Result<bool> done = erase_.step();
  erase_.reset();
  if (!done) return done.error();
  return {};
}

Result<void> HoldTable::take_over(Connection& connection, const HoldFile::Left& left) {
  const auto move = [&]() -> Result<void> {
    // Held for more in the table: what it had to add did not fit into its slot.
    CCR_TRY(known, Statement::prepare(connection,
                                      "SELECT 1 FROM requests WHERE at_us = ?1 AND id = ?2"
                                      " UNION ALL SELECT 1 FROM holds WHERE id = ?2 AND nanousd >= ?3"));
    for (const Record& row : left.rows) {
      known.bind(1, row.at_us);
      known.bind_always(2, row.id);
      known.bind(3, row.cost_nanousd.value_or(0));
      CCR_TRY(is_known, known.step());
      known.reset();
      if (!is_known) CCR_CHECK(put(row, kNobody));
    }
    return connection.run("COMMIT");
  };
  CCR_CHECK(connection.run("BEGIN IMMEDIATE"));
  Result<void> moved = move();
  if (moved) {
    HoldFile::remove(left);
  } else {
    (void)connection.run("ROLLBACK");  // the first error is the one to show
  }
  return moved;
}

Result<int> HoldTable::recover(Connection& connection, SpendTable& spend, const std::string& self) {
  std::vector<std::string> gone;
  {
    CCR_TRY(owners, Statement::prepare(connection, "SELECT DISTINCT owner FROM holds"));
    for (;;) {
      CCR_TRY(more, owners.step());
      if (!more) break;
      const std::string owner = owners.text(0);
      if (owner != self && !is_running(owner)) gone.push_back(owner);
    }
  }
  if (gone.empty()) return 0;
  const auto give_rows = [&](const std::string& owner) -> Result<int> {
    SumMap sums;
    int count = 0;
    CCR_TRY(rows, Statement::prepare(connection,
                                     "SELECT at_us, nanousd, session, user, project, client, agent, requested_model, key, subagent,"
                                     " tags, payer, billed_model FROM holds WHERE owner = ?"));
    rows.bind_always(1, owner);
    for (;;) {
      CCR_TRY(more, rows.step());
      if (!more) break;
      Record row;
      row.at_us = rows.number(0);
      row.cost_nanousd = rows.number(1);
      int column = 2;
      for (std::string* text : {&row.session, &row.user, &row.project, &row.client, &row.agent, &row.requested_model, &row.key,
                                &row.subagent, &row.tags_json, &row.payer, &row.billed_model}) {
        *text = rows.text(column++);
      }
      add_past_row(sums, row, spend.calendar());
      ++count;
    }
    CCR_CHECK(spend.add(sums, SpendTable::When::kPast));
    for (const char* sql : {kRecover, kRecoverRuns, "DELETE FROM holds WHERE owner = ?"}) {
      CCR_TRY(statement, Statement::prepare(connection, sql));
      statement.bind_always(1, owner);
      CCR_CHECK(statement.step());
    }
    return count;
  };
  CCR_CHECK(connection.run("BEGIN IMMEDIATE"));
  int recovered = 0;
  for (const std::string& owner : gone) {
    const Result<int> count = give_rows(owner);
    if (!count.ok()) {
      (void)connection.run("ROLLBACK");  // the first error is the one to show
      return count.error();
    }
    recovered += *count;
  }
  CCR_CHECK(connection.run("COMMIT"));
  return recovered;
}

}  // namespace ccrules::ledger
