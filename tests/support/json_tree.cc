#include "support/json_tree.h"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "core/text.h"

namespace ccrules::test {
namespace {

constexpr int kMostDepth = 256;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::optional<Tree> parse() {
    if (!text::is_valid_utf8(text_)) return std::nullopt;
    Tree tree;
    if (!value(tree, 0)) return std::nullopt;
    blanks();
    if (at_ != text_.size()) return std::nullopt;
    return tree;
  }

 private:
  void blanks() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos)
      ++at_;
  }
  bool take(char wanted) {
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  bool word(std::string_view wanted) {
    if (!text_.substr(at_).starts_with(wanted)) return false;
    at_ += wanted.size();
    return true;
  }

  bool value(Tree& out, int depth) {
    if (depth > kMostDepth) return false;
    blanks();
    if (at_ >= text_.size()) return false;
    switch (text_[at_]) {
      case '{':
        return object(out, depth);
      case '[':
        return array(out, depth);
      case '"':
        out.kind = Tree::Kind::kString;
        return string(out.text);
      case 't':
        out.kind = Tree::Kind::kBool;
        out.boolean = true;
        return word("true");
      case 'f':
        out.kind = Tree::Kind::kBool;
        return word("false");
      case 'n':
        return word("null");
      default:
        out.kind = Tree::Kind::kNumber;
        return number(out.text);
    }
  }

  bool object(Tree& out, int depth) {
    out.kind = Tree::Kind::kObject;
    ++at_;
    blanks();
    if (take('}')) return true;
    while (true) {
      blanks();
      std::string name;
      if (at_ >= text_.size() || text_[at_] != '"' || !string(name)) return false;
      blanks();
      if (!take(':')) return false;
      out.members.emplace_back(std::move(name), Tree{});
      if (!value(out.members.back().second, depth + 1)) return false;
      blanks();
      if (take('}')) return true;
      if (!take(',')) return false;
    }
  }

  bool array(Tree& out, int depth) {
    out.kind = Tree::Kind::kArray;
    ++at_;
    blanks();
    if (take(']')) return true;
    while (true) {
      out.items.emplace_back();
      if (!value(out.items.back(), depth + 1)) return false;
      blanks();
      if (take(']')) return true;
      if (!take(',')) return false;
    }
  }

  bool digits() {
    const std::size_t from = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ > from;
  }
  bool number(std::string& out) {
    const std::size_t from = at_;
    (void)take('-');  // a sign is optional
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      ++at_;
      if (!take('+')) (void)take('-');  // so is the exponent's
      if (!digits()) return false;
    }
    out = text_.substr(from, at_ - from);
    return true;
  }

  bool hex4(std::uint32_t& code) {
    if (at_ + 4 > text_.size()) return false;
    code = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = text_[at_++];
      code <<= 4;
      if (c >= '0' && c <= '9')
        code |= static_cast<std::uint32_t>(c - '0');
      else if (c >= 'a' && c <= 'f')
        code |= static_cast<std::uint32_t>(c - 'a' + 10);
      else if (c >= 'A' && c <= 'F')
        code |= static_cast<std::uint32_t>(c - 'A' + 10);
      else
        return false;
    }
    return true;
  }
  static void append_utf8(std::string& out, std::uint32_t code) {
    const auto put = [&out](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
    if (code < 0x80) {
      put(code);
    } else if (code < 0x800) {
      put(0xC0 | (code >> 6));
      put(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
      put(0xE0 | (code >> 12));
      put(0x80 | ((code >> 6) & 0x3F));
      put(0x80 | (code & 0x3F));
    } else {
      put(0xF0 | (code >> 18));
      put(0x80 | ((code >> 12) & 0x3F));
      put(0x80 | ((code >> 6) & 0x3F));
      put(0x80 | (code & 0x3F));
    }
  }
  /// A surrogate pair is one character; a lone half becomes U+FFFD, as in core/json.h.
  bool unicode_escape(std::string& out) {
    std::uint32_t code = 0;
    if (!hex4(code)) return false;
    if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_).starts_with("\\u")) {
      const std::size_t before = at_;
      std::uint32_t low = 0;
      at_ += 2;
      if (!hex4(low)) return false;
      if (low >= 0xDC00 && low < 0xE000) {
        append_utf8(out, 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00));
        return true;
      }
      at_ = before;
    }
    append_utf8(out, code >= 0xD800 && code < 0xE000 ? 0xFFFD : code);
    return true;
  }
  bool string(std::string& out) {
    ++at_;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c != '\\') {
        out.push_back(c);
        continue;
      }
      if (at_ >= text_.size()) return false;
      switch (text_[at_++]) {
        case '"':
          out.push_back('"');
          break;
        case '\\':
          out.push_back('\\');
          break;
        case '/':
          out.push_back('/');
          break;
        case 'b':
          out.push_back('\b');
          break;
        case 'f':
          out.push_back('\f');
          break;
        case 'n':
          out.push_back('\n');
          break;
        case 'r':
          out.push_back('\r');
          break;
        case 't':
          out.push_back('\t');
          break;
        case 'u':
          if (!unicode_escape(out)) return false;
          break;
        default:
          return false;
      }
    }
    return false;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

