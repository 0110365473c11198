#pragma once
#include <string>
#include <string_view>

#include "chat/loss.h"
#include "chat/request.h"
#include "core/error.h"
#include "core/json.h"

/// Contents that a format has no place for, in words.
namespace ccrules::dialect {

inline constexpr std::string_view kNoVision = "[image omitted: model has no vision]";
inline constexpr std::string_view kNoResult = "[no result]";  ///< stands for the result a call never got

[[nodiscard]] bool is_blank(std::string_view text) noexcept;
template <json::AnyText T>
[[nodiscard]] bool is_blank(const T& text) noexcept {
  return json::TextView(text).is_blank();
}

/// A text of the system prompt without Claude Code's attribution line: it changes per conversation and would
/// spoil every provider's prefix cache.
json::TextView without_attribution(const json::Text& text, chat::LossNotes& losses);

/// A document that is text, under its title.
std::string document_text(const chat::Document& document, chat::LossNotes& losses);
/// What an Anthropic block that has no counterpart says in words; empty when it says nothing.
std::string opaque_text(const chat::Opaque& opaque, chat::LossNotes& losses);
/// A result nobody asked for: its text is kept, in a form every provider takes.
std::string orphan_text(const chat::ToolResult& result, chat::LossNotes& losses);
/// Why a request is refused of whose messages a format can take none.
Error nothing_to_send();

/// One JSON string literal that grows by pieces, with a separator between them.
class JoinedString {
 public:
  JoinedString(std::string& out, std::string_view separator) : out_(out), separator_(separator) {}
  void add(json::TextView text) {
    if (started_)
      json::append_escaped(out_, separator_);
    else
      out_ += '"';
    started_ = true;
    text.append_to(out_);
  }
  /// The same with words before it.
  void add(std::string_view before, json::TextView text) {
    add(before);
    text.append_to(out_);
  }
  [[nodiscard]] bool started() const { return started_; }
  /// Closes the literal; writes "" when nothing was added.
  void close() { out_ += started_ ? "\"" : "\"\""; }

 private:
  std::string& out_;
  std::string_view separator_;
  bool started_ = false;
};

}  // namespace ccrules::dialect
