#include "core/time_zone.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

#include "core/assert.h"
#include "support/time_zone_file.h"

/// Any bytes as a compiled zone, and as the last line of a good one. A zone that is accepted answers for
/// every moment with less than two days.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace ccrules;
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  for (const auto& zone : {TimeZone::parse(text), TimeZone::parse(test::time_zone_file(text))}) {
    if (!zone.ok()) continue;
    constexpr std::int64_t kFirst = std::numeric_limits<std::int64_t>::min();
    constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();
    for (const std::int64_t utc_s :
         {kFirst, std::int64_t{-1}, std::int64_t{0}, std::int64_t{1'800'000'000}, kLast}) {
      const std::int32_t offset_s = zone->offset_s(utc_s);
      CCR_ASSERT(offset_s > -172'800 && offset_s < 172'800);
    }
  }
  return 0;
}
