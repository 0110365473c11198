#pragma once
#include <string_view>

#include "core/result.h"
#include "rules/tree.h"

namespace ccrules::rules {

/// Reads one JSON value into a Tree. Places count lines and columns from `begin`, the place of the text's first byte.
Result<Tree> read_json(std::string_view text, Spot begin);

/// Where an error of read_json() is, as far as it says at which byte; else `begin`.
Spot place_of(const Error& error, std::string_view text, Spot begin);

}  // namespace ccrules::rules
