#include "tokens/pieces.h"

#include <array>
#include <bit>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace ccrules::tokens {
namespace {

using format::Class;
using Bytes = const unsigned char*;

constexpr std::uint8_t kBeyondAscii = 8;  ///< stands for "look closer" in kAscii

constexpr std::array<std::uint8_t, 256> ascii_classes() {
  std::array<std::uint8_t, 256> classes{};
  for (std::size_t c = 0; c < 256; ++c) {
    if (c >= 0x80) {
      classes[c] = kBeyondAscii;
    } else if (c >= 'A' && c <= 'Z') {
      classes[c] = format::kUpper;
    } else if (c >= 'a' && c <= 'z') {
      classes[c] = format::kLower;
    } else if (c >= '0' && c <= '9') {
      classes[c] = format::kNumber;
    } else if (c == '\n' || c == '\r') {
      classes[c] = format::kNewline;
    } else if (c == ' ' || (c >= 9 && c <= 13)) {
      classes[c] = format::kSpace;
    } else {
      classes[c] = format::kOther;
    }
  }
  return classes;
}
constexpr std::array<std::uint8_t, 256> kAscii = ascii_classes();

bool is_continuation(unsigned char byte) {
  return (byte & 0xC0) == 0x80;
}

bool upper_part(Class c) {
  return c == format::kUpper || c == format::kLetter || c == format::kMark;
}
bool lower_part(Class c) {
  return c == format::kLower || c == format::kLetter || c == format::kMark;
}
bool is_letter(Class c) {
  return c == format::kUpper || c == format::kLower || c == format::kLetter;
}
bool is_white(Class c) {
  return c == format::kSpace || c == format::kNewline;
}

/// Letters a to z (with `any_case`: and A to Z) from `at` on.
template <bool any_case>
Bytes letters_end(Bytes at, Bytes end) {
#if defined(__SSE2__)
  while (end - at >= 16) {
    __m128i sixteen = _mm_loadu_si128(static_cast<const __m128i*>(static_cast<const void*>(at)));
    if constexpr (any_case) sixteen = _mm_or_si128(sixteen, _mm_set1_epi8(0x20));
    // Shifted so that a..z are the 26 smallest signed values.
    const __m128i shifted = _mm_add_epi8(sixteen, _mm_set1_epi8(static_cast<char>(0x80 - 'a')));
    const __m128i letter = _mm_cmplt_epi8(shifted, _mm_set1_epi8(static_cast<char>(-128 + 26)));
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(letter));
    if (mask != 0xFFFF) return at + std::countr_one(mask);
    at += 16;
  }
#endif
  while (at < end && (kAscii[*at] == format::kLower || (any_case && kAscii[*at] == format::kUpper))) ++at;
  return at;
}

/// After 's 't 're 've 'm 'll 'd in any case at `at`; `at` itself when there is none. U+017F folds to s.
Bytes contraction_end(Bytes at, Bytes end) {
  if (end - at < 2 || *at != '\'') return at;
  const unsigned first = at[1] | 0x20u;
  if (at[1] == 0xC5) return end - at >= 3 && at[2] == 0xBF ? at + 3 : at;
  if (at[1] >= 0x80) return at;
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  if (end - at < 3 || at[2] >= 0x80) return at;
  const unsigned second = at[2] | 0x20u;
  if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l'))
    return at + 3;
  return at;
}

/// [upper]*[lower]+ from `at` on, as a backtracking matcher finds it; null when it does not match.
Bytes capitals_then_lower(Bytes at, Bytes end) {
  Bytes after_shared = nullptr;  // behind the last character that both parts take
  while (at < end) {
    Character c = character_at(at, end);
    if (!upper_part(c.kind)) {
      if (c.kind != format::kLower) break;
      do {
        at += c.size;
        if (at == end) break;
        c = character_at(at, end);
      } while (lower_part(c.kind));
      return at;
    }
    at += c.size;
    if (c.kind != format::kUpper) after_shared = at;
  }
  return after_shared;
}

