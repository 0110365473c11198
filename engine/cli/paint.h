#pragma once
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "cli/io.h"

namespace ccrules::cli {

/// ANSI colours, or nothing at all.
class Paint {
 public:
  explicit Paint(bool on) : on_(on) {}
  [[nodiscard]] std::string bold(std::string_view text) const { return wrap("1", text); }
  [[nodiscard]] std::string dim(std::string_view text) const { return wrap("2", text); }
  [[nodiscard]] std::string red(std::string_view text) const { return wrap("31", text); }
  [[nodiscard]] std::string green(std::string_view text) const { return wrap("32", text); }
  [[nodiscard]] std::string yellow(std::string_view text) const { return wrap("33", text); }
  [[nodiscard]] std::string cyan(std::string_view text) const { return wrap("36", text); }
  [[nodiscard]] bool on() const { return on_; }

 private:
  [[nodiscard]] std::string wrap(std::string_view code, std::string_view text) const;
  bool on_;
};

/// Colour only on a terminal, never with NO_COLOR set (to anything) or TERM=dumb.
Paint paint_for_out(const Io& io);
Paint paint_for_err(const Io& io);

/// `text` from elsewhere without what a terminal would obey: control characters become '?'.
std::string plain_text(std::string_view text);

/// "1 rule", "3 rules".
std::string counted(std::size_t count, std::string_view word);

/// Columns a terminal needs for `text`: code points, without ANSI colours. Wide characters count as one.
std::size_t width_of(std::string_view text);
/// `text` filled with blanks on its right (left for numbers) to `width` columns; longer text stays whole.
std::string pad_right(std::string_view text, std::size_t width);
std::string pad_left(std::string_view text, std::size_t width);

/// Columns aligned by their widest cell; two blanks between them; no blanks at the end of a line.
class Table {
 public:
  enum class Align : std::uint8_t { kLeft, kRight };
  /// What becomes of a cell of more than 60 columns that is not in the last column.
  enum class Long : std::uint8_t {
    kClipped,  ///< an ellipsis takes the place of its middle: names from elsewhere
    kWhole     ///< it stays as it is, and pushes the next column aside
  };
  explicit Table(std::vector<Align> columns, Long cells = Long::kClipped) : columns_(std::move(columns)), long_(cells) {}
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  void print(std::ostream& out, std::string_view indent = {}) const;

 private:
  std::vector<Align> columns_;
  Long long_;
  std::vector<std::vector<std::string>> rows_;
};

/// 1234567 as "1,234,567".
std::string with_commas(std::int64_t number);
/// Nano-USD as "$1.2346": four places below ten dollars, else two.
std::string usd(std::int64_t nanousd);

}  // namespace ccrules::cli
