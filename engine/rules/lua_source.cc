#include "rules/lua_source.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>

namespace ccrules::rules {
namespace {

enum class Token : std::uint8_t { kEnd, kName, kString, kNumber, kSymbol };

struct Lexeme {
  Token type = Token::kEnd;
  std::string text;  ///< decoded for strings
  Spot at;
};

bool is_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Lexeme> all() {
    std::vector<Lexeme> out;
    for (;;) {
      out.push_back(next());
      if (out.back().type == Token::kEnd) return out;
    }
  }

 private:
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }
  void step() {
    if (source_[at_] == '\n') {
      ++line_;
      line_begin_ = at_ + 1;
    }
    ++at_;
  }
  [[nodiscard]] bool done() const { return at_ >= source_.size(); }

  // At '[': the number of '=' when this opens a long string, -1 otherwise.
  [[nodiscard]] int long_level() const {
    std::size_t n = 1;
    while (peek(n) == '=') ++n;
    return peek(n) == '[' ? static_cast<int>(n) - 1 : -1;
  }

  std::string long_string(int level) {
    for (int i = 0; i < level + 2; ++i) step();
    if (peek() == '\r') step();
    if (peek() == '\n') step();
    const std::string close = "]" + std::string(static_cast<std::size_t>(level), '=') + "]";
    std::string text;
    while (!done() && source_.substr(at_, close.size()) != close) {
      text += peek();
      step();
    }
    for (std::size_t i = 0; i < close.size() && !done(); ++i) step();
    return text;
  }

  void skip_blank() {
    while (!done()) {
      if (std::isspace(static_cast<unsigned char>(peek())) != 0) {
        step();
      } else if (peek() == '-' && peek(1) == '-') {
        step();
        step();
        const int level = peek() == '[' ? long_level() : -1;
        if (level >= 0) {
          long_string(level);
        } else {
          while (!done() && peek() != '\n') step();
        }
      } else {
        return;
      }
    }
  }

  std::string short_string() {
    const char quote = peek();
    step();
    std::string text;
    while (!done() && peek() != quote && peek() != '\n') {
      if (peek() != '\\') {
        text += peek();
        step();
        continue;
      }
      step();
      if (done()) break;
      const char c = peek();
      if (std::isdigit(static_cast<unsigned char>(c)) != 0) {
        int code = 0;
        for (int i = 0; i < 3 && std::isdigit(static_cast<unsigned char>(peek())) != 0; ++i) {
          code = code * 10 + (peek() - '0');
          step();
        }
        text += static_cast<char>(code & 0xff);
        continue;
      }
      text += c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
      step();
    }
    if (!done() && peek() == quote) step();
    return text;
  }

  Lexeme next() {
    skip_blank();
    Lexeme lexeme;
    lexeme.at = Spot{line_, static_cast<int>(at_ - line_begin_) + 1};
    if (done()) return lexeme;
    const char c = peek();
    if (std::isdigit(static_cast<unsigned char>(c)) != 0) {
      lexeme.type = Token::kNumber;
      while (is_name(peek()) || peek() == '.') take(lexeme);
    } else if (is_name(c)) {
      lexeme.type = Token::kName;
      while (is_name(peek())) take(lexeme);
    } else if (c == '"' || c == '\'') {
      lexeme.type = Token::kString;
      lexeme.text = short_string();
    } else if (c == '[' && long_level() >= 0) {
      lexeme.type = Token::kString;
      lexeme.text = long_string(long_level());
    } else {
      lexeme.type = Token::kSymbol;
      const bool doubled = (c == '=' || c == '~' || c == '<' || c == '>') && peek(1) == '=';
      take(lexeme);
      if (doubled || (c == '.' && peek() == '.')) take(lexeme);
    }
    return lexeme;
  }

  void take(Lexeme& lexeme) {
    lexeme.text += peek();
    step();
  }

  std::string_view source_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::size_t line_begin_ = 0;
};

constexpr std::size_t kLiteralDepth = 32;  // deeper tables have no places, nothing else is lost
constexpr std::size_t kPasses = 16;        // a token is read again for every construct around it: an honest file has two or three

class Scanner {
 public:
  explicit Scanner(std::vector<Lexeme> lexemes) : lexemes_(std::move(lexemes)), steps_left_(lexemes_.size() * kPasses) {}

  std::vector<Construct> all() {
    std::vector<Construct> out;
    for (at_ = 0; token().type != Token::kEnd && steps_left_ > 0;) {
      const std::size_t begin = at_;
      Construct construct;
      if (construct_here(construct)) {
        out.push_back(std::move(construct));
      }
      // Also inside functions and other tables: go on just behind the callee.
      at_ = begin + 1;
    }
    return out;
  }

 private:
  [[nodiscard]] const Lexeme& token(std::size_t ahead = 0) const {
    return lexemes_[std::min(at_ + ahead, lexemes_.size() - 1)];
  }
  [[nodiscard]] bool symbol(std::string_view text, std::size_t ahead = 0) const {
    return token(ahead).type == Token::kSymbol && token(ahead).text == text;
  }
  [[nodiscard]] bool name(std::string_view text) const { return token().type == Token::kName && token().text == text; }
  void step() {
    if (steps_left_ == 0) {
      at_ = lexemes_.size() - 1;
      return;
    }
    --steps_left_;
    at_ = std::min(at_ + 1, lexemes_.size() - 1);
  }

