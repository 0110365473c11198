#pragma once
#include <span>
#include <string>
#include <utility>

#include "core/result.h"
#include "ledger/hold_file.h"
#include "ledger/record.h"
#include "ledger/spend_table.h"
#include "ledger/sqlite.h"

namespace ccrules::ledger {

/// The table `holds` on the writer's connection: requests under way for which money is set aside. What it may cost at most is
/// on the disk before such a request is sent, so that a proxy that is killed cannot forget it. Used by one thread.
class HoldTable {
 public:
  static Result<HoldTable> prepare(Connection& connection);

  /// Remembers a request, its `cost_nanousd` what it may cost at most; replaces what was held for its id. Inside the caller's
  /// transaction.
  Result<void> put(const Record& row, const std::string& owner);
  /// The request has its row. Inside the caller's transaction.
  Result<void> remove(const std::string& id);
  /// Takes over what a process that is gone has left in its file, for recover(); requests that have their rows are done with.
  Result<void> take_over(Connection& connection, const HoldFile::Left& left);
  /// Requests of processes that are gone get their rows: nobody will ever know what they cost, so it is what was set aside.
  /// @return how many
  static Result<int> recover(Connection& connection, SpendTable& spend, const std::string& self);

 private:
  HoldTable(Statement insert, Statement erase) : insert_(std::move(insert)), erase_(std::move(erase)) {}
  Statement insert_, erase_;
};

/// This process, and no other one with the same number: "pid start-time".
std::string process_name();

}  // namespace ccrules::ledger
