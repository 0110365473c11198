#pragma once
#include "ledger/record.h"
#include "rules/recorded.h"

namespace ccrules::proxy {

/// A past request as its rules saw it.
rules::RecordedRequest recorded(const ledger::Record& row);

}  // namespace ccrules::proxy
