#include "ledger/sqlite.h"

namespace ccrules::ledger {
namespace {

Error sqlite_error(sqlite3* handle) {
  return internal_error(handle == nullptr ? "out of memory" : sqlite3_errmsg(handle));
}

/// Once per process, before anything else uses SQLite: its memory statistics take a global lock per
/// allocation.
void configure_once() {
  static const int configured = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  (void)configured;  // refused when SQLite already runs: then it is only slower
}

}  // namespace

Result<Connection> Connection::open(const std::string& path, Mode mode, int busy_ms) {
  configure_once();
  const int flags =
      (mode == Mode::kReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) | SQLITE_OPEN_NOMUTEX;
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  Connection connection(handle);
  if (code != SQLITE_OK) return sqlite_error(handle);
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, busy_ms);
  return connection;
}

Result<void> Connection::run(const char* sql) {
  if (sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK)
    return sqlite_error(handle_.get());
  return {};
}

Result<std::int64_t> Connection::number(const char* sql) {
  CCR_TRY(statement, Statement::prepare(*this, sql));
  CCR_TRY(row, statement.step());
  return row ? statement.number(0) : 0;
}

Result<Statement> Statement::prepare(const Connection& connection, std::string_view sql) {
  sqlite3_stmt* handle = nullptr;
  const int code = sqlite3_prepare_v3(connection.get(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
  if (code != SQLITE_OK) return sqlite_error(connection.get());
  return Statement(handle);
}

void Statement::bind(int at, const std::optional<std::int64_t>& number) {
  if (number) {
    sqlite3_bind_int64(handle_.get(), at, *number);
  } else {
    sqlite3_bind_null(handle_.get(), at);
  }
}

void Statement::bind(int at, const std::string& text) {
  if (text.empty()) {
    sqlite3_bind_null(handle_.get(), at);
  } else {
    bind_always(at, text);
  }
}

void Statement::bind_always(int at, const std::string& text) {
  sqlite3_bind_text64(handle_.get(), at, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
}

Result<bool> Statement::step() {
  switch (sqlite3_step(handle_.get())) {
    case SQLITE_ROW:
      return true;
    case SQLITE_DONE:
      return false;
    default:
      return sqlite_error(sqlite3_db_handle(handle_.get()));
  }
}

std::string Statement::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(handle_.get(), column));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(handle_.get(), column))};
}

}  // namespace ccrules::ledger
