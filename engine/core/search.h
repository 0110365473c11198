#pragma once
#include <string_view>

/// Looking for something that is hardly ever there in bodies of hundreds of kilobytes.
namespace ccrules {

/// True when `text` holds `needle`, which has two bytes or more. Made for a needle whose last two bytes are nearly never
/// side by side in `text`: 149 KB in 3 us, where std::string_view::find() needs 40.
[[nodiscard]] bool holds_rare(std::string_view text, std::string_view needle) noexcept;

}  // namespace ccrules
