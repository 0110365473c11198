#include "rules/format.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <set>
#include <vector>

#include "config/source.h"
#include "rules/json_tree.h"
#include "rules/lua_inspect.h"

namespace ccrules::rules {
namespace {

constexpr std::size_t kIndent = 2;
constexpr int kPasses = 8;  // until nothing moves; two or three are usual

enum class Kind : std::uint8_t { kName, kNumber, kString, kSymbol, kComment };

struct Piece {
  Kind kind = Kind::kSymbol;
  std::string text;
  std::size_t newlines = 0;  ///< before it
  std::size_t blanks = 0;    ///< before it, on its own line
  std::size_t column = 0;    ///< from 0
  std::size_t line = 0;      ///< from 0
};

enum class Language : std::uint8_t { kLua, kJson };

/// Cuts a source into pieces; everything between them is blanks.
class Cutter {
 public:
  Cutter(std::string_view source, Language language) : source_(source), language_(language) {}

  std::vector<Piece> all() {
    std::vector<Piece> pieces;
    for (;;) {
      Piece piece;
      if (!blank(piece)) return pieces;
      piece.line = line_;
      piece.column = at_ - line_begin_;
      const std::size_t begin = at_;
      piece.kind = step();
      piece.text = source_.substr(begin, at_ - begin);
      for (std::size_t i = begin; i < at_; ++i) {
        if (source_[i] != '\n') continue;
        ++line_;
        line_begin_ = i + 1;
      }
      if (piece.kind == Kind::kComment) piece.text.erase(piece.text.find_last_not_of(" \t\r") + 1);
      pieces.push_back(std::move(piece));
    }
  }

 private:
  [[nodiscard]] char peek(std::size_t ahead = 0) const { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }
  [[nodiscard]] bool starts(std::string_view text) const { return source_.substr(at_, text.size()) == text; }

  bool blank(Piece& piece) {
    for (; at_ < source_.size() && std::isspace(static_cast<unsigned char>(peek())) != 0; ++at_) {
      if (peek() == '\n') {
        ++piece.newlines;
        piece.blanks = 0;
        ++line_;
        line_begin_ = at_ + 1;
      } else if (peek() != '\r') {
        ++piece.blanks;
      }
    }
    return at_ < source_.size();
  }

  // At '[': '=' signs of a long bracket, -1 when it is none.
  [[nodiscard]] int level(std::size_t ahead) const {
    std::size_t n = ahead + 1;
    while (peek(n) == '=') ++n;
    return peek(ahead) == '[' && peek(n) == '[' ? static_cast<int>(n - ahead) - 1 : -1;
  }
  void long_bracket(int signs) {
    const std::string close = "]" + std::string(static_cast<std::size_t>(signs), '=') + "]";
    const std::size_t end = source_.find(close, at_);
    at_ = end == std::string_view::npos ? source_.size() : end + close.size();
  }
  void to_line_end() { at_ = std::min(source_.find('\n', at_), source_.size()); }

  Kind step() {
    const char c = peek();
    if (language_ == Language::kLua && starts("--")) {
      const int signs = level(2);
      if (signs >= 0) {
        long_bracket(signs);
      } else {
        to_line_end();
      }
      return Kind::kComment;
    }
    if (language_ == Language::kJson && (starts("//") || starts("/*"))) {
      if (starts("//")) {
        to_line_end();
      } else {
        const std::size_t end = source_.find("*/", at_ + 2);
        at_ = end == std::string_view::npos ? source_.size() : end + 2;
      }
      return Kind::kComment;
    }
    if (c == '"' || (language_ == Language::kLua && c == '\'')) return quoted(c);
    if (language_ == Language::kLua && level(0) >= 0) {
      long_bracket(level(0));
      return Kind::kString;
    }
    return word();
  }

  Kind quoted(char quote) {
    for (++at_; at_ < source_.size() && peek() != quote && (language_ == Language::kLua || peek() != '\n'); ++at_) {
      if (peek() == '\\' && at_ + 1 < source_.size()) ++at_;
    }
    at_ = std::min(at_ + 1, source_.size());
    return Kind::kString;
  }

  Kind word() {
    const auto part = [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || static_cast<unsigned char>(c) >= 0x80;
    };
    const auto digit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
    if (digit(peek()) || (peek() == '.' && digit(peek(1))) || (language_ == Language::kJson && peek() == '-')) {
      char last = '\0';
      while (part(peek()) || peek() == '.' || ((peek() == '-' || peek() == '+') && (last == 'e' || last == 'E' || last == '\0'))) {
        if (starts("..") && last != '\0') break;
        last = source_[at_++];
      }
      if (last == '\0') ++at_;
      return Kind::kNumber;
    }
    if (part(peek())) {
      while (part(peek())) ++at_;
      return Kind::kName;
    }
    static constexpr std::array<std::string_view, 7> kLong = {"...", "..", "==", "~=", "<=", ">=", "::"};
    for (const std::string_view symbol : kLong) {
      if (!starts(symbol)) continue;
      at_ += symbol.size();
      return Kind::kSymbol;
    }
    ++at_;
    return Kind::kSymbol;
  }

