#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// Compiled time zones (RFC 8536, version 2) as a test wants them.
namespace ccrules::test {

struct ZoneChange {
  std::int64_t at_s = 0;  ///< UTC
  std::uint8_t kind = 0;  ///< place in `offsets_s`
};

/// @param rule the POSIX string of the last line; empty: nothing is known about the coming years
/// @param offsets_s of the kinds of local time; the first one counts before the first change
std::string time_zone_file(std::string_view rule, const std::vector<std::int32_t>& offsets_s = {0},
                           const std::vector<ZoneChange>& changes = {});

}  // namespace ccrules::test
