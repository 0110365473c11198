#include "rules/tree.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "core/json.h"
#include "core/text.h"

namespace ccrules::rules {
namespace {

bool write(json::Writer& out, const Tree& value) {
  switch (value.kind) {
    case Tree::Kind::kNil: out.null(); return true;
    case Tree::Kind::kFlag: out.boolean(value.flag); return true;
    case Tree::Kind::kNumber: out.raw(std::isfinite(value.number) ? number_text(value.number) : "null"); return true;
    case Tree::Kind::kText: out.string(value.text); return true;
    case Tree::Kind::kFunction:
    case Tree::Kind::kMarker: return false;
    case Tree::Kind::kTable: break;
  }
  if (value.members.empty() && !value.items.empty()) {
    out.begin_array();
    for (const Tree& item : value.items) {
      if (!write(out, item)) return false;
    }
    out.end_array();
    return true;
  }
  if (!value.items.empty()) return false;
  out.begin_object();
  for (const Tree::Member& member : value.members) {
    out.key(member.key);
    if (!write(out, member.value)) return false;
  }
  out.end_object();
  return true;
}

}  // namespace

const Tree::Member* Tree::find(std::string_view key) const {
  for (const Member& member : members) {
    if (member.key == key) return &member;
  }
  return nullptr;
}

const char* Tree::kind_name() const {
  switch (kind) {
    case Kind::kNil: return "nil";
    case Kind::kFlag: return "a boolean";
    case Kind::kNumber: return "a number";
    case Kind::kText: return "a string";
    case Kind::kTable: return "a table";
    case Kind::kFunction: return "a function";
    case Kind::kMarker: return text.c_str();
  }
  return "a value";
}

std::string_view SourceFile::line(int n) const {
  std::size_t begin = 0;
  for (int i = 1; i < n; ++i) {
    begin = text.find('\n', begin);
    if (begin == std::string::npos) return {};
    ++begin;
  }
  if (n < 1) return {};
  std::size_t end = text.find('\n', begin);
  if (end == std::string::npos) end = text.size();
  if (end > begin && text[end - 1] == '\r') --end;
  return std::string_view(text).substr(begin, end - begin);
}

config::Diagnostic SourceFile::error(Spot at, std::string message, std::string hint) const {
  config::Diagnostic diagnostic;
  diagnostic.where = config::Where{path, at.line, at.column};
  diagnostic.message = std::move(message);
  diagnostic.hint = std::move(hint);
  diagnostic.source_line = std::string(line(at.line));
  return diagnostic;
}

std::string to_json(const Tree& value) {
  std::string out;
  json::Writer writer(out);
  return write(writer, value) ? out : std::string();
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  constexpr std::int64_t kLongest = 1'000'000;
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::optional<std::int64_t> count = text::to_int(text.substr(0, digits));
  const std::string_view unit = text.substr(digits);
  const std::int64_t factor = unit == "ms"  ? 1
                              : unit == "s" ? 1000
                              : unit == "m" ? 60'000
                              : unit == "h" ? 3'600'000
                              : unit == "d" ? 86'400'000
                                            : 0;
  if (!count || factor == 0 || *count > kLongest) return std::nullopt;
  return std::chrono::milliseconds(*count * factor);
}

std::string number_text(double number) {
  std::array<char, 32> buffer{};
  constexpr double kWhole = 9007199254740992.0;  // 2^53: beyond it a double no longer counts in ones
  if (number == std::floor(number) && std::abs(number) <= kWhole) {
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), static_cast<long long>(number));
    return {buffer.data(), end.ptr};
  }
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number);
  return {buffer.data(), end.ptr};
}

}  // namespace ccrules::rules
