#include "core/json_escapes.h"

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "core/vectors.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace ccrules::json {
namespace {

/// Value of a hex digit, or -1.
int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// The code unit of the four hex digits at `at`, or -1.
int code_unit(const char* at, const char* end) {
  if (end - at < 4) return -1;
  int unit = 0;
  for (int i = 0; i < 4; ++i) {
    const int digit = hex_value(at[i]);
    if (digit < 0) return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

/// True when the escape whose backslash is at `at` is one JSON knows. Sets `next` behind it.
bool is_escape(const char* at, const char* end, const char*& next) {
  if (end - at < 2) return false;
  next = at + 2;
  switch (at[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
      return true;
    case 'u':
      next = at + 6;
      return code_unit(at + 2, end) >= 0;
    default:
      return false;
  }
}

char* put_utf8(char* out, std::uint32_t code) {
  const auto put = [&out](std::uint32_t byte) {
    *out++ = static_cast<char>(static_cast<unsigned char>(byte));
  };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | (code >> 6));
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3f));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  }
  return out;
}

/// What the letter behind a backslash stands for; '\0' for letters that need more (u) or are not JSON's.
constexpr std::array<char, 256> kUnescaped = [] {
  std::array<char, 256> meanings{};
  meanings['"'] = '"';
  meanings['\\'] = '\\';
  meanings['/'] = '/';
  meanings['b'] = '\b';
  meanings['f'] = '\f';
  meanings['n'] = '\n';
  meanings['r'] = '\r';
  meanings['t'] = '\t';
  return meanings;
}();

}  // namespace

const char* find_backslash(const char* begin, const char* end) {
  const void* hit = std::memchr(begin, '\\', static_cast<std::size_t>(end - begin));
  return hit == nullptr ? end : static_cast<const char*>(hit);
}

const char* find_unplain(const char* at, const char* end) {
  using Bytes = Vector<16>::Bytes;
  constexpr unsigned char kPrintable = '~' - ' ';
  while (static_cast<std::size_t>(end - at) >= sizeof(Bytes)) {
    Bytes here;
    load(here, at);
    const auto unplain =
        (here - each(' ') > kPrintable) | (here == each('\\')) | (here == each('"')) | (here == each('/'));
    if (any(unplain)) break;
    at += sizeof(Bytes);
  }
  while (at < end && *at >= ' ' && *at <= '~' && *at != '\\' && *at != '"' && *at != '/') ++at;
  return at;
}

namespace {

constexpr std::size_t kBlock = 128;  ///< One look at the result for so many bytes.

/// Marks what somebody has to look at: bytes behind a backslash that are no letter of a frequent escape, and
/// where U+2028 or U+2029 may begin. A letter behind two backslashes is marked as well.
template <std::size_t kWidth>
CCR_INLINED void mark_unusual(typename Vector<kWidth>::Bytes& found, const char* from) {
  using Bytes = typename Vector<kWidth>::Bytes;
  Bytes before;
  Bytes here;
  load(before, from - 1);
  load(here, from);
  const auto letter =
      reinterpret_cast<Bytes>((here == each('n')) | (here == each('"')) | (here == each('\\')) |
                              (here == each('t')) | (here == each('r')));
  const auto line_break_lead = reinterpret_cast<Bytes>(here == each('\xe2'));
  found |= (reinterpret_cast<Bytes>(before == each('\\')) & ~letter) | line_break_lead;
}

template <std::size_t kWidth, std::size_t... kParts>
CCR_INLINED bool holds_unusual(const char* from, std::index_sequence<kParts...> /*parts*/) {
  typename Vector<kWidth>::Bytes found{};
  (mark_unusual<kWidth>(found, from + kParts * kWidth), ...);  // no loop: g++ leaves one as it is at -O2
  return any(found);
}

/// `at`, or the byte before it where an escape is cut in two there; `begin` is not within one.
const char* out_of_escape(const char* begin, const char* at) {
  const char* run = at;
  while (run > begin && run[-1] == '\\') --run;
  return (at - run) % 2 == 0 ? at : at - 1;
}

/// Over whole blocks that hold nothing to look at. Neither at the beginning nor where this ends is an escape
/// cut in two.
const char* over_usual_anywhere(const char* const begin, const char* end) {
  const char* at = begin + 1;
  while (static_cast<std::size_t>(end - at) > kBlock && !holds_unusual<16>(at, std::make_index_sequence<kBlock / 16>())) {
    at += kBlock;
  }
  return out_of_escape(begin, at);
}

#if defined(__x86_64__)
/// Marks more than mark_unusual() does but for E2, with half the work: the letters of the most frequent escapes differ in their low
/// halves, so that one look-up finds for each byte the letter that it would have to be. `all` gathers the bytes themselves.
[[gnu::target("avx2"), gnu::always_inline]] inline void mark_rare(__m256i& found, __m256i& all, const char* from) {
  const __m256i letters = _mm256_broadcastsi128_si256(_mm_setr_epi8(1, 0, '"', 0, 't', 0, 0, 0, 0, 0, 0, 0, '\\', 0, 'n', 0));
  const __m256i before = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from - 1));
  const __m256i here = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  const __m256i is_letter = _mm256_cmpeq_epi8(here, _mm256_shuffle_epi8(letters, here));
  found = _mm256_or_si256(found, _mm256_andnot_si256(is_letter, _mm256_cmpeq_epi8(before, _mm256_set1_epi8('\\'))));
  all = _mm256_or_si256(all, here);
}

