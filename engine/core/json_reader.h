#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/assert.h"
#include "core/error.h"
#include "core/json.h"
#include "core/json_escapes.h"
#include "core/json_index.h"
#include "core/json_scalar.h"
#include "core/limits.h"
#include "core/vectors.h"

namespace ccrules::json {

/// The structural index of one text and the single cursor that moves over it. Between two steps the cursor is
/// in one of three places of the innermost open container; everything passed is validated, read or not.
class Reader {
 public:
  enum class Place : std::uint8_t { kOpened, kAtValue, kAfterValue };

  /// Stands at the start of a text, which stays where it is as long as it is read.
  Result<void> start(std::string_view text, Escapes unread);
  /// The same of a copy.
  Result<void> start_copy(std::string_view text);
  /// Back to the start; what is known of the text stays known.
  void rewind(Escapes unread);

  /// The container of the root from `index` to the cursor, which stands right behind it.
  [[nodiscard]] std::optional<Passage> passage_from(std::uint32_t index, std::size_t least, std::size_t most);

  /// As Value::pass_again().
  bool pass_again(std::uint32_t index, const Passage& passage);

  /// Gives back what a huge document needed.
  void trim();

  void watch(std::string_view name) {
    watched_ = name;
    sightings_ = 0;
    known_.clear();   // what is jumped over shows no names
    passed_.clear();  // what they showed was about another name
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

  /// The same, however the name is spelt.
  [[nodiscard]] bool is_named_somehow(std::uint32_t index, std::string_view name) const {
    return is_named(index, name) || is_named_in_escapes(index, name);
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

  /// Where to look in `known_` for what begins at `index` or behind it. Before the cursor nothing may be known any more: then it is walked.
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
    std::size_t known = known_from(index);
    return behind(index, known);
  }

  /// The same for one `index` after the other: `from` as for behind_known().
  [[nodiscard]] std::uint32_t behind(std::uint32_t index, std::size_t& from) const {
    if (const char first = byte(index); first != '{' && first != '[') return std::min(index + 1, count_);
    if (const std::uint32_t end = behind_known(index, from); end != 0) return end;
    std::size_t depth = 0;
    for (std::uint32_t i = index; i < count_; ++i) {
      const char c = text_[index_[i]];
      if (c == '{' || c == '[') ++depth;
      if ((c == '}' || c == ']') && depth > 0) --depth;
      if (depth == 0) return i + 1;
    }
    return count_;
  }

  /// The first ':' from `index` on; `end`, which is no more than there is, when none stands before it.
  [[nodiscard]] std::uint32_t find_colon(std::uint32_t index, std::uint32_t end) const {
    while (index < end && text_[index_[index]] != ':') ++index;
    return index;
  }

  /// The text is malformed at `index`; nothing is read any more. @return false
  bool fail(std::uint32_t index, std::string_view what);

  /// "messages[3].content": rebuilt from the start, which costs nothing until something is wrong.
  [[nodiscard]] std::string path(std::uint32_t target) const;

 private:
  /// Of what is passed over as a whole: another reading may want what stands in it, but its parts again as a whole.
  static constexpr int kNotedLevels = 2;
  /// Depth of what stands directly in the root: `messages` and `tools`, which one reading reads and the next does not want.
  static constexpr std::uint32_t kMemberDepth = 2;

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

  void go_to_start(bool check_escapes);
  /// The container at `index` when it is known by its bytes; null when it is not.
  [[nodiscard]] const Passed* passed(std::uint32_t index) const;

  /// What is known by its bytes is not looked at again.
  [[nodiscard]] Spelling spelling_of_text() const;

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

  bool fail_depth();

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
  bool read_name(std::string_view& name);

  bool skip_key() {
    const std::string_view name = usual_name();
    if (name.data() == nullptr || name.size() == watched_.size()) return skip_other_key();
    at_ += 2;
    return true;
  }

  bool skip_other_key();

  [[nodiscard]] bool is_named_in_escapes(std::uint32_t index, std::string_view name) const;
  /// The inside of a literal, decoded; without data when an escape is invalid.
  std::string_view decoded(std::string_view inside);

  /// Room for `size` bytes that stay where they are until the document closes.
  char* reserve(std::size_t size);

  Structurals structurals_;
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

}  // namespace ccrules::json
