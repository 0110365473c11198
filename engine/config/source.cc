#include "config/source.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "core/limits.h"
#include "core/text.h"

namespace ccrules::config {
namespace {

/// Keys whose values are not shown in messages.
constexpr std::array<std::string_view, 7> kSecretKeys = {"api_key", "apikey", "admin_key", "authorization",
                                                         "token",   "secret", "password"};

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// Position behind the string that starts at `at`; the text's size when it does not end.
std::size_t after_string(std::string_view text, std::size_t at) {
  for (std::size_t i = at + 1; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;
    else if (text[i] == '"')
      return i + 1;
  }
  return text.size();
}

/// Finds the place of a syntax error in text that core/json has refused, and says what was expected there.
class SyntaxError {
 public:
  explicit SyntaxError(std::string_view text) : text_(text) { found_ = !value(0) || !only_space_left(); }
  [[nodiscard]] bool found() const { return found_; }
  [[nodiscard]] std::size_t offset() const { return offset_; }
  [[nodiscard]] const std::string& message() const { return message_; }

 private:
  bool fail(std::size_t offset, std::string message) {
    offset_ = offset;
    message_ = std::move(message);
    return false;
  }
  void skip_space() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  [[nodiscard]] std::string seen() const {
    if (at_ >= text_.size()) return "the end of the file";
    const auto c = static_cast<unsigned char>(text_[at_]);
    return c > 0x20 && c < 0x7f ? std::string("'") + text_[at_] + "'"
                                : std::string("an unexpected character");
  }
  bool only_space_left() {
    skip_space();
    return at_ == text_.size() ||
           fail(at_, "nothing may follow the configuration's closing '}', but there is " + seen());
  }
  bool value(std::size_t depth) {
    skip_space();
    if (depth > limits::kJsonDepth) return fail(at_, "values are nested too deeply");
    if (at_ >= text_.size()) return fail(at_, "expected a value, but the file ends here");
    switch (text_[at_]) {
      case '{':
        return object(depth);
      case '[':
        return array(depth);
      case '"':
        return string();
      default:
        return scalar();
    }
  }
  bool object(std::size_t depth) {
    const std::size_t opened = at_++;
    skip_space();
    if (at_ < text_.size() && text_[at_] == '}') return ++at_, true;
    for (;;) {
      skip_space();
      if (at_ >= text_.size()) return fail(opened, "this '{' is never closed");
      if (text_[at_] != '"') return fail(at_, "expected a name in double quotes, but there is " + seen());
      if (!string()) return false;
      skip_space();
      if (at_ >= text_.size() || text_[at_] != ':')
        return fail(at_, "expected ':' after the name, but there is " + seen());
      ++at_;
      if (!value(depth + 1)) return false;
      skip_space();
      if (at_ >= text_.size()) return fail(opened, "this '{' is never closed");
      if (text_[at_] == '}') return ++at_, true;
      if (text_[at_] != ',') return fail(at_, "expected ',' or '}' after the value, but there is " + seen());
      ++at_;
    }
  }
  bool array(std::size_t depth) {
    const std::size_t opened = at_++;
    skip_space();
    if (at_ < text_.size() && text_[at_] == ']') return ++at_, true;
    for (;;) {
      if (!value(depth + 1)) return false;
      skip_space();
      if (at_ >= text_.size()) return fail(opened, "this '[' is never closed");
      if (text_[at_] == ']') return ++at_, true;
      if (text_[at_] != ',') return fail(at_, "expected ',' or ']' after the value, but there is " + seen());
      ++at_;
    }
  }
  bool string() {
    const std::size_t opened = at_;
    for (++at_; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '"') return ++at_, true;
      if (c == '\n' || c == '\r') return fail(opened, "this text has no closing quote on its line");
      if (static_cast<unsigned char>(c) < 0x20)
        return fail(at_, "a control character inside a text must be written as \\u00..");
      if (c != '\\') continue;
      ++at_;
      if (at_ >= text_.size()) break;
      if (std::string_view("\"\\/bfnrtu").find(text_[at_]) == std::string_view::npos) {
        return fail(at_ - 1, "unknown escape; write \\\\ for a backslash");
      }
    }
    return at_ < text_.size() || fail(opened, "this text has no closing quote");
  }
  bool scalar() {
    const std::size_t start = at_;
    while (at_ < text_.size() && (is_letter(text_[at_]) || is_digit(text_[at_]) ||
                                  std::string_view("+-._").find(text_[at_]) != std::string_view::npos)) {
      ++at_;
    }
    const std::string_view word = text_.substr(start, at_ - start);
    if (word.empty()) return fail(start, "expected a value, but there is " + seen());
    if (word == "true" || word == "false" || word == "null" || json::is_valid(word)) return true;
    if (is_letter(word[0])) return fail(start, "texts need double quotes");
    return fail(start, "'" + std::string(word) + "' is not a number");
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool found_ = false;
  std::size_t offset_ = 0;
  std::string message_;
};

Result<Node> read_node(json::Value& value, std::size_t depth) {
  Node node;
  node.type = value.type();
  node.offset = value.offset();
  if (depth > limits::kJsonDepth) return bad_request("values are nested too deeply");
  switch (node.type) {
    case json::Type::kObject: {
      CCR_TRY(object, value.object());
      while (object.next()) {
        Node::Member member;
        member.key = object.key();
        member.key_offset = object.key_offset();
        CCR_TRY(child, read_node(object.value(), depth + 1));
        member.value = std::move(child);
        node.members.push_back(std::move(member));
      }
      CCR_CHECK(object.done());
      break;
    }
    case json::Type::kArray: {
      CCR_TRY(array, value.array());
      while (array.next()) {
        CCR_TRY(child, read_node(array.value(), depth + 1));
        node.items.push_back(std::move(child));
      }
      CCR_CHECK(array.done());
      break;
    }
    case json::Type::kString: {
      CCR_TRY(text, value.string());
      node.text = text;
      break;
    }
    case json::Type::kNumber:
    case json::Type::kBool:
    case json::Type::kNull: {
      CCR_TRY(text, value.raw());
      node.text = text::trim(text);
      break;
    }
  }
  return node;
}

void write_node(json::Writer& writer, const Node& node) {
  switch (node.type) {
    case json::Type::kObject:
      writer.begin_object();
      for (const Node::Member& member : node.members) {
        writer.key(member.key);
        write_node(writer, member.value);
      }
      writer.end_object();
      break;
    case json::Type::kArray:
      writer.begin_array();
      for (const Node& item : node.items) write_node(writer, item);
      writer.end_array();
      break;
    case json::Type::kString:
      writer.string(node.text);
      break;
    case json::Type::kNumber:
    case json::Type::kBool:
    case json::Type::kNull:
      writer.raw(node.text);
      break;
  }
}

bool is_secret(std::string_view key) {
  return std::any_of(kSecretKeys.begin(), kSecretKeys.end(),
                     [key](std::string_view word) { return text::contains_ignore_case(key, word); });
}

/// True when what follows `before`, a text without comments, stands in the list of a secret key, such as "api_keys": [ "...".
bool in_secret_list(std::string_view before) {
  std::vector<bool> open;  // brackets that are open: whether each holds secrets
  std::string_view last;   // string, with its quotes
  for (std::size_t at = 0; at < before.size();) {
    const char byte = before[at];
    if (byte == '"') {
      const std::size_t end = after_string(before, at);
      last = before.substr(at, end - at);
      at = end;
      continue;
    }
    if (byte == '[') open.push_back(is_secret(last));
    if (byte == '{') open.push_back(false);
    if ((byte == ']' || byte == '}') && !open.empty()) open.pop_back();
    if (byte == ',' || byte == '[' || byte == '{') last = {};
    ++at;
  }
  return !open.empty() && open.back();
}

/// Stars out the string whose quote is at `quote`, unless it only names a variable. @return the position behind it
std::size_t hide_string(std::string& line, std::size_t quote) {
  const std::size_t end = after_string(line, quote);
  const std::size_t closing = end > quote + 1 && line[end - 1] == '"' ? end - 1 : end;
  if (line.compare(quote + 1, 2, "${") != 0) {
    for (std::size_t i = quote + 1; i < closing; ++i) line[i] = '*';
  }
  return end;
}

/// The same for the strings of a list. @return the position behind its end, or behind the line
std::size_t hide_list(std::string& line, std::size_t at) {
  while (at < line.size() && line[at] != ']') at = line[at] == '"' ? hide_string(line, at) : at + 1;
  return at;
}

/// Stars out text values of secret keys; values that only name a variable stay.
/// @param in_list the line begins inside the list of such a key
void hide_secrets(std::string& line, bool in_list) {
  for (std::size_t at = line.find('"', in_list ? hide_list(line, 0) : 0); at < line.size(); at = line.find('"', at)) {
    const std::size_t key_end = after_string(line, at);
    const bool secret = is_secret(std::string_view(line).substr(at, key_end - at));
    at = key_end;
    const std::size_t colon = line.find_first_not_of(" \t", at);
    if (!secret || colon >= line.size() || line[colon] != ':') continue;
    const std::size_t value = line.find_first_not_of(" \t", colon + 1);
    if (value >= line.size()) continue;
    if (line[value] == '"') at = hide_string(line, value);
    if (line[value] == '[') at = hide_list(line, value + 1);
  }
}

}  // namespace

std::string to_json(const Node& node) {
  std::string out;
  json::Writer writer(out);
  write_node(writer, node);
  return out;
}

std::string blank_comments(std::string_view text, std::optional<std::size_t>& unclosed) {
  std::string out(text);
  const auto blank = [&out](std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) {
      if (out[i] != '\n' && out[i] != '\r') out[i] = ' ';
    }
  };
  if (text.starts_with(kByteOrderMark)) blank(0, kByteOrderMark.size());
  std::optional<std::size_t> comma;  // the last thing seen, so far followed by nothing but space and comments
  for (std::size_t i = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0; i < text.size();) {
    const char c = text[i];
    if (c == '"') {
      comma.reset();
      i = after_string(text, i);
    } else if (c == '/' && text.substr(i, 2) == "//") {
      const std::size_t end = std::min(text.find('\n', i), text.size());
      blank(i, end);
      i = end;
    } else if (c == '/' && text.substr(i, 2) == "/*") {
      const std::size_t close = text.find("*/", i + 2);
      if (close == std::string_view::npos) unclosed = i;
      const std::size_t end = close == std::string_view::npos ? text.size() : close + 2;
      blank(i, end);
      i = end;
    } else {
      if ((c == '}' || c == ']') && comma) out[*comma] = ' ';
      if (c == ',')
        comma = i;
      else if (!is_space(c))
        comma.reset();
      ++i;
    }
  }
  return out;
}

