#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// JSON as a tree, for tests only. Parsed by a small strict parser of its own (RFC 8259, UTF-8, no trailing
/// text), so that the product's JSON code is never its own judge.
namespace ccrules::test {

struct Tree {
  enum class Kind { kNull, kBool, kNumber, kString, kArray, kObject };
  Kind kind = Kind::kNull;
  bool boolean = false;
  std::string text;  ///< kString: decoded; kNumber: as spelled
  std::vector<Tree> items;
  std::vector<std::pair<std::string, Tree>> members;  ///< in order; duplicates are kept

  // Defined where Tree is complete: clang 14 needs that for a vector of pairs with it.
  Tree();
  ~Tree();
  Tree(const Tree&);
  Tree(Tree&&) noexcept;
  Tree& operator=(const Tree&);
  Tree& operator=(Tree&&) noexcept;

  [[nodiscard]] bool is(Kind wanted) const { return kind == wanted; }
  /// Member of an object; nullptr when absent or when this is no object.
  [[nodiscard]] const Tree* get(std::string_view name) const;
  /// Text of a string member; empty when absent or no string.
  [[nodiscard]] std::string string(std::string_view name) const;
  /// Value of a whole-number member; nullopt when absent, null or not a whole number.
  [[nodiscard]] std::optional<std::int64_t> integer(std::string_view name) const;
  /// True when the member exists and is not null.
  [[nodiscard]] bool has(std::string_view name) const;
};

/// nullopt when `text` is not exactly one valid JSON value.
std::optional<Tree> parse_tree(std::string_view text);

/// Where two values differ ("messages[1].content: \"a\" / \"b\""), empty when they mean the same: member
/// order does not matter, 1 and 1.0 are the same number.
std::string difference(const Tree& left, const Tree& right);

/// Indented, in the given member order; ends without a newline.
std::string pretty(const Tree& tree);
/// On one line without spaces.
std::string compact(const Tree& tree);

}  // namespace ccrules::test
