#include "core/assert.h"

#include <cstdio>
#include <cstdlib>

namespace ccrules {

void assertion_failed(const char* expression, const char* file, int line) noexcept {
  std::fprintf(stderr, "ccrules: a bug in ccrules itself: %s is false at %s:%d\n", expression, file, line);
  std::abort();
}

}  // namespace ccrules
