#include "ledger/batches.h"

#include <mutex>
#include <utility>

#include "ledger/sqlite.h"

namespace ccrules::ledger {
namespace {

constexpr int kBusyMs = 5000;

constexpr const char* kTables = R"(
CREATE TABLE IF NOT EXISTS batches (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  owner TEXT NOT NULL,
  provider TEXT NOT NULL,
  headers TEXT NOT NULL,
  created_us INTEGER NOT NULL,
  expires_us INTEGER NOT NULL,
  canceled_us INTEGER NOT NULL DEFAULT 0,
  ended_us INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS batch_items (
  batch TEXT NOT NULL,
  at INTEGER NOT NULL,
  custom_id TEXT NOT NULL,
  params TEXT NOT NULL,
  state INTEGER NOT NULL,
  due_us INTEGER NOT NULL DEFAULT 0,
  tries INTEGER NOT NULL DEFAULT 0,
  result TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (batch, at)
);
CREATE INDEX IF NOT EXISTS batch_items_waiting ON batch_items (due_us, batch, at) WHERE state = 0;
CREATE INDEX IF NOT EXISTS batch_items_state ON batch_items (batch, state);
)";

constexpr const char* kColumns = "SELECT id, owner, provider, created_us, expires_us, canceled_us, ended_us FROM batches ";

std::int64_t number_of(BatchState state) { return static_cast<std::int64_t>(state); }

Batch batch_of(const Statement& row) {
  Batch batch;
  batch.id = row.text(0);
  batch.owner = row.text(1);
  batch.provider = row.text(2);
  batch.created_us = row.number(3);
  batch.expires_us = row.number(4);
  batch.canceled_us = row.number(5);
  batch.ended_us = row.number(6);
  return batch;
}

}  // namespace

struct Batches::Impl {
  explicit Impl(Connection opened) : connection(std::move(opened)) {}

  /// Runs a statement that returns nothing.
  template <class... Values>
  Result<void> run(const char* sql, const Values&... values) {
    CCR_TRY(statement, Statement::prepare(connection, sql));
    int at = 0;
    (put(statement, ++at, values), ...);
    CCR_TRY(row, statement.step());
    (void)row;  // RETURNING is not used
    return {};
  }

  static void put(Statement& statement, int at, const std::string& text) { statement.bind_always(at, text); }
  static void put(Statement& statement, int at, std::int64_t number) { statement.bind(at, number); }

  /// All of it or nothing.
  template <class Work>
  Result<void> transact(Work&& work) {
    CCR_CHECK(connection.run("BEGIN IMMEDIATE"));
    Result<void> done = work();
    if (done) done = connection.run("COMMIT");
    if (!done) (void)connection.run("ROLLBACK");  // the first error is the one to show
    return done;
  }

  /// Requests of batches whose time is over, and batches that have nothing left to do.
  Result<void> settle(const std::string& id, std::int64_t now_us) {
    CCR_CHECK(run("UPDATE batch_items SET state = ?1, params = '' WHERE batch = ?2 AND state = ?3 AND "
                  "(SELECT expires_us FROM batches WHERE id = ?2) <= ?4",
                  number_of(BatchState::kExpired), id, number_of(BatchState::kWaiting), now_us));
    return run("UPDATE batches SET ended_us = ?1 WHERE id = ?2 AND ended_us = 0 AND provider = '' AND NOT EXISTS "
               "(SELECT 1 FROM batch_items WHERE batch = ?2 AND state IN (0, 1))",
               now_us, id);
  }

  Result<void> count(Batch& batch) {
    CCR_TRY(rows, Statement::prepare(connection, "SELECT state, count(*) FROM batch_items WHERE batch = ? GROUP BY state"));
    rows.bind_always(1, batch.id);
    for (;;) {
      CCR_TRY(more, rows.step());
      if (!more) return {};
      const std::int64_t number = rows.number(1);
      switch (static_cast<BatchState>(rows.number(0))) {
        case BatchState::kWaiting:
        case BatchState::kRunning: batch.counts.processing += number; break;
        case BatchState::kSucceeded: batch.counts.succeeded = number; break;
        case BatchState::kErrored: batch.counts.errored = number; break;
        case BatchState::kCanceled: batch.counts.canceled = number; break;
        case BatchState::kExpired: batch.counts.expired = number; break;
      }
    }
  }

  /// Where a batch stands among all; nothing when there is none.
  Result<std::optional<std::int64_t>> place(const std::string& id) {
    CCR_TRY(row, Statement::prepare(connection, "SELECT seq FROM batches WHERE id = ?"));
    row.bind_always(1, id);
    CCR_TRY(found, row.step());
    return found ? std::optional<std::int64_t>(row.number(0)) : std::nullopt;
  }

