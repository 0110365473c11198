#pragma once
#include <string>

#include "cli/command.h"

namespace ccrules::cli {

/// Tells why a past request went where it went: `id` is its request or decision id, or the beginning of one. Reads --ledger,
/// --config and --json of `arguments`.
Exit tell_why(const std::string& id, const Arguments& arguments, Io& io);

}  // namespace ccrules::cli
