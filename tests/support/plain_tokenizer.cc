#include "support/plain_tokenizer.h"

#include <optional>
#include <string>

#include "tokens/pieces.h"

namespace ccrules::test {
namespace {

using tokens::Encoding;
using tokens::Table;
namespace format = tokens::format;

const unsigned char* bytes_of(std::string_view text) {
  return static_cast<const unsigned char*>(static_cast<const void*>(text.data()));
}

struct Letter {
  std::string_view bytes;
  format::Class kind;
};

std::vector<Letter> letters_of(std::string_view text) {
  std::vector<Letter> letters;
  for (std::size_t at = 0; at < text.size();) {
    const tokens::Character c = tokens::character_at(bytes_of(text) + at, bytes_of(text) + text.size());
    letters.push_back({text.substr(at, c.size), c.kind});
    at += c.size;
  }
  return letters;
}

/// The pattern over the letters from `begin` on; each alternative says how many letters it takes.
class Pattern {
 public:
  Pattern(Encoding encoding, const std::vector<Letter>& letters) : encoding_(encoding), letters_(letters) {}

  std::size_t match(std::size_t begin) const {
    if (encoding_ == Encoding::kCl100k) {
      if (const std::size_t n = contraction(begin)) return n;
      for (const std::size_t prefix : {1u, 0u}) {
        if (prefix == 1 && !may_lead(begin)) continue;
        if (const std::size_t n = run(begin + prefix, &Pattern::letter)) return prefix + n;
      }
    } else {
      for (const bool need_lower : {true, false}) {
        for (const std::size_t prefix : {1u, 0u}) {
          if (prefix == 1 && !may_lead(begin)) continue;
          if (const auto n = cased(begin + prefix, need_lower))
            return prefix + *n + contraction(begin + prefix + *n);
        }
      }
    }
    if (const std::size_t n = run(begin, &Pattern::number)) return n < 3 ? n : 3;
    for (const std::size_t space : {1u, 0u}) {
      if (space == 1 && letters_[begin].bytes != " ") continue;
      const std::size_t n = run(begin + space, &Pattern::symbol);
      if (n > 0) return space + n + run(begin + space + n, &Pattern::after_symbols);
    }
    const std::size_t white = run(begin, &Pattern::white);
    for (std::size_t n = white; n > 0; --n) {
      if (letters_[begin + n - 1].kind == format::kNewline) return n;
    }
    if (begin + white == letters_.size() || white == 1) return white;
    return white - 1;
  }

 private:
  using Test = bool (Pattern::*)(std::size_t) const;
  std::size_t run(std::size_t begin, Test test) const {
    std::size_t n = 0;
    while (begin + n < letters_.size() && (this->*test)(begin + n)) ++n;
    return n;
  }
  format::Class kind(std::size_t i) const { return letters_[i].kind; }
  bool letter(std::size_t i) const {
    return kind(i) == format::kUpper || kind(i) == format::kLower || kind(i) == format::kLetter;
  }
  bool number(std::size_t i) const { return kind(i) == format::kNumber; }
  bool white(std::size_t i) const { return kind(i) == format::kSpace || kind(i) == format::kNewline; }
  bool symbol(std::size_t i) const { return !letter(i) && !number(i) && !white(i); }
  bool after_symbols(std::size_t i) const {
    return kind(i) == format::kNewline || (encoding_ == Encoding::kO200k && letters_[i].bytes == "/");
  }
  bool upper(std::size_t i) const {
    return kind(i) == format::kUpper || kind(i) == format::kLetter || kind(i) == format::kMark;
  }
  bool lower(std::size_t i) const {
    return kind(i) == format::kLower || kind(i) == format::kLetter || kind(i) == format::kMark;
  }
  bool may_lead(std::size_t i) const { return !letter(i) && !number(i) && kind(i) != format::kNewline; }

  std::optional<std::size_t> cased(std::size_t begin, bool need_lower) const {
    for (std::size_t uppers = run(begin, &Pattern::upper) + 1; uppers-- > 0;) {
      const std::size_t lowers = run(begin + uppers, &Pattern::lower);
      if (need_lower ? lowers > 0 : uppers > 0) return uppers + lowers;
    }
    return std::nullopt;
  }
  std::size_t contraction(std::size_t begin) const {
    if (begin >= letters_.size() || letters_[begin].bytes != "'") return 0;
    for (const std::string_view ending : {"s", "t", "re", "ve", "m", "ll", "d"}) {
      std::size_t n = 0;
      while (n < ending.size() && begin + 1 + n < letters_.size() &&
             same(letters_[begin + 1 + n].bytes, ending[n]))
        ++n;
      if (n == ending.size()) return 1 + n;
    }
    return 0;
  }
  static bool same(std::string_view bytes, char lower) {
    if (bytes == "\xC5\xBF") return lower == 's';
    return bytes.size() == 1 && (bytes[0] == lower || bytes[0] == lower - 32);
  }

  Encoding encoding_;
  const std::vector<Letter>& letters_;
};

void merge(const Table& table, std::string_view piece, std::vector<std::uint32_t>& out) {
  std::vector<std::string> parts;
  for (const char byte : piece) parts.emplace_back(1, byte);
  for (;;) {
    std::uint32_t best = format::kNoToken;
    std::size_t where = 0;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      const std::string both = parts[i] + parts[i + 1];
      const std::uint32_t rank = table.whole(bytes_of(both), both.size());
      if (rank < best) {
        best = rank;
        where = i;
      }
    }
    if (best == format::kNoToken) break;
    parts[where] += parts[where + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(where) + 1);
  }
  for (const std::string& part : parts) out.push_back(table.whole(bytes_of(part), part.size()));
}

}  // namespace

std::vector<std::uint32_t> plain_encode(Encoding encoding, std::string_view text) {
  const std::vector<Letter> letters = letters_of(text);
  const Pattern pattern(encoding, letters);
  std::vector<std::uint32_t> ids;
  for (std::size_t at = 0; at < letters.size();) {
    std::string piece;
    for (std::size_t n = pattern.match(at); n > 0; --n) piece += letters[at++].bytes;
    merge(Table::of(encoding), piece, ids);
  }
  return ids;
}

}  // namespace ccrules::test
