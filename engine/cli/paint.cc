#include "cli/paint.h"

#include <algorithm>
#include <cstdio>

namespace ccrules::cli {
namespace {

bool colour_wanted(const Io& io, bool terminal) {
  if (!terminal) return false;
  const auto no_color = io.environment.find("NO_COLOR");
  if (no_color != io.environment.end() && !no_color->second.empty()) return false;
  const auto term = io.environment.find("TERM");
  return term == io.environment.end() || term->second != "dumb";
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
    const bool continuation = (static_cast<unsigned char>(text[i]) & 0xC0U) == 0x80U;
    if (!continuation) ++width;
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
  std::vector<std::size_t> widths(columns_.size(), 0);
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i)
      widths[i] = std::max(widths[i], width_of(row[i]));
  }
  for (const auto& row : rows_) {
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
