#include "core/checksum.h"

#include <zlib.h>

namespace ccrules::digest {

std::uint32_t crc32(std::string_view bytes) noexcept {
  // Called without bytes, zlib answers with the start value instead of going on from it.
  if (bytes.empty()) return 0;
  return static_cast<std::uint32_t>(::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace ccrules::digest
