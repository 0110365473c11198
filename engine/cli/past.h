#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cli/command.h"
#include "config/snapshot.h"
#include "ledger/record.h"
#include "ledger/spend_sum.h"
#include "proxy/past_request.h"
#include "rules/recorded.h"

/// What the commands that look back share: which ledger, how far, and a row as the rules see it.
namespace ccrules::cli {

/// Wall time in microseconds that `since` means: "30m", "24h", "7d", "2w" back from `now_us`, "all", or a day of the calendar,
/// "2026-11-01". nullopt: none of these.
std::optional<std::int64_t> since_us(std::string_view since, std::int64_t now_us, const ledger::Calendar& calendar);
/// --since, `usual` when it is not given. On nonsense the error is printed and nullopt returned.
std::optional<std::int64_t> since_flag(const Arguments& arguments, Io& io, const config::Snapshot& config, std::string_view usual);

using proxy::recorded;

}  // namespace ccrules::cli
