#pragma once

namespace ccrules {
/// Prints what failed and where, then aborts. For what only our own bug can cause; on in release too.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;
}  // namespace ccrules

#define CCR_ASSERT(expression) \
  ((expression) ? void(0) : ::ccrules::assertion_failed(#expression, __FILE__, __LINE__))
