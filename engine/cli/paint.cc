#include "cli/paint.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

namespace ccrules::cli {
namespace {

bool colour_wanted(const Io& io, bool terminal) {
  if (!terminal) return false;
  const auto no_color = io.environment.find("NO_COLOR");
  if (no_color != io.environment.end() && !no_color->second.empty()) return false;
  const auto term = io.environment.find("TERM");
  return term == io.environment.end() || term->second != "dumb";
}

/// Whether a byte of UTF-8 belongs to the code point before it.
bool continues(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

/// Marks that turn the direction of the text behind them: U+202A to U+202E and U+2066 to U+2069.
bool turns_direction(std::string_view text) {
  if (text.size() < 3 || text[0] != '\xe2') return false;
  const auto last = static_cast<unsigned char>(text[2]);
  return (text[1] == '\x80' && last >= 0xaa && last <= 0xae) || (text[1] == '\x81' && last >= 0xa6 && last <= 0xa9);
}

/// A cell without what a terminal would obey, but for the colours of Paint.
std::string plain_cell(std::string_view cell) {
  static constexpr std::array<std::string_view, 7> kColours = {"\x1b[0m",  "\x1b[1m",  "\x1b[2m", "\x1b[31m",
                                                               "\x1b[32m", "\x1b[33m", "\x1b[36m"};
  std::string out;
  std::size_t begin = 0;
  for (std::size_t at = cell.find('\x1b'); at != std::string_view::npos; at = cell.find('\x1b', at + 1)) {
    const auto colour = std::find_if(kColours.begin(), kColours.end(),
                                     [&](std::string_view code) { return cell.substr(at).starts_with(code); });
    if (colour == kColours.end()) continue;
    out += plain_text(cell.substr(begin, at - begin));
    out += *colour;
    begin = at + colour->size();
  }
  return out += plain_text(cell.substr(begin));
}

/// A cell of at most kCellColumns columns, by its beginning and its end: of long names, such as folders, both tell them apart.
std::string clipped(std::string cell) {
  constexpr std::size_t kCellColumns = 60;
  constexpr std::size_t kBegin = kCellColumns / 2;
  const std::size_t width = width_of(cell);
  if (width <= kCellColumns) return cell;
  const std::size_t end = width - (kCellColumns - kBegin - 1);
  std::string out;
  std::size_t column = 0;
  for (std::size_t at = 0; at < cell.size();) {
    const std::size_t begin = at++;
    if (cell[begin] == '\x1b') {
      at = cell.find('m', begin) + 1;
      out.append(cell, begin, at - begin);
      continue;
    }
    while (at < cell.size() && continues(cell[at])) ++at;
    if (column == kBegin) out += "…";
    if (column < kBegin || column >= end) out.append(cell, begin, at - begin);
    ++column;
  }
  return out;
}

}  // namespace

std::string Paint::wrap(std::string_view code, std::string_view text) const {
  if (!on_) return std::string(text);
  std::string out = "\x1b[";
  out += code;
  out += 'm';
  out += text;
  out += "\x1b[0m";
  return out;
}

Paint paint_for_out(const Io& io) {
  return Paint(colour_wanted(io, io.out_is_terminal));
}
Paint paint_for_err(const Io& io) {
  return Paint(colour_wanted(io, io.err_is_terminal));
}

std::string plain_text(std::string_view text) {
  std::string out(text);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto byte = static_cast<unsigned char>(out[i]);
    if (byte < 0x20 || byte == 0x7f) out[i] = '?';
    // U+0080 to U+009F are control characters too.
    const bool second = byte >= 0x80 && byte < 0xa0 && i > 0 && static_cast<unsigned char>(out[i - 1]) == 0xc2;
    if (second) out.replace(i - 1, 2, "??");
    if (turns_direction(std::string_view(out).substr(i))) out.replace(i, 3, "???");
  }
  return out;
}

std::string counted(std::size_t count, std::string_view word) {
  return std::to_string(count) + " " + std::string(word) + (count == 1 ? "" : "s");
}

std::size_t width_of(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b') {
      while (i < text.size() && text[i] != 'm') ++i;
      continue;
    }
    if (!continues(text[i])) ++width;
  }
  return width;
}

std::string pad_right(std::string_view text, std::size_t width) {
  std::string out(text);
  out.append(width - std::min(width, width_of(text)), ' ');
  return out;
}

std::string pad_left(std::string_view text, std::size_t width) {
  std::string out(width - std::min(width, width_of(text)), ' ');
  out += text;
  return out;
}

void Table::print(std::ostream& out, std::string_view indent) const {
  // What stands in tables often comes from clients and providers.
  std::vector<std::vector<std::string>> rows = rows_;
  for (auto& row : rows) {
    std::transform(row.begin(), row.end(), row.begin(), plain_cell);
    if (long_ == Long::kWhole) continue;
    for (std::size_t i = 0; i + 1 < columns_.size() && i < row.size(); ++i) row[i] = clipped(std::move(row[i]));
  }
  std::vector<std::size_t> widths(columns_.size(), 0);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i)
      widths[i] = std::max(widths[i], width_of(row[i]));
  }
  for (const auto& row : rows) {
    std::string line(indent);
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      if (i > 0) line += "  ";
      line += columns_[i] == Align::kRight ? pad_left(row[i], widths[i]) : pad_right(row[i], widths[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << "\n";
  }
}

std::string with_commas(std::int64_t number) {
  std::string digits = std::to_string(number);
  const std::size_t first = digits[0] == '-' ? 1 : 0;
  for (std::size_t i = digits.size(); i > first + 3;) {
    i -= 3;
    digits.insert(i, ",");
  }
  return digits;
}

std::string usd(std::int64_t nanousd) {
  const double dollars = static_cast<double>(nanousd) / 1e9;
  char text[48];
  const bool small = dollars > -10 && dollars < 10;
  std::snprintf(text, sizeof text, small ? "%s$%.4f" : "%s$%.2f", dollars < 0 ? "-" : "",
                dollars < 0 ? -dollars : dollars);
  return text;
}

}  // namespace ccrules::cli
