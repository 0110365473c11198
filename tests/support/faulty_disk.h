#pragma once
#include <chrono>
#include <cstdint>
#include <string_view>

/// SQLite's way to the disk with a hand on it: every call of the ledger's connections that are opened while it lives can be made
/// to fail or to take its time. Its waits for a lock take none. One at a time; any thread.
namespace ccrules::test {

class FaultyDisk {
 public:
  /// What calls do to files; several may be joined by |.
  enum Call : unsigned {
    kOpen = 1,
    kRead = 2,
    kWrite = 4,  ///< and truncate
    kSync = 8,
    kLock = 16,
    kSharedMemory = 32,
    kOther = 64,  ///< sizes, access, delete
    kAll = 127
  };

  FaultyDisk();
  ~FaultyDisk();
  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;

  /// From the call number `after` on (0: the next one), such calls answer `code` (SQLITE_FULL ...), until heal().
  void fail(unsigned calls, int code, std::int64_t after = 0);
  /// Exactly one call fails.
  void fail_once(unsigned calls, int code, std::int64_t after);
  /// Such calls take so long.
  void slow_down(unsigned calls, std::chrono::milliseconds each);
  void heal();
  /// Calls of the kinds of the last fail() since then.
  [[nodiscard]] std::int64_t calls() const;
  /// Calls that were made to fail since then.
  [[nodiscard]] std::int64_t failed() const;
};

}  // namespace ccrules::test