[[gnu::target("avx2"), gnu::always_inline]] inline void mark_line_break_lead(__m256i& found, const char* from) {
  const __m256i here = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  found = _mm256_or_si256(found, _mm256_cmpeq_epi8(here, _mm256_set1_epi8('\xe2')));
}

/// False only where holds_unusual() is false too.
template <std::size_t... kParts>
[[gnu::target("avx2"), gnu::always_inline]] inline bool may_hold_unusual(const char* from, std::index_sequence<kParts...> /*parts*/) {
  __m256i found = _mm256_setzero_si256();
  __m256i all = _mm256_setzero_si256();
  (mark_rare(found, all, from + kParts * 32), ...);
  if (_mm256_movemask_epi8(all) != 0) (mark_line_break_lead(found, from + kParts * 32), ...);  // not ASCII alone
  return _mm256_testz_si256(found, found) == 0;
}

[[gnu::target("avx2")]] const char* over_usual_avx2(const char* const begin, const char* end) {
  constexpr std::make_index_sequence<kBlock / 32> kParts;
  const char* at = begin + 1;
  while (static_cast<std::size_t>(end - at) > kBlock && !(may_hold_unusual(at, kParts) && holds_unusual<32>(at, kParts))) at += kBlock;
  return out_of_escape(begin, at);
}
#endif

const char* over_usual_blocks(const char* at, const char* end) {
  if (static_cast<std::size_t>(end - at) <= kBlock || *at == '\xe2')
    return at;  // the blocks begin behind the first byte
#if defined(__x86_64__)
  if (has_avx2()) return over_usual_avx2(at, end);
#endif
  return over_usual_anywhere(at, end);
}

/// True when `behind` finds the end of everything in the text that begins with a backslash or E2; it need not
/// be asked about what append_string() writes.
template <const char* (*behind)(const char* at, const char* end)>
bool are_all(const char* at, const char* end) {
  while (at < end) {
    at = over_usual_blocks(at, end);
    const char* stop = static_cast<std::size_t>(end - at) > kBlock ? at + kBlock : end;
    while (at < stop) {
      if (*at != '\\' && *at != '\xe2') {
        ++at;
        continue;
      }
      at = behind(at, end);
      if (at == nullptr) return false;
    }
  }
  return true;
}

/// nullptr when an escape is not JSON's.
const char* behind_valid(const char* at, const char* end) {
  const char* next = at + 1;
  return *at != '\\' || is_escape(at, end, next) ? next : nullptr;
}

/// True when append_string() writes a character as \u and these four digits: terminals' colours in what tools print.
bool is_usual_unit(const char* digits, const char* end) {
  const int unit = code_unit(digits, end);
  if (unit == 0x2028 || unit == 0x2029) return true;
  constexpr std::string_view kShorter = "\b\t\n\f\r";
  const bool is_control = unit >= 0 && unit < 0x20 && kShorter.find(static_cast<char>(unit)) == std::string_view::npos;
  return is_control && (digits[3] < 'A' || digits[3] > 'F');
}

/// nullptr when append_string() would not write it so.
const char* behind_usual(const char* at, const char* end) {
  if (*at == '\\') {
    if (end - at < 2) return nullptr;
    const char letter = at[1];
    if (letter == 'u') return is_usual_unit(at + 2, end) ? at + 6 : nullptr;
    return letter != '/' && kUnescaped[static_cast<unsigned char>(letter)] != '\0' ? at + 2 : nullptr;
  }
  const bool line_break =
      end - at >= 3 && at[1] == '\x80' && (at[2] == '\xa8' || at[2] == '\xa9');  // U+2028, U+2029
  return line_break ? nullptr : at + 1;
}

}  // namespace

bool are_escapes_valid(const char* at, const char* end) {
  return are_all<behind_valid>(find_backslash(at, end), end);
}

Spelling spelling_of(const char* at, const char* end) {
  if (!are_all<behind_usual>(at, end)) return Spelling::kOther;
  return find_backslash(at, end) == end ? Spelling::kPlain : Spelling::kEscaped;
}

bool unescape_one(const char*& at, const char* end, char*& out) {
  if (end - at < 2) return false;
  const char letter = at[1];
  at += 2;
  if (const char meaning = kUnescaped[static_cast<unsigned char>(letter)]; meaning != '\0') {
    *out++ = meaning;
    return true;
  }
  const int unit = letter == 'u' ? code_unit(at, end) : -1;
  if (unit < 0) return false;
  at += 4;
  auto code = static_cast<std::uint32_t>(unit);
  if (code >= 0xd800 && code <= 0xdbff && end - at >= 6 && at[0] == '\\' && at[1] == 'u') {
    const int low = code_unit(at + 2, end);
    if (low >= 0xdc00 && low <= 0xdfff) {
      code = 0x10000 + ((code - 0xd800) << 10) + (static_cast<std::uint32_t>(low) - 0xdc00);
      at += 6;
    }
  }
  if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd;
  out = put_utf8(out, code);
  return true;
}

char* unescape(const char* at, const char* end, char* out) {
#if defined(__SSE2__)
  // What is written never overtakes what is read, so a whole block fits wherever one could be read.
  const __m128i backslash = _mm_set1_epi8('\\');
  while (end - at >= 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), block);
    const auto hits = static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(block, backslash)));
    const int plain = hits == 0 ? 16 : std::countr_zero(hits);
    at += plain;
    out += plain;
    if (hits != 0 && !unescape_one(at, end, out)) return nullptr;
  }
#endif
  while (at < end) {
    if (*at != '\\') {
      *out++ = *at++;
    } else if (!unescape_one(at, end, out)) {
      return nullptr;
    }
  }
  return out;
}

}  // namespace ccrules::json
