#pragma once
#include <string>
#include <string_view>

namespace ccrules::digest {

/// HMAC-SHA256 (RFC 2104), 32 raw bytes.
std::string hmac_sha256(std::string_view key, std::string_view text);

}  // namespace ccrules::digest
