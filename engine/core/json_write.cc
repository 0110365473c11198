#include "core/json.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "core/assert.h"
#include "core/json_escapes.h"
#include "core/vectors.h"

/// The writing half of core/json.h.
namespace ccrules::json {

namespace {

/// Length of the UTF-8 sequence at the start of `bytes` (first byte >= 0x80); 0 when there is none.
std::size_t sequence_length(std::string_view bytes) {
  const auto byte = [&](std::size_t i) {
    return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0u;
  };
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xc0u) == 0x80u; };
  const unsigned first = byte(0);
  if (first >= 0xc2 && first <= 0xdf) return continues(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const bool overlong = first == 0xe0 && byte(1) < 0xa0;
    const bool surrogate = first == 0xed && byte(1) > 0x9f;
    return continues(1) && continues(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const bool overlong = first == 0xf0 && byte(1) < 0x90;
    const bool too_large = first == 0xf4 && byte(1) > 0x8f;
    return continues(1) && continues(2) && continues(3) && !overlong && !too_large ? 4 : 0;
  }
  return 0;
}

}  // namespace

namespace {

/// The letter behind the backslash for bytes that have a short escape, else '\0'.
constexpr std::array<char, 256> kEscapeLetter = [] {
  std::array<char, 256> letters{};
  letters['"'] = '"';
  letters['\\'] = '\\';
  letters['\b'] = 'b';
  letters['\f'] = 'f';
  letters['\n'] = 'n';
  letters['\r'] = 'r';
  letters['\t'] = 't';
  return letters;
}();

/// Bytes that go out as they are in every text.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain{};
  for (std::size_t byte = 0x20; byte < 0x80; ++byte) plain[byte] = byte != '"' && byte != '\\';
  return plain;
}();

/// Escapes one text into a small buffer that is appended whenever it is full.
class Escaper {
 public:
  Escaper(std::string& out, std::string_view text) : out_(out), at_(text.data()), end_(at_ + text.size()) {}

  void run() {
    while (at_ < end_) {
      copy_plain();
      if (at_ < end_ && !put_short_escape()) put_special();
      if (to_ > buffer_ + kBytes - kRoom) flush();
    }
    flush();
  }

 private:
  static constexpr std::size_t kBytes = 2048;
  static constexpr std::size_t kRoom = 64;  ///< more than one turn of any loop writes

  void flush() {
    out_.append(buffer_, static_cast<std::size_t>(to_ - buffer_));
    to_ = buffer_;
  }

  [[nodiscard]] bool goes_as_it_is(char c) const {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && c != '"' && c != '\\' && (byte < 0x80 || (is_utf8_ && byte != 0xe2));
  }

  /// Up to the next byte that cannot go out as it is; short escapes on the way are put too.
  void copy_plain() {
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    const __m128i last_control = _mm_set1_epi8(0x1f);
    const __m128i line_break_lead = _mm_set1_epi8('\xe2');
    while (end_ - at_ >= 16) {
      const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at_));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to_), block);
      const __m128i escaped =
          _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(block, quote), _mm_cmpeq_epi8(block, backslash)),
                       _mm_cmpeq_epi8(_mm_min_epu8(block, last_control), block));
      // Sign bits say which bytes are not ASCII; in text known to be UTF-8 only E2 may begin a line separator.
      const __m128i other = is_utf8_ ? _mm_cmpeq_epi8(block, line_break_lead) : block;
      const auto hits = static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(escaped, other)));
      const int plain = hits == 0 ? 16 : std::countr_zero(hits);
      at_ += plain;
      to_ += plain;
      if (hits != 0 && !put_short_escape()) return;
      if (to_ > buffer_ + kBytes - kRoom) flush();
    }
#endif
    while (at_ < end_ && to_ <= buffer_ + kBytes - kRoom && goes_as_it_is(*at_)) *to_++ = *at_++;
  }

  bool put_short_escape() {
    const char letter = kEscapeLetter[static_cast<unsigned char>(*at_)];
    if (letter == '\0') return false;
    to_[0] = '\\';
    to_[1] = letter;
    to_ += 2;
    ++at_;
    return true;
  }

  void put(std::string_view bytes) { to_ = std::copy(bytes.begin(), bytes.end(), to_); }

  /// Other control characters, and what is not ASCII. Also finds nothing to do: at the end of a full buffer.
  void put_special() {
    static constexpr char kHex[] = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(*at_);
    if (goes_as_it_is(*at_)) return;
    if (byte < 0x80) {
      put("\\u00");
      *to_++ = kHex[byte >> 4];
      *to_++ = kHex[byte & 15];
      ++at_;
      return;
    }
    const std::string_view rest(at_, static_cast<std::size_t>(end_ - at_));
    if (!looked_) {
      looked_ = true;
      is_utf8_ = is_utf8(rest);
      if (is_utf8_) return;
    }
    const std::size_t length = sequence_length(rest);
    const std::string_view sequence = rest.substr(0, std::max<std::size_t>(length, 1));
    if (length == 0) {
      put("\xEF\xBF\xBD");
    } else if (sequence == "\xe2\x80\xa8") {
      put("\\u2028");
    } else if (sequence == "\xe2\x80\xa9") {
      put("\\u2029");
    } else {
      put(sequence);
    }
    at_ += sequence.size();
  }

  std::string& out_;
  const char* at_;
  const char* const end_;
  bool looked_ = false;
  bool is_utf8_ = false;  ///< all the rest of the text; not looked at before its first byte that is not ASCII
  char buffer_[kBytes];
  char* to_ = buffer_;
};

}  // namespace

