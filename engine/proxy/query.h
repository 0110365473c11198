#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace ccrules::proxy {

/// The value of a parameter of a query, decoded; nullopt: it is not there. Pure, any thread.
[[nodiscard]] std::optional<std::string> query_parameter(std::string_view query, std::string_view name);

}  // namespace ccrules::proxy
