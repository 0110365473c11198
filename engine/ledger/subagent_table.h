#pragma once
#include <cstdint>
#include <string>
#include <utility>

#include "core/result.h"
#include "ledger/record.h"
#include "ledger/sqlite.h"

namespace ccrules::ledger {

/// The table `subagent_runs` on the writer's connection: which outermost run each nested one belongs to, written in the same
/// transaction as the rows that say so. Used by one thread.
class SubagentTable {
 public:
  static Result<SubagentTable> prepare(Connection& connection);

  /// Remembers a row's run where it is a nested one. Inside the caller's transaction.
  Result<void> put(const Record& row);
  /// The outermost run that a run belongs to; itself, where nothing else is known.
  static Result<std::string> root(const Connection& connection, const std::string& run);
  /// Forgets runs that have asked for nothing since.
  static Result<void> prune(const Connection& connection, std::int64_t before_us);

 private:
  explicit SubagentTable(Statement write) : write_(std::move(write)) {}
  Statement write_;
};

}  // namespace ccrules::ledger
