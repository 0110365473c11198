#include "provider/sim_marker.h"

#include "core/json.h"
#include "core/text.h"

namespace ccrules::provider::sim {
namespace {

constexpr std::string_view kOpen = "[[sim:";
constexpr std::string_view kClose = "]]";

Error bad_marker(const std::string& what) {
  return bad_request("the sim marker " + what + " (docs/sim.md)");
}

/// Index behind the JSON string that starts at `at`; npos when it does not end.
std::size_t skip_string(std::string_view text, std::size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '"') {
      return at + 1;
    }
  }
  return std::string_view::npos;
}

/// Index behind the JSON object, array or string that starts at `at`; npos when it does not end.
std::size_t skip_json(std::string_view text, std::size_t at) {
  std::size_t depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = skip_string(text, at);
      if (at == std::string_view::npos || depth == 0) return at;
      continue;
    }
    ++at;
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth == 0) return at;
  }
  return std::string_view::npos;
}

bool starts_json(char c) {
  return c == '{' || c == '[' || c == '"';
}

std::string unquoted(std::string_view literal) {
  if (!literal.starts_with('"')) return std::string(literal);
  auto document = json::Document::open(literal);
  if (!document) return std::string(literal);
  auto root = document->root();
  if (!root) return std::string(literal);
  auto text = root->string();
  return text ? std::string(*text) : std::string(literal);
}

class ScriptParser {
 public:
  explicit ScriptParser(std::string_view text) : text_(text) {}

  Result<std::vector<std::vector<Part>>> parse() {
    std::vector<std::vector<Part>> replies(1);
    while (true) {
      CCR_TRY(part, part());
      replies.back().push_back(std::move(part));
      blanks();
      if (at_ == text_.size()) return replies;
      const char separator = text_[at_++];
      if (separator == ';') {
        blanks();
        if (at_ == text_.size()) return replies;
        replies.emplace_back();
      } else if (separator != '+') {
        return bad_marker(
            "has a script whose parts are not separated by '+' (same reply) or ';' (next reply)");
      }
    }
  }

 private:
  void blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }

  Result<Part> part() {
    blanks();
    const std::size_t colon = text_.find(':', at_);
    if (colon == std::string_view::npos) return unknown_part();
    const std::string_view kind = text::trim(text_.substr(at_, colon - at_));
    Part part;
    if (kind == "text") {
      part.kind = Part::Kind::kText;
    } else if (kind == "thinking") {
      part.kind = Part::Kind::kThinking;
    } else if (kind == "tool") {
      part.kind = Part::Kind::kTool;
    } else {
      return unknown_part();
    }
    at_ = colon + 1;
    blanks();
    if (part.kind == Part::Kind::kTool) {
      CCR_CHECK(tool(part));
    } else {
      CCR_TRY(words, words());
      part.text = std::move(words);
    }
    return part;
  }

  static Error unknown_part() {
    return bad_marker("has a script part that is not text:…, thinking:… or tool:NAME{…}");
  }

  /// NAME or NAME|NAME…, then the input's JSON.
  Result<void> tool(Part& part) {
    const std::size_t from = at_;
    while (at_ < text_.size() && std::string_view("{;+ \n\t").find(text_[at_]) == std::string_view::npos)
      ++at_;
    for (const std::string_view name : text::split(text_.substr(from, at_ - from), '|')) {
      if (name.empty()) return bad_marker("has a script part tool: without a name");
      part.tools.emplace_back(name);
    }
    blanks();
    if (at_ == text_.size() || text_[at_] != '{') return {};
    const std::size_t end = skip_json(text_, at_);
    part.text = end == std::string_view::npos ? std::string() : std::string(text_.substr(at_, end - at_));
    if (!json::is_valid(part.text)) return bad_marker("has a tool input that is not valid JSON");
    at_ = end;
    return {};
  }

  /// A JSON string, or plain words up to the next ';' or '+'.
  Result<std::string> words() {
    if (at_ < text_.size() && text_[at_] == '"') {
      const std::size_t end = skip_string(text_, at_);
      if (end == std::string_view::npos) return bad_marker("has a string that does not end");
      std::string words = unquoted(text_.substr(at_, end - at_));
      at_ = end;
      return words;
    }
    const std::size_t end = std::min(text_.find_first_of(";+", at_), text_.size());
    const std::string_view words = text::trim(text_.substr(at_, end - at_));
    at_ = end;
    return std::string(words);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::optional<MarkerSpan> find_marker(std::string_view text) {
  const std::size_t begin = text.find(kOpen);
  if (begin == std::string_view::npos) return std::nullopt;
  std::size_t at = begin + kOpen.size();
  while (at < text.size()) {
    if (text.substr(at).starts_with(kClose)) return MarkerSpan{begin, at + kClose.size()};
    at = starts_json(text[at]) ? skip_json(text, at) : at + 1;
    if (at == std::string_view::npos) break;
  }
  return std::nullopt;
}

Result<Marker> parse_marker(std::string_view marker) {
  std::string_view inside = marker.substr(kOpen.size(), marker.size() - kOpen.size() - kClose.size());
  Marker out;
  const std::size_t name_end = std::min(inside.find_first_of(" \n\t"), inside.size());
  out.name = inside.substr(0, name_end);
  inside = text::trim(inside.substr(name_end));
  if (out.name == "script") {
    out.script = inside;
    return out;
  }
  while (!inside.empty()) {
    const std::size_t equals = inside.find('=');
    const std::string_view key = inside.substr(0, equals);
    if (equals == std::string_view::npos || key.empty() || key.find(' ') != std::string_view::npos) {
      return bad_marker("must hold options of the form key=value");
    }
    inside.remove_prefix(equals + 1);
    std::size_t end = 0;
    if (!inside.empty() && starts_json(inside.front())) {
      end = skip_json(inside, 0);
      if (end == std::string_view::npos)
        return bad_marker("has a value of " + std::string(key) + " that does not end");
      if (!json::is_valid(inside.substr(0, end))) {
        return bad_marker("has a value of " + std::string(key) + " that is not valid JSON");
      }
    } else {
      end = std::min(inside.find_first_of(" \n\t"), inside.size());
    }
    out.options[std::string(key)] = unquoted(inside.substr(0, end));
    inside = text::trim(inside.substr(end));
  }
  return out;
}

Result<std::vector<std::vector<Part>>> parse_script(std::string_view script) {
  if (text::trim(script).empty()) return bad_marker("script is empty; write text:… or tool:NAME{…}");
  return ScriptParser(script).parse();
}

}  // namespace ccrules::provider::sim
