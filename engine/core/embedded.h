#pragma once
#include <cstddef>
#include <span>
#include <string_view>

/// Text files compiled into the binary (rules/prelude, rules/default, config/models, ...), so that one file is the product.
namespace ccrules::embedded {

struct Row {
  const char* name;  ///< Path below the source tree: "config/models/anthropic.json".
  const char* begin;
  const char* end;
  [[nodiscard]] std::string_view text() const { return {begin, static_cast<std::size_t>(end - begin)}; }
};

/// Every embedded file, sorted as CMake globbed them (by name).
std::span<const Row> files() noexcept;
/// The file's text, or an empty view when there is no such file.
std::string_view file(std::string_view name) noexcept;

}  // namespace ccrules::embedded
