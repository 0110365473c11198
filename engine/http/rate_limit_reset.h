#pragma once
#include <cstdint>

#include "http/message.h"

namespace ccrules::http {

/// How long a provider that answered 429 says, in x-ratelimit-reset-*, until it takes requests again: the longest of the limits that
/// are used up (x-ratelimit-remaining-* is 0), else the shortest of all. -1: it does not say.
/// A value is a duration ("6m0s", "120ms"), seconds, or a time since 1970 in seconds or milliseconds, which is compared with `wall_us`.
std::int64_t rate_limit_reset_ms(const Headers& headers, std::int64_t wall_us);

}  // namespace ccrules::http