Source::Source(std::string file, std::string text) : file_(std::move(file)), text_(std::move(text)) {}

Where Source::where(std::size_t offset) const {
  offset = std::min(offset, text_.size());
  const std::string_view before = std::string_view(text_).substr(0, offset);
  const auto lines = std::count(before.begin(), before.end(), '\n');
  std::string_view line = before.substr(before.rfind('\n') + 1);
  if (line.starts_with(kByteOrderMark) && lines == 0) line.remove_prefix(kByteOrderMark.size());
  const auto characters = std::count_if(
      line.begin(), line.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
  return Where{file_, static_cast<int>(lines) + 1, static_cast<int>(characters) + 1};
}

std::string Source::line(std::size_t offset) const {
  offset = std::min(offset, text_.size());
  const std::size_t start = offset == 0 ? 0 : text_.rfind('\n', offset - 1) + 1;
  std::string line = text_.substr(start, std::min(text_.find('\n', offset), text_.size()) - start);
  if (!line.empty() && line.back() == '\r') line.pop_back();
  if (start == 0 && line.starts_with(kByteOrderMark)) line.erase(0, kByteOrderMark.size());
  std::optional<std::size_t> unclosed;
  hide_secrets(line, in_secret_list(blank_comments(std::string_view(text_).substr(0, start), unclosed)));
  return text::to_valid_utf8(line);
}

Diagnostic Source::diagnostic(std::size_t offset, std::string message, std::string hint, bool warning) const {
  return Diagnostic{where(offset), std::move(message), std::move(hint), line(offset), warning};
}

std::optional<Node> Source::parse(std::vector<Diagnostic>& diagnostics) const {
  if (!text::is_valid_utf8(text_)) {
    std::size_t good = 0;
    for (std::size_t length = 1; good < text_.size() && length <= 4;) {
      const bool whole = text::is_valid_utf8(std::string_view(text_).substr(good, length));
      good += whole ? length : 0;
      length = whole ? 1 : length + 1;
    }
    diagnostics.push_back(diagnostic(good, "the file is not UTF-8 here; save it as UTF-8"));
    return std::nullopt;
  }
  std::optional<std::size_t> unclosed;
  const std::string blanked = blank_comments(text_, unclosed);
  if (unclosed) {
    diagnostics.push_back(diagnostic(*unclosed, "this comment is never closed", "end it with */"));
    return std::nullopt;
  }
  const auto read = [&]() -> Result<Node> {
    CCR_TRY(document, json::Document::open(blanked));
    CCR_TRY(root, document.root());
    CCR_TRY(tree, read_node(root, 0));
    CCR_CHECK(document.at_end());
    return tree;
  };
  Result<Node> tree = read();
  if (tree) return *std::move(tree);
  const SyntaxError syntax(blanked);
  if (syntax.found())
    diagnostics.push_back(diagnostic(syntax.offset(), syntax.message()));
  else
    diagnostics.push_back(diagnostic(0, "the file is not valid JSON: " + tree.error().message));
  return std::nullopt;
}

}  // namespace ccrules::config
