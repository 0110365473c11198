#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/text.h"

namespace ccrules::http {

/// A fixed set of header names, looked up without case. A name whose length no member has costs one shift.
template <std::size_t kCount>
class NameSet {
 public:
  constexpr explicit NameSet(const std::array<std::string_view, kCount>& names) : names_(names) {
    for (const std::string_view name : names) lengths_ |= std::uint64_t{1} << name.size();
  }
  [[nodiscard]] bool has(std::string_view name) const noexcept {
    return name.size() < 64 && (lengths_ >> name.size() & 1) != 0 &&
           std::any_of(names_.begin(), names_.end(),
                       [&](std::string_view known) { return known.size() == name.size() && text::equals_ignore_case(known, name); });
  }

 private:
  std::array<std::string_view, kCount> names_;
  std::uint64_t lengths_ = 0;
};

}  // namespace ccrules::http
