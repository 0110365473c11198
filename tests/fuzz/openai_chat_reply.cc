// Any bytes as a whole reply of this dialect's provider: see fuzz/reply_properties.h.
#include "fuzz/reply_properties.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  return ccrules::fuzz::check_reply(ccrules::dialect::openai_chat(), bytes, size);
}
