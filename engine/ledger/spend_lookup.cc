#include "ledger/spend_lookup.h"

#include "ledger/spend_table.h"
#include "ledger/sqlite.h"

namespace ccrules::ledger {

Result<Sum> spent_before(const std::string& path, const Cap& cap) {
  constexpr int kBusyMs = 1000;
  CCR_TRY(connection, Connection::open(path, Connection::Mode::kReadOnly, kBusyMs));
  return SpendTable::find(connection, cap.by, cap.key);
}

}  // namespace ccrules::ledger
