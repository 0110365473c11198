// Any bytes in any two cuts give the same events as the bytes fed whole.
#include "core/sse.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

std::string decode(std::string_view bytes, std::size_t piece_bytes) {
  ccrules::sse::Decoder decoder;
  ccrules::sse::Event event;
  std::string seen;
  const auto note = [&] {
    seen.append(event.name).append("|").append(event.data).append(event.terminated ? "\x01" : "\x02");
  };
  for (std::size_t at = 0; at < bytes.size(); at += piece_bytes) {
    const std::vector<char> piece(
        bytes.begin() + static_cast<std::ptrdiff_t>(at),
        bytes.begin() + static_cast<std::ptrdiff_t>(std::min(at + piece_bytes, bytes.size())));
    decoder.feed({piece.data(), piece.size()});
    while (decoder.next(event) == ccrules::sse::Step::kEvent) note();
  }
  if (decoder.finish(event)) note();
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  const std::string whole = decode(text, text.size() + 1);
  if (decode(text, 1) != whole) std::abort();
  if (decode(text, bytes[0] % 61u + 2) != whole) std::abort();
  return 0;
}
