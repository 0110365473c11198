#include <algorithm>

#include "config/load.h"

namespace ccrules::config {
namespace {

constexpr std::size_t kShownColumns = 160;  ///< of a source line; a minified file is one endless line

/// Bytes of the first `characters` characters.
std::size_t bytes_of(std::string_view text, std::size_t characters) {
  std::size_t at = 0;
  while (characters > 0 && at < text.size()) {
    ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) ++at;
    --characters;
  }
  return at;
}

std::string printable(std::string_view text) {
  std::string out(text);
  std::replace_if(
      out.begin(), out.end(),
      [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; }, ' ');
  // U+0080 to U+009F are control characters too. One character stays one: columns are counted.
  for (std::size_t i = 1; i < out.size(); ++i) {
    const auto byte = static_cast<unsigned char>(out[i]);
    if (out[i - 1] == '\xc2' && byte >= 0x80 && byte < 0xa0) out[i] = '\xa0';
  }
  return out;
}

}  // namespace

std::string render(const Diagnostic& diagnostic, bool colour) {
  const auto paint = [colour](std::string_view code, const std::string& text) {
    return colour ? "\x1b[" + std::string(code) + "m" + text + "\x1b[0m" : text;
  };
  const Where& where = diagnostic.where;
  std::string place = where.file;
  if (where.line > 0) place += ":" + std::to_string(where.line) + ":" + std::to_string(where.column);
  const std::string kind = diagnostic.warning ? paint("1;33", "warning:") : paint("1;31", "error:");
  std::string out = (place.empty() ? "" : paint("1", place + ":") + " ") + kind + " " +
                    printable(diagnostic.message) + "\n";
  if (!diagnostic.source_line.empty() && where.line > 0 && where.column > 0) {
    const std::string line = printable(diagnostic.source_line);
    std::size_t before = bytes_of(line, static_cast<std::size_t>(where.column) - 1);
    std::size_t start = 0;
    if (before > kShownColumns / 2 && line.size() > kShownColumns) {
      start = bytes_of(
          line, static_cast<std::size_t>(where.column) - 1 -
                    std::min<std::size_t>(static_cast<std::size_t>(where.column) - 1, kShownColumns / 2));
    }
    const std::string shown =
        line.substr(start, bytes_of(std::string_view(line).substr(start), kShownColumns));
    const std::string number = std::to_string(where.line);
    out += "  " + number + " | " + shown + "\n";
    std::string caret;
    for (std::size_t at = start; at < before; ++at) {
      if ((static_cast<unsigned char>(line[at]) & 0xc0) == 0x80) continue;
      caret += line[at] == '\t' ? '\t' : ' ';
    }
    out += "  " + std::string(number.size(), ' ') + " | " + caret + paint("1;32", "^") + "\n";
  }
  if (!diagnostic.hint.empty()) out += "  " + paint("36", "hint:") + " " + printable(diagnostic.hint) + "\n";
  return out;
}

}  // namespace ccrules::config
