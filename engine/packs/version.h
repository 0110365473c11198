#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ccrules::packs {

/// A Semantic Version 2.0.0. Build metadata ("+...") is read and dropped: it never decides anything.
struct Version {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::uint32_t patch = 0;
  std::string pre;  ///< "beta.2"; empty for a release

  /// Nothing unless `text` is a whole version: "1.2.0", "1.2.0-beta.2".
  static std::optional<Version> parse(std::string_view text);
  [[nodiscard]] std::string text() const;
  bool operator==(const Version&) const = default;
};
/// Order of precedence: a pre-release comes before its release, its parts compare as numbers or as text.
bool operator<(const Version& a, const Version& b);

/// Which versions will do. Comparators with blanks or commas between them must all hold, alternatives stand on both sides of
/// `||`:  ">=1.2 <2", "^1.2.3" (the same major, or minor while that is 0), "~1.2" (the same minor), "1.x", "1.2" (any 1.2.*),
/// "1.2.3", "*".
class Range {
 public:
  static std::optional<Range> parse(std::string_view text);
  /// A pre-release fits only when a comparator names a pre-release of the same version.
  [[nodiscard]] bool contains(const Version& version) const;
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  struct Bound {
    enum class Op : std::uint8_t { kEqual, kLess, kAtMost, kGreater, kAtLeast };
    Op op = Op::kEqual;
    Version version;
  };
  static bool parse_comparator(std::string_view text, std::vector<Bound>& bounds);
  std::vector<std::vector<Bound>> alternatives_;
  std::string text_;
};

}  // namespace ccrules::packs
