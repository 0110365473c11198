#include "core/json_reader.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "core/json_known.h"
#include "core/text.h"

namespace ccrules::json {
namespace {

/// Memory a pooled parser may keep between two documents; larger ones are given back at once.
constexpr std::size_t kKeptTextBytes = 1024 * 1024;
constexpr std::size_t kArenaChunkBytes = 16 * 1024;

std::atomic<std::uint64_t> last_passage = 0;  ///< its number

/// Names that may be repeated in an error message; others could be the user's own text.
bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= 40 && std::all_of(name.begin(), name.end(), [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' ||
           c == '$';
  });
}

}  // namespace

Result<void> Reader::start(std::string_view text, Escapes unread) {
  text_ = text.data();
  size_ = text.size();
  count_ = 0;
  watch({});
  passed_.clear();
  spelling_.reset();
  lends_ = false;
  is_first_reading_ = true;
  go_to_start(unread == Escapes::kChecked);
  CCR_CHECK(structurals_.find(text));
  index_ = structurals_.begin();
  count_ = structurals_.count();
  return {};
}

void Reader::rewind(Escapes unread) {
  const bool checked = unread == Escapes::kChecked;
  // Whoever wants escapes checked reads nearly all: one look at the whole text is cheaper than one at each string.
  if (checked && !spelling_) spelling_ = spelling_of_text();
  const bool check_escapes = checked && spelling_ == Spelling::kOther;
  if (check_escapes && !check_escapes_) known_.clear();
  is_first_reading_ = at_ == 0 && known_.empty();
  go_to_start(check_escapes);
}

void Reader::go_to_start(bool check_escapes) {
  known_at_ = 0;
  check_escapes_ = check_escapes;
  at_ = 0;
  depth_ = 0;
  place_ = Place::kAtValue;
  failure_.reset();
  if (arena_.size() > 1) arena_.erase(arena_.begin() + 1, arena_.end());
  arena_used_ = 0;
}

Result<void> Reader::start_copy(std::string_view text) {
  copy_.assign(text);
  return start(copy_, Escapes::kChecked);
}

std::optional<Passage> Reader::passage_from(std::uint32_t index, std::size_t least, std::size_t most) {
  if (failed() || index >= at_ || place_ != Place::kAfterValue || depth_ + 1 != kMemberDepth) return std::nullopt;
  const std::size_t size = offset(at_ - 1) + 1 - offset(index);
  if (size < least || size > most) return std::nullopt;
  Passage passage;
  passage.bytes_ = text().substr(offset(index), size);
  const Passed* known = passed(index);
  if (known == nullptr) {
    if (passed_.size() >= limits::kRecalled) return std::nullopt;  // they are looked through for each
    // What an earlier reading has seen is jumped over, and shows no names.
    const bool perhaps_seen = is_first_reading_ ? sightings_ > sightings_before_member_ : !watched_.empty();
    const Spelling spelling = spelling_of(passage.bytes_.data(), passage.bytes_.data() + size);
    known = &passed_.emplace_back(Passed{index, ++last_passage, size, spelling, perhaps_seen});
    structurals_.remember(text(), index, at_ - index);
  }
  passage.number_ = known->number;
  passage.spelling_ = known->spelling;
  passage.saw_watched_ = known->saw_watched;
  passage.structurals_ = at_ - index;
  passage.depth_ = depth_;
  passage.escapes_checked_ = check_escapes_;
  passage.watched_ = watched_;
  const auto starts_before = [](const Known& one, std::uint32_t at) { return one.begin < at; };
  const auto first = std::lower_bound(known_.begin(), known_.end(), index, starts_before);
  for (auto one = first; one != known_.end() && one->begin < at_; ++one) {
    if (one->end != 0) passage.known_.push_back({one->begin - index, one->end - index});
  }
  return passage;
}

bool Reader::pass_again(std::uint32_t index, const Passage& passage) {
  const std::string_view bytes = passage.bytes_;
  if (failed() || at_ != index || place_ != Place::kAtValue || size_ - offset(index) < bytes.size()) return false;
  if (depth_ != passage.depth_ || watched_ != passage.watched_ || (check_escapes_ && !passage.escapes_checked_)) return false;
  if (const Passed* known = passed(index)) {
    if (known->number != passage.number_) return false;
  } else {
    if (passed_.size() >= limits::kRecalled || !stands_at(text(), offset(index), bytes)) return false;
    structurals_.remember(text(), index, passage.structurals_);
    passed_.push_back({index, passage.number_, bytes.size(), passage.spelling_, passage.saw_watched_});
  }
  if (passage.saw_watched_) ++sightings_;
  if (known_.empty() || known_.back().begin < index) {
    for (const auto& one : passage.known_) known_.push_back({one.begin + index, one.end + index});
  }
  at_ += passage.structurals_;
  place_ = Place::kAfterValue;
  return true;
}

