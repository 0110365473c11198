#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>

#include "proxy/ledger_reads.h"

namespace ccrules::proxy {

/// What the operators' endpoints tell of the whole process. Shared by all workers; any thread.
class Vitals {
 public:
  /// @param started_ns a loop's monotonic clock
  explicit Vitals(std::int64_t started_ns) : started_ns_(started_ns) {}
  [[nodiscard]] std::int64_t started_ns() const noexcept { return started_ns_; }

  void served() noexcept { requests_served_.fetch_add(1, std::memory_order_relaxed); }
  /// Requests to a model that have ended, whatever their outcome.
  [[nodiscard]] std::uint64_t requests_served() const noexcept {
    return requests_served_.load(std::memory_order_relaxed);
  }

  /// Who reads the ledger over HTTP.
  [[nodiscard]] LedgerReads& ledger_reads() noexcept { return ledger_reads_; }

  /// Why the last reload was refused; empty after one that succeeded.
  void set_reload_problem(std::string why) {
    const std::lock_guard lock(mutex_);
    reload_problem_ = std::move(why);
  }
  [[nodiscard]] std::string reload_problem() const {
    const std::lock_guard lock(mutex_);
    return reload_problem_;
  }

 private:
  LedgerReads ledger_reads_;
  const std::int64_t started_ns_;
  std::atomic<std::uint64_t> requests_served_{0};
  mutable std::mutex mutex_;
  std::string reload_problem_;
};

}  // namespace ccrules::proxy
