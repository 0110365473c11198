#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/load.h"

namespace ccrules::rules {

/// A place in a source file; line 0: not known.
struct Spot {
  int line = 0;
  int column = 0;
};

/// A value as a rule file wrote it, free of the language it was written in, every part with its place. Lua tables and JSON
/// are read into this, and everything is compiled from this.
struct Tree {
  enum class Kind : std::uint8_t {
    kNil, kFlag, kNumber, kText, kTable,
    kFunction,  ///< `ref` in the registry of the file's Vm
    kMarker     ///< a word of the prelude: `text` is its name (any, none, remove, requested, pick, route ...), the table its body
  };
  struct Member;

  Kind kind = Kind::kNil;
  bool flag = false;
  int ref = 0;
  bool about_target = false;  ///< kFunction: it reads target_provider or provider_class
  double number = 0;
  std::string text;
  std::vector<Tree> items;      ///< positional part
  std::vector<Member> members;  ///< string keys, in the order they were written when that is known, else sorted
  Spot at;

  [[nodiscard]] bool is(Kind wanted) const { return kind == wanted; }
  [[nodiscard]] bool is_marker(std::string_view name) const { return kind == Kind::kMarker && text == name; }
  [[nodiscard]] const Member* find(std::string_view key) const;
  /// "a string", "a number", "a table" ...: for messages.
  [[nodiscard]] const char* kind_name() const;
};

struct Tree::Member {
  std::string key;
  Spot at;  ///< of the key
  Tree value;
};

/// A rule or test file in memory.
struct SourceFile {
  std::string path;   ///< for diagnostics
  std::string shown;  ///< for traces: relative to the configuration file when below it
  std::string text;

  /// Line `n` (from 1) without its newline; empty when there is none.
  [[nodiscard]] std::string_view line(int n) const;
  [[nodiscard]] config::Diagnostic error(Spot at, std::string message, std::string hint = {}) const;
};

/// JSON text of a plain value (no functions or markers inside); whole numbers without a fraction, members in written order.
/// Empty when the value holds something JSON does not have.
std::string to_json(const Tree& value);
/// "250ms", "20s", "2m", "1h", "7d": nothing when it is none of these.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
/// A number as people write it: 5, not 5.0; 0.25.
std::string number_text(double number);

}  // namespace ccrules::rules
