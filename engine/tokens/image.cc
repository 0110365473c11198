#include "tokens/image.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "core/limits.h"

namespace ccrules::tokens {
namespace {

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

/// The first bytes behind the base64. A JSON escape (\/) stands for the character behind the backslash.
std::string head_of(std::string_view base64) {
  std::string out;
  unsigned bits = 0;
  int have = 0;
  for (const char c : base64.substr(0, limits::kImageHeadBytes)) {
    const int value = base64_value(c);
    if (value < 0) {
      if (c == '=') break;
      continue;
    }
    bits = bits << 6 | static_cast<unsigned>(value);
    have += 6;
    if (have < 8) continue;
    have -= 8;
    out += static_cast<char>(bits >> have & 0xFF);
  }
  return out;
}

std::int64_t byte(std::string_view bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}
std::int64_t big16(std::string_view bytes, std::size_t at) {
  return byte(bytes, at) << 8 | byte(bytes, at + 1);
}
std::int64_t little16(std::string_view bytes, std::size_t at) {
  return byte(bytes, at) | byte(bytes, at + 1) << 8;
}
std::int64_t little24(std::string_view bytes, std::size_t at) {
  return little16(bytes, at) | byte(bytes, at + 2) << 16;
}

std::optional<ImageSize> sane(ImageSize size) {
  if (size.width <= 0 || size.height <= 0 || size.width > 1'000'000 || size.height > 1'000'000)
    return std::nullopt;
  return size;
}

std::optional<ImageSize> jpeg_size(std::string_view bytes) {
  std::size_t at = 2;
  while (at + 9 < bytes.size()) {
    if (byte(bytes, at) != 0xFF) return std::nullopt;
    const std::int64_t marker = byte(bytes, at + 1);
    if (marker == 0xFF) {  // fill
      ++at;
      continue;
    }
    const bool frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    if (frame) return sane({big16(bytes, at + 7), big16(bytes, at + 5)});
    at += 2 + static_cast<std::size_t>(big16(bytes, at + 2));
  }
  return std::nullopt;
}

std::optional<ImageSize> webp_size(std::string_view bytes) {
  if (bytes.size() < 30) return std::nullopt;
  const std::string_view kind = bytes.substr(12, 4);
  if (kind == "VP8X") return sane({little24(bytes, 24) + 1, little24(bytes, 27) + 1});
  if (kind == "VP8 ") return sane({little16(bytes, 26) & 0x3FFF, little16(bytes, 28) & 0x3FFF});
  if (kind == "VP8L") {
    const std::int64_t bits = little24(bytes, 21) | byte(bytes, 24) << 24;
    return sane({(bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1});
  }
  return std::nullopt;
}

std::int64_t patches(double width, double height, double side) {
  return static_cast<std::int64_t>(std::ceil(width / side) * std::ceil(height / side));
}

/// Scaled down, aspect kept, until the long edge and the number of 28-pixel patches are within the limits.
std::int64_t claude_tokens(ImageSize size, std::int64_t edge, std::int64_t cap) {
  const auto width = static_cast<double>(size.width), height = static_cast<double>(size.height);
  double scale = std::min(1.0, static_cast<double>(edge) / std::max(width, height));
  if (patches(width * scale, height * scale, 28) > cap) {
    scale = std::min(scale, std::sqrt(static_cast<double>(cap) * 28 * 28 / (width * height)));
    const double step = 1 / std::max(width, height);  // one pixel of the long edge
    while (scale > step && patches(width * scale, height * scale, 28) > cap) scale -= step;
  }
  return std::max<std::int64_t>(1, patches(width * scale, height * scale, 28));
}

std::int64_t tile_tokens(ImageSize size) {
  auto width = static_cast<double>(size.width), height = static_cast<double>(size.height);
  const double fit = std::min(1.0, 2048 / std::max(width, height));
  width *= fit;
  height *= fit;
  const double shrink = std::min(1.0, 768 / std::min(width, height));
  return 85 + 170 * patches(width * shrink, height * shrink, 512);
}

}  // namespace

std::optional<ImageSize> image_size(std::string_view base64) noexcept {
  const std::string bytes = head_of(base64);
  const std::string_view view = bytes;
  if (view.size() < 10) return std::nullopt;
  if (view.starts_with("\x89PNG\r\n\x1a\n")) {
    if (view.size() < 24) return std::nullopt;
    return sane({big16(view, 16) << 16 | big16(view, 18), big16(view, 20) << 16 | big16(view, 22)});
  }
  if (view.starts_with("GIF8")) return sane({little16(view, 6), little16(view, 8)});
  if (view.starts_with("\xFF\xD8")) return jpeg_size(view);
  if (view.starts_with("RIFF") && view.substr(8, 2) == "WE") return webp_size(view);
  return std::nullopt;
}

std::int64_t image_tokens(const Family& family, std::optional<ImageSize> size, bool low_detail) noexcept {
  switch (family.image_rule) {
    case ImageRule::kClaude:
      return size ? claude_tokens(*size, family.image_edge, family.image_cap) : family.image_tokens;
    case ImageRule::kPatch: {
      if (!size) return family.image_tokens;
      const std::int64_t wanted =
          patches(static_cast<double>(size->width), static_cast<double>(size->height), 32);
      return (std::min(wanted, family.image_cap) * 12 + 9) / 10;
    }
    case ImageRule::kTile:
      if (low_detail) return 85;
      return size ? tile_tokens(*size) : family.image_tokens;
    case ImageRule::kFlat:
      break;
  }
  return family.image_tokens;
}

}  // namespace ccrules::tokens
