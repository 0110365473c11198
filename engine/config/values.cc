#include "config/values.h"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "core/text.h"

namespace ccrules::config {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};
constexpr std::array<Unit, 5> kDurations = {
    {{"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}, {"d", 86400e3}}};
constexpr std::array<Unit, 10> kSizes = {{{"B", 1},
                                          {"KB", 1024},
                                          {"KiB", 1024},
                                          {"K", 1024},
                                          {"MB", 1048576},
                                          {"MiB", 1048576},
                                          {"M", 1048576},
                                          {"GB", 1073741824},
                                          {"GiB", 1073741824},
                                          {"G", 1073741824}}};
constexpr double kLargest = 1e15;  ///< of any size or duration: far beyond use, far from overflow

/// "1.5s" -> 1500 with the unit table; nullopt when the text is not a number with one of the units.
template <std::size_t N>
std::optional<double> scaled(std::string_view text, const std::array<Unit, N>& units) {
  double number = 0;
  const auto [rest, failed] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (failed != std::errc() || !(number >= 0)) return std::nullopt;
  const std::string_view unit = text::trim(text.substr(static_cast<std::size_t>(rest - text.data())));
  for (const Unit& known : units) {
    if (!text::equals_ignore_case(unit, known.name)) continue;
    const double value = number * known.factor;
    return value <= kLargest ? std::optional<double>(value) : std::nullopt;
  }
  return std::nullopt;
}

std::string range_text(const Bounds& bounds) {
  if (bounds.most == std::numeric_limits<std::int64_t>::max()) {
    return "must be a whole number, at least " + std::to_string(bounds.least);
  }
  return "must be a whole number from " + std::to_string(bounds.least) + " to " + std::to_string(bounds.most);
}

bool within(std::int64_t number, const Bounds& bounds) {
  return number >= bounds.least && number <= bounds.most;
}

template <class Number>
std::optional<std::string> assign_whole(Number& to, std::string_view text, const Bounds& bounds) {
  const auto number = text::to_int(text);
  if (!number || !within(*number, bounds) || !std::in_range<Number>(*number)) return range_text(bounds);
  to = static_cast<Number>(*number);
  return std::nullopt;
}

struct Assign {
  std::string_view text;
  const Bounds& bounds;

  std::optional<std::string> operator()(std::string* to) const {
    *to = text;
    return std::nullopt;
  }
  std::optional<std::string> operator()(bool* to) const {
    if (text != "true" && text != "false") return "must be true or false";
    *to = text == "true";
    return std::nullopt;
  }
  std::optional<std::string> operator()(int* to) const { return assign_whole(*to, text, bounds); }
  std::optional<std::string> operator()(std::int64_t* to) const { return assign_whole(*to, text, bounds); }
  std::optional<std::string> operator()(Amount to) const { return assign_whole(*to.number, text, bounds); }
  std::optional<std::string> operator()(std::size_t* to) const {
    const auto bytes = parse_size(text);
    if (!bytes) return "must be a size such as \"64KB\" or \"500MB\"";
    if (!within(static_cast<std::int64_t>(*bytes), bounds)) {
      return "must be at least " + std::to_string(bounds.least) + " bytes" +
             (bounds.most == std::numeric_limits<std::int64_t>::max()
                  ? ""
                  : " and at most " + std::to_string(bounds.most));
    }
    *to = *bytes;
    return std::nullopt;
  }
  std::optional<std::string> operator()(std::chrono::milliseconds* to) const {
    const auto duration = parse_duration(text);
    if (!duration) return "must be a duration such as \"250ms\", \"30s\" or \"1h\"";
    if (!within(duration->count(), bounds)) {
      if (duration->count() == 0) return "must not be zero";
      return "must be from " + std::to_string(bounds.least) + "ms to " + std::to_string(bounds.most) + "ms";
    }
    *to = *duration;
    return std::nullopt;
  }
  std::optional<std::string> operator()(std::vector<std::string>* to) const {
    to->clear();
    for (const std::string_view item : text::split(text, ',')) {
      if (!text::trim(item).empty()) to->emplace_back(text::trim(item));
    }
    return std::nullopt;
  }
  std::optional<std::string> operator()(log::Level* to) const {
    constexpr std::array<std::pair<std::string_view, log::Level>, 6> kLevels = {
        {{"debug", log::Level::kDebug},
         {"info", log::Level::kInfo},
         {"warn", log::Level::kWarn},
         {"warning", log::Level::kWarn},
         {"error", log::Level::kError},
         {"off", log::Level::kOff}}};
    for (const auto& [name, level] : kLevels) {
      if (!text::equals_ignore_case(name, text)) continue;
      *to = level;
      return std::nullopt;
    }
    return "must be debug, info, warn, error or off";
  }
  std::optional<std::string> operator()(LogFormat to) const {
    if (text != "text" && text != "json") return "must be text or json";
    *to.json = text == "json";
    return std::nullopt;
  }
};

}  // namespace

std::optional<std::string> assign(const Slot& slot, std::string_view text, const Bounds& bounds) {
  return std::visit(Assign{text, bounds}, slot);
}

std::string_view kind_of(const Slot& slot) {
  constexpr std::array<std::string_view, std::variant_size_v<Slot>> kKinds = {
      "string", "boolean", "integer", "integer", "size", "duration", "array", "string", "string", "integer"};
  return kKinds[slot.index()];
}

bool takes_number(const Slot& slot) {
  return std::holds_alternative<int*>(slot) || std::holds_alternative<std::int64_t*>(slot) ||
         std::holds_alternative<std::size_t*>(slot) || std::holds_alternative<Amount>(slot) ||
         std::holds_alternative<std::chrono::milliseconds*>(slot);
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  if (text == "0") return std::chrono::milliseconds(0);
  const auto milliseconds = scaled(text, kDurations);
  if (!milliseconds) return std::nullopt;
  return std::chrono::milliseconds(std::llround(*milliseconds));
}

std::optional<std::size_t> parse_size(std::string_view text) {
  if (const auto bytes = text::to_int(text))
    return *bytes >= 0 ? std::optional(static_cast<std::size_t>(*bytes)) : std::nullopt;
  const auto bytes = scaled(text, kSizes);
  if (!bytes) return std::nullopt;
  return static_cast<std::size_t>(std::llround(*bytes));
}

}  // namespace ccrules::config
