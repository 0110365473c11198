#include "core/json_index.h"

#include <algorithm>
#include <bit>
#include <string>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <simdjson.h>
#pragma GCC diagnostic pop

#include "core/assert.h"
#include "core/json.h"
#include "core/json_escapes.h"

/// All that simdjson does for core/json.h.
namespace ccrules::json {
namespace {

Error malformed(std::string_view what) { return bad_request("the body " + std::string(what)); }

}  // namespace

Structurals::Structurals() = default;
Structurals::~Structurals() = default;

Result<void> Structurals::find(std::string_view text) {
  if (text.size() == 0) return malformed("is empty");
  if (!parser_ || parser_->capacity() < text.size()) {
    const std::size_t capacity = std::max<std::size_t>(std::bit_ceil(text.size()), 4096);
    parser_.reset();
    if (simdjson::get_active_implementation()->create_dom_parser_implementation(capacity, 1, parser_) !=
        simdjson::SUCCESS) {
      parser_.reset();
      return internal_error("out of memory while reading JSON");
    }
  }
  const auto error =
      parser_->stage1(reinterpret_cast<const std::uint8_t*>(text.data()), text.size(), simdjson::stage1_mode::regular);
  switch (error) {
    case simdjson::SUCCESS:
      break;
    case simdjson::EMPTY:
      return malformed("is empty");
    case simdjson::UTF8_ERROR:
      return malformed("is not valid UTF-8");
    case simdjson::UNESCAPED_CHARS:
      return malformed("is not valid JSON: a string holds an unescaped control character");
    case simdjson::UNCLOSED_STRING:
      return malformed("is not valid JSON: a string is not closed");
    default:
      return malformed("is not valid JSON");
  }
  return {};
}

const std::uint32_t* Structurals::begin() const { return parser_->structural_indexes.get(); }

std::uint32_t Structurals::count() const { return parser_->n_structural_indexes; }

void Structurals::trim(std::size_t most_bytes) {
  if (parser_ && parser_->capacity() > most_bytes) parser_.reset();
}

bool is_utf8(std::string_view bytes) {
  return simdjson::validate_utf8(bytes);
}

std::string compact(std::string_view text) {
  std::string out(text.size() + kPadding, '\0');
  std::size_t size = 0;
  const auto error = simdjson::get_active_implementation()->minify(
      reinterpret_cast<const std::uint8_t*>(text.data()), text.size(),
      reinterpret_cast<std::uint8_t*>(out.data()), size);
  CCR_ASSERT(error == simdjson::SUCCESS);  // is_valid(text) was promised
  out.resize(size);
  return out;
}

}  // namespace ccrules::json
