#include "http/rate_limit_reset.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/text.h"

namespace ccrules::http {
namespace {

constexpr std::string_view kReset = "x-ratelimit-reset";
constexpr double kLongest_ms = 7.0 * 24 * 3600 * 1000;

/// The number that `text` begins with, which is taken off it; nullopt when there is none, or a negative one.
std::optional<double> take_number(std::string_view& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc() || !std::isfinite(number) || number < 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

/// The length of the unit that `text` begins with, which is taken off it.
std::optional<double> take_unit_ms(std::string_view& text) {
  constexpr std::array<std::pair<std::string_view, double>, 7> kUnits = {
      {{"ms", 1}, {"us", 1e-3}, {"ns", 1e-6}, {"s", 1e3}, {"m", 6e4}, {"h", 3.6e6}, {"d", 8.64e7}}};
  for (const auto& [unit, length_ms] : kUnits) {
    if (!text.starts_with(unit)) continue;
    text.remove_prefix(unit.size());
    return length_ms;
  }
  return std::nullopt;
}

std::optional<std::int64_t> wait_ms(std::string_view value, std::int64_t wall_us) {
  constexpr double kFirstTime_s = 1e9;  // what is later than 2001 is no duration
  constexpr double kFirstTime_ms = 1e12;
  value = text::trim(value);
  double total_ms = 0;
  if (value.empty()) return std::nullopt;
  while (!value.empty()) {
    const auto number = take_number(value);
    if (!number) return std::nullopt;
    if (value.empty()) {
      const double now_ms = static_cast<double>(wall_us) / 1000;
      total_ms += *number >= kFirstTime_ms ? *number - now_ms : *number >= kFirstTime_s ? *number * 1000 - now_ms : *number * 1000;
      break;
    }
    const auto unit_ms = take_unit_ms(value);
    if (!unit_ms) return std::nullopt;
    total_ms += *number * *unit_ms;
  }
  return static_cast<std::int64_t>(std::ceil(std::clamp(total_ms, 0.0, kLongest_ms)));
}

}  // namespace

std::int64_t rate_limit_reset_ms(const Headers& headers, std::int64_t wall_us) {
  std::int64_t longest_used_up = -1;
  std::int64_t shortest = -1;
  for (std::size_t i = 0; i < headers.size(); ++i) {
    const auto [name, value] = headers.at(i);
    if (!text::starts_with_ignore_case(name, kReset)) continue;
    const auto wait = wait_ms(value, wall_us);
    if (!wait) continue;
    const std::string remaining = "x-ratelimit-remaining" + std::string(name.substr(kReset.size()));
    if (text::trim(headers.get(remaining)) == "0") longest_used_up = std::max(longest_used_up, *wait);
    shortest = shortest < 0 ? *wait : std::min(shortest, *wait);
  }
  return longest_used_up >= 0 ? longest_used_up : shortest;
}

}  // namespace ccrules::http
