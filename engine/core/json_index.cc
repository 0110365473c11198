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
#include "core/json_known.h"

/// All that simdjson does for core/json.h.
namespace ccrules::json {
namespace {

Error malformed(std::string_view what) { return bad_request("the body " + std::string(what)); }

KnownContainers& known_containers() {
  thread_local KnownContainers known;
  return known;
}

simdjson::error_code search(simdjson::internal::dom_parser_implementation& parser, std::string_view text) {
  return parser.stage1(reinterpret_cast<const std::uint8_t*>(text.data()), text.size(), simdjson::stage1_mode::regular);
}

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
  known_at_ = 0;
  if (const KnownContainer* known = known_containers().find(text); known != nullptr && find_around(*known, text)) {
    known_at_ = known->before;
    return {};
  }
  switch (search(*parser_, text)) {
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

/// In a text whose beginning ends outside of all strings, a container starts afresh whatever stands before it, and so does what stands
/// behind it: the three can be searched one by one.
/// @return false when the beginning does not, or something is malformed: all of the text says what.
bool Structurals::find_around(const KnownContainer& known, std::string_view text) {
  const std::size_t end = known.before + known.bytes.size();
  if (search(*parser_, text.substr(end)) != simdjson::SUCCESS) return false;
  behind_known_.assign(begin(), begin() + count());
  if (search(*parser_, text.substr(0, known.before)) != simdjson::SUCCESS) return false;
  std::uint32_t* next = parser_->structural_indexes.get() + count();
  for (const std::uint32_t at : known.positions) *next++ = static_cast<std::uint32_t>(known.before) + at;
  for (const std::uint32_t at : behind_known_) *next++ = static_cast<std::uint32_t>(end) + at;
  parser_->n_structural_indexes = static_cast<std::uint32_t>(next - begin());
  return true;
}

void Structurals::remember(std::string_view text, std::uint32_t first, std::uint32_t count) const {
  if (begin()[first] != known_at_) known_containers().keep(text, {begin() + first, count});
}

const std::uint32_t* Structurals::begin() const { return parser_->structural_indexes.get(); }

std::uint32_t Structurals::count() const { return parser_->n_structural_indexes; }

void Structurals::trim(std::size_t most_bytes) {
  if (parser_ && parser_->capacity() > most_bytes) parser_.reset();
  if (behind_known_.capacity() * sizeof(std::uint32_t) > most_bytes) std::vector<std::uint32_t>().swap(behind_known_);
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
