#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"
#include "core/json.h"

/// A configuration file as text with places, and as a tree.
namespace ccrules::config {

/// JSON as it was written, every value and key with its position in the text.
struct Node {
  struct Member;
  json::Type type = json::Type::kNull;
  std::size_t offset = 0;
  std::string text;             ///< kString: the unescaped text; kNumber, kBool: as written
  std::vector<Member> members;  ///< kObject
  std::vector<Node> items;      ///< kArray
  [[nodiscard]] bool is(json::Type wanted) const { return type == wanted; }
};
struct Node::Member {
  std::string key;
  std::size_t key_offset = 0;
  Node value;
};
/// The tree as compact JSON.
std::string to_json(const Node& node);

/// JSON with comments and trailing commas. Line and column count from 1; columns are characters, a tab is
/// one.
class Source {
 public:
  Source(std::string file, std::string text);
  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] Where where(std::size_t offset) const;
  /// The line that holds `offset`, without its end; values that may be secrets are starred out, columns
  /// unchanged.
  [[nodiscard]] std::string line(std::size_t offset) const;
  /// The tree, or what is wrong with the syntax (the first such place).
  std::optional<Node> parse(std::vector<Diagnostic>& diagnostics) const;
  [[nodiscard]] Diagnostic diagnostic(std::size_t offset, std::string message, std::string hint = {},
                                      bool warning = false) const;

 private:
  std::string file_;
  std::string text_;
};

/// What some editors put before a file's text; Lua and JSON begin behind it.
inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// Comments, trailing commas and a byte-order mark replaced by spaces of the same length. Error offset in
/// `unclosed` when a comment does not end.
std::string blank_comments(std::string_view text, std::optional<std::size_t>& unclosed);

}  // namespace ccrules::config
