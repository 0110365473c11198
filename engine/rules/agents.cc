#include "rules/agents.h"

#include <algorithm>
#include <list>
#include <map>
#include <optional>
#include <unordered_map>

#include "core/digest.h"
#include "core/text.h"

namespace ccrules::rules {
namespace {

// --- JSON string literals

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Four hex digits at `text[at]`; -1 when they are none.
int code_unit(std::string_view text, std::size_t at) {
  if (at + 4 > text.size()) return -1;
  int code = 0;
  for (std::size_t i = at; i < at + 4; ++i) {
    const int digit = hex_value(text[i]);
    if (digit < 0) return -1;
    code = code * 16 + digit;
  }
  return code;
}

void append_utf8(std::string& out, unsigned code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0U | (code >> 6U));
    out += static_cast<char>(0x80U | (code & 0x3FU));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0U | (code >> 12U));
    out += static_cast<char>(0x80U | ((code >> 6U) & 0x3FU));
    out += static_cast<char>(0x80U | (code & 0x3FU));
  } else {
    out += static_cast<char>(0xF0U | (code >> 18U));
    out += static_cast<char>(0x80U | ((code >> 12U) & 0x3FU));
    out += static_cast<char>(0x80U | ((code >> 6U) & 0x3FU));
    out += static_cast<char>(0x80U | (code & 0x3FU));
  }
}

/// Decodes a literal piece by piece, so that a prefix can be compared without decoding all of it.
class Unescaper {
 public:
  explicit Unescaper(std::string_view literal) : text_(literal) {
    if (!text_.empty() && text_.front() == '"') text_.remove_prefix(1);
    if (!text_.empty() && text_.back() == '"') text_.remove_suffix(1);
  }

  /// Appends the next piece; false at the end.
  bool next(std::string& out) {
    if (at_ >= text_.size()) return false;
    const std::size_t escape = std::min(text_.find('\\', at_), text_.size());
    if (escape > at_) {
      const std::size_t size = std::min(escape - at_, kPieceBytes);
      out.append(text_.substr(at_, size));
      at_ += size;
      return true;
    }
    one_escape(out);
    return true;
  }

 private:
  static constexpr std::size_t kPieceBytes = 256;

  void one_escape(std::string& out) {
    const char c = at_ + 1 < text_.size() ? text_[at_ + 1] : '\\';
    at_ += 2;
    switch (c) {
      case 'n': out += '\n'; return;
      case 't': out += '\t'; return;
      case 'r': out += '\r'; return;
      case 'b': out += '\b'; return;
      case 'f': out += '\f'; return;
      case 'u': break;
      default: out += c; return;
    }
    constexpr int kHighSurrogate = 0xD800;
    constexpr int kLowSurrogate = 0xDC00;
    constexpr int kSurrogateEnd = 0xE000;
    constexpr unsigned kReplacement = 0xFFFD;
    const int first = code_unit(text_, at_);
    at_ += 4;
    if (first < 0) {
      append_utf8(out, kReplacement);
      return;
    }
    if (first < kHighSurrogate || first >= kSurrogateEnd) {
      append_utf8(out, static_cast<unsigned>(first));
      return;
    }
    const bool pair = first < kLowSurrogate && at_ + 1 < text_.size() && text_[at_] == '\\' && text_[at_ + 1] == 'u';
    const int second = pair ? code_unit(text_, at_ + 2) : -1;
    if (second < kLowSurrogate || second >= kSurrogateEnd) {
      append_utf8(out, kReplacement);
      return;
    }
    at_ += 6;
    append_utf8(out, 0x10000U + ((static_cast<unsigned>(first) & 0x3FFU) << 10U) + (static_cast<unsigned>(second) & 0x3FFU));
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::string unescape(std::string_view literal) {
  std::string out;
  out.reserve(literal.size());
  Unescaper unescaper(literal);
  while (unescaper.next(out)) {
  }
  return out;
}

std::string working_directory(const chat::Outline& outline) {
  for (const std::string_view literal : outline.system_json) {
    for (const std::string_view label : {std::string_view("Primary working directory:"), std::string_view("Working directory:")}) {
      const std::size_t at = literal.find(label);
      if (at == std::string_view::npos) continue;
      std::string_view rest = literal.substr(at + label.size());
      // Ends with its line: an escaped newline, or the literal.
      rest = rest.substr(0, std::min(rest.find("\\n"), rest.size()));
      if (!rest.empty() && rest.back() == '"') rest.remove_suffix(1);
      return std::string(text::trim(unescape(rest)));
    }
  }
  return {};
}

struct AgentFinder::Impl {
  const Files& files;
  std::string home;
};

AgentFinder::AgentFinder(const Files& files, std::string home_directory)
    : impl_(std::make_unique<Impl>(Impl{files, std::move(home_directory)})) {}
AgentFinder::~AgentFinder() = default;

std::string AgentFinder::find(const Query& query) {
  if (query.agent_id.empty()) return "main";
  return std::string(query.hint);
}

}  // namespace ccrules::rules