  std::mutex mutex;
  Connection connection;
};

Batches::Batches(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Batches::~Batches() = default;

Result<std::unique_ptr<Batches>> Batches::open(const std::string& path, std::int64_t forget_us) {
  CCR_TRY(connection, Connection::open(path, Connection::Mode::kReadWrite, kBusyMs));
  auto impl = std::make_unique<Impl>(std::move(connection));
  CCR_CHECK(impl->connection.run("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL"));
  CCR_CHECK(impl->connection.run(kTables));
  const auto clean = [&]() -> Result<void> {
    CCR_CHECK(impl->run("UPDATE batch_items SET state = ?1 WHERE state = ?2", number_of(BatchState::kWaiting),
                        number_of(BatchState::kRunning)));
    CCR_CHECK(impl->run("DELETE FROM batch_items WHERE batch IN "
                        "(SELECT id FROM batches WHERE ended_us BETWEEN 1 AND ?1 OR (provider != '' AND created_us <= ?1))",
                        forget_us));
    return impl->run("DELETE FROM batches WHERE ended_us BETWEEN 1 AND ?1 OR (provider != '' AND created_us <= ?1)", forget_us);
  };
  CCR_CHECK(impl->transact(clean));
  return std::unique_ptr<Batches>(new Batches(std::move(impl)));
}

Result<void> Batches::add(const Batch& batch, const std::string& headers, const std::vector<BatchItem>& items) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->transact([&]() -> Result<void> {
    CCR_CHECK(impl_->run("INSERT INTO batches (id, owner, provider, headers, created_us, expires_us) VALUES (?, ?, ?, ?, ?, ?)",
                         batch.id, batch.owner, batch.provider, headers, batch.created_us, batch.expires_us));
    CCR_TRY(insert, Statement::prepare(impl_->connection,
                                       "INSERT INTO batch_items (batch, at, custom_id, params, state, due_us) VALUES (?, ?, ?, ?, 0, ?)"));
    std::int64_t at = 0;
    for (const BatchItem& item : items) {
      insert.bind_always(1, batch.id);
      insert.bind(2, at++);
      insert.bind_always(3, item.custom_id);
      insert.bind_always(4, item.params_json);
      insert.bind(5, batch.created_us);  // the oldest goes first
      CCR_TRY(row, insert.step());
      (void)row;  // an INSERT has none
      insert.reset();
    }
    return {};
  });
}

Result<std::optional<Batch>> Batches::find(const std::string& id, const std::string& owner, std::int64_t now_us) {
  const std::lock_guard lock(impl_->mutex);
  CCR_CHECK(impl_->settle(id, now_us));
  CCR_TRY(row, Statement::prepare(impl_->connection, std::string(kColumns) + "WHERE id = ? AND owner = ?"));
  row.bind_always(1, id);
  row.bind_always(2, owner);
  CCR_TRY(found, row.step());
  if (!found) return std::optional<Batch>();
  Batch batch = batch_of(row);
  CCR_CHECK(impl_->count(batch));
  return std::optional<Batch>(std::move(batch));
}

Result<std::vector<Batch>> Batches::list(const std::string& owner, const BatchPage& page, std::int64_t now_us) {
  const std::lock_guard lock(impl_->mutex);
  std::int64_t below = INT64_MAX;
  std::int64_t above = 0;
  if (!page.after_id.empty()) {
    CCR_TRY(place, impl_->place(page.after_id));
    below = place.value_or(below);
  }
  if (!page.before_id.empty()) {
    CCR_TRY(place, impl_->place(page.before_id));
    above = place.value_or(above);
  }
  std::vector<Batch> batches;
  {
    CCR_TRY(rows, Statement::prepare(impl_->connection,
                                     std::string(kColumns) +
                                         "WHERE owner = ? AND provider = '' AND seq < ? AND seq > ? ORDER BY seq DESC LIMIT ?"));
    rows.bind_always(1, owner);
    rows.bind(2, below);
    rows.bind(3, above);
    rows.bind(4, page.most);
    for (;;) {
      CCR_TRY(more, rows.step());
      if (!more) break;
      batches.push_back(batch_of(rows));
    }
  }
  for (Batch& batch : batches) {
    if (batch.ended_us == 0) {
      CCR_CHECK(impl_->settle(batch.id, now_us));
      CCR_TRY(row, Statement::prepare(impl_->connection, "SELECT ended_us FROM batches WHERE id = ?"));
      row.bind_always(1, batch.id);
      CCR_TRY(found, row.step());
      if (found) batch.ended_us = row.number(0);
    }
    CCR_CHECK(impl_->count(batch));
  }
  return batches;
}

Result<void> Batches::cancel(const std::string& id, std::int64_t now_us) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->transact([&]() -> Result<void> {
    CCR_CHECK(impl_->run("UPDATE batches SET canceled_us = ?1 WHERE id = ?2 AND canceled_us = 0 AND ended_us = 0", now_us, id));
    CCR_CHECK(impl_->run("UPDATE batch_items SET state = ?1, params = '' WHERE batch = ?2 AND state = ?3",
                         number_of(BatchState::kCanceled), id, number_of(BatchState::kWaiting)));
    return impl_->settle(id, now_us);
  });
}

