#include "ledger/subagent_table.h"

namespace ccrules::ledger {

Result<SubagentTable> SubagentTable::prepare(Connection& connection) {
  CCR_TRY(write, Statement::prepare(connection,
                                    "INSERT INTO subagent_runs (run, root, at_us) VALUES (?,?,?)"
                                    " ON CONFLICT (run) DO UPDATE SET root = excluded.root, at_us = excluded.at_us"));
  return SubagentTable(std::move(write));
}

Result<void> SubagentTable::put(const Record& row) {
  if (row.nested_run.empty()) return {};
  write_.bind_always(1, row.nested_run);
  write_.bind_always(2, row.subagent);
  write_.bind(3, row.at_us);
  const Result<bool> done = write_.step();
  write_.reset();
  if (!done) return done.error();
  return {};
}

Result<std::string> SubagentTable::root(const Connection& connection, const std::string& run) {
  CCR_TRY(row, Statement::prepare(connection, "SELECT root FROM subagent_runs WHERE run = ?"));
  row.bind_always(1, run);
  CCR_TRY(found, row.step());
  return found ? row.text(0) : run;
}

Result<void> SubagentTable::prune(const Connection& connection, std::int64_t before_us) {
  CCR_TRY(statement, Statement::prepare(connection, "DELETE FROM subagent_runs WHERE at_us < ?"));
  statement.bind(1, before_us);
  CCR_CHECK(statement.step());
  return {};
}

}  // namespace ccrules::ledger
