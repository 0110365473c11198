#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <sqlite3.h>

#include "core/result.h"

/// The little of SQLite that the ledger uses, owned and checked. A connection and its statements belong to
/// one thread.
namespace ccrules::ledger {

class Connection {
 public:
  enum class Mode : std::uint8_t { kReadOnly, kReadWrite };
  /// `busy_ms`: how long a call waits for another process's lock.
  static Result<Connection> open(const std::string& path, Mode mode, int busy_ms);
  /// Runs statements that return nothing. The error message is SQLite's own.
  Result<void> run(const char* sql);
  /// First column of the first row as a number; 0 when there is no row.
  Result<std::int64_t> number(const char* sql);
  /// SQLite's extended code of the last failure.
  [[nodiscard]] int last_code() const { return sqlite3_extended_errcode(handle_.get()); }
  [[nodiscard]] sqlite3* get() const { return handle_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
  };
  explicit Connection(sqlite3* handle) : handle_(handle) {}
  std::unique_ptr<sqlite3, Close> handle_;
};

class Statement {
 public:
  static Result<Statement> prepare(const Connection& connection, std::string_view sql);
  /// Parameters count from 1. Texts must stay where they are until the statement is stepped; empty texts
  /// become NULL.
  void bind(int at, std::int64_t number) { sqlite3_bind_int64(handle_.get(), at, number); }
  void bind(int at, const std::optional<std::int64_t>& number);
  void bind(int at, const std::string& text);
  /// The text, also when it is empty.
  void bind_always(int at, const std::string& text);
  /// True: there is a row. False: done.
  Result<bool> step();
  void reset() { sqlite3_reset(handle_.get()); }
  [[nodiscard]] std::int64_t number(int column) const { return sqlite3_column_int64(handle_.get(), column); }
  [[nodiscard]] bool is_null(int column) const { return sqlite3_column_type(handle_.get(), column) == SQLITE_NULL; }
  [[nodiscard]] double real(int column) const { return sqlite3_column_double(handle_.get(), column); }
  [[nodiscard]] std::string text(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* handle) const { sqlite3_finalize(handle); }
  };
  explicit Statement(sqlite3_stmt* handle) : handle_(handle) {}
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

}  // namespace ccrules::ledger
