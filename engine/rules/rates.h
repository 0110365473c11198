#pragma once
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "rules/facts.h"

namespace ccrules::rules {

/// How many requests came lately, by session, user, project ... Counts only what some rule has asked for: the first question
/// about a scope and a window begins its count with the request at hand. A window is kept in 60 parts, so a count may hold
/// requests up to a sixtieth older than the window. Bounded memory; any thread.
class Rates {
 public:
  /// Notes a request in every count that exists. Once per request, before its rules are decided.
  void arrived(const Identity& who, std::string_view model, std::int64_t wall_us);
  /// Requests of the scope in the window that ends now, the one at hand included; nothing for a grouping that has no counts
  /// ("dialect"), or when there are too many different windows.
  std::optional<double> count(const Scope& scope, std::chrono::milliseconds window, std::int64_t wall_us);

 private:
  static constexpr std::size_t kParts = 60;
  struct Ring {
    std::array<std::uint32_t, kParts> parts{};
    std::int64_t newest = 0;  ///< number of the newest part since 1970
    void advance(std::int64_t part);
    [[nodiscard]] double sum() const;
  };
  struct Meter {
    std::string by;
    std::chrono::milliseconds window{0};
    std::unordered_map<std::string, Ring> rings;
    [[nodiscard]] std::int64_t part_of(std::int64_t wall_us) const;
    Ring& ring(const std::string& key, std::int64_t part);
  };

  std::atomic<bool> used_{false};  // so that nobody waits where no rule asks
  std::mutex mutex_;
  std::vector<Meter> meters_;
};

}  // namespace ccrules::rules
