#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ccrules {

/// A moment in UTC to the second, as RFC 3339 writes it: "2026-11-21T08:00:00Z". Any thread.
[[nodiscard]] std::string rfc3339(std::int64_t wall_us);
/// Days from 1970-01-01 to the one written "2026-11-21"; nullopt when it is written otherwise or is in no calendar. Any thread.
[[nodiscard]] std::optional<std::int64_t> parse_day(std::string_view text);
/// Seconds from midnight to a time of day as people write it: "9:05", "09:05", "09:05:30", "24:00" at most. nullopt when it is
/// written otherwise or no clock shows it. Any thread.
[[nodiscard]] std::optional<std::int64_t> parse_clock_s(std::string_view text);

}  // namespace ccrules
