#include "fuzz/stream_properties.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  ccrules::fuzz::check_stream(ccrules::dialect::openai_responses(), bytes, size);
  return 0;
}
