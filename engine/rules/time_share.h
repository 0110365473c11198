#pragma once
#include <algorithm>
#include <cstdint>

namespace ccrules::rules {

/// Lets some work have a small share of the time that passes: what it takes is taken from a reserve, which fills again at a
/// `part`-th of the time. Times in nanoseconds of one steady clock.
class TimeShare {
 public:
  TimeShare(std::int64_t part, std::int64_t reserve_ns) : part_(part), most_ns_(reserve_ns), left_ns_(reserve_ns) {}

  /// Whether work may begin now; one that begins may overdraw the reserve.
  bool may_begin(std::int64_t now_ns) {
    if (now_ns > at_ns_) left_ns_ = std::min(most_ns_, left_ns_ + (at_ns_ == 0 ? 0 : (now_ns - at_ns_) / part_));
    at_ns_ = now_ns;
    return left_ns_ > 0;
  }
  void took(std::int64_t ns) { left_ns_ -= ns; }

 private:
  std::int64_t part_;
  std::int64_t most_ns_;
  std::int64_t left_ns_;
  std::int64_t at_ns_ = 0;
};

}  // namespace ccrules::rules
