#include "core/json.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <vector>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <simdjson.h>
#pragma GCC diagnostic pop

#include "core/assert.h"
#include "core/json_escapes.h"
#include "core/limits.h"
#include "core/text.h"
#include "core/vectors.h"

namespace ccrules::json {
namespace {

/// Memory a pooled parser may keep between two documents; larger ones are given back at once.
constexpr std::size_t kKeptTextBytes = 1024 * 1024;
constexpr std::size_t kArenaChunkBytes = 16 * 1024;
constexpr std::size_t kPooledParsers = 4;

/// Of what is passed over as a whole: another reading may want what stands in it, but its parts again as a whole.
constexpr int kNotedLevels = 2;
/// Depth of what stands directly in the root: `messages` and `tools`, which one reading reads and the next does not want.
constexpr std::uint32_t kMemberDepth = 2;

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// JSON's number grammar, whole token.
bool is_number(std::string_view token) {
  std::size_t i = 0;
  const auto digits = [&] {
    const std::size_t start = i;
    while (i < token.size() && is_digit(token[i])) ++i;
    return i > start;
  };
  if (i < token.size() && token[i] == '-') ++i;
  if (i < token.size() && token[i] == '0') {
    ++i;
  } else if (!digits()) {
    return false;
  }
  if (i < token.size() && token[i] == '.') {
    ++i;
    if (!digits()) return false;
  }
  if (i < token.size() && (token[i] == 'e' || token[i] == 'E')) {
    ++i;
    if (i < token.size() && (token[i] == '+' || token[i] == '-')) ++i;
    if (!digits()) return false;
  }
  return i == token.size();
}

/// The number when it is written as up to 15 digits and nothing else, as nearly all are; exact as a double too.
std::optional<std::int64_t> small_whole(std::string_view token) {
  constexpr std::size_t kExactDigits = 15;
  if (token.empty() || token.size() > kExactDigits || (token.size() > 1 && token[0] == '0')) return std::nullopt;
  std::int64_t number = 0;
  for (const char c : token) {
    if (!is_digit(c)) return std::nullopt;
    number = number * 10 + (c - '0');
  }
  return number;
}

bool is_scalar(std::string_view token) {
  switch (token[0]) {
    case 't':
      return token == "true";
    case 'f':
      return token == "false";
    case 'n':
      return token == "null";
    default:
      return is_number(token);
  }
}

std::string_view article_and_name(Type type) {
  switch (type) {
    case Type::kObject:
      return "an object";
    case Type::kArray:
      return "an array";
    case Type::kString:
      return "a string";
    case Type::kNumber:
      return "a number";
    case Type::kBool:
      return "a boolean";
    case Type::kNull:
      return "null";
  }
  return "a value";
}

std::atomic<std::uint64_t> last_passage = 0;  ///< its number

/// Names that may be repeated in an error message; others could be the user's own text.
bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= 40 && std::all_of(name.begin(), name.end(), [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' ||
           c == '$';
  });
}

}  // namespace

/// The structural index of one text and the single cursor that moves over it. Between two steps the cursor is
/// in one of three places of the innermost open container; everything passed is validated, read or not.
class Reader {
 public:
  enum class Place : std::uint8_t { kOpened, kAtValue, kAfterValue };

  Result<void> start(std::string_view text, Escapes unread) {
    text_ = text.data();
    size_ = text.size();
    count_ = 0;
    watch({});
    passed_.clear();
    spelling_.reset();
    lends_ = false;
    is_first_reading_ = true;
    go_to_start(unread == Escapes::kChecked);
    if (size_ == 0) return malformed("is empty");
    if (!parser_ || parser_->capacity() < size_) {
      const std::size_t capacity = std::max<std::size_t>(std::bit_ceil(size_), 4096);
      parser_.reset();
      if (simdjson::get_active_implementation()->create_dom_parser_implementation(capacity, 1, parser_) !=
          simdjson::SUCCESS) {
        parser_.reset();
        return internal_error("out of memory while reading JSON");
      }
    }
    const auto error =
        parser_->stage1(reinterpret_cast<const std::uint8_t*>(text_), size_, simdjson::stage1_mode::regular);
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
    index_ = parser_->structural_indexes.get();
    count_ = parser_->n_structural_indexes;
    return {};
  }

