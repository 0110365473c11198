#include "ledger/database.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "core/embedded.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/text.h"

namespace ccrules::ledger {
namespace {

constexpr std::int64_t kApplicationId = 0x63637231;  ///< "ccr1": marks a SQLite file as ours
constexpr int kBusyMs = 250;  ///< a lock held longer is reported, and tried again later
constexpr char kInsert[] =
    "INSERT INTO requests (id, at_us, client, dialect, path, session, user, project, agent, request_class, "
    "requested_model,"
    " decision_id, rule, reason, provider, model, attempts, status, stop_reason, stream, input_tokens, "
    "output_tokens,"
    " cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, reasoning_tokens, usage_estimated, "
    "cost_nanousd,"
    " requested_cost_nanousd, cache, ttft_us, duration_us, error, tags, ruleset, facts,"
    " counted_tokens, counted_grade, estimate_tokens, estimate_key, shadow, key, subagent, payer,"
    " cache_break, cache_break_tokens, cache_break_nanousd, unpriced_tier, unpriced_fees, budget_nanousd, billed_model)"
    " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";

Database::Trouble trouble_of(int code) {
  switch (code & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
    case SQLITE_CANTOPEN:
    case SQLITE_ERROR:
      return Database::Trouble::kStays;
    default:
      return Database::Trouble::kPasses;
  }
}

/// The row itself cannot be stored; the transaction goes on.
bool only_this_row(int code) {
  const int primary = code & 0xff;
  return primary == SQLITE_CONSTRAINT || primary == SQLITE_TOOBIG || primary == SQLITE_MISMATCH;
}

/// Empty or a database: any other file that ledger.path names by mistake stays as it is.
bool may_be_ours(int fd) {
  constexpr std::string_view kMagic = "SQLite format 3";
  std::array<char, kMagic.size()> start{};
  const ssize_t got = ::pread(fd, start.data(), start.size(), 0);
  return got == 0 || (got == static_cast<ssize_t>(start.size()) && std::string_view(start.data(), start.size()) == kMagic);
}

/// The file exists with mode 0600 afterwards, and so do its -wal and -shm, which copy the file's mode.
std::optional<Database::Failure> make_private_file(const std::string& path) {
  const auto failure = [](const std::string& what, int number) {
    const bool passes =
        number == ENOSPC || number == EDQUOT || number == EROFS || number == EMFILE || number == ENFILE;
    return Database::Failure{internal_error("the ledger cannot " + what + ": " + std::strerror(number)),
                             passes ? Database::Trouble::kPasses : Database::Trouble::kStays};
  };
  const std::filesystem::path directory = std::filesystem::path(path).parent_path();
  std::error_code failed;
  if (!directory.empty() && !std::filesystem::exists(directory, failed)) {
    std::filesystem::create_directories(directory, failed);
    if (failed) return failure("make the directory " + directory.string(), failed.value());
    ::chmod(directory.c_str(), S_IRWXU);
  }
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (fd < 0) return failure("open " + path, errno);
  struct stat status {};
  if (::fstat(fd, &status) == 0 && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0 && may_be_ours(fd))
    ::fchmod(fd, S_IRUSR | S_IWUSR);
  ::close(fd);
  return std::nullopt;
}

std::optional<std::int64_t> counted(const std::optional<std::int64_t>& tokens) {
  return tokens ? std::optional<std::int64_t>(std::max<std::int64_t>(0, *tokens)) : std::nullopt;
}

std::optional<std::int64_t> written_5m_tokens(const chat::Usage& usage) {
  const std::optional<std::int64_t> written = counted(usage.cache_write_tokens);
  if (!written || !usage.cache_write_1h_tokens) return written;
  return std::max<std::int64_t>(0, *written - *usage.cache_write_1h_tokens);
}

ino_t inode_of(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

/// The parts of schema.sql, in order: part N brings a database from version N-1 to N.
std::vector<std::string> migrations() {
  std::vector<std::string> parts;
  for (const std::string_view line : text::split(embedded::file("engine/ledger/schema.sql"), '\n')) {
    if (line.starts_with("-- version "))
      parts.emplace_back();
    else if (!parts.empty())
      parts.back().append(line).push_back('\n');
  }
  return parts;
}

}  // namespace

Result<void> migrate(Connection& connection) {
  const std::vector<std::string> parts = migrations();
  const auto newest = static_cast<std::int64_t>(parts.size());
  CCR_TRY(application, connection.number("PRAGMA application_id"));
  CCR_TRY(version, connection.number("PRAGMA user_version"));
  CCR_TRY(tables, connection.number("SELECT count(*) FROM sqlite_schema"));
  if (application != kApplicationId && (application != 0 || tables != 0)) {
    return bad_request("is a database of another program; set ledger.path to another file");
  }
  if (version > newest)
    return bad_request("was written by a newer ccrules; use that version or set ledger.path to another file");
  if (application == kApplicationId && version == newest) return {};
  CCR_CHECK(connection.run("BEGIN IMMEDIATE"));
  const auto apply = [&]() -> Result<void> {
    CCR_TRY(current, connection.number("PRAGMA user_version"));  // another process may have been first
    for (std::int64_t next = current; next < newest; ++next)
      CCR_CHECK(connection.run(parts[static_cast<std::size_t>(next)].c_str()));
    CCR_CHECK(connection.run(("PRAGMA application_id = " + std::to_string(kApplicationId)).c_str()));
    CCR_CHECK(connection.run(("PRAGMA user_version = " + std::to_string(newest)).c_str()));
    return connection.run("COMMIT");
  };
  Result<void> applied = apply();
  if (!applied) (void)connection.run("ROLLBACK");  // the first error is the one to show
  return applied;
}

std::optional<Database::Failure> Database::ensure_open() {
  if (open_ && file_was_replaced()) open_.reset();
  if (open_) return std::nullopt;
  if (auto failure = make_private_file(settings_.path)) return failure;
  Result<Connection> connection = Connection::open(settings_.path, Connection::Mode::kReadWrite, kBusyMs);
  if (!connection) return fail(connection.error().message, SQLITE_CANTOPEN);
  const auto prepare = [&]() -> Result<void> {
    CCR_CHECK(connection->run("PRAGMA journal_mode = WAL"));
    CCR_CHECK(
        connection->run(settings_.durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL"));
    CCR_CHECK(connection->run("PRAGMA wal_autocheckpoint = 2000; PRAGMA journal_size_limit = 16777216"));
    return migrate(*connection);
  };
  if (Result<void> prepared = prepare(); !prepared) {
    const bool ours_to_say = prepared.error().code == ErrorCode::kBadRequest;
    return fail(prepared.error().message, ours_to_say ? SQLITE_NOTADB : connection->last_code());
  }
  Result<Statement> begin = Statement::prepare(*connection, "BEGIN IMMEDIATE");
  Result<Statement> commit = Statement::prepare(*connection, "COMMIT");
  Result<Statement> insert = Statement::prepare(*connection, kInsert);
  if (!begin || !commit || !insert)
    return fail(insert ? "no memory" : insert.error().message, connection->last_code());
  auto spend = SpendTable::prepare(*connection, settings_.calendar);
  if (!spend) return fail(spend.error().message, connection->last_code());
  auto holds = HoldTable::prepare(*connection);
  if (!holds) return fail(holds.error().message, connection->last_code());
  auto subagents = SubagentTable::prepare(*connection);
  if (!subagents) return fail(subagents.error().message, connection->last_code());
  if (!recovered_) {
    for (const HoldFile::Left& left : HoldFile::left_behind(settings_.path)) {
      if (Result<void> taken = holds->take_over(*connection, left); !taken) return fail(taken.error().message, connection->last_code());
    }
    const Result<int> recovered = HoldTable::recover(*connection, *spend, settings_.owner);
    if (!recovered) return fail(recovered.error().message, connection->last_code());
    if (*recovered > 0)
      log::warn("ledger: " + std::to_string(*recovered) +
                " requests were under way when a proxy was killed; they count with what was set aside for them");
    recovered_ = true;
  }
  if (Result<void> known = remember_spending(*connection); !known) return fail(known.error().message, connection->last_code());
  open_.emplace(Open{*std::move(connection), *std::move(begin), *std::move(commit), *std::move(insert), *std::move(spend),
                     *std::move(holds), *std::move(subagents), inode_of(settings_.path)});
  return std::nullopt;
}

std::optional<Database::Failure> Database::write(std::span<const std::span<const Record>> chunks) {
  if (auto failure = ensure_open()) return failure;
  SumMap spent;
  const Record* before = nullptr;
  const auto insert_all = [&](std::span<const Record> rows) -> Result<void> {
    for (const Record& row : rows) {
      Result<void> inserted = insert(row, before);
      before = &row;
      if (inserted) {
        add_row(spent, row, settings_.calendar);
        CCR_CHECK(open_->subagents.put(row));
        if (row.held) CCR_CHECK(open_->holds.remove(row.id));
        continue;
      }
      if (!only_this_row(open_->connection.last_code())) return inserted;
      ++refused_;  // one impossible row must not keep all others from being written
    }
    return {};
  };
  const std::uint64_t refused_before = refused_;
  auto failure = transact([&]() -> Result<void> {
    for (const std::span<const Record> rows : chunks) CCR_CHECK(insert_all(rows));
    return open_->spend.add(spent);
  });
  if (failure) refused_ = refused_before;
  return failure;
}

std::optional<Database::Failure> Database::hold(std::span<const Record> rows) {
  if (auto failure = ensure_open()) return failure;
  return transact([&]() -> Result<void> {
    for (const Record& row : rows) CCR_CHECK(open_->holds.put(row, settings_.owner));
    return {};
  });
}

std::optional<Database::Failure> Database::probe() {
  if (auto failure = ensure_open()) return failure;
  // SQLite writes nothing for a row that is as it was.
  return transact([&] {
    return open_->connection.run("UPDATE spend_state SET until_seq = until_seq + 1; UPDATE spend_state SET until_seq = until_seq - 1");
  });
}

std::optional<Database::Failure> Database::transact(const std::function<Result<void>()>& work) {
  const auto all = [&]() -> Result<void> {
    CCR_CHECK(open_->begin.step());
    open_->begin.reset();
    CCR_CHECK(work());
    CCR_CHECK(open_->commit.step());
    open_->commit.reset();
    return {};
  };
  Result<void> done = all();
  if (done) return std::nullopt;
  const int code = open_->connection.last_code();
  open_.reset();  // rolls back
  return fail(done.error().message, code);
}

Result<std::int64_t> Database::prune(std::int64_t before_us, std::int64_t limit) {
  if (!open_) return 0;
  CCR_TRY(statement,
          Statement::prepare(open_->connection,
                             "DELETE FROM requests WHERE seq IN"
                             " (SELECT seq FROM requests WHERE at_us < ? ORDER BY at_us LIMIT ?)"));
  statement.bind(1, before_us);
  statement.bind(2, limit);
  CCR_CHECK(statement.step());
  const std::int64_t deleted = sqlite3_changes(open_->connection.get());
  CCR_CHECK(open_->spend.prune(open_->connection, before_us));
  CCR_CHECK(SubagentTable::prune(open_->connection, before_us));
  return deleted;
}

/// Before the first row is written: the proxy's own sums hold only what has no row yet.
Result<void> Database::remember_spending(Connection& connection) {
  if (settings_.spend == nullptr || spending_known_) return {};
  CCR_TRY(sums, SpendTable::load(connection));
  CCR_TRY(since_us, SpendTable::known_since(connection));
  std::map<std::string, std::size_t, std::less<>> loaded;
  for (const auto& [whose, sum] : sums) ++loaded[whose.first];
  for (const Spend::Name& name : settings_.spend->kept()) {
    if (sums.contains(name)) continue;
    CCR_TRY(sum, SpendTable::find(connection, name.first, name.second));
    sums.emplace(name, sum);
  }
  settings_.spend->add(sums);
  for (const auto& [scope, keys] : loaded) {
    if (keys >= limits::kSpendKeys) settings_.spend->forgets(scope);
  }
  settings_.spend->known_since(since_us);
  spending_known_ = true;
  return {};
}

Result<bool> Database::catch_up(std::int64_t most_rows) {
  if (!open_) return true;
  CCR_TRY(added, open_->spend.catch_up(open_->connection, most_rows));
  CCR_TRY(since_us, SpendTable::known_since(open_->connection));
  if (settings_.spend != nullptr) {
    settings_.spend->add(added);
    settings_.spend->known_since(since_us);
  }
  return since_us != Spend::kAlways;
}

/// Rows resemble each other: what is as in the row before is bound already. Its texts live until write() returns.
Result<void> Database::insert(const Record& row, const Record* before) {
  Statement& to = open_->insert;
  int at = 0;
  const auto bind = [&](auto value_of) {
    ++at;
    if (before == nullptr || value_of(*before) != value_of(row)) to.bind(at, value_of(row));
  };
  const auto bind_texts = [&](std::initializer_list<std::string Record::*> members) {
    for (const auto member : members) bind([member](const Record& of) -> const std::string& { return of.*member; });
  };
  const auto bind_count = [&](std::optional<std::int64_t> chat::Usage::* member) {
    bind([member](const Record& of) { return counted(of.usage.*member); });
  };
  to.bind_always(++at, row.id);
  to.bind(++at, row.at_us);
  bind_texts({&Record::client, &Record::dialect, &Record::path, &Record::session, &Record::user, &Record::project, &Record::agent,
              &Record::request_class, &Record::requested_model, &Record::decision_id, &Record::rule, &Record::reason,
              &Record::provider, &Record::model});
  bind([](const Record& of) { return std::int64_t{of.attempts}; });
  bind([](const Record& of) { return std::int64_t{of.status}; });
  bind_texts({&Record::stop_reason});
  bind([](const Record& of) { return std::int64_t{of.stream ? 1 : 0}; });
  bind_count(&chat::Usage::input_tokens);
  bind_count(&chat::Usage::output_tokens);
  bind_count(&chat::Usage::cache_read_tokens);
  bind([](const Record& of) { return written_5m_tokens(of.usage); });
  bind_count(&chat::Usage::cache_write_1h_tokens);
  bind_count(&chat::Usage::reasoning_tokens);
  bind([](const Record& of) { return std::int64_t{of.usage_estimated ? 1 : 0}; });
  bind([](const Record& of) { return of.cost_nanousd; });
  bind([](const Record& of) { return of.requested_cost_nanousd; });
  to.bind_always(++at, row.cache);
  bind([](const Record& of) { return of.ttft_us < 0 ? std::optional<std::int64_t>() : std::optional<std::int64_t>(of.ttft_us); });
  bind([](const Record& of) { return of.duration_us; });
  bind_texts({&Record::error, &Record::tags_json, &Record::ruleset, &Record::facts_json});
  bind([](const Record& of) { return of.counted_tokens; });
  bind_texts({&Record::counted_grade});
  bind([](const Record& of) { return of.estimate_tokens; });
  bind_texts({&Record::estimate_key, &Record::shadow_json, &Record::key, &Record::subagent, &Record::payer, &Record::cache_break});
  bind([](const Record& of) { return of.cache_break_tokens; });
  bind([](const Record& of) { return of.cache_break_nanousd; });
  bind_texts({&Record::unpriced_tier, &Record::unpriced_fees});
  bind([](const Record& of) { return of.budget_nanousd; });
  bind_texts({&Record::billed_model});
  Result<bool> stepped = to.step();
  to.reset();
  if (!stepped) return std::move(stepped).error();
  return {};
}

std::optional<Database::Failure> Database::fail(const std::string& what, int code) {
  return Failure{internal_error("the ledger " + settings_.path + ": " + what), trouble_of(code)};
}

bool Database::file_was_replaced() const {
  return inode_of(settings_.path) != open_->inode;
}

}  // namespace ccrules::ledger