/// [upper]+ from `at` on (lower ones cannot follow: the other alternative would have matched); null without
/// any.
Bytes capitals(Bytes at, Bytes end) {
  const Bytes begin = at;
  while (at < end) {
    const Character c = character_at(at, end);
    if (!upper_part(c.kind)) break;
    at += c.size;
  }
  return at == begin ? nullptr : at;
}

/// Letters (not marks) from `at` on.
Bytes all_letters(Bytes at, Bytes end) {
  while (at < end) {
    const Character c = character_at(at, end);
    if (!is_letter(c.kind)) break;
    at += c.size;
  }
  return at;
}

/// A word with what may stand before it; null when none begins here.
template <Encoding encoding>
Bytes word_end(Bytes at, Bytes end, Character first) {
  const bool prefix =
      !is_letter(first.kind) && first.kind != format::kNumber && first.kind != format::kNewline;
  if constexpr (encoding == Encoding::kCl100k) {
    const Bytes begin = prefix ? at + first.size : at;
    if (!prefix && !is_letter(first.kind)) return nullptr;
    const Bytes after = all_letters(begin, end);
    return after == begin ? nullptr : after;
  } else {
    const bool bare = is_letter(first.kind) || first.kind == format::kMark;
    Bytes after = nullptr;
    if (prefix) after = capitals_then_lower(at + first.size, end);
    if (after == nullptr && bare) after = capitals_then_lower(at, end);
    if (after == nullptr && prefix) after = capitals(at + first.size, end);
    if (after == nullptr && bare) after = capitals(at, end);
    return after == nullptr ? nullptr : contraction_end(after, end);
  }
}

template <Encoding encoding>
bool ends_symbols(unsigned char byte) {
  return byte == '\n' || byte == '\r' || (encoding == Encoding::kO200k && byte == '/');
}

/// White space: up to the last line break; else all but the last character when something follows.
Bytes white_end(Bytes at, Bytes end) {
  Bytes now = at, after_newline = nullptr, last = at;
  while (now < end) {
    const Character c = character_at(now, end);
    if (!is_white(c.kind)) break;
    last = now;
    now += c.size;
    if (c.kind == format::kNewline) after_newline = now;
  }
  if (after_newline != nullptr) return after_newline;
  return now == end || last == at ? now : last;
}

/// Any text, alternative by alternative.
template <Encoding encoding>
Bytes any_piece_end(Bytes at, Bytes end) {
  if constexpr (encoding == Encoding::kCl100k) {
    const Bytes after = contraction_end(at, end);
    if (after != at) return after;
  }
  Character first = character_at(at, end);
  if (const Bytes after = word_end<encoding>(at, end, first)) return after;
  if (first.kind == format::kNumber) {
    at += first.size;
    for (int more = 2; more > 0 && at < end; --more) {
      const Character c = character_at(at, end);
      if (c.kind != format::kNumber) break;
      at += c.size;
    }
    return at;
  }
  Bytes now = at;
  Character c = first;
  if (*at == ' ') {
    ++now;
    if (now < end) c = character_at(now, end);
  }
  if (now < end && (c.kind == format::kOther || c.kind == format::kMark)) {
    while (c.kind == format::kOther || c.kind == format::kMark) {
      now += c.size;
      if (now == end) return now;
      c = character_at(now, end);
    }
    while (now < end && ends_symbols<encoding>(*now)) ++now;
    return now;
  }
  return white_end(at, end);
}

/// Symbols from `at` on and what may follow them; null when it takes a closer look.
template <Encoding encoding>
Bytes symbols_end(Bytes at, Bytes end) {
  while (at < end && kAscii[*at] == format::kOther) ++at;
  if (at < end && *at >= 0x80) return nullptr;
  while (at < end && ends_symbols<encoding>(*at)) ++at;
  return at;
}

