#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <sys/types.h>
#include <vector>

#include "core/result.h"
#include "ledger/holds.h"
#include "ledger/record.h"
#include "ledger/spend.h"
#include "ledger/spend_table.h"
#include "ledger/sqlite.h"
#include "ledger/subagent_table.h"

namespace ccrules::ledger {

/// The file of the ledger, open for writing: one connection, one prepared insert. Used by one thread.
class Database {
 public:
  struct Settings {
    std::string path;
    bool durable = false;
    Spend* spend = nullptr;  ///< gets what was spent before; null: nobody asks
    std::string owner;       ///< this process, for requests under way (holds.h)
    Calendar calendar;       ///< of the sums of what was spent
  };
  /// What a failure means for the caller.
  enum class Trouble : std::uint8_t {
    kPasses,  ///< locked, full, read-only for now: try again later
    kStays    ///< not ours, not a database, no such place: a person must act
  };
  struct Failure {
    Error error;
    Trouble trouble = Trouble::kPasses;
  };

  explicit Database(Settings settings) : settings_(std::move(settings)) {}

  /// Opens, creates and migrates; does nothing when open. Directory 0700 when made here, file 0600.
  std::optional<Failure> ensure_open();
  /// Whether rows could be written now: writes something that changes nothing.
  std::optional<Failure> probe();
  /// One transaction. After a failure nothing of it is stored and the connection is closed.
  std::optional<Failure> write(std::span<const std::span<const Record>> chunks);
  /// The same for requests under way.
  std::optional<Failure> hold(std::span<const Record> rows);
  /// Rows that write() left out because SQLite will never take them; since the start.
  [[nodiscard]] std::uint64_t refused() const { return refused_; }
  /// Adds one portion of the rows that are older than the sums of what was spent. Returns whether there are more.
  Result<bool> catch_up(std::int64_t most_rows);
  /// Deletes at most `limit` rows older than `before_us`. Returns how many.
  Result<std::int64_t> prune(std::int64_t before_us, std::int64_t limit);

 private:
  struct Open {
    Connection connection;
    Statement begin, commit, insert;
    SpendTable spend;
    HoldTable holds;
    SubagentTable subagents;
    ino_t inode = 0;
  };
  std::optional<Failure> fail(const std::string& what, int code);
  [[nodiscard]] bool file_was_replaced() const;
  /// @param before the row before it in the same transaction; null: it is the first
  Result<void> insert(const Record& row, const Record* before);
  Result<void> remember_spending(Connection& connection);
  /// One transaction; after a failure the connection is closed.
  std::optional<Failure> transact(const std::function<Result<void>()>& work);

  Settings settings_;
  std::uint64_t refused_ = 0;
  bool recovered_ = false;       ///< requests of killed processes have their rows
  bool spending_known_ = false;  ///< settings_.spend holds what the table does
  std::optional<Open> open_;
};

/// Brings a database to this build's schema (schema.sql). Error when it is not ours or newer than this build.
Result<void> migrate(Connection& connection);

}  // namespace ccrules::ledger
