#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <sys/types.h>
#include <vector>

#include "core/result.h"
#include "ledger/record.h"
#include "ledger/sqlite.h"

namespace ccrules::ledger {

/// The file of the ledger, open for writing: one connection, one prepared insert. Used by one thread.
class Database {
 public:
  struct Settings {
    std::string path;
    bool durable = false;
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
  /// One transaction. After a failure nothing of it is stored and the connection is closed.
  std::optional<Failure> write(std::span<const std::span<const Record>> chunks);
  /// Rows that write() left out because SQLite will never take them; since the start.
  [[nodiscard]] std::uint64_t refused() const { return refused_; }
  /// Deletes at most `limit` rows older than `before_us`. Returns how many.
  Result<std::int64_t> prune(std::int64_t before_us, std::int64_t limit);

 private:
  struct Open {
    Connection connection;
    Statement begin, commit, insert;
    ino_t inode = 0;
  };
  std::optional<Failure> fail(const std::string& what, int code);
  [[nodiscard]] bool file_was_replaced() const;
  Result<void> insert(const Record& row);

  Settings settings_;
  std::uint64_t refused_ = 0;
  std::optional<Open> open_;
};

/// Brings a database to this build's schema (schema.sql). Error when it is not ours or newer than this build.
Result<void> migrate(Connection& connection);

}  // namespace ccrules::ledger
