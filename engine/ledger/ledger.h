#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/result.h"
#include "ledger/record.h"
#include "ledger/spend.h"

namespace ccrules::ledger {

struct Settings {
  std::string path;  ///< file; its directory is made (0700), the file is 0600
  int keep_days = 90;
  bool durable = false;
  /// Gets what was spent before this start: at once from a ledger that has kept its sums, later, portion by portion, from the
  /// rows of an older one (Spend::known_since). Outlives the ledger; null: nobody asks.
  Spend* spend = nullptr;
  Calendar calendar;  ///< whose days, weeks and months sums are kept of; the same as Spend's
  std::string owner;  ///< for tests: another process's name, see holds.h; empty: this one
};

struct Health {
  bool ok = true;
  std::string problem;  ///< why rows cannot be written right now
  std::uint64_t rows_written = 0;
  std::uint64_t rows_dropped = 0;  ///< the queue was full or the database refused them
};

/// Writes rows on a thread of its own: SQLite in WAL mode, one transaction per batch. A broken, full or
/// locked database is reported in health() and the log; the proxy keeps serving and later rows are tried
/// again.
class Ledger {
 public:
  /// Opens or creates the database and starts the thread. Error when the file cannot be opened or is not
  /// ours.
  static Result<std::unique_ptr<Ledger>> open(const Settings& settings);
  ~Ledger();  ///< writes what is queued, then closes
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  /// Queues a copy of one row. Any thread; never blocks on I/O.
  void record(const Record& row) noexcept;
  /// The same; `attempted` is called once, after the transaction that holds the row. It is committed then, or
  /// the database is in trouble (health() says so) and the row is tried again like any other. On the writer's
  /// thread, or at once on the caller's when there is nothing to wait for (trouble, a full queue); must
  /// neither block nor throw.
  void record(const Record& row, std::function<void()> attempted) noexcept;
  /// Remembers, on the disk, a request that is about to be sent, its `cost_nanousd` what it may cost at most, until the row of
  /// the same id is recorded with Record::held; again with the same id to change it. When the proxy is killed before, the
  /// request gets its row at the next start. `done(true)`: it is committed; false: it is not and will not be. On the writer's
  /// thread or the caller's; must neither block nor throw.
  void hold(const Record& row, std::function<void(bool kept)> done) noexcept;
  /// The same without waiting, where a loss of power need not be survived: some stores on the caller's thread. `row.held_slot` is
  /// what it gave for this request before.
  /// @return what it is kept by until the row is recorded with it as Record::held_slot; 0: ask hold()
  [[nodiscard]] std::uint32_t hold_at_once(const Record& row, std::int64_t nanousd) noexcept;
  /// True while rows cannot be written: health() says why.
  [[nodiscard]] bool in_trouble() const noexcept;
  /// Settings::durable: a committed row survives a loss of power.
  [[nodiscard]] bool durable() const noexcept;
  /// The file, for readers.
  [[nodiscard]] const std::string& path() const noexcept;
  /// Waits until everything recorded before the call is committed. For tests and shutdown.
  void flush();
  [[nodiscard]] Health health() const;

 private:
  struct Impl;
  explicit Ledger(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ccrules::ledger