Result<void> Batches::remove(const std::string& id) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->transact([&]() -> Result<void> {
    CCR_CHECK(impl_->run("DELETE FROM batch_items WHERE batch = ?", id));
    return impl_->run("DELETE FROM batches WHERE id = ?", id);
  });
}

Result<bool> Batches::first_results(const std::string& id, std::int64_t now_us) {
  const std::lock_guard lock(impl_->mutex);
  CCR_CHECK(impl_->run("UPDATE batches SET ended_us = ?1 WHERE id = ?2 AND ended_us = 0", now_us, id));
  return sqlite3_changes(impl_->connection.get()) > 0;
}

Result<std::vector<BatchResult>> Batches::results(const std::string& id, std::int64_t from, std::int64_t most) {
  const std::lock_guard lock(impl_->mutex);
  CCR_TRY(rows, Statement::prepare(impl_->connection,
                                   "SELECT custom_id, state, result FROM batch_items WHERE batch = ? AND at >= ? ORDER BY at LIMIT ?"));
  rows.bind_always(1, id);
  rows.bind(2, from);
  rows.bind(3, most);
  std::vector<BatchResult> results;
  for (;;) {
    CCR_TRY(more, rows.step());
    if (!more) return results;
    BatchResult result;
    result.custom_id = rows.text(0);
    result.state = static_cast<BatchState>(rows.number(1));
    result.body_json = rows.text(2);
    results.push_back(std::move(result));
  }
}

Result<std::optional<BatchJob>> Batches::claim(std::int64_t now_us) {
  const std::lock_guard lock(impl_->mutex);
  std::optional<BatchJob> job;
  const auto take = [&]() -> Result<void> {
    for (;;) {
      std::int64_t expires_us = 0;
      {
        CCR_TRY(row, Statement::prepare(impl_->connection,
                                        "SELECT i.batch, b.owner, i.at, b.headers, i.params, i.tries, b.expires_us FROM batch_items i "
                                        "JOIN batches b ON b.id = i.batch WHERE i.state = 0 AND i.due_us <= ? "
                                        "ORDER BY i.due_us, i.batch, i.at LIMIT 1"));
        row.bind(1, now_us);
        CCR_TRY(found, row.step());
        if (!found) return {};
        BatchJob next;
        next.batch = row.text(0);
        next.owner = row.text(1);
        next.at = row.number(2);
        next.headers = row.text(3);
        next.params_json = row.text(4);
        next.tries = static_cast<int>(row.number(5));
        expires_us = row.number(6);
        job = std::move(next);
      }
      if (expires_us > now_us) break;
      CCR_CHECK(impl_->settle(job->batch, now_us));
      job.reset();
    }
    return impl_->run("UPDATE batch_items SET state = ?1 WHERE batch = ?2 AND at = ?3", number_of(BatchState::kRunning), job->batch,
                      job->at);
  };
  CCR_CHECK(impl_->transact(take));
  return job;
}

Result<void> Batches::finish(const BatchJob& job, BatchState state, const std::string& body_json, std::int64_t now_us) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->transact([&]() -> Result<void> {
    CCR_CHECK(impl_->run("UPDATE batch_items SET state = ?1, result = ?2, params = '' WHERE batch = ?3 AND at = ?4", number_of(state),
                         body_json, job.batch, job.at));
    return impl_->settle(job.batch, now_us);
  });
}

Result<void> Batches::put_back(const BatchJob& job, std::int64_t due_us, bool tried) {
  const std::lock_guard lock(impl_->mutex);
  // A batch that was cancelled meanwhile does not begin again.
  return impl_->run("UPDATE batch_items SET due_us = ?1, tries = ?2, "
                    "state = CASE WHEN (SELECT canceled_us FROM batches WHERE id = ?3) > 0 THEN 4 ELSE 0 END WHERE batch = ?3 AND at = ?4",
                    due_us, std::int64_t{job.tries} + (tried ? 1 : 0), job.batch, job.at);
}

Result<std::optional<std::int64_t>> Batches::next_due_us() {
  const std::lock_guard lock(impl_->mutex);
  CCR_TRY(row, Statement::prepare(impl_->connection, "SELECT min(due_us) FROM batch_items WHERE state = 0"));
  CCR_TRY(found, row.step());
  return found && !row.is_null(0) ? std::optional<std::int64_t>(row.number(0)) : std::nullopt;
}

}  // namespace ccrules::ledger
