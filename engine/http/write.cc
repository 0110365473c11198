#include "http/write.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "core/text.h"

namespace ccrules::http {
namespace {

/// Which bytes a field's name may hold (RFC 9110 5.6.2).
constexpr std::array<bool, 256> kNameBytes = [] {
  std::array<bool, 256> allowed{};
  for (const char byte : std::string_view("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!#$%&'*+-.^_`|~"))
    allowed[static_cast<unsigned char>(byte)] = true;
  return allowed;
}();

constexpr std::uint64_t kOnes = 0x0101010101010101;
constexpr std::size_t kEight = sizeof kOnes;

/// Eight bytes of the text from `at` on, or its last eight.
std::uint64_t eight_bytes(std::string_view text, std::size_t at) noexcept {
  std::uint64_t bytes = 0;
  std::memcpy(&bytes, text.data() + std::min(at, text.size() - kEight), kEight);
  return bytes;
}

/// True when all eight are among a to z and '-', as in nearly all names.
bool are_letters(std::uint64_t bytes) noexcept {
  const std::uint64_t at_least_a = bytes + kOnes * (0x80 - 'a');
  const std::uint64_t beyond_z = bytes + kOnes * (0x80 - 'z' - 1);
  const std::uint64_t dash = kOnes * 0x80 - (bytes ^ kOnes * '-');  // 0x80 where the two are the same
  return (bytes & kOnes * 0x80) == 0 && (((at_least_a & ~beyond_z) | dash) & kOnes * 0x80) == kOnes * 0x80;
}

bool is_field_name(std::string_view name) noexcept {
  std::size_t at = 0;
  while (name.size() >= kEight && at < name.size() && are_letters(eight_bytes(name, at))) at += kEight;
  if (!name.empty() && at >= name.size()) return true;
  bool allowed = !name.empty();  // nearly all are: no branch for each letter
  for (const char byte : name) allowed &= kNameBytes[static_cast<unsigned char>(byte)];
  return allowed;
}

bool is_field_value(std::string_view value) noexcept {
  std::size_t at = 0;
  // Eight bytes at once, the last ones once more where they are fewer: none below the blank means none of the three.
  while (value.size() >= kEight && at < value.size()) {
    const std::uint64_t eight = eight_bytes(value, at);
    if (((eight - kOnes * 0x20) & ~eight & kOnes * 0x80) != 0) break;
    at = std::min(at + kEight, value.size());
  }
  return std::none_of(value.begin() + static_cast<std::ptrdiff_t>(at), value.end(),
                      [](char byte) { return static_cast<unsigned char>(byte) < 0x20 && byte != '\t'; });
}

bool is_ours(std::string_view name, bool skip_host) noexcept {
  switch (name.size()) {
    case 4:
      return skip_host && text::equals_ignore_case(name, "host");
    case 10:
      return text::equals_ignore_case(name, "connection") || text::equals_ignore_case(name, "keep-alive");
    case 14:
      return text::equals_ignore_case(name, "content-length");
    case 17:
      return text::equals_ignore_case(name, "transfer-encoding");
    default:
      return false;
  }
}

}  // namespace

void append_field(std::string& out, std::string_view name, std::string_view value) {
  const std::size_t before = out.size();
  out.resize(before + name.size() + value.size() + 4);
  char* at = out.data() + before;
  std::memcpy(at, name.data(), name.size());
  at += name.size();
  *at++ = ':';
  *at++ = ' ';
  if (!value.empty()) std::memcpy(at, value.data(), value.size());
  at += value.size();
  *at++ = '\r';
  *at = '\n';
}

void append_fields(std::string& out, const Headers& headers, bool skip_host) {
  for (std::size_t at = 0; at < headers.size(); ++at) {
    const auto [name, value] = headers.at(at);
    if (is_writable_field(name, value, skip_host)) append_field(out, name, value);
  }
}

bool is_writable_field(std::string_view name, std::string_view value, bool skip_host) noexcept {
  return !is_ours(name, skip_host) && is_field_name(name) && is_field_value(value);
}

void append_number(std::string& out, std::uint64_t number) {
  std::array<char, 20> digits;
  const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  out.append(digits.data(), static_cast<std::size_t>(written.ptr - digits.data()));
}

void append_chunk_size(std::string& out, std::size_t bytes) {
  std::array<char, 16> digits;
  const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), bytes, 16);
  out.append(digits.data(), written.ptr).append("\r\n");
}

bool is_plain_token(std::string_view text) noexcept {
  return !text.empty() && std::none_of(text.begin(), text.end(), [](char byte) {
    const auto code = static_cast<unsigned char>(byte);
    return code <= 0x20 || code == 0x7F;
  });
}

std::string_view reason_phrase(int status) noexcept {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 422:
      return "Unprocessable Content";
    case 426:
      return "Upgrade Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 529:
      return "Overloaded";
    default:
      return status < 400 ? "OK" : "Error";
  }
}

}  // namespace ccrules::http