void write_string(std::string& out, std::string_view text) {
  out.push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += escape;
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

/// `indent` < 0: everything on one line.
void write(std::string& out, const Tree& tree, int indent) {
  const int inner = indent < 0 ? -1 : indent + 2;
  const auto line = [&out](int width) {
    if (width < 0) return;
    out.push_back('\n');
    out.append(static_cast<std::size_t>(width), ' ');
  };
  switch (tree.kind) {
    case Tree::Kind::kNull:
      out += "null";
      return;
    case Tree::Kind::kBool:
      out += tree.boolean ? "true" : "false";
      return;
    case Tree::Kind::kNumber:
      out += tree.text;
      return;
    case Tree::Kind::kString:
      write_string(out, tree.text);
      return;
    case Tree::Kind::kArray:
      out.push_back('[');
      for (std::size_t i = 0; i < tree.items.size(); ++i) {
        if (i > 0) out.push_back(',');
        line(inner);
        write(out, tree.items[i], inner);
      }
      if (!tree.items.empty()) line(indent);
      out.push_back(']');
      return;
    case Tree::Kind::kObject:
      out.push_back('{');
      for (std::size_t i = 0; i < tree.members.size(); ++i) {
        if (i > 0) out.push_back(',');
        line(inner);
        write_string(out, tree.members[i].first);
        out += indent < 0 ? ":" : ": ";
        write(out, tree.members[i].second, inner);
      }
      if (!tree.members.empty()) line(indent);
      out.push_back('}');
      return;
  }
}

bool same_number(const std::string& left, const std::string& right) {
  if (left == right) return true;
  const bool whole =
      left.find_first_of(".eE") == std::string::npos && right.find_first_of(".eE") == std::string::npos;
  if (whole) return false;
  const double a = std::strtod(left.c_str(), nullptr);
  const double b = std::strtod(right.c_str(), nullptr);
  return std::fabs(a - b) <= 1e-12 * std::fabs(a);
}

std::string differ(const std::string& path, const Tree& left, const Tree& right) {
  std::string here = path.empty() ? "(root)" : path;
  const auto clash = [&] { return here + ": " + compact(left) + " / " + compact(right); };
  if (left.kind != right.kind) return clash();
  switch (left.kind) {
    case Tree::Kind::kNull:
      return "";
    case Tree::Kind::kBool:
      return left.boolean == right.boolean ? "" : clash();
    case Tree::Kind::kNumber:
      return same_number(left.text, right.text) ? "" : clash();
    case Tree::Kind::kString:
      return left.text == right.text ? "" : clash();
    case Tree::Kind::kArray:
      if (left.items.size() != right.items.size()) return clash();
      for (std::size_t i = 0; i < left.items.size(); ++i) {
        std::string found = differ(path + "[" + std::to_string(i) + "]", left.items[i], right.items[i]);
        if (!found.empty()) return found;
      }
      return "";
    case Tree::Kind::kObject:
      for (const auto& [name, value] : left.members) {
        const std::string inner = path.empty() ? name : path + "." + name;
        const Tree* other = right.get(name);
        if (other == nullptr) return inner + ": " + compact(value) + " / (absent)";
        std::string found = differ(inner, value, *other);
        if (!found.empty()) return found;
      }
      for (const auto& [name, value] : right.members) {
        if (left.get(name) == nullptr)
          return (path.empty() ? name : path + "." + name) + ": (absent) / " + compact(value);
      }
      return left.members.size() == right.members.size() ? "" : here + ": a member is duplicated on one side";
  }
  return "";
}

}  // namespace

Tree::Tree() = default;
Tree::~Tree() = default;
Tree::Tree(const Tree&) = default;
Tree::Tree(Tree&&) noexcept = default;
Tree& Tree::operator=(const Tree&) = default;
Tree& Tree::operator=(Tree&&) noexcept = default;

const Tree* Tree::get(std::string_view name) const {
  for (const auto& [key, value] : members) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::string Tree::string(std::string_view name) const {
  const Tree* found = get(name);
  return found != nullptr && found->is(Kind::kString) ? found->text : std::string();
}

std::optional<std::int64_t> Tree::integer(std::string_view name) const {
  const Tree* found = get(name);
  if (found == nullptr || !found->is(Kind::kNumber)) return std::nullopt;
  return text::to_int(found->text);
}

bool Tree::has(std::string_view name) const {
  const Tree* found = get(name);
  return found != nullptr && !found->is(Kind::kNull);
}

std::optional<Tree> parse_tree(std::string_view text) {
  return Parser(text).parse();
}

std::string difference(const Tree& left, const Tree& right) {
  return differ("", left, right);
}

std::string pretty(const Tree& tree) {
  std::string out;
  write(out, tree, 0);
  return out;
}

std::string compact(const Tree& tree) {
  std::string out;
  write(out, tree, -1);
  return out;
}

}  // namespace ccrules::test
