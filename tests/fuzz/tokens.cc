// The tokenizers against their plain twins, for any bytes, alone, repeated and out of warm caches.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "support/plain_tokenizer.h"
#include "tokens/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace ccrules;
  if (size < 2 || size > 3000) return 0;
  // The first byte repeats the text, so that runs longer than a merge window are met.
  const std::size_t times = size < 40 ? 1 + bytes[0] % 32u * (bytes[0] % 3u) : 1;
  const std::string_view once(static_cast<const char*>(static_cast<const void*>(bytes + 1)), size - 1);
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += once;
  for (const auto encoding : {tokens::Encoding::kO200k, tokens::Encoding::kCl100k}) {
    std::vector<std::uint32_t> ids;
    tokens::Tokenizer& tokenizer = tokens::Tokenizer::local(encoding);
    tokenizer.encode(text, ids);
    const auto count = static_cast<std::int64_t>(ids.size());
    if (ids != test::plain_encode(encoding, text)) std::abort();
    if (tokenizer.count(text) != count || tokenizer.count(text) != count) std::abort();
  }
  return 0;
}
