#include "ledger/spend_lookup.h"

#include "ledger/spend_table.h"
#include "ledger/sqlite.h"
#include "ledger/subagent_table.h"

namespace ccrules::ledger {
namespace {

constexpr int kBusyMs = 1000;

}  // namespace

Result<Sum> spent_before(const std::string& path, const Spend::Name& whose) {
  CCR_TRY(connection, Connection::open(path, Connection::Mode::kReadOnly, kBusyMs));
  return SpendTable::find(connection, whose.first, whose.second);
}

Result<std::string> subagent_root(const std::string& path, const std::string& run) {
  CCR_TRY(connection, Connection::open(path, Connection::Mode::kReadOnly, kBusyMs));
  return SubagentTable::root(connection, run);
}

}  // namespace ccrules::ledger
