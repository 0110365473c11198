#include "rules/lua_diagnostics.h"

#include <algorithm>
#include <string_view>

#include "core/text.h"
#include "rules/api.h"

namespace ccrules::rules {
namespace {

bool is_for_tests(std::string_view word) { return word == "base" || word == "case" || word == "sweep" || word == "flow"; }

}  // namespace

std::string chunk_name(const SourceFile& file) {
  constexpr std::size_t kLongest = 48;
  const std::string& name = file.shown;
  return name.size() <= kLongest ? name : "..." + name.substr(name.size() - kLongest + 3);
}

config::Diagnostic lua_error_diagnostic(const SourceFile& file, const std::string& error) {
  const std::string prefix = chunk_name(file) + ":";
  const std::size_t begin = error.find(prefix);
  Spot at{1, 1};
  std::string message = error;
  if (begin != std::string::npos) {
    const std::size_t digits = begin + prefix.size();
    const std::size_t colon = error.find(':', digits);
    if (colon != std::string::npos) {
      at.line = static_cast<int>(text::to_int(std::string_view(error).substr(digits, colon - digits)).value_or(1));
      message = text::trim(std::string_view(error).substr(colon + 1));
    }
  }
  // What is missing at the end of the file is missing behind its last word, not on the empty line behind it.
  if (message.ends_with("near '<eof>'")) {
    const std::string_view text = text::trim(file.text);
    const std::size_t end = static_cast<std::size_t>(text.data() - file.text.data()) + text.size();
    const std::string_view before = std::string_view(file.text).substr(0, end);
    at.line = static_cast<int>(std::count(before.begin(), before.end(), '\n')) + 1;
    at.column = static_cast<int>(end - (before.rfind('\n') + 1)) + 1;
    message.replace(message.size() - std::string_view("near '<eof>'").size(), std::string::npos, "before the file ends");
    return file.error(at, message);
  }
  // Point at the word the message quotes last.
  const std::size_t close = message.rfind('\'');
  const std::size_t open = close == std::string::npos || close == 0 ? std::string::npos : message.rfind('\'', close - 1);
  if (open != std::string::npos) {
    const std::string_view word = std::string_view(message).substr(open + 1, close - open - 1);
    const std::size_t column = word.empty() ? std::string_view::npos : file.line(at.line).find(word);
    if (column != std::string_view::npos) at.column = static_cast<int>(column) + 1;
    if (message.starts_with("attempt to call global") || message.starts_with("attempt to index global")) {
      static const std::vector<std::string> kWords = {"rule", "alias", "override", "remove", "any",    "none",
                                                      "base", "case",  "sweep",    "flow",    "pick",   "serving", "requested"};
      const std::string near = text::did_you_mean(word, kWords);
      std::string hint = near.empty() ? std::string() : "did you mean '" + near + "'?";
      if (near == word) {
        hint = is_for_tests(word) ? "tests have files of their own: NAME_test.lua"
                                  : "this was read as a file of tests; rules have files of their own";
      }
      for (const char* gone : {"os", "io", "require", "load", "loadstring", "dofile", "print", "debug", "next", "coroutine"}) {
        if (word == gone) hint = "rules have no I/O, no clock and no code loading; see docs/rules.md";
      }
      return file.error(at, "'" + std::string(word) + "' is not defined", hint);
    }
  }
  return file.error(at, message);
}

void check_uses(const SourceFile& file, const Literal& literal, const Grants& grants,
                std::vector<config::Diagnostic>& diagnostics) {
  for (const Literal::Entry& entry : literal.entries) {
    for (const Literal::FactUse& use : entry.uses) {
      const api::FactRow* row = api::find_fact(use.name);
      if (row == nullptr && use.name != "time_in") {
        diagnostics.push_back(file.error(use.at, "unknown fact '" + use.name + "'", api::fact_hint(use.name)));
      } else if (row != nullptr && !grants.allows(row->need)) {
        const std::string need = api::need_name(row->need);
        diagnostics.push_back(file.error(
            use.at, "fact '" + use.name + "' does not exist for this pack: it was not granted '" + need + "'",
            "name it in \"needs\" of pack.json and grant it when installing"));
      }
    }
    if (entry.table != nullptr) check_uses(file, *entry.table, grants, diagnostics);
  }
}

void read_zones(const SourceFile& file, Zones& zones, std::vector<config::Diagnostic>& diagnostics) {
  constexpr std::string_view kCall = "time_in(";
  for (std::size_t at = file.text.find(kCall); at != std::string::npos; at = file.text.find(kCall, at)) {
    at += kCall.size();
    const char quote = at < file.text.size() ? file.text[at] : ' ';
    const std::size_t close = quote == '"' || quote == '\'' ? file.text.find(quote, at + 1) : std::string::npos;
    if (close == std::string::npos) continue;
    const Result<Zone> zone = zones.load(std::string_view(file.text).substr(at + 1, close - at - 1));
    if (zone.ok()) continue;
    const auto line_begin = file.text.rfind('\n', at) + 1;  // npos + 1 is 0
    Spot spot;
    spot.line = static_cast<int>(std::count(file.text.begin(), file.text.begin() + static_cast<std::ptrdiff_t>(at), '\n')) + 1;
    spot.column = static_cast<int>(at - line_begin) + 1;
    diagnostics.push_back(file.error(spot, zone.error().message));
  }
}

}  // namespace ccrules::rules