  void rewind(Escapes unread) {
    const bool checked = unread == Escapes::kChecked;
    // Whoever wants escapes checked reads nearly all: one look at the whole text is cheaper than one at each string.
    if (checked && !spelling_) spelling_ = spelling_of_text();
    const bool check_escapes = checked && spelling_ == Spelling::kOther;
    if (check_escapes && !check_escapes_) known_.clear();
    is_first_reading_ = at_ == 0 && known_.empty();
    go_to_start(check_escapes);
  }

  void go_to_start(bool check_escapes) {
    known_at_ = 0;
    check_escapes_ = check_escapes;
    at_ = 0;
    depth_ = 0;
    place_ = Place::kAtValue;
    failure_.reset();
    if (arena_.size() > 1) arena_.erase(arena_.begin() + 1, arena_.end());
    arena_used_ = 0;
  }

  Result<void> start_copy(std::string_view text) {
    copy_.assign(text);
    return start(copy_, Escapes::kChecked);
  }

  /// The container of the root from `index` to the cursor, which stands right behind it.
  [[nodiscard]] std::optional<Passage> passage_from(std::uint32_t index, std::size_t least, std::size_t most) {
    if (failed() || index >= at_ || place_ != Place::kAfterValue || depth_ + 1 != kMemberDepth) return std::nullopt;
    const std::size_t size = offset(at_ - 1) + 1 - offset(index);
    if (size < least || size > most) return std::nullopt;
    Passage passage;
    passage.bytes_ = text().substr(offset(index), size);
    const Passed* known = passed(index);
    if (known == nullptr) {
      // What an earlier reading has seen is jumped over, and shows no names.
      const bool perhaps_seen = is_first_reading_ ? sightings_ > sightings_before_member_ : !watched_.empty();
      const Spelling spelling = spelling_of(passage.bytes_.data(), passage.bytes_.data() + size);
      known = &passed_.emplace_back(Passed{index, ++last_passage, size, spelling, perhaps_seen});
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

  bool pass_again(std::uint32_t index, const Passage& passage) {
    const std::string_view bytes = passage.bytes_;
    if (failed() || at_ != index || place_ != Place::kAtValue || size_ - offset(index) < bytes.size()) return false;
    if (depth_ != passage.depth_ || watched_ != passage.watched_ || (check_escapes_ && !passage.escapes_checked_)) return false;
    if (const Passed* known = passed(index)) {
      if (known->number != passage.number_) return false;
    } else {
      if (!are_here(index, bytes)) return false;
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

  [[nodiscard]] Value::Known known_bytes(std::uint32_t index) const {
    const Passed* known = passed(index);
    return known != nullptr ? Value::Known{known->number, text().substr(offset(index), known->size)} : Value::Known();
  }

  /// Gives back what a huge document needed.
  void trim() {
    if (parser_ && parser_->capacity() > kKeptTextBytes) parser_.reset();
    if (copy_.capacity() > kKeptTextBytes) text::give_back(copy_);
    if (known_.capacity() * sizeof(Known) > kKeptTextBytes) std::vector<Known>().swap(known_);
    if (!arena_.empty() && (arena_.size() > 4 || arena_.back().size > kKeptTextBytes)) arena_.clear();
    failure_.reset();
  }

  void watch(std::string_view name) {
    watched_ = name;
    sightings_ = 0;
    known_.clear();  // what is jumped over shows no names
  }
  [[nodiscard]] bool saw_watched() const { return sightings_ > 0; }
  void lend() { lends_ = true; }

  [[nodiscard]] std::string_view text() const { return {text_, size_}; }
  [[nodiscard]] bool failed() const { return failure_.has_value(); }
  [[nodiscard]] const Error& failure() const { return *failure_; }
  [[nodiscard]] std::uint32_t depth() const { return depth_; }
  [[nodiscard]] std::uint32_t at() const { return at_; }
  [[nodiscard]] std::uint32_t count() const { return count_; }
  [[nodiscard]] std::size_t offset(std::uint32_t index) const {
    return index < count_ ? index_[index] : size_;
  }
  /// The byte at a structural position; '\0' behind the last.
  [[nodiscard]] char byte(std::uint32_t index) const { return index < count_ ? text_[index_[index]] : '\0'; }

  /// The scalar or string token that starts at `index`: everything up to the next structural, without
  /// trailing blanks.
  [[nodiscard]] std::string_view token(std::uint32_t index) const {
    const char* begin = text_ + index_[index];
    const char* end = text_ + offset(index + 1);
    while (end > begin && is_space(end[-1])) --end;
    return {begin, static_cast<std::size_t>(end - begin)};
  }

  /// token(), or nothing when the text ends before `index`.
  [[nodiscard]] std::string_view scalar(std::uint32_t index) const {
    return index < count_ ? token(index) : std::string_view();
  }

  /// The inside of the string literal at `index`; without data when the token is not one whole literal.
  [[nodiscard]] std::string_view inside(std::uint32_t index) const {
    const char* begin = text_ + index_[index];
    const char* end = text_ + offset(index + 1);
    while (end > begin && is_space(end[-1])) --end;
    if (end - begin < 2 || *begin != '"' || end[-1] != '"') return {};
    return {begin + 1, static_cast<std::size_t>(end - begin - 2)};
  }

  /// True when a member of this name, spelt without escapes, begins at `index`.
  [[nodiscard]] bool is_named(std::uint32_t index, std::string_view name) const {
    const std::string_view key = inside(index);
    return key.data() != nullptr && key == name && byte(index + 1) == ':';
  }

  /// True of most names and words: so short that one look shows there is no backslash. False says nothing.
  [[nodiscard]] bool is_short_and_plain(std::string_view inside) const {
    using Bytes = Vector<16>::Bytes;
    if (inside.size() > sizeof(Bytes) || inside.data() + sizeof(Bytes) > text_ + size_) return false;
    Bytes here;
    load(here, inside.data());
    return !any(reinterpret_cast<Bytes>(here == each('\\')));
  }

  /// How the inside of a literal is spelt.
  [[nodiscard]] Spelling spelling(std::string_view inside) const {
    const char* end = inside.data() + inside.size();
    if (!spelling_ || *spelling_ == Spelling::kOther) return spelling_of(inside.data(), end);
    return find_backslash(inside.data(), end) == end ? Spelling::kPlain : Spelling::kEscaped;
  }

  /// The inside of a literal as a text, lent or copied.
  [[nodiscard]] Text text_of(std::string_view inside, bool has_escapes) const {
    return lends_ ? Text::lent(inside, has_escapes) : Text::spelt(inside, has_escapes);
  }

  /// Decoded text of the literal at `index`; without data when the token is none.
  std::string_view decoded(std::uint32_t index) {
    const std::string_view raw = inside(index);
    if (raw.data() == nullptr || is_short_and_plain(raw)) return raw;
    return decoded(raw);
  }

  /// Marks the scalar at `index` as read when the cursor stands on it.
  void consume_scalar(std::uint32_t index) {
    if (at_ != index || place_ != Place::kAtValue) return;
    ++at_;
    place_ = Place::kAfterValue;
  }

  /// Steps into the container at `index`. False: nested too deeply (failure is set).
  bool enter(std::uint32_t index, bool object) {
    CCR_ASSERT(at_ == index && place_ == Place::kAtValue);  // containers are read once, in document order
    if (depth_ >= limits::kJsonDepth) return fail_depth();
    ++depth_;
    is_object_[depth_] = object;
    if (depth_ == kMemberDepth) {
      member_ = note(index);
      sightings_before_member_ = sightings_;
    }
    ++at_;
    place_ = Place::kOpened;
    return true;
  }

  /// Steps to the next member or element of the container at `depth`. False at its end or after an error.
  bool step(std::uint32_t depth, std::string_view* key, std::size_t* key_offset) {
    if (failed()) return false;
    if (depth_ != depth || place_ == Place::kAtValue) {
      if (!skip_to(depth)) return false;
    }
    const char close = is_object_[depth] ? '}' : ']';
    const char next = byte(at_);
    if (next == close) {
      leave();
      return false;
    }
    if (place_ == Place::kAfterValue) {
      if (next != ',') return fail(at_, is_object_[depth] ? "expected ',' or '}'" : "expected ',' or ']'");
      ++at_;
    }
    if (key != nullptr) {
      std::string_view name = usual_name();
      if (name.data() == nullptr && !read_name(name)) return false;
      if (name == watched_) ++sightings_;
      *key = name;
      *key_offset = offset(at_);
      at_ += 2;
    }
    place_ = Place::kAtValue;
    return true;
  }

  /// Validates on until the cursor stands behind a value of the container at `target` (or just inside it,
  /// when nothing was read there yet).
  bool skip_to(std::uint32_t target) {
    while (place_ == Place::kAtValue || depth_ != target) {
      if (!(is_at_container() ? jump() || pass_container(kNotedLevels) : pass_token())) return false;
    }
    return true;
  }

  /// Validates the value at `index`, on which the cursor stands, and steps behind it.
  bool skip_value(std::uint32_t index) {
    CCR_ASSERT(at_ == index && place_ == Place::kAtValue);
    return skip_to(depth_);
  }

  /// End of the last value passed.
  [[nodiscard]] std::size_t end_of_passed() const {
    std::size_t end = offset(at_);
    while (end > 0 && is_space(text_[end - 1])) --end;
    return end;
  }

  /// Where to look in `known_` for what begins at `index` or behind it; `index` is not before the cursor.
  [[nodiscard]] std::size_t known_from(std::uint32_t index) {
    while (known_at_ < known_.size() && known_[known_at_].begin < std::min(index, at_)) ++known_at_;
    return known_at_;
  }

  /// Behind what is known to have been validated as a whole before, and begins at `index`; 0 when nothing is. `from` is where to
  /// look in `known_`, and moves on with an `index` that grows.
  [[nodiscard]] std::uint32_t behind_known(std::uint32_t index, std::size_t& from) const {
    while (from < known_.size() && known_[from].begin < index) ++from;
    return from < known_.size() && known_[from].begin == index ? known_[from].end : 0;
  }

  /// The structural character behind the value at `index`, which need not be valid.
  [[nodiscard]] std::uint32_t behind(std::uint32_t index) {
    if (const char first = byte(index); first != '{' && first != '[') return first == '\0' ? index : index + 1;
    std::size_t known = known_from(index);
    if (const std::uint32_t end = behind_known(index, known); end != 0) return end;
    std::size_t depth = 0;
    for (std::uint32_t i = index;; ++i) {
      const char c = byte(i);
      if (c == '\0') return i;
      if (c == '{' || c == '[') ++depth;
      if ((c == '}' || c == ']') && depth > 0) --depth;
      if (depth == 0) return i + 1;
    }
  }

  /// The first ':' from `index` on; `end`, which is no more than there is, when none stands before it.
  [[nodiscard]] std::uint32_t find_colon(std::uint32_t index, std::uint32_t end) const {
    while (index < end && text_[index_[index]] != ':') ++index;
    return index;
  }

  bool fail(std::uint32_t index, std::string_view what) {
    failure_ = bad_request("the JSON is malformed at byte " + std::to_string(offset(index)) + " (" +
                           path(index) + "): " + std::string(what));
    return false;
  }

  /// "messages[3].content": rebuilt from the start, which costs nothing until something is wrong.
  [[nodiscard]] std::string path(std::uint32_t target) const {
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

 private:
  struct Chunk {
    std::unique_ptr<char[]> bytes;
    std::size_t size;
  };
  /// A container that was passed over as a whole, or stands in the root and was read: where it begins, and the structural character
  /// behind its end.
  struct Known {
    std::uint32_t begin;
    std::uint32_t end;  ///< 0: not yet
  };

  /// A container that is known by its bytes: their passage's number.
  struct Passed {
    std::uint32_t begin;
    std::uint64_t number;
    std::size_t size;
    Spelling spelling;
    bool saw_watched;
  };

  [[nodiscard]] const Passed* passed(std::uint32_t index) const {
    for (const Passed& one : passed_) {
      if (one.begin == index) return &one;
    }
    return nullptr;
  }

  /// What is known by its bytes is not looked at again.
  [[nodiscard]] Spelling spelling_of_text() const {
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

  [[nodiscard]] bool are_here(std::uint32_t index, std::string_view bytes) const {
    // What is not the same mostly begins alike: its end is another one.
    constexpr std::size_t kEnd = 64;
    const char* begin = text_ + offset(index);
    const std::size_t end = std::min(kEnd, bytes.size());
    const std::size_t rest = bytes.size() - end;
    return std::memcmp(begin + rest, bytes.data() + rest, end) == 0 && std::memcmp(begin, bytes.data(), rest) == 0;
  }

  /// Behind the innermost container, on whose end the cursor stands.
  void leave() {
    ++at_;
    if (depth_ == kMemberDepth && member_) known_[*member_].end = at_;
    --depth_;
    place_ = Place::kAfterValue;
  }

  /// Notes the container at `begin`, whose end is not known yet. @return its place in `known_`; nothing when it or a later one
  /// is there, from a reading before.
  std::optional<std::size_t> note(std::uint32_t begin) {
    if (!known_.empty() && known_.back().begin >= begin) return std::nullopt;
    known_.push_back({begin, 0});
    return known_.size() - 1;
  }

  /// Over the container at the cursor, when all of it has been validated before.
  bool jump() {
    const std::uint32_t end = behind_known(at_, known_at_);
    if (end == 0) return false;
    at_ = end;
    place_ = Place::kAfterValue;
    return true;
  }

  /// Validates the container at the cursor, and steps behind it. Noted are so many levels of containers.
  bool pass_container(int noted_levels) {
    const std::uint32_t begin = at_;
    const std::uint32_t outside = depth_;
    const std::optional<std::size_t> noted = note(begin);
    if (!enter(begin, byte(begin) == '{')) return false;
    while (depth_ != outside) {
      const bool inner = noted_levels > 1 && is_at_container();
      if (!(inner ? pass_container(noted_levels - 1) : pass_token())) return false;
    }
    if (noted) known_[*noted].end = at_;
    return true;
  }

  [[nodiscard]] bool is_at_container() const {
    return place_ == Place::kAtValue && (byte(at_) == '{' || byte(at_) == '[');
  }

  /// Validates a value, or what stands before one, or the end of a container: a step of skip_to().
  bool pass_token() {
    const char c = byte(at_);
    if (place_ == Place::kAtValue) {
      if (c == '{' || c == '[') return enter(at_, c == '{');
      if (c == '"') {
        const std::string_view literal = inside(at_);
        if (literal.data() == nullptr || (check_escapes_ && !are_escapes_valid(literal.data(), literal.data() + literal.size()))) {
          return fail(at_, "a string holds an invalid escape");
        }
      } else if (at_ >= count_ || !is_scalar(token(at_))) {
        return fail(at_, "expected a value");
      }
      ++at_;
      place_ = Place::kAfterValue;
      return true;
    }
    const bool object = is_object_[depth_];
    if (c == (object ? '}' : ']')) {
      leave();
      return true;
    }
    if (place_ == Place::kAfterValue) {
      if (c != ',') return fail(at_, object ? "expected ',' or '}'" : "expected ',' or ']'");
      ++at_;
    }
    place_ = Place::kAtValue;
    return !object || skip_key();
  }

  Error malformed(std::string_view what) {
    failure_ = bad_request("the body " + std::string(what));
    return *failure_;
  }

  bool fail_depth() {
    return fail(at_, "nested more than " + std::to_string(limits::kJsonDepth) + " levels deep");
  }

  /// The name of the member at which the cursor stands, as nearly all are: short, without escapes, and its ':' right behind it. Without
  /// data of another one.
  [[nodiscard]] std::string_view usual_name() const {
    if (at_ + 1 >= count_) return {};
    const char* begin = text_ + index_[at_];
    const char* end = text_ + index_[at_ + 1];
    if (*begin != '"' || *end != ':' || end[-1] != '"') return {};
    const std::string_view name(begin + 1, static_cast<std::size_t>(end - begin - 2));
    return is_short_and_plain(name) ? name : std::string_view();
  }

  /// The name of the member at which the cursor stands, decoded. False: there is none (failure is set).
  [[gnu::noinline]] bool read_name(std::string_view& name) {
    name = byte(at_) == '"' ? decoded(at_) : std::string_view();
    if (name.data() == nullptr) return fail(at_, "expected a member name in quotes");
    return byte(at_ + 1) == ':' || fail(at_ + 1, "expected ':'");
  }

  bool skip_key() {
    const std::string_view name = usual_name();
    if (name.data() == nullptr || name.size() == watched_.size()) return skip_other_key();
    at_ += 2;
    return true;
  }

  [[gnu::noinline]] bool skip_other_key() {
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

  /// The inside of a literal, decoded; without data when an escape is invalid.
  [[gnu::noinline]] std::string_view decoded(std::string_view inside) {
    const char* end = inside.data() + inside.size();
    if (find_backslash(inside.data(), end) == end) return inside;
    char* room = reserve(inside.size());
    const char* written = unescape(inside.data(), end, room);
    if (written == nullptr) return {};
    const auto size = static_cast<std::size_t>(written - room);
    arena_used_ += size;
    return {room, size};
  }

  /// Room for `size` bytes that stay where they are until the document closes.
  char* reserve(std::size_t size) {
    if (arena_.empty() || arena_.back().size - arena_used_ < size) {
      const std::size_t room = std::max(size, kArenaChunkBytes);
      arena_.push_back({std::unique_ptr<char[]>(new char[room]), room});
      arena_used_ = 0;
    }
    return arena_.back().bytes.get() + arena_used_;
  }

  std::unique_ptr<simdjson::internal::dom_parser_implementation> parser_;
  std::string copy_;
  std::vector<Chunk> arena_;
  std::size_t arena_used_ = 0;  ///< of the last chunk
  const char* text_ = nullptr;
  std::size_t size_ = 0;
  const std::uint32_t* index_ = nullptr;
  std::uint32_t count_ = 0;
  std::uint32_t at_ = 0;
  std::uint32_t depth_ = 0;
  Place place_ = Place::kAtValue;
  bool check_escapes_ = true;
  bool lends_ = false;
  bool is_first_reading_ = true;  ///< nothing is known of the text
  std::optional<Spelling> spelling_;  ///< of the whole text, its literals' quotes aside; once somebody wanted escapes checked
  std::array<bool, limits::kJsonDepth + 1> is_object_{};
  std::vector<Known> known_;  ///< in the order of the text: a second reading jumps over those that it does not want either
  std::vector<Passed> passed_;
  std::optional<std::size_t> member_;  ///< place in `known_` of the container in the root in which the cursor is
  std::size_t known_at_ = 0;           ///< those before it lie before the cursor
  std::string_view watched_;
  std::size_t sightings_ = 0;  ///< members of that name, or perhaps of it
  std::size_t sightings_before_member_ = 0;
  std::optional<Error> failure_;
};

// ---------------------------------------------------------------------------------------------- values

namespace {

/// By a value's first byte.
constexpr std::array<Type, 256> kTypes = [] {
  std::array<Type, 256> types{};
  types.fill(Type::kNumber);
  types['{'] = Type::kObject;
  types['['] = Type::kArray;
  types['"'] = Type::kString;
  types['t'] = types['f'] = Type::kBool;
  types['n'] = Type::kNull;
  return types;
}();

}  // namespace

Type Value::type() const {
  return kTypes[static_cast<unsigned char>(reader_->byte(index_))];
}

Error Value::error(std::string_view what) const {
  return bad_request(path() + " " + std::string(what));
}

std::string Value::path() const {
  return reader_->path(index_);
}

std::size_t Value::offset() const {
  return reader_->offset(index_);
}

std::string_view Value::text_on() const { return reader_->text().substr(offset()); }

std::optional<Passage> Value::passage(std::size_t least_bytes, std::size_t most_bytes) const {
  return reader_->passage_from(index_, least_bytes, most_bytes);
}

Value::Known Value::known() const { return reader_->known_bytes(index_); }

bool Value::pass_again(const Passage& before) { return reader_->pass_again(index_, before); }

namespace {

/// "messages[3].content must be a string, not a number", or what is malformed there.
/// What begins like no value, as a form or a web page does, is no number either.
Error wrong_type(Reader& reader, std::uint32_t index, const Value& value, std::string_view wanted) {
  const bool scalar = !value.is(Type::kObject) && !value.is(Type::kArray) && !value.is(Type::kString);
  const std::string_view token = scalar ? reader.scalar(index) : std::string_view();
  if (scalar && (token.empty() || !is_scalar(token))) {
    reader.fail(index, "expected a value");
    return reader.failure();
  }
  return value.error("must be " + std::string(wanted) + ", not " +
                     std::string(article_and_name(value.type())));
}

}  // namespace

Result<std::string_view> Value::string() {
  if (reader_->failed()) return reader_->failure();
  if (!is(Type::kString)) return wrong_type(*reader_, index_, *this, "a string");
  const std::string_view text = reader_->decoded(index_);
  if (text.data() == nullptr) {
    reader_->fail(index_, "a string holds an invalid escape");
    return reader_->failure();
  }
  reader_->consume_scalar(index_);
  return text;
}

Result<Text> Value::text() {
  if (reader_->failed()) return reader_->failure();
  if (!is(Type::kString)) return wrong_type(*reader_, index_, *this, "a string");
  if (const std::string_view literal = reader_->inside(index_); literal.data() != nullptr) {
    const Spelling spelling = reader_->spelling(literal);
    if (spelling != Spelling::kOther) {
      reader_->consume_scalar(index_);
      return reader_->text_of(literal, spelling == Spelling::kEscaped);
    }
  }
  CCR_TRY(read, string());
  return Text(read);
}

Result<double> Value::number() {
  if (reader_->failed()) return reader_->failure();
  if (!is(Type::kNumber)) return wrong_type(*reader_, index_, *this, "a number");
  const std::string_view token = reader_->scalar(index_);
  if (const auto small = small_whole(token)) {
    reader_->consume_scalar(index_);
    return static_cast<double>(*small);
  }
  if (!is_number(token)) {
    reader_->fail(index_, "expected a value");
    return reader_->failure();
  }
  double number = 0;
  const auto parsed = std::from_chars(token.data(), token.data() + token.size(), number);
  if (parsed.ec != std::errc()) return error("is a number out of range");
  reader_->consume_scalar(index_);
  return number;
}

Result<std::int64_t> Value::integer() {
  if (reader_->failed()) return reader_->failure();
  if (!is(Type::kNumber)) return wrong_type(*reader_, index_, *this, "a whole number");
  const std::string_view token = reader_->scalar(index_);
  if (const auto small = small_whole(token)) {
    reader_->consume_scalar(index_);
    return *small;
  }
  std::int64_t whole = 0;
  const auto parsed = std::from_chars(token.data(), token.data() + token.size(), whole);
  if (parsed.ec == std::errc() && parsed.ptr == token.data() + token.size() && is_number(token)) {
    reader_->consume_scalar(index_);
    return whole;
  }
  CCR_TRY(number, this->number());
  constexpr double kTooLarge = 9223372036854775808.0;  // 2^63
  if (number != std::floor(number)) return error("must be a whole number");
  if (number >= kTooLarge || number < -kTooLarge) return error("is a number out of range");
  return static_cast<std::int64_t>(number);
}

Result<bool> Value::boolean() {
  if (reader_->failed()) return reader_->failure();
  if (!is(Type::kBool)) return wrong_type(*reader_, index_, *this, "true or false");
  const std::string_view token = reader_->scalar(index_);
  if (token != "true" && token != "false") {
    reader_->fail(index_, "expected a value");
    return reader_->failure();
  }
  reader_->consume_scalar(index_);
  return token == "true";
}

Result<Object> Value::object() {
  if (reader_->failed()) return reader_->failure();
  if (!is(Type::kObject)) return wrong_type(*reader_, index_, *this, "an object");
  if (!reader_->enter(index_, true)) return reader_->failure();
  Object object;
  object.depth_ = reader_->depth();
  object.value_.reader_ = reader_;
  return object;
}

Result<Array> Value::array() {
  if (reader_->failed()) return reader_->failure();
  if (!is(Type::kArray)) return wrong_type(*reader_, index_, *this, "an array");
  if (!reader_->enter(index_, false)) return reader_->failure();
  Array array;
  array.depth_ = reader_->depth();
  array.value_.reader_ = reader_;
  return array;
}

Result<std::string_view> Value::raw() {
  if (reader_->failed()) return reader_->failure();
  if (!reader_->skip_value(index_)) return reader_->failure();
  const std::size_t begin = offset();
  return reader_->text().substr(begin, reader_->end_of_passed() - begin);
}

std::optional<Value> Value::peek(std::string_view name) const {
  if (!is(Type::kObject)) return std::nullopt;
  Value member = *this;
  // What tells objects apart mostly stands first.
  if (reader_->byte(index_ + 1) == '"' && reader_->is_named(index_ + 1, name)) {
    member.index_ = index_ + 3;
    return member;
  }
  std::size_t depth = 0;
  bool key_expected = true;
  std::size_t known = reader_->known_from(index_);
  for (std::uint32_t i = index_; reader_->byte(i) != '\0'; ++i) {
    switch (reader_->byte(i)) {
      case '{':
      case '[':
        if (const std::uint32_t behind = depth == 1 ? reader_->behind_known(i, known) : 0; behind != 0) {
          i = behind - 1;
        } else {
          ++depth;
        }
        break;
      case '}':
      case ']':
        if (--depth == 0) return std::nullopt;
        break;
      case ',':
        key_expected = key_expected || depth == 1;
        break;
      case '"': {
        if (depth != 1 || !key_expected) break;
        key_expected = false;
        if (!reader_->is_named(i, name)) break;
        member.index_ = i + 2;
        return member;
      }
      default:
        break;
    }
  }
  return std::nullopt;
}

bool Value::peek_any(bool (*wanted)(std::string_view key, const Value& value)) const {
  constexpr std::uint32_t kToNext = 3;  // from one ':' to the next: a bracket or a value, and a key, stand between them
  const std::uint32_t end = std::min(reader_->behind(index_), reader_->count());
  Value member = *this;
  for (std::uint32_t i = reader_->find_colon(index_ + 1, end); i < end; i = reader_->find_colon(i + kToNext, end)) {
    member.index_ = i + 1;
    if (const std::string_view key = reader_->inside(i - 1); key.data() != nullptr && wanted(key, member)) return true;
  }
  return false;
}

std::string_view Value::peek_raw() const {
  std::string_view text = reader_->text().substr(offset(), reader_->offset(reader_->behind(index_)) - offset());
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::optional<std::string_view> Value::peek_string(std::string_view name) const {
  const auto member = peek(name);
  if (!member || !member->is(Type::kString)) return std::nullopt;
  const std::string_view text = reader_->inside(member->index_);
  if (text.data() == nullptr) return std::nullopt;
  if (!reader_->is_short_and_plain(text) && text.find('\\') != std::string_view::npos) return std::nullopt;
  return text;
}

// ---------------------------------------------------------------------------------------------- containers

bool Object::next() {
  if (ended_) return false;
  if (!value_.reader_->step(depth_, &key_, &key_offset_)) {
    ended_ = true;
    return false;
  }
  value_.index_ = value_.reader_->at();
  return true;
}

Result<void> Object::done() {
  Reader& reader = *value_.reader_;
  if (!ended_ && !reader.failed()) {
    ended_ = true;
    reader.skip_to(depth_ - 1);
  }
  if (reader.failed()) return reader.failure();
  return {};
}

bool Array::next() {
  if (ended_) return false;
  if (!value_.reader_->step(depth_, nullptr, nullptr)) {
    ended_ = true;
    return false;
  }
  value_.index_ = value_.reader_->at();
  return true;
}

Result<void> Array::done() {
  Reader& reader = *value_.reader_;
  if (!ended_ && !reader.failed()) {
    ended_ = true;
    reader.skip_to(depth_ - 1);
  }
  if (reader.failed()) return reader.failure();
  return {};
}

// ---------------------------------------------------------------------------------------------- documents

namespace {

/// Parsers of this thread that no document uses. A handful: documents nest two or three deep.
std::vector<std::unique_ptr<Reader>>& idle_readers() {
  thread_local std::vector<std::unique_ptr<Reader>> readers;
  return readers;
}

std::unique_ptr<Reader> borrow_reader() {
  auto& idle = idle_readers();
  if (idle.empty()) return std::make_unique<Reader>();
  auto reader = std::move(idle.back());
  idle.pop_back();
  return reader;
}

void give_back(std::unique_ptr<Reader> reader) {
  if (!reader) return;
  reader->trim();
  auto& idle = idle_readers();
  if (idle.size() < kPooledParsers) idle.push_back(std::move(reader));
}

}  // namespace

Document::Document(std::unique_ptr<Reader> reader) : reader_(std::move(reader)) {}
Document::Document(Document&&) noexcept = default;
Document::~Document() {
  give_back(std::move(reader_));
}

Document& Document::operator=(Document&& other) noexcept {
  std::swap(reader_, other.reader_);
  return *this;
}

Result<Document> Document::open_view(std::string_view text, Escapes unread) {
  Document document(borrow_reader());
  CCR_CHECK(document.reader_->start(text, unread));
  return document;
}

Result<Document> Document::open(std::string_view text) {
  Document document(borrow_reader());
  CCR_CHECK(document.reader_->start_copy(text));
  return document;
}

void Document::rewind(Escapes unread) {
  reader_->rewind(unread);
}

void Document::watch(std::string_view name) { reader_->watch(name); }

bool Document::saw_watched() const { return reader_->saw_watched(); }

void Document::lend_texts() { reader_->lend(); }

Result<Value> Document::root() {
  Value value;
  value.reader_ = reader_.get();
  return value;
}

Result<Object> Document::root_object() {
  CCR_TRY(value, root());
  return value.object();
}

std::string_view Document::text() const {
  return reader_->text();
}

Result<void> Document::at_end() {
  Reader& reader = *reader_;
  if (reader.failed() || !reader.skip_to(0)) return reader.failure();
  if (reader.byte(reader.at()) != '\0' || reader.offset(reader.at()) < reader.text().size()) {
    reader.fail(reader.at(), "expected nothing behind the value");
    return reader.failure();
  }
  return {};
}

std::string_view padded(std::string& text) {
  text.reserve(text.size() + kPadding);
  return text;
}

bool is_valid(std::string_view text) {
  auto document = Document::open_view(text);
  return document.ok() && document->at_end().ok();
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