  std::string_view source_;
  Language language_;
  std::size_t at_ = 0;
  std::size_t line_ = 0;
  std::size_t line_begin_ = 0;
};

bool one_of(const std::string& text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), std::string_view(text)) != words.end();
}

class Layout {
 public:
  Layout(std::vector<Piece> pieces, Language language) : pieces_(std::move(pieces)), language_(language) {}

  std::string write() {
    std::string out;
    for (std::size_t i = 0; i < pieces_.size(); ++i) {
      const Piece& piece = pieces_[i];
      if (i == 0 || piece.newlines > 0) {
        out.append(i == 0 ? 0 : std::min<std::size_t>(piece.newlines, 2), '\n');
        begin_line(i);
        out.append(kIndent * (depth() + (continues(i) ? 1 : 0)), ' ');
      } else {
        out.append(gap(i), ' ');
      }
      out += piece.text;
      track(i);
    }
    if (!out.empty()) out += '\n';
    return out;
  }

 private:
  [[nodiscard]] bool lua() const { return language_ == Language::kLua; }
  [[nodiscard]] bool is(std::size_t i, std::string_view text) const {
    return pieces_[i].kind == Kind::kSymbol && pieces_[i].text == text;
  }
  [[nodiscard]] bool keyword(std::size_t i) const {
    return lua() && pieces_[i].kind == Kind::kName &&
           one_of(pieces_[i].text, {"and", "break", "do", "else", "elseif", "end", "for", "function", "goto", "if", "in",
                                    "local", "not", "or", "repeat", "return", "then", "until", "while"});
  }
  [[nodiscard]] bool word(std::size_t i, std::initializer_list<std::string_view> words) const {
    return lua() && pieces_[i].kind == Kind::kName && one_of(pieces_[i].text, words);
  }
  [[nodiscard]] bool opens(std::size_t i) const {
    return is(i, "{") || is(i, "(") || is(i, "[") || word(i, {"function", "do", "then", "repeat", "else"});
  }
  [[nodiscard]] bool closes(std::size_t i) const {
    return is(i, "}") || is(i, ")") || is(i, "]") || word(i, {"end", "until", "elseif", "else"});
  }

  // How many lines have something open.
  [[nodiscard]] std::size_t depth() const { return std::set<std::size_t>(open_.begin(), open_.end()).size(); }

  // What a line closes at its very beginning is closed before the line is indented.
  void begin_line(std::size_t i) {
    ++line_;
    for (; i < pieces_.size() && closes(i) && (i + 1 > closed_until_); ++i) {
      if (!open_.empty()) open_.pop_back();
      closed_until_ = i + 1;
      if (word(i, {"elseif", "else", "until"}) || i + 1 >= pieces_.size() || pieces_[i + 1].newlines > 0) return;
    }
  }

  void track(std::size_t i) {
    if (closes(i) && i + 1 > closed_until_ && !open_.empty()) open_.pop_back();
    if (opens(i)) open_.push_back(line_);
  }

  // The line goes on with an expression that the line before began without a bracket.
  [[nodiscard]] bool continues(std::size_t i) const {
    if (!lua() || i == 0 || pieces_[i].kind == Kind::kComment) return false;
    std::size_t before = i - 1;
    while (before > 0 && pieces_[before].kind == Kind::kComment) --before;
    if (binary(i) && !is(i, "=")) return true;
    return binary(before) || word(before, {"not", "return"}) ? !word(before, {"return"}) : false;
  }

  // An operator between two values.
  [[nodiscard]] bool binary(std::size_t i) const {
    if (word(i, {"and", "or"})) return true;
    if (pieces_[i].kind != Kind::kSymbol) return false;
    if (pieces_[i].text == "-") return !unary(i);
    return one_of(pieces_[i].text, {"=", "==", "~=", "<=", ">=", "<", ">", "+", "*", "/", "%", ".."});
  }
  [[nodiscard]] bool unary(std::size_t i) const {
    if (is(i, "#")) return true;
    if (!is(i, "-")) return false;
    if (i == 0) return true;
    const Piece& before = pieces_[i - 1];
    if (before.kind == Kind::kSymbol) return !one_of(before.text, {")", "]", "}", "..."});
    return keyword(i - 1) && !word(i - 1, {"end"});
  }

