#include "core/embedded.h"

namespace ccrules::embedded {

extern const Row kRows[];
extern const std::size_t kRowCount;

std::span<const Row> files() noexcept { return {kRows, kRowCount}; }

std::string_view file(std::string_view name) noexcept {
  for (const Row& row : files()) {
    if (name == row.name) return row.text();
  }
  return {};
}

}  // namespace ccrules::embedded