void Reader::trim() {
  structurals_.trim(kKeptTextBytes);
  if (copy_.capacity() > kKeptTextBytes) text::give_back(copy_);
  if (known_.capacity() * sizeof(Known) > kKeptTextBytes) std::vector<Known>().swap(known_);
  if (!arena_.empty() && (arena_.size() > 4 || arena_.back().size > kKeptTextBytes)) arena_.clear();
  failure_.reset();
}

bool Reader::fail(std::uint32_t index, std::string_view what) {
  failure_ = bad_request("the JSON is malformed at byte " + std::to_string(offset(index)) + " (" +
                         path(index) + "): " + std::string(what));
  return false;
}

std::string Reader::path(std::uint32_t target) const {
  struct Level {
    bool object;
    std::size_t element;
    std::uint32_t key;
  };
  std::vector<Level> levels;
  bool key_expected = false;
  for (std::uint32_t i = 0; i < std::min(target, count_); ++i) {
    const char c = byte(i);
    if (c == '{' || c == '[') {
      if (levels.size() > limits::kJsonDepth) break;
      levels.push_back({c == '{', 0, 0});
      key_expected = c == '{';
    } else if (c == '}' || c == ']') {
      if (!levels.empty()) levels.pop_back();
      key_expected = false;
    } else if (c == ',') {
      if (!levels.empty()) ++levels.back().element;
      key_expected = !levels.empty() && levels.back().object;
    } else if (key_expected && c == '"') {
      levels.back().key = i;
      key_expected = false;
    }
  }
  std::string out;
  for (const Level& level : levels) {
    if (!level.object) {
      out += '[' + std::to_string(level.element) + ']';
      continue;
    }
    if (level.key == 0) continue;
    const auto name = inside(level.key);
    if (!out.empty()) out += '.';
    out += is_plain_name(name) ? std::string(name) : std::string("?");
  }
  return out.empty() ? "the body" : out;
}

const Reader::Passed* Reader::passed(std::uint32_t index) const {
  for (const Passed& one : passed_) {
    if (one.begin == index) return &one;
  }
  return nullptr;
}

Spelling Reader::spelling_of_text() const {
  Spelling all = Spelling::kPlain;
  const char* at = text_;
  for (const Passed& one : passed_) {
    const char* begin = text_ + offset(one.begin);
    if (begin < at) continue;
    all = std::max({all, spelling_of(at, begin), one.spelling});
    at = begin + one.size;
  }
  return std::max(all, spelling_of(at, text_ + size_));
}

bool Reader::fail_depth() {
  return fail(at_, "nested more than " + std::to_string(limits::kJsonDepth) + " levels deep");
}

bool Reader::read_name(std::string_view& name) {
  name = byte(at_) == '"' ? decoded(at_) : std::string_view();
  if (name.data() == nullptr) return fail(at_, "expected a member name in quotes");
  return byte(at_ + 1) == ':' || fail(at_ + 1, "expected ':'");
}

bool Reader::skip_other_key() {
  const std::string_view name = byte(at_) == '"' ? inside(at_) : std::string_view();
  if (name.data() == nullptr) return fail(at_, "expected a member name in quotes");
  const char* end = name.data() + name.size();
  const bool is_plain = find_backslash(name.data(), end) == end;
  if (!is_plain && !are_escapes_valid(name.data(), end)) return fail(at_, "expected a member name in quotes");
  if (!is_plain || name == watched_) ++sightings_;
  ++at_;
  if (byte(at_) != ':') return fail(at_, "expected ':'");
  ++at_;
  return true;
}

std::string_view Reader::decoded(std::string_view inside) {
  const char* end = inside.data() + inside.size();
  if (find_backslash(inside.data(), end) == end) return inside;
  char* room = reserve(inside.size());
  const char* written = unescape(inside.data(), end, room);
  if (written == nullptr) return {};
  const auto size = static_cast<std::size_t>(written - room);
  arena_used_ += size;
  return {room, size};
}

bool Reader::is_named_in_escapes(std::uint32_t index, std::string_view name) const {
  constexpr std::size_t kLongestEscape = 6;  // of one byte: \u0061
  std::array<char, 256> room;
  const std::string_view key = inside(index);
  if (key.size() <= name.size() || key.size() > std::min(room.size(), kLongestEscape * name.size()) || byte(index + 1) != ':') return false;
  if (key.find('\\') == std::string_view::npos) return false;
  const char* end = unescape(key.data(), key.data() + key.size(), room.data());
  return end != nullptr && std::string_view(room.data(), static_cast<std::size_t>(end - room.data())) == name;
}

char* Reader::reserve(std::size_t size) {
  if (arena_.empty() || arena_.back().size - arena_used_ < size) {
    const std::size_t room = std::max(size, kArenaChunkBytes);
    arena_.push_back({std::unique_ptr<char[]>(new char[room]), room});
    arena_used_ = 0;
  }
  return arena_.back().bytes.get() + arena_used_;
}

}  // namespace ccrules::json
