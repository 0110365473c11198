#pragma once
#include <cstdint>
#include <string>

namespace ccrules {

/// A moment in UTC to the second, as RFC 3339 writes it: "2026-11-21T08:00:00Z". Any thread.
[[nodiscard]] std::string rfc3339(std::int64_t wall_us);

}  // namespace ccrules
