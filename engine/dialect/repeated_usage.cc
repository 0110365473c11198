#include "dialect/repeated_usage.h"

#include <algorithm>

namespace ccrules::dialect {

void merge_repeated(chat::Usage& usage, chat::Usage later) {
  if (later.input_tokens) {
    const std::int64_t read = later.cache_read_tokens ? 0 : usage.cache_read_tokens.value_or(0);
    const std::int64_t written = later.cache_write_tokens ? 0 : usage.cache_write_tokens.value_or(0);
    later.input_tokens = std::max<std::int64_t>(0, *later.input_tokens - read - written);
  }
  usage.merge(later);
}

}  // namespace ccrules::dialect
