#include "dialect/openai_chat/repeated_chunk.h"

#include "core/text.h"

namespace ccrules::dialect::openai {
namespace {

constexpr std::string_view kObfuscation = ",\"obfuscation\":\"";
constexpr std::size_t kLongestTail = 4096;  // A shape with more around its string is not worth keeping.

/// A JSON string literal without its quotes.
struct Literal {
  std::size_t bytes = 0;  ///< escaped
  bool escaped = false;
  bool ascii = true;
};

/// The literal at the start of `json`, up to its closing quote; nullopt when it is not a plain one (control
/// characters, no end).
std::optional<Literal> scan_literal(std::string_view json) {
  Literal literal;
  for (std::size_t at = 0; at < json.size(); ++at) {
    const auto byte = static_cast<unsigned char>(json[at]);
    if (byte == '"') {
      literal.bytes = at;
      return literal;
    }
    if (byte < 0x20) return std::nullopt;
    if (byte >= 0x80) literal.ascii = false;
    if (byte == '\\') {
      literal.escaped = true;
      ++at;
    }
  }
  return std::nullopt;
}

/// Resolves the short escapes; false for \u, which the JSON reader knows better.
bool unescape(std::string_view literal, std::string& out) {
  out.clear();
  for (std::size_t at = 0; at < literal.size(); ++at) {
    if (literal[at] != '\\') {
      out += literal[at];
      continue;
    }
    switch (literal[++at]) {
      case '"':
        out += '"';
        break;
      case '\\':
        out += '\\';
        break;
      case '/':
        out += '/';
        break;
      case 'b':
        out += '\b';
        break;
      case 'f':
        out += '\f';
        break;
      case 'n':
        out += '\n';
        break;
      case 'r':
        out += '\r';
        break;
      case 't':
        out += '\t';
        break;
      default:
        return false;
    }
  }
  return true;
}

/// What follows the opening quote of the obfuscation: letters, digits, and the end of the chunk.
bool is_obfuscation(std::string_view rest) {
  const auto literal = scan_literal(rest);
  return literal && !literal->escaped && literal->ascii && rest.substr(literal->bytes) == "\"}";
}

}  // namespace

void RepeatedChunk::learn(std::string_view json, const Chunk& chunk) {
  const bool says_one_string =
      chunk.texts.size() + chunk.tools.size() == 1 && chunk.literal_at && chunk.has_choice;
  const bool says_more = !chunk.finish_reason.empty() || !chunk.stop_sequence.empty() ||
                         !chunk.details.empty() || !chunk.usage.empty() || !chunk.error_json.empty() || chunk.other_text_bytes > 0;
  if (!says_one_string || says_more) return;
  if (!chunk.tools.empty()) {
    const ToolDelta& tool = chunk.tools[0];
    if (!tool.id.empty() || !tool.name.empty() || !tool.thought_signature.empty()) return;
  }
  const std::size_t begin = *chunk.literal_at + 1;
  if (begin > json.size() || json[begin - 1] != '"') return;
  const auto literal = scan_literal(json.substr(begin));
  if (!literal || begin > kLongestTail || json.size() - begin - literal->bytes > kLongestTail) return;
  head_ = json.substr(0, begin);
  tail_ = json.substr(begin + literal->bytes);
  obfuscated_ = false;
  if (const std::size_t at = tail_.rfind(kObfuscation);
      at != std::string::npos && is_obfuscation(std::string_view(tail_).substr(at + kObfuscation.size()))) {
    tail_.resize(at + kObfuscation.size());
    obfuscated_ = true;
  }
  tool_index_.reset();
  if (!chunk.tools.empty()) {
    kind_ = Kind::kArguments;
    tool_index_ = chunk.tools[0].index;
  } else {
    kind_ = chunk.texts[0].reasoning ? Kind::kReasoning : Kind::kText;
  }
}

bool RepeatedChunk::match(std::string_view json, Chunk& chunk) {
  if (kind_ == Kind::kNothing || !json.starts_with(head_)) return false;
  const std::string_view rest = json.substr(head_.size());
  const auto literal = scan_literal(rest);
  if (!literal || literal->bytes == 0) return false;
  const std::string_view tail = rest.substr(literal->bytes);
  if (obfuscated_ ? !tail.starts_with(tail_) || !is_obfuscation(tail.substr(tail_.size())) : tail != tail_)
    return false;
  std::string_view text = rest.substr(0, literal->bytes);
  if (!literal->ascii && !text::is_valid_utf8(text)) return false;
  if (literal->escaped) {
    if (!unescape(text, unescaped_)) return false;
    text = unescaped_;
  }
  chunk.clear();
  chunk.has_choice = true;
  if (kind_ == Kind::kArguments) {
    ToolDelta tool;
    tool.index = tool_index_;
    tool.arguments = text;
    chunk.tools.push_back(tool);
  } else {
    chunk.texts.push_back({text, kind_ == Kind::kReasoning});
  }
  return true;
}

}  // namespace ccrules::dialect::openai
