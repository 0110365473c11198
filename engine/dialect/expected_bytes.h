#pragma once
#include <cstddef>

#include "chat/request.h"

namespace ccrules::dialect {

/// A little more than a request takes as JSON of any dialect: room set aside at once, so that the text is not moved while it is
/// written. An estimate by the lengths of what it holds; escapes may need more.
[[nodiscard]] std::size_t expected_bytes(const chat::Request& request) noexcept;

}  // namespace ccrules::dialect
