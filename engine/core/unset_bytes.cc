#include "core/unset_bytes.h"

namespace ccrules {

void append_unset(std::string& text, std::size_t count) {
  const std::size_t size = text.size() + count;
  text.resize_and_overwrite(size, [size](char*, std::size_t) { return size; });
}

}  // namespace ccrules
