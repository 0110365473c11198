#pragma once
#include <string>

#include "ledger/record.h"
#include "rules/engine.h"
#include "rules/recorded.h"

namespace ccrules::proxy {

/// A past request as its rules saw it.
rules::RecordedRequest recorded(const ledger::Record& row);

/// All that is known of a request, and its decision made again with every rule's part in it.
/// @param engine null: the rules cannot be loaded
std::string request_json(const ledger::Record& row, rules::Engine* engine);

}  // namespace ccrules::proxy
