#include "ledger/ledger.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "core/limits.h"
#include "core/log.h"
#include "core/world.h"
#include "ledger/database.h"
#include "ledger/hold_file.h"

namespace ccrules::ledger {
namespace {

using Steady = std::chrono::steady_clock;
constexpr std::int64_t kCatchUpRows = 10000;  ///< of an old ledger, added to its sums in one transaction
constexpr std::int64_t kMicrosecondsPerDay = 86'400'000'000;
constexpr std::size_t kSpareChunks = 2 * limits::kLedgerBatchRows / limits::kLedgerChunkRows;

/// Rows on their way to the writer. They are copied into records that stay, texts and all, for the next rows: memory
/// that one thread takes and another gives back costs both the allocator's slow path.
struct Chunk {
  std::vector<Record> records;
  std::size_t used = 0;

  void add(const Record& row) {
    if (records.capacity() == 0) records.reserve(limits::kLedgerChunkRows);
    if (used < records.size()) {
      records[used] = row;
    } else {
      records.push_back(row);
    }
    ++used;
  }
  [[nodiscard]] bool full() const { return used == limits::kLedgerChunkRows; }
  [[nodiscard]] std::span<const Record> rows() const { return std::span(records).first(used); }
};

}  // namespace

struct Ledger::Impl {
  struct Hold {
    Record row;
    std::function<void(bool)> done;
  };
  explicit Impl(const Settings& settings)
      : path(settings.path),
        keep_days(settings.keep_days),
        durable(settings.durable),
        database({settings.path, settings.durable, settings.spend, settings.owner.empty() ? process_name() : settings.owner,
                  settings.calendar}) {}

  // Producers.
  void record(const Record& row, std::function<void()>& attempted) noexcept;
  void hold(const Record& row, std::function<void(bool)>& done) noexcept;
  [[nodiscard]] std::uint32_t hold_at_once(const Record& row, std::int64_t nanousd);
  void flush();
  [[nodiscard]] Health health() const;
  void stop();

  // The writer thread.
  void run();
  void wait_for_work(std::unique_lock<std::mutex>& lock);
  bool write_all();
  void release(const Chunk& chunk);
  void write_holds(std::vector<Hold>& waiting);
  void prune();
  void catch_up();
  void report(const Database::Failure& failure);
  void report_recovery();

  const std::string path;
  const int keep_days;
  const bool durable;
  Database database;                   ///< the writer's, and open()'s before the thread starts
  std::vector<Chunk> held;             ///< the writer's: taken from the queue, not written yet
  std::uint64_t dropped_told = 0;      ///< the writer's: lost rows that the log has spoken of
  std::chrono::milliseconds pause{0};  ///< the writer's: between failed writes; zero while all is well
  Steady::time_point next_prune{};
  Steady::time_point next_catch_up{};
  bool behind = true;  ///< the writer's: rows are not in the sums of what was spent

  mutable std::mutex mutex;
  std::condition_variable wake, flushed;
  // Guarded by `mutex`:
  std::vector<Chunk> queue;   ///< filled chunks and the one being filled
  std::vector<Chunk> spares;  ///< emptied ones, so that steady traffic allocates nothing
  std::size_t waiting_rows = 0;  ///< in `queue` and `held`
  std::size_t queued_rows = 0;   ///< in `queue`
  bool asleep = false;           ///< the writer waits for the first row of an interval
  bool stopping = false;
  std::uint64_t flushes_asked = 0, flushes_done = 0;
  std::vector<std::function<void()>> waiters;  ///< for rows in `queue`
  std::vector<Hold> holds;                     ///< requests that wait to be sent
  std::string problem;

  std::once_flag first_hold;
  std::unique_ptr<HoldFile> hold_file;  ///< from the first hold on; null when it cannot be made

