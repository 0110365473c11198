#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/log.h"

/// The kinds of values settings have, and how each is written as text (in the file, a variable or a flag).
namespace ccrules::config {

/// log.format: "text" or "json".
struct LogFormat {
  bool* json;
};

/// A number of things, where std::size_t* is a number of bytes.
struct Amount {
  std::size_t* number;
};

/// Where a setting's value goes; the type says how it is written.
using Slot = std::variant<std::string*,                // any text
                          bool*,                       // true, false
                          int*, std::int64_t*,         // whole numbers
                          std::size_t*,                // sizes: "64KB", or a number of bytes
                          std::chrono::milliseconds*,  // durations: "30s", "250ms"; "0" for none
                          std::vector<std::string>*,   // lists; as text: separated by commas
                          log::Level*,                 // debug, info, warn, error, off
                          LogFormat, Amount>;

struct Bounds {
  std::int64_t least = 0;
  std::int64_t most = std::numeric_limits<std::int64_t>::max();
};

/// Stores `text`; otherwise leaves the slot alone and returns what the text must be: "must be a duration such
/// as \"30s\"".
std::optional<std::string> assign(const Slot& slot, std::string_view text, const Bounds& bounds);

/// What a slot takes, as JSON Schema calls it: "string", "boolean", "integer", "array", and the two texts
/// with a pattern, "size" and "duration".
[[nodiscard]] std::string_view kind_of(const Slot& slot);
/// True when a JSON number is a natural way to write the slot's value.
[[nodiscard]] bool takes_number(const Slot& slot);

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
std::optional<std::size_t> parse_size(std::string_view text);

}  // namespace ccrules::config
