#include "http/write.h"

#include <string>

#include <catch2/catch.hpp>

using namespace ccrules;

namespace {

bool is_token_byte(char byte) {
  return std::string_view("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!#$%&'*+-.^_`|~").find(byte) != std::string_view::npos;
}

}  // namespace

TEST_CASE("one byte that a name must not hold makes a field unwritable, wherever it stands") {
  CHECK(http::is_writable_field("x-request-id", "1", false));
  CHECK(!http::is_writable_field("", "1", false));
  for (std::size_t size = 1; size <= 19; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      std::string name(size, 'x');
      for (int byte = 0; byte < 256; ++byte) {
        name[at] = static_cast<char>(byte);
        INFO("byte " << byte << " at " << at << " of " << size);
        REQUIRE(http::is_writable_field(name, "1", false) == is_token_byte(name[at]));
      }
    }
  }
}

TEST_CASE("one control character makes a field unwritable, wherever it stands in its value; tabs and UTF-8 do not") {
  CHECK(http::is_writable_field("x", "", false));
  for (std::size_t size = 1; size <= 19; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      std::string value(size, 'v');
      for (int byte = 0; byte < 256; ++byte) {
        value[at] = static_cast<char>(byte);
        INFO("byte " << byte << " at " << at << " of " << size);
        REQUIRE(http::is_writable_field("x", value, false) == (byte >= 0x20 || byte == '\t'));
      }
    }
  }
}