  std::atomic<bool> trouble{false};  ///< `problem` is not empty
  std::atomic<std::uint64_t> rows_written{0}, rows_dropped{0};
  std::thread thread;
};

/// Takes `attempted` when the writer will call it; otherwise it stays with the caller.
void Ledger::Impl::record(const Record& row, std::function<void()>& attempted) noexcept {
  bool wake_writer = false;
  try {
    const std::lock_guard lock(mutex);
    if (waiting_rows >= limits::kLedgerQueueRows || stopping) {
      rows_dropped.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    // While the database is in trouble nobody waits for it: the proxy keeps serving.
    if (attempted && problem.empty()) waiters.emplace_back().swap(attempted);
    if (queue.empty() || queue.back().full()) {
      queue.emplace_back();
      if (!spares.empty()) {
        queue.back() = std::move(spares.back());
        spares.pop_back();
      }
    }
    queue.back().add(row);
    ++waiting_rows;
    // Once to start an interval, once more when it fills before its end; in between nobody is woken.
    ++queued_rows;
    wake_writer = asleep || queued_rows == limits::kLedgerBatchRows;
    asleep = false;
  } catch (...) {  // no memory
    rows_dropped.fetch_add(1, std::memory_order_relaxed);
  }
  if (wake_writer) wake.notify_one();
}

/// Takes `done` when the writer will call it; otherwise it stays with the caller.
void Ledger::Impl::hold(const Record& row, std::function<void(bool)>& done) noexcept {
  try {
    const std::lock_guard lock(mutex);
    if (!problem.empty() || stopping || holds.size() >= limits::kLedgerQueueRows) return;
    holds.push_back({row, {}});
    holds.back().done.swap(done);
    asleep = false;
  } catch (...) {  // no memory
    return;
  }
  wake.notify_one();
}

std::uint32_t Ledger::Impl::hold_at_once(const Record& row, std::int64_t nanousd) {
  if (durable || trouble.load(std::memory_order_relaxed)) return HoldFile::kNone;
  std::call_once(first_hold, [this] { hold_file = HoldFile::create(path); });
  return hold_file ? hold_file->put(row, nanousd, row.held_slot) : HoldFile::kNone;
}

void Ledger::Impl::flush() {
  std::unique_lock lock(mutex);
  const std::uint64_t ticket = ++flushes_asked;
  wake.notify_one();
  flushed.wait(lock, [&] { return flushes_done >= ticket; });
}

Health Ledger::Impl::health() const {
  const std::lock_guard lock(mutex);
  Health health;
  health.ok = problem.empty();
  health.problem = problem;
  health.rows_written = rows_written.load(std::memory_order_relaxed);
  health.rows_dropped = rows_dropped.load(std::memory_order_relaxed);
  return health;
}

void Ledger::Impl::stop() {
  {
    const std::lock_guard lock(mutex);
    stopping = true;
  }
  wake.notify_one();
  if (thread.joinable()) thread.join();
}

void Ledger::Impl::run() {
  Steady::time_point give_up = Steady::time_point::max();
  for (;;) {
    std::uint64_t ticket = 0;
    bool last = false;
    std::vector<std::function<void()>> waiting_for_these;
    std::vector<Hold> to_hold;
    {
      std::unique_lock lock(mutex);
      wait_for_work(lock);
      ticket = flushes_asked;
      last = stopping;
      for (Chunk& chunk : queue) held.push_back(std::move(chunk));
      queue.clear();
      queued_rows = 0;
      waiting_for_these.swap(waiters);
      to_hold.swap(holds);
    }
    write_holds(to_hold);
    const bool written = write_all();
    for (const std::function<void()>& attempted : waiting_for_these) attempted();
    if (written) prune();
    if (written && !last) catch_up();
    {
      const std::lock_guard lock(mutex);
      flushes_done = ticket;
    }
    flushed.notify_all();
    if (!last) continue;
    if (give_up == Steady::time_point::max()) give_up = Steady::now() + limits::kLedgerCloseTime;
    if (written || Steady::now() >= give_up) break;
    std::this_thread::sleep_for(limits::kLedgerRetryFirst);
  }
  std::size_t lost = 0;
  for (const Chunk& chunk : held) lost += chunk.used;
  const std::uint64_t dropped = rows_dropped.fetch_add(lost, std::memory_order_relaxed) + lost;
  if (dropped > dropped_told)
    log::error("ledger: stopped; " + std::to_string(dropped - dropped_told) + " rows are lost");
}

/// Returns when there is something to write (or to try again), with the interval's rows gathered.
void Ledger::Impl::wait_for_work(std::unique_lock<std::mutex>& lock) {
  const auto hurry = [this] { return stopping || flushes_asked != flushes_done || !holds.empty(); };
  if (pause > std::chrono::milliseconds(0)) {
    wake.wait_for(lock, pause, hurry);
    return;
  }
  asleep = queue.empty();
  Steady::time_point due = Steady::time_point::max();
  if (keep_days > 0) due = std::min(due, next_prune);
  if (behind) due = std::min(due, next_catch_up);
  const auto some = [&] { return hurry() || !queue.empty(); };
  if (due == Steady::time_point::max()) {
    wake.wait(lock, some);
  } else {
    wake.wait_until(lock, due, some);
  }
  asleep = false;
  const auto full = [this] { return queued_rows >= limits::kLedgerBatchRows; };
  // Durable rows do not wait for company: the next transaction gathers what comes while this one reaches the
  // disk.
  if (!queue.empty() && !durable)
    wake.wait_for(lock, limits::kLedgerInterval, [&] { return hurry() || full(); });
}

/// Before rows: somebody waits for each of them.
void Ledger::Impl::write_holds(std::vector<Hold>& waiting) {
  if (waiting.empty()) return;
  std::vector<Record> rows;
  rows.reserve(waiting.size());
  for (Hold& hold : waiting) rows.push_back(std::move(hold.row));
  const auto failure = database.hold(rows);
  if (failure) report(*failure);
  for (const Hold& hold : waiting) hold.done(!failure);
}

/// True when nothing is left to write.
bool Ledger::Impl::write_all() {
  if (held.empty() &&
      pause > std::chrono::milliseconds(0)) {  // no row asks, but health() should know when it is over
    if (auto failure = database.probe())
      report(*failure);
    else
      report_recovery();
    return true;
  }
  constexpr std::size_t kChunks = limits::kLedgerTransactionRows / limits::kLedgerChunkRows;
  bool all = true;
  bool some = false;
  std::size_t done = 0;
  while (done < held.size()) {
    const std::span<Chunk> chunks = std::span(held).subspan(done, std::min(kChunks, held.size() - done));
    const std::uint64_t refused_before = database.refused();
    std::vector<std::span<const Record>> rows_of;
    for (const Chunk& chunk : chunks) rows_of.push_back(chunk.rows());
    if (auto failure = database.write(rows_of)) {
      report(*failure);
      all = false;
      break;
    }
    some = true;
    done += chunks.size();
    std::size_t rows = 0;
    for (const Chunk& chunk : chunks) {
      rows += chunk.used;
      release(chunk);
    }
    const std::uint64_t left_out = database.refused() - refused_before;
    rows_written.fetch_add(rows - left_out, std::memory_order_relaxed);
    rows_dropped.fetch_add(left_out, std::memory_order_relaxed);
    const std::lock_guard lock(mutex);
    waiting_rows -= rows;
    for (Chunk& chunk : chunks) {
      if (spares.size() == kSpareChunks) break;
      chunk.used = 0;
      spares.push_back(std::move(chunk));
    }
  }
  held.erase(held.begin(), held.begin() + static_cast<std::ptrdiff_t>(done));
  if (some && all) report_recovery();
  return all;
}

/// The rows are committed: what was set aside for them is not needed any more.
void Ledger::Impl::release(const Chunk& chunk) {
  const auto rows = chunk.rows();
  if (std::any_of(rows.begin(), rows.end(), [](const Record& row) { return row.held_slot != HoldFile::kNone; })) hold_file->release(rows);
}

void Ledger::Impl::prune() {
  if (keep_days <= 0 || Steady::now() < next_prune) return;
  const std::int64_t before_us = system_clock().wall_us() - keep_days * kMicrosecondsPerDay;
  const Result<std::int64_t> deleted = database.prune(before_us, limits::kLedgerPruneRows);
  if (!deleted) log::warn("ledger: old rows could not be deleted: " + deleted.error().message);
  // A full portion means there is more: the next round goes on, after the rows that came meanwhile.
  const bool more = deleted && *deleted >= static_cast<std::int64_t>(limits::kLedgerPruneRows);
  next_prune = Steady::now() + (more ? Steady::duration(limits::kLedgerInterval)
                                     : Steady::duration(limits::kLedgerPruneTime));
}

void Ledger::Impl::catch_up() {
  if (!behind || Steady::now() < next_catch_up) return;
  const Result<bool> more = database.catch_up(kCatchUpRows);
  behind = !more.ok() || *more;
  next_catch_up = Steady::now() + (more.ok() ? Steady::duration(0) : Steady::duration(limits::kLedgerRetryMost));
  if (!more) log::warn("ledger: what was spent before this start is not known yet: " + more.error().message);
}

void Ledger::Impl::report(const Database::Failure& failure) {
  pause =
      std::clamp<std::chrono::milliseconds>(pause * 2, limits::kLedgerRetryFirst, limits::kLedgerRetryMost);
  const std::lock_guard lock(mutex);
  if (problem != failure.error.message) log::error(failure.error.message + "; rows are kept and tried again");
  problem = failure.error.message;
  trouble.store(true, std::memory_order_relaxed);
}

void Ledger::Impl::report_recovery() {
  pause = std::chrono::milliseconds(0);
  const std::lock_guard lock(mutex);
  if (problem.empty()) return;
  const std::uint64_t dropped = rows_dropped.load(std::memory_order_relaxed);
  const std::uint64_t lost = dropped - std::exchange(dropped_told, dropped);
  log::info("ledger: rows are written again" +
            (lost == 0 ? std::string() : "; " + std::to_string(lost) + " were lost meanwhile"));
  problem.clear();
  trouble.store(false, std::memory_order_relaxed);
}

Ledger::Ledger(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Ledger::~Ledger() {
  impl_->stop();
}

Result<std::unique_ptr<Ledger>> Ledger::open(const Settings& settings) {
  if (settings.spend != nullptr) settings.spend->known_since(Spend::kNever);
  auto impl = std::make_unique<Impl>(settings);
  if (auto failure = impl->database.ensure_open()) {
    if (failure->trouble == Database::Trouble::kStays) return std::move(failure->error);
    impl->report(*failure);
  }
  Impl* writer = impl.get();
  impl->thread = std::thread([writer] { writer->run(); });
  return std::unique_ptr<Ledger>(new Ledger(std::move(impl)));
}

void Ledger::record(const Record& row) noexcept {
  std::function<void()> nobody;
  impl_->record(row, nobody);
}
void Ledger::record(const Record& row, std::function<void()> attempted) noexcept {
  impl_->record(row, attempted);
  if (attempted) attempted();
}
void Ledger::hold(const Record& row, std::function<void(bool kept)> done) noexcept {
  impl_->hold(row, done);
  if (done) done(false);
}
std::uint32_t Ledger::hold_at_once(const Record& row, std::int64_t nanousd) noexcept {
  try {
    return impl_->hold_at_once(row, nanousd);
  } catch (...) {  // no memory
    return HoldFile::kNone;
  }
}
bool Ledger::in_trouble() const noexcept {
  return impl_->trouble.load(std::memory_order_relaxed);
}
bool Ledger::durable() const noexcept {
  return impl_->durable;
}
const std::string& Ledger::path() const noexcept {
  return impl_->path;
}
void Ledger::flush() {
  impl_->flush();
}
Health Ledger::health() const {
  return impl_->health();
}

}  // namespace ccrules::ledger
