#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace ccrules {

/// Wall-clock and monotonic time. Tests give a clock that stands still.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Microseconds since 1970-01-01 UTC.
  [[nodiscard]] virtual std::int64_t wall_us() const = 0;
};

/// Randomness for ids and jitter; never for decisions.
class Random {
 public:
  virtual ~Random() = default;
  virtual std::uint64_t next() = 0;
};

/// The file system as configuration and rules see it.
class Files {
 public:
  virtual ~Files() = default;
  /// The whole file, of at most limits::kFileBytes. Error message names the path and the reason.
  [[nodiscard]] virtual Result<std::string> read(const std::string& path) const = 0;
  [[nodiscard]] virtual bool exists(const std::string& path) const = 0;
  /// Names (not paths) of a directory's entries, sorted; empty when it cannot be read.
  [[nodiscard]] virtual std::vector<std::string> list(const std::string& directory) const = 0;

  enum class Kind : std::uint8_t { kNone, kFile, kFolder, kLink, kOther };
  struct Entry {
    Kind kind = Kind::kNone;  ///< of the path itself: links are not followed
    std::uint64_t bytes = 0;  ///< of a file, as far as it is known
  };
  /// Where the path leads when its links are followed; the path itself when that cannot be told.
  [[nodiscard]] virtual std::string behind_links(const std::string& path) const { return path; }
  [[nodiscard]] virtual Entry look(const std::string& path) const {
    if (!list(path).empty()) return {Kind::kFolder, 0};
    return {exists(path) ? Kind::kFile : Kind::kNone, 0};
  }
};

/// Environment variables, as a value so that tests can invent them.
using Environment = std::map<std::string, std::string, std::less<>>;

const Clock& system_clock();
/// Fast, well distributed, not for secrets. One per thread.
Random& system_random();
const Files& system_files();
Environment system_environment();

}  // namespace ccrules
