#pragma once
#include <cstdint>
#include <string_view>

namespace ccrules::digest {

/// CRC-32 as gzip and PNG use it. Against accidents only, not against people.
std::uint32_t crc32(std::string_view bytes) noexcept;

}  // namespace ccrules::digest