  [[nodiscard]] std::size_t gap(std::size_t i) const {
    const std::size_t wanted = spaces(i);
    return wanted > 0 && pieces_[i].blanks > wanted && aligned(i) ? pieces_[i].blanks : wanted;
  }

  // Blanks between a piece and the one before it on the line.
  [[nodiscard]] std::size_t spaces(std::size_t i) const {
    const Piece& before = pieces_[i - 1];
    const Piece& here = pieces_[i];
    if (here.kind == Kind::kComment) return lua() && here.blanks > 1 ? 2 : 1;
    if (before.kind == Kind::kComment) return 1;
    if (is(i, ",") || is(i, ";")) return 0;
    if (!lua() && is(i, ":")) return 0;
    if (is(i - 1, "{") || is(i, "}")) return is(i - 1, "{") && is(i, "}") ? 0 : 1;
    if (is(i, ")") || is(i, "]") || is(i - 1, "(") || is(i - 1, "[")) return 0;
    if (!lua()) return 1;
    if (is(i, ".") || is(i, ":") || is(i - 1, ".") || is(i - 1, ":") || is(i, "::") || is(i - 1, "::")) return 0;
    if (is(i, "^") || is(i - 1, "^")) return here.blanks > 0 ? 1 : 0;
    if (is(i - 1, "#") || (is(i - 1, "-") && unary(i - 1))) return is(i - 1, "-") && is(i, "-") ? 1 : 0;
    if (is(i, "(") || is(i, "[")) {
      if (word(i - 1, {"function"})) return 0;
      const bool call = before.kind == Kind::kName ? !keyword(i - 1) : is(i - 1, ")") || is(i - 1, "]");
      if (is(i, "[")) return call ? 0 : 1;
      return call ? 0 : before.kind == Kind::kString ? std::min<std::size_t>(here.blanks, 1) : 1;
    }
    return 1;
  }

  // The column was chosen: a neighbouring line has something at the same place, after more than one blank or with the same text.
  [[nodiscard]] bool aligned(std::size_t i) const {
    const Piece& here = pieces_[i];
    const auto stands_below = [&](std::size_t j) {
      const Piece& other = pieces_[j];
      return other.column == here.column && other.newlines == 0 &&
             (other.blanks > 1 || other.kind == here.kind);
    };
    for (std::size_t j = i; j-- > 0 && pieces_[j].line + 1 >= here.line;) {
      if (pieces_[j].line + 1 == here.line && stands_below(j)) return true;
    }
    for (std::size_t j = i + 1; j < pieces_.size() && pieces_[j].line <= here.line + 1; ++j) {
      if (pieces_[j].line == here.line + 1 && stands_below(j)) return true;
    }
    return false;
  }

  std::vector<Piece> pieces_;
  Language language_;
  std::vector<std::size_t> open_;  // lines on which something was opened
  std::size_t line_ = 0;
  std::size_t closed_until_ = 0;   // pieces before this one were closed at the beginning of their line
};

bool same_pieces(const std::vector<Piece>& a, const std::vector<Piece>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Piece& one, const Piece& other) {
    return one.kind == other.kind && one.text == other.text;
  });
}

Result<std::string> format(std::string_view source, Language language) {
  std::string text(source);
  const std::vector<Piece> before = Cutter(source, language).all();
  for (int pass = 0; pass < kPasses; ++pass) {
    std::string next = Layout(Cutter(text, language).all(), language).write();
    if (next == text) {
      if (!same_pieces(before, Cutter(text, language).all())) return internal_error("formatting would change the file");
      return text;
    }
    text = std::move(next);
  }
  return internal_error("formatting does not come to rest");
}

std::string_view behind_mark(std::string_view source) {
  return source.starts_with(config::kByteOrderMark) ? source.substr(config::kByteOrderMark.size()) : source;
}

}  // namespace

Result<std::string> format_lua(std::string_view source) {
  source = behind_mark(source);
  // Lua skips such a first line, whatever it holds, and only there.
  if (source.starts_with('#')) return bad_request("1: a first line that begins with '#' is not Lua; begin it with '--'");
  if (std::string problem = lua_syntax_error(source); !problem.empty()) return bad_request(std::move(problem));
  CCR_TRY(text, format(source, Language::kLua));
  if (!same_lua(source, text)) return internal_error("formatting would change what the file means");
  return text;
}

Result<std::string> format_json(std::string_view source) {
  source = behind_mark(source);
  std::optional<std::size_t> unclosed;
  const std::string plain = config::blank_comments(source, unclosed);
  if (unclosed) return bad_request("1: a comment does not end");
  const Result<Tree> tree = read_json(plain, {1, 1});
  if (!tree.ok()) return bad_request("1: " + tree.error().message);
  return format(source, Language::kJson);
}

}  // namespace ccrules::rules
