#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "chat/usage.h"
#include "config/models.h"
#include "config/snapshot.h"

namespace ccrules::ledger {

/// Cost of a request at the model's rates, configuration prices first; providers marked local cost 0.
/// Unset when a count that is not zero has no known rate: unknown is unknown.
std::optional<std::int64_t> cost_nanousd(const chat::Usage& usage, std::string_view provider, std::string_view model,
                                         const config::Snapshot& snapshot);

}  // namespace ccrules::ledger