void append_escaped(std::string& out, std::string_view text) {
  Escaper(out, text).run();
}

namespace {

/// Names and short words are most of what is written, and need no escape.
constexpr std::size_t kShort = 48;

#if defined(__SSE2__)
/// True when append_string() writes all of them as they are, and they are ASCII.
CCR_INLINED bool are_plain(__m128i bytes) {
  const __m128i quotes = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
  const __m128i controls = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
  return _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quotes, controls), bytes)) == 0;
}
#endif

/// Copies a text of up to kShort bytes. @return true when it needs no escape; else it may be copied in part.
CCR_INLINED bool put_short(char* to, std::string_view text) {
  const char* from = text.data();
  const std::size_t size = text.size();
#if defined(__SSE2__)
  if (size >= 4) {  // the last bytes are looked at twice where the size asks for it
    __m128i first, last;
    if (size < 8) {
      first = _mm_loadu_si32(from);
      last = _mm_loadu_si32(from + size - 4);
      _mm_storeu_si32(to, first);
      _mm_storeu_si32(to + size - 4, last);
      const __m128i both = _mm_unpacklo_epi32(first, last);
      return are_plain(_mm_unpacklo_epi64(both, both));
    }
    if (size < 16) {
      first = _mm_loadu_si64(from);
      last = _mm_loadu_si64(from + size - 8);
      _mm_storeu_si64(to, first);
      _mm_storeu_si64(to + size - 8, last);
      return are_plain(_mm_unpacklo_epi64(first, last));
    }
    for (std::size_t at = 0; at + 16 < size; at += 16) {
      first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + at));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + at), first);
      if (!are_plain(first)) return false;
    }
    last = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + size - 16));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + size - 16), last);
    return are_plain(last);
  }
#endif
  bool plain = true;
  for (std::size_t at = 0; at < size; ++at) {
    plain &= kPlain[static_cast<unsigned char>(from[at])];
    to[at] = from[at];
  }
  return plain;
}

}  // namespace

void append_string(std::string& out, std::string_view text) {
  if (text.size() <= kShort) {
    char literal[kShort + 2];
    literal[0] = '"';
    const bool plain = put_short(literal + 1, text);
    literal[text.size() + 1] = '"';
    if (plain) {
      out.append(literal, text.size() + 2);
      return;
    }
  }
  out += '"';
  append_escaped(out, text);
  out += '"';
}

void Writer::separate() {
  if (need_comma_) out_ += ',';
  need_comma_ = true;
}

Writer& Writer::begin_object() {
  separate();
  out_ += '{';
  ++depth_;
  need_comma_ = false;
  return *this;
}

Writer& Writer::end_object() {
  CCR_ASSERT(depth_ > 0);
  out_ += '}';
  --depth_;
  need_comma_ = true;
  return *this;
}

Writer& Writer::begin_array() {
  separate();
  out_ += '[';
  ++depth_;
  need_comma_ = false;
  return *this;
}

Writer& Writer::end_array() {
  CCR_ASSERT(depth_ > 0);
  out_ += ']';
  --depth_;
  need_comma_ = true;
  return *this;
}

Writer& Writer::key(std::string_view name) {
  char member[kShort + 4];
  char* to = member;
  *to = ',';
  to += need_comma_ ? 1 : 0;
  *to++ = '"';
  if (name.size() <= kShort && put_short(to, name)) {
    to += name.size();
    *to++ = '"';
    *to++ = ':';
    out_.append(member, static_cast<std::size_t>(to - member));
  } else {
    separate();
    append_string(out_, name);
    out_ += ':';
  }
  need_comma_ = false;
  return *this;
}

Writer& Writer::string(std::string_view text) {
  separate();
  append_string(out_, text);
  return *this;
}

Writer& Writer::integer(std::int64_t number) {
  separate();
  char digits[24];
  const auto written = std::to_chars(digits, digits + sizeof digits, number);
  out_.append(digits, static_cast<std::size_t>(written.ptr - digits));
  return *this;
}

Writer& Writer::number(double number) {
  if (!std::isfinite(number)) return null();
  separate();
  char digits[40];
  const auto written = std::to_chars(digits, digits + sizeof digits, number);
  out_.append(digits, written.ptr);
  return *this;
}

Writer& Writer::boolean(bool value) {
  separate();
  out_ += value ? "true" : "false";
  return *this;
}

Writer& Writer::null() {
  separate();
  out_ += "null";
  return *this;
}

Writer& Writer::raw(std::string_view json) {
  separate();
  out_ += json;
  return *this;
}

}  // namespace ccrules::json
