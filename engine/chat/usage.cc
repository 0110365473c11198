#include "chat/usage.h"

namespace ccrules::chat {

void Usage::merge(const Usage& later) {
  const auto take = [](std::optional<std::int64_t>& mine, const std::optional<std::int64_t>& theirs) {
    if (theirs) mine = theirs;
  };
  take(input_tokens, later.input_tokens);
  take(output_tokens, later.output_tokens);
  take(cache_read_tokens, later.cache_read_tokens);
  take(cache_write_tokens, later.cache_write_tokens);
  take(cache_write_1h_tokens, later.cache_write_1h_tokens);
  take(reasoning_tokens, later.reasoning_tokens);
  take(cost_nanousd, later.cost_nanousd);
}

bool Usage::empty() const { return *this == Usage{}; }

}  // namespace ccrules::chat
