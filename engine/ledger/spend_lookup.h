#pragma once
#include <string>

#include "core/result.h"
#include "ledger/spend.h"

namespace ccrules::ledger {

/// What the ledger's table says that someone has spent, for Spend::recall(). Reads the file: on the pool. Error: it cannot be read.
Result<Sum> spent_before(const std::string& path, const Spend::Name& whose);

/// Which outermost subagent run a run belongs to; itself, where nothing else is known. The same.
Result<std::string> subagent_root(const std::string& path, const std::string& run);

}  // namespace ccrules::ledger