/// The same as white_end for ASCII; null when it takes a closer look.
Bytes ascii_white_end(Bytes at, Bytes end) {
  Bytes now = at, after_newline = nullptr;
  for (; now < end; ++now) {
    const std::uint8_t kind = kAscii[*now];
    if (kind == format::kSpace) continue;
    if (kind != format::kNewline) break;
    after_newline = now + 1;
  }
  if (now < end && *now >= 0x80) return nullptr;
  if (after_newline != nullptr) return after_newline;
  return now == end || now - at == 1 ? now : now - 1;
}

/// ASCII, which most prompts are; null when it takes a closer look.
template <Encoding encoding>
inline Bytes ascii_piece_end(Bytes at, Bytes end) {
  std::uint8_t kind = kAscii[*at];
  Bytes word = at;
  switch (kind) {
    case format::kOther:
    case format::kSpace: {
      if (encoding == Encoding::kCl100k && *at == '\'') return nullptr;
      if (end - at == 1) return end;
      const std::uint8_t next = kAscii[at[1]];
      if (next == format::kUpper || next == format::kLower) {
        word = at + 1;
        kind = next;
        break;
      }
      if (next == kBeyondAscii) return nullptr;
      if (kind == format::kOther) return symbols_end<encoding>(at + 1, end);
      if (*at == ' ' && next == format::kOther) return symbols_end<encoding>(at + 2, end);
      return ascii_white_end(at, end);
    }
    case format::kNumber: {
      Bytes now = at + 1;
      for (; now < end && now - at < 3; ++now) {
        if (kAscii[*now] != format::kNumber) {
          if (*now >= 0x80) return nullptr;
          break;
        }
      }
      return now;
    }
    case format::kNewline:
      return ascii_white_end(at, end);
    case format::kUpper:
    case format::kLower:
      break;
    default:
      return nullptr;
  }
  if constexpr (encoding == Encoding::kCl100k) {
    const Bytes after = letters_end<true>(word, end);
    return after < end && *after >= 0x80 ? nullptr : after;
  } else {
    Bytes after = word;
    if (kind == format::kUpper) {
      do {
        ++after;
      } while (after < end && kAscii[*after] == format::kUpper);
    }
    after = letters_end<false>(after, end);
    if (after == end) return after;
    if (*after >= 0x80) return nullptr;
    return *after == '\'' ? contraction_end(after, end) : after;
  }
}

}  // namespace

Character character_at(const unsigned char* at, const unsigned char* end) noexcept {
  const unsigned char lead = *at;
  if (lead < 0x80) return {static_cast<Class>(kAscii[lead]), 1};
  const std::ptrdiff_t left = end - at;
  if (lead >= 0xC2 && lead < 0xE0 && left >= 2 && is_continuation(at[1])) {
    return {class_of((lead & 0x1Fu) << 6 | (at[1] & 0x3Fu)), 2};
  }
  if (lead >= 0xE0 && lead < 0xF0 && left >= 3 && is_continuation(at[1]) && is_continuation(at[2])) {
    const std::uint32_t point = (lead & 0x0Fu) << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu);
    if (point >= 0x800 && (point < 0xD800 || point > 0xDFFF)) return {class_of(point), 3};
  }
  if (lead >= 0xF0 && lead < 0xF5 && left >= 4 && is_continuation(at[1]) && is_continuation(at[2]) &&
      is_continuation(at[3])) {
    const std::uint32_t point =
        (lead & 0x07u) << 18 | (at[1] & 0x3Fu) << 12 | (at[2] & 0x3Fu) << 6 | (at[3] & 0x3Fu);
    if (point >= 0x10000 && point < 0x110000) return {class_of(point), 4};
  }
  return {format::kOther, 1};
}

template <Encoding encoding>
const unsigned char* piece_end(const unsigned char* at, const unsigned char* end) noexcept {
  const Bytes after = ascii_piece_end<encoding>(at, end);
  return after != nullptr ? after : any_piece_end<encoding>(at, end);
}

template const unsigned char* piece_end<Encoding::kCl100k>(const unsigned char*,
                                                           const unsigned char*) noexcept;
template const unsigned char* piece_end<Encoding::kO200k>(const unsigned char*,
                                                          const unsigned char*) noexcept;

}  // namespace ccrules::tokens
