#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

/// Texts on their way from one JSON document into another. Most of a large request is tool results, source code full of line ends
/// and quotes, that nobody looks into while it is translated: spelt as they came they are copied, not unescaped and escaped again.
namespace ccrules::json {

/// A text that is kept as the inside of a JSON string literal until somebody reads it, where append_string() would spell it just so.
/// It owns its bytes, except where a document lends them (Document::lend_texts()): then it and its copies must not outlive those,
/// unless it is edited, which makes it own them. Reading it the first time changes how it is kept: as with any value, one thread
/// at a time.
class Text {
 public:
  Text() = default;
  Text(std::string text) noexcept : own_(std::move(text)) {}
  Text(std::string_view text) : own_(text) {}
  Text(const char* text) : own_(text) {}
  /// Of a literal's inside, valid UTF-8 with valid escapes, all of them as append_string() writes them.
  static Text spelt(std::string_view inside, bool has_escapes);
  /// The same of bytes that stay where they are for as long as the text and its copies are there.
  static Text lent(std::string_view inside, bool has_escapes) noexcept;

  [[nodiscard]] bool empty() const noexcept { return bytes().empty(); }
  /// Its length as it is kept: no less than that of what it says.
  [[nodiscard]] std::size_t kept_bytes() const noexcept { return bytes().size(); }
  /// True when it is kept as it is spelt: nobody has looked into it.
  [[nodiscard]] bool is_spelt() const noexcept { return kept_ != Kept::kRead; }
  /// What it says. Void when the text is changed or moved.
  [[nodiscard]] std::string_view view() const;
  operator std::string_view() const { return view(); }
  /// What it says, to be changed.
  [[nodiscard]] std::string& edit();
  /// From now on it owns its bytes, as it keeps them.
  void own();
  Text& operator+=(std::string_view more) {
    edit() += more;
    return *this;
  }

  friend bool operator==(const Text& a, const Text& b) { return a.view() == b.view(); }
  template <std::convertible_to<std::string_view> Other>
  friend bool operator==(const Text& a, const Other& b) {
    return a.view() == std::string_view(b);
  }

 private:
  friend class TextView;
  enum class Kept : std::uint8_t {
    kRead,    ///< as it reads
    kPlain,   ///< as it reads, and that is how it is spelt
    kSpelt    ///< with escapes
  };
  [[nodiscard]] std::string_view bytes() const noexcept { return lent_.data() != nullptr ? lent_ : std::string_view(own_); }

  mutable std::string own_;
  mutable std::string_view lent_;  ///< without data: none
  mutable Kept kept_ = Kept::kRead;
};

/// A look at a text of either kind, for who writes it. Void when the text is read for the first time, changed or moved.
class TextView {
 public:
  TextView() = default;
  TextView(const Text& text) noexcept : bytes_(text.bytes()), spelt_(text.kept_ != Text::Kept::kRead) {}
  TextView(std::string_view text) noexcept : bytes_(text) {}
  TextView(const std::string& text) noexcept : bytes_(text) {}
  TextView(const char* text) noexcept : bytes_(text) {}

  [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }
  /// True when it holds nothing but blanks, tabs and line ends.
  [[nodiscard]] bool is_blank() const noexcept;
  /// Of a beginning that is spelt as it reads.
  [[nodiscard]] bool starts_with(std::string_view plain) const noexcept { return bytes_.starts_with(plain); }
  /// Appends it as the inside of a string literal.
  void append_to(std::string& out) const;

 private:
  std::string_view bytes_;
  bool spelt_ = false;
};

/// For overloads that std::string_view would match as well.
template <class T>
concept AnyText = std::same_as<T, Text> || std::same_as<T, TextView>;

/// Appends the text as a JSON string literal with quotes.
template <AnyText T>
void append_string(std::string& out, const T& text) {
  out += '"';
  TextView(text).append_to(out);
  out += '"';
}

}  // namespace ccrules::json
