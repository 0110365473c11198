#pragma once
#include <string>
#include <string_view>

namespace ccrules {

/// Every byte but letters, digits, "-._~" (RFC 3986, unreserved) and those in `kept` as "%XX". Any thread.
[[nodiscard]] std::string percent_encoded(std::string_view text, std::string_view kept = {});
/// The same for one segment of a path, which may hold anything: it neither ends there, nor begins a query, nor climbs as ".." does.
[[nodiscard]] std::string path_segment(std::string_view name, std::string_view kept = {});
/// A "%" that begins no code stays.
[[nodiscard]] std::string percent_decoded(std::string_view text);

}  // namespace ccrules