  bool construct_here(Construct& out) {
    static constexpr std::array<std::string_view, 5> kNamed = {"rule", "override", "case", "sweep", "flow"};
    static constexpr std::array<std::string_view, 2> kPlain = {"alias", "base"};
    if (token().type != Token::kName) return false;
    const bool named = std::find(kNamed.begin(), kNamed.end(), token().text) != kNamed.end();
    if (!named && std::find(kPlain.begin(), kPlain.end(), token().text) == kPlain.end()) return false;
    out.callee = token().text;
    out.at = out.name_at = token().at;
    step();
    if (named && !name_argument(out)) return false;
    const bool bracketed = symbol("(");
    if (bracketed) step();
    if (!symbol("{")) return false;
    out.last_line = token().at.line;
    literal(out.body, 0);
    return true;
  }

  bool name_argument(Construct& out) {
    if (token().type == Token::kString) {
      out.name_at = token().at;
      out.name = token().text;
      out.named = true;
      step();
      return true;
    }
    if (!symbol("(")) return false;
    out.name_at = token(1).at;
    if (token(1).type == Token::kString && symbol(")", 2)) {
      out.name = token(1).text;
      out.named = true;
    }
    skip_brackets();
    return true;
  }

  // At "(": past the matching ")".
  void skip_brackets() {
    int depth = 0;
    do {
      if (symbol("(") || symbol("{") || symbol("[")) ++depth;
      if (symbol(")") || symbol("}") || symbol("]")) --depth;
      step();
    } while (depth > 0 && token().type != Token::kEnd);
  }

  // At "{": past the matching "}".
  void literal(Literal& out, std::size_t depth) {
    out.at = token().at;
    step();
    while (!symbol("}") && token().type != Token::kEnd) {
      if (symbol(",") || symbol(";")) {
        step();
        continue;
      }
      Literal::Entry entry;
      entry.at = token().at;
      if (token().type == Token::kName && symbol("=", 1)) {
        entry.key = token().text;
        step();
        step();
      } else if (symbol("[") && token(1).type == Token::kString && symbol("]", 2) && symbol("=", 3)) {
        entry.at = token(1).at;
        entry.key = token(1).text;
        for (int i = 0; i < 4; ++i) step();
      } else if (symbol("[")) {  // a computed key: has no place of its own
        entry.key = "[]";
        skip_brackets();
        if (symbol("=")) step();
      }
      entry.value_at = token().at;
      value(entry, depth);
      out.entries.push_back(std::move(entry));
    }
    step();
  }

  void value(Literal::Entry& entry, std::size_t depth) {
    const bool word = token().type == Token::kName && symbol("{", 1);
    if (depth < kLiteralDepth && (symbol("{") || word)) {
      if (word) step();
      entry.table = std::make_unique<Literal>();
      literal(*entry.table, depth + 1);
    }
    std::string parameter;
    if (name("function") && symbol("(", 1) && token(2).type == Token::kName) parameter = token(2).text;
    int brackets = 0;
    int blocks = 0;
    while (token().type != Token::kEnd) {
      if (brackets == 0 && blocks == 0 && (symbol(",") || symbol(";") || symbol("}"))) return;
      if (symbol("(") || symbol("{") || symbol("[")) ++brackets;
      if (symbol(")") || symbol("}") || symbol("]")) --brackets;
      if (name("function") || name("if") || name("do") || name("repeat")) ++blocks;
      if (name("end") || name("until")) --blocks;
      if (!parameter.empty() && name(parameter) && symbol(".", 1) && token(2).type == Token::kName &&
          (at_ == 0 || !(lexemes_[at_ - 1].type == Token::kSymbol && lexemes_[at_ - 1].text == "."))) {
        entry.uses.push_back({token(2).text, token(2).at});
      }
      step();
    }
  }

  std::vector<Lexeme> lexemes_;
  std::size_t steps_left_;
  std::size_t at_ = 0;
};

}  // namespace

const Literal::Entry* Literal::find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

const Literal::Entry* Literal::item(std::size_t n) const {
  for (const Entry& entry : entries) {
    if (entry.key.empty() && n-- == 0) return &entry;
  }
  return nullptr;
}

std::vector<Construct> scan(std::string_view source) { return Scanner(Lexer(source).all()).all(); }

const Construct* match(const std::vector<Construct>& constructs, std::string_view callee, std::string_view name, int line) {
  const Construct* by_name = nullptr;
  const Construct* by_line = nullptr;
  int same_name = 0;
  for (const Construct& construct : constructs) {
    if (construct.callee != callee) continue;
    const bool here = line >= construct.at.line && line <= construct.last_line;
    if (construct.named && construct.name == name) {
      if (here) return &construct;
      by_name = &construct;
      ++same_name;
    } else if (!construct.named && here) {
      by_line = &construct;
    }
  }
  if (by_line != nullptr) return by_line;
  return line == 0 && same_name == 1 ? by_name : nullptr;
}

}  // namespace ccrules::rules
