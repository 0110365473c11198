// Any bytes as a compressed body: decoded in any cut to the same text, or refused, within bounds.
#include "http/coding.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/assert.h"
#include "core/limits.h"

using namespace ccrules;

namespace {

struct Decoded {
  std::string text;
  bool failed = false;
  bool complete = false;
};

Decoded decode(http::Coding coding, std::string_view bytes, std::size_t cut) {
  Decoded decoded;
  http::Decoder decoder(coding);
  for (std::size_t at = 0; at < bytes.size() && !decoded.failed; at += cut) {
    decoder.feed(bytes.substr(at, cut));
    for (bool more = true; more;) {
      std::string_view out;
      const http::Decoder::Step step = decoder.next(out);
      CCR_ASSERT(out.size() <= limits::kDecodeStepBytes);
      decoded.failed = step == http::Decoder::Step::kFailed;
      more = step == http::Decoder::Step::kBytes;
      if (more) decoded.text += out;
    }
  }
  decoded.complete = !decoded.failed && decoder.complete();
  CCR_ASSERT(decoded.text.size() <=
             limits::kDecodeFreeBytes + limits::kDecodeStepBytes + limits::kDecodeRatio * bytes.size());
  return decoded;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size < 2) return 0;
  const auto coding = static_cast<http::Coding>(1 + bytes[0] % 3);
  const std::string_view encoded(reinterpret_cast<const char*>(bytes) + 2, size - 2);
  const Decoded whole = decode(coding, encoded, encoded.size() + 1);
  const Decoded pieces = decode(coding, encoded, 1 + bytes[1] % 64);
  // libzstd takes some odd frames without content whole and refuses them in pieces; neither may look cut instead.
  const bool odd = coding == http::Coding::kZstd && whole.complete != pieces.complete;
  if (odd) {
    CCR_ASSERT((whole.complete ? pieces : whole).failed);
  } else {
    CCR_ASSERT(whole.complete == pieces.complete);
  }
  if (whole.complete && pieces.complete) CCR_ASSERT(whole.text == pieces.text);
  return 0;
}
