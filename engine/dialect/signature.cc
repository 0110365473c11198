#include "dialect/signature.h"

#include <cstddef>
#include <cstdint>

namespace ccrules::dialect::signature {
namespace {

constexpr std::string_view kPrefix = "ccr1.";
constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string to_base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t left = bytes.size() - at;
    const auto byte = [&](std::size_t i) {
      return i < left ? static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[at + i])) : 0u;
    };
    const std::uint32_t group = byte(0) << 16 | byte(1) << 8 | byte(2);
    out += kDigits[group >> 18 & 63];
    out += kDigits[group >> 12 & 63];
    out += left > 1 ? kDigits[group >> 6 & 63] : '=';
    out += left > 2 ? kDigits[group & 63] : '=';
  }
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t at = 0; at < text.size(); at += 4) {
    const bool last = at + 4 == text.size();
    std::uint32_t group = 0;
    std::size_t padding = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const char c = text[at + i];
      if (c == '=' && last && i >= 2) {
        ++padding;
        group <<= 6;
        continue;
      }
      const std::size_t digit = kDigits.find(c);
      if (digit == std::string_view::npos || padding > 0) return std::nullopt;
      group = group << 6 | static_cast<std::uint32_t>(digit);
    }
    out += static_cast<char>(group >> 16 & 255);
    if (padding < 2) out += static_cast<char>(group >> 8 & 255);
    if (padding < 1) out += static_cast<char>(group & 255);
  }
  return out;
}

std::string encode(const Origin& origin) {
  std::string signature(kPrefix);
  signature.append(origin.provider)
      .append(",")
      .append(origin.model)
      .append(":")
      .append(to_base64(origin.payload));
  return signature;
}

bool is_ours(std::string_view signature) noexcept {
  return signature.starts_with(kPrefix);
}

std::optional<Origin> decode(std::string_view signature) {
  if (!is_ours(signature)) return std::nullopt;
  signature.remove_prefix(kPrefix.size());
  // Model names may hold colons (qwen3:30b), base64 does not.
  const std::size_t comma = signature.find(',');
  const std::size_t colon = signature.rfind(':');
  if (comma == std::string_view::npos || colon == std::string_view::npos || colon < comma)
    return std::nullopt;
  auto payload = from_base64(signature.substr(colon + 1));
  if (!payload) return std::nullopt;
  return Origin{std::string(signature.substr(0, comma)),
                std::string(signature.substr(comma + 1, colon - comma - 1)), *std::move(payload)};
}

}  // namespace ccrules::dialect::signature
