#include "proxy/cache_file.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <deque>
#include <filesystem>
#include <limits>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/json.h"
#include "core/hmac.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/text.h"
#include "ledger/sqlite.h"
#include "proxy/cache_question.h"

namespace ccrules::proxy {
namespace {

using ledger::Connection;
using ledger::Statement;

constexpr std::int64_t kApplicationId = 0x63637263;  // "ccrc"
constexpr int kBusyMs = 2000;
constexpr std::chrono::seconds kTryAgain{1};   ///< After what had to be deleted could not be.
constexpr std::int64_t kUsPerMs = 1000;
constexpr std::int64_t kSlack = 10;  ///< A tenth of the bytes is made free at once, so that it is not done for each answer.
constexpr std::int64_t kUncounted = std::numeric_limits<std::int64_t>::max() / 2;  ///< Bytes may be added to it.
/// A version for each way to write a record, or the context or the sample that it is found by: an older file's answers are forgotten.
constexpr std::int64_t kVersion = 4;
constexpr const char* kSchema = R"sql(
  CREATE TABLE secret (value TEXT NOT NULL);
  CREATE TABLE answers (letter TEXT PRIMARY KEY, kept_us INTEGER NOT NULL, until_us INTEGER NOT NULL, bytes INTEGER NOT NULL,
                        sum TEXT NOT NULL, record BLOB NOT NULL);
  CREATE INDEX answers_kept ON answers (kept_us);
  CREATE INDEX answers_until ON answers (until_us);
)sql";

std::string hex(const digest::Hash128& hash) {
  std::array<char, 33> text{};
  const int size = std::snprintf(text.data(), text.size(), "%016llx%016llx", static_cast<unsigned long long>(hash.high),
                                 static_cast<unsigned long long>(hash.low));
  return {text.data(), static_cast<std::size_t>(size)};
}

std::optional<digest::Hash128> read_hex(std::string_view text) {
  constexpr std::size_t kDigits = 16;
  constexpr int kBase = 16;
  digest::Hash128 hash;
  if (text.size() != 2 * kDigits || text.find_first_not_of("0123456789abcdef") != std::string_view::npos) return std::nullopt;
  hash.high = std::strtoull(std::string(text.substr(0, kDigits)).c_str(), nullptr, kBase);
  hash.low = std::strtoull(std::string(text.substr(kDigits)).c_str(), nullptr, kBase);
  return hash;
}

/// Texts one behind the other, each with its length.
void add(std::string& out, std::string_view text) { out.append(std::to_string(text.size())).append(":").append(text); }

/// Takes the next text; empty and `ok` false when there is none.
std::string_view take(std::string_view& rest, bool& ok) {
  const std::size_t colon = rest.find(':');
  const std::optional<std::int64_t> size = text::to_int(rest.substr(0, colon));
  ok = ok && colon != std::string_view::npos && size && *size >= 0 && static_cast<std::size_t>(*size) < rest.size() - colon;
  if (!ok) return {};
  const std::string_view found = rest.substr(colon + 1, static_cast<std::size_t>(*size));
  rest.remove_prefix(colon + 1 + found.size());
  return found;
}

/// By which an answer is found in the file, whether the store needs it or not.
digest::Hash128 letter_of(const cache::Question& question, std::uint64_t seed) {
  return question.letter ? *question.letter : proxy::letter_of(question.context, question.dialect, question.body, seed);
}

/// The context may hold what rules put into headers: the file has its MAC.
std::string record_of(const cache::Answer& answer, const std::string& secret) {
  const cache::Question& question = answer.question();
  const cache::Source& source = answer.source();
  const std::string sealed = question.sealed ? question.context : digest::hmac_sha256(secret, question.context);
  std::string out;
  for (const std::string* text : {&sealed, &question.dialect, &question.body}) add(out, *text);
  add(out, hex(question.sample));
  add(out, std::to_string(question.family));
  add(out, std::to_string(question.text_bytes));
  for (const std::string* text : {&source.provider, &source.model, &source.dialect, &source.content_type, &source.loss}) add(out, *text);
  add(out, std::to_string(source.seed));
  add(out, answer.bytes());
  for (const auto& [sent, original] : source.renamed_tools) {
    add(out, sent);
    add(out, original);
  }
  return out;
}

/// Nothing when the record is not what record_of() writes.
std::shared_ptr<cache::Answer> answer_of(const digest::Hash128& letter, std::string_view record) {
  constexpr int kBase = 10;
  bool ok = true;
  cache::Question question;
  cache::Source source;
  question.letter = letter;
  question.context = take(record, ok);
  question.sealed = true;
  question.dialect = take(record, ok);
  const std::string_view body = take(record, ok);
  question.body.reserve(body.size() + json::kPadding);
  question.body = body;
  const std::optional<digest::Hash128> sample = read_hex(take(record, ok));
  ok = ok && sample;
  question.sample = sample.value_or(digest::Hash128());
  question.family = std::strtoull(std::string(take(record, ok)).c_str(), nullptr, kBase);
  question.text_bytes = std::strtoll(std::string(take(record, ok)).c_str(), nullptr, kBase);
  for (std::string* text : {&source.provider, &source.model, &source.dialect, &source.content_type, &source.loss}) *text = take(record, ok);
  source.seed = std::strtoull(std::string(take(record, ok)).c_str(), nullptr, kBase);
  const std::string_view bytes = take(record, ok);
  while (ok && !record.empty()) {
    std::string sent(take(record, ok));
    source.renamed_tools.emplace_back(std::move(sent), take(record, ok));
  }
  if (!ok) return nullptr;
  auto answer = std::make_shared<cache::Answer>(std::move(question));
  answer->arrives(std::move(source));
  answer->append(bytes, true);
  answer->complete();
  return answer;
}

Error file_error(const std::string& path, const std::string& what) {
  return internal_error("cache.persist: " + path + " " + what + "; answers are kept in memory only");
}

/// The file exists with mode 0600 afterwards, and so do those beside it, which copy the file's mode.
Result<void> make_private_file(const std::string& path) {
  const std::filesystem::path directory = std::filesystem::path(path).parent_path();
  std::error_code failed;
  if (!directory.empty() && !std::filesystem::exists(directory, failed)) {
    std::filesystem::create_directories(directory, failed);
    if (failed) return file_error(path, "is in a directory that cannot be made: " + failed.message());
    ::chmod(directory.c_str(), S_IRWXU);
  }
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (fd < 0) return file_error(path, std::string("cannot be opened: ") + std::strerror(errno));
  ::close(fd);
  return {};
}

bool is_broken(const Connection& connection) {
  constexpr int kPrimary = 0xff;  // the rest says more about it
  const int code = connection.last_code() & kPrimary;
  return code == SQLITE_NOTADB || code == SQLITE_CORRUPT;
}

/// The file, open and with its tables.
struct Opened {
  Connection connection;
  std::string secret;
};

enum class Fault : std::uint8_t {
  kNone,
  kBroken,
  kForeign,  ///< not this cache's file: nothing is done to it
  kOther
};

Result<Opened> open_once(const std::string& path, const std::string& new_secret, Fault& fault) {
  fault = Fault::kOther;
  CCR_CHECK(make_private_file(path));
  Result<Connection> opened = Connection::open(path, Connection::Mode::kReadWrite, kBusyMs);
  if (!opened) return file_error(path, "cannot be opened: " + opened.error().message);
  Connection& connection = *opened;
  const auto prepare = [&]() -> Result<std::string> {
    CCR_TRY(application, connection.number("PRAGMA application_id"));
    CCR_TRY(version, connection.number("PRAGMA user_version"));
    CCR_TRY(tables, connection.number("SELECT count(*) FROM sqlite_schema"));
    if (application != kApplicationId && (application != 0 || tables != 0)) {
      fault = Fault::kForeign;
      return bad_request("is a database of another program");
    }
    ::chmod(path.c_str(), S_IRUSR | S_IWUSR);
    CCR_CHECK(connection.run("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON"));
    if (tables == 0 || version != kVersion) {
      const std::string marks = "PRAGMA application_id = " + std::to_string(kApplicationId) +
                                "; PRAGMA user_version = " + std::to_string(kVersion) + ";";
      CCR_CHECK(connection.run("BEGIN IMMEDIATE; DROP TABLE IF EXISTS answers; DROP TABLE IF EXISTS secret"));
      CCR_CHECK(connection.run(kSchema));
      CCR_TRY(write, Statement::prepare(connection, "INSERT INTO secret VALUES (?)"));
      write.bind_always(1, new_secret);
      CCR_CHECK(write.step());
      CCR_CHECK(connection.run((marks + " COMMIT").c_str()));
      return new_secret;
    }
    CCR_TRY(read, Statement::prepare(connection, "SELECT value FROM secret"));
    CCR_TRY(found, read.step());
    std::string secret = found ? read.text(0) : std::string();
    if (secret.size() != new_secret.size()) {
      fault = Fault::kBroken;
      return bad_request("has lost its secret");
    }
    return secret;
  };
  Result<std::string> secret = prepare();
  if (secret) {
    fault = Fault::kNone;
    return Opened{*std::move(opened), *std::move(secret)};
  }
  if (fault != Fault::kOther) return file_error(path, secret.error().message);
  if (is_broken(connection)) fault = Fault::kBroken;
  return file_error(path, "cannot be used: " + secret.error().message);
}

/// What SQLite has beside the file. Nobody may have it open.
void remove_beside(const std::string& path) {
  std::error_code ignored;
  for (const char* end : {"-wal", "-shm"}) std::filesystem::remove(path + end, ignored);
}

/// A broken file makes way for a new one. False: it cannot, and is where it was.
bool move_aside(const std::string& path) {
  const std::string aside = path + ".broken";
  std::error_code failed;
  std::filesystem::rename(path, aside, failed);
  if (failed) return false;
  remove_beside(path);
  log::warn("cache.persist: " + path + " is broken and now lies at " + aside + "; a new file begins empty");
  return true;
}

/// All answers of the file are gone with it. False: it cannot be removed.
bool remove_file(const std::string& path) {
  std::error_code failed;
  std::filesystem::remove(path, failed);
  if (failed) return false;
  remove_beside(path);
  return true;
}

/// A broken file is moved aside, once.
Result<Opened> open_file(const std::string& path, const std::string& new_secret, Fault& fault) {
  Result<Opened> opened = open_once(path, new_secret, fault);
  if (opened || fault != Fault::kBroken || !move_aside(path)) return opened;
  return open_once(path, new_secret, fault);
}

/// One statement without rows. It is gone when this returns: SQLite's code of a failure is the connection's last one.
template <class Bind>
Result<void> execute(const Connection& connection, std::string_view sql, Bind&& bind) {
  CCR_TRY(statement, Statement::prepare(connection, sql));
  bind(statement);
  CCR_CHECK(statement.step());
  return {};
}

}  // namespace

struct CacheFile::Inside {
  struct Kept {
    std::shared_ptr<const cache::Answer> answer;
    std::int64_t kept_us = 0;
    std::int64_t until_us = 0;
  };
  using Work = std::variant<Kept, digest::Hash128>;  ///< the letter of an answer to be deleted
  /// What one transaction does.
  struct Batch {
    bool clear = false;  ///< before all the others
    std::vector<Work> works;
  };

  Inside(Settings what, cache::Store& whose, Opened opened)
      : settings(std::move(what)), store(whose), generation(whose.generation()), connection(std::move(opened.connection)) {}

  // Any thread.
  void ask(Kept kept, std::size_t bytes);
  void forget(const digest::Hash128& letter);
  void clear();
  void stop();

  // The file's own thread.
  void run();
  bool take(Batch& batch);
  void give_back(const Batch& batch);
  void work(const Batch& batch);
  Result<void> reopen();
  Result<void> fill_store();
  Result<void> write(const Batch& batch);
  Result<void> write(const Kept& kept);
  Result<void> delete_what_is_over();
  void report(const Result<void>& done);

  const Settings settings;
  cache::Store& store;
  const std::uint64_t generation;  ///< of the store: when it has been cleared, nothing old comes back
  std::optional<Connection> connection;  ///< nothing while there is no file that can be used
  std::int64_t at_most_bytes = kUncounted;  ///< of all answers in the file; counted when it matters
  Fault fault = Fault::kNone;  ///< of what was done last
  bool renewed = false;  ///< it has made way for a new file, to which nothing has been written yet
  bool failing = false;  ///< the log has said so

  std::mutex mutex;
  std::condition_variable wake, settled;
  // Guarded by `mutex`:
  std::deque<Work> queue;
  std::size_t queued_bytes = 0;
  std::size_t forgotten = 0;  ///< letters in the queue
  bool clear_wanted = false;  ///< before what the queue has; never lost: it stays until the file has no answers from before it
  bool fresh = false;         ///< there is something that has not been tried yet
  bool stopping = false;
  bool busy = true;
  std::thread thread;
};

void CacheFile::Inside::ask(Kept kept, std::size_t bytes) {
  try {
    const std::lock_guard lock(mutex);
    if (stopping || queued_bytes + bytes > limits::kCacheFileQueueBytes || queue.size() - forgotten >= limits::kCacheFileQueue) return;
    queue.emplace_back(std::move(kept));
    queued_bytes += bytes;
    fresh = true;
  } catch (const std::bad_alloc&) {  // then it is not kept
    return;
  }
  wake.notify_one();
}

void CacheFile::Inside::forget(const digest::Hash128& letter) {
  bool remembered = true;
  try {
    const std::lock_guard lock(mutex);
    remembered = forgotten < limits::kCacheFileForgotten;
    if (remembered) {
      queue.emplace_back(letter);
      ++forgotten;
      fresh = true;
    }
  } catch (const std::bad_alloc&) {
    remembered = false;
  }
  if (!remembered) return clear();  // rather too much than an answer that is of no use
  wake.notify_one();
}

void CacheFile::Inside::clear() {
  {
    const std::lock_guard lock(mutex);
    queue.clear();
    queued_bytes = forgotten = 0;
    clear_wanted = fresh = true;
  }
  wake.notify_one();
}

void CacheFile::Inside::stop() {
  {
    const std::lock_guard lock(mutex);
    stopping = true;
  }
  wake.notify_one();
  if (thread.joinable()) thread.join();
}

void CacheFile::Inside::run() {
  Result<void> filled = fill_store();
  if (!filled && is_broken(*connection)) {
    connection.reset();
    renewed = move_aside(settings.path);
  }
  if (!filled) filled = file_error(settings.path, "cannot be used: " + filled.error().message);
  if (renewed) filled = reopen();
  report(filled);
  Batch batch;
  for (bool more = true; more;) {
    more = take(batch);
    if (batch.clear || !batch.works.empty()) work(batch);
  }
  const std::lock_guard lock(mutex);
  if (!clear_wanted && forgotten == 0) return;
  // What must not be there after a restart could not be deleted.
  connection.reset();
  if (!remove_file(settings.path)) log::error(file_error(settings.path, "holds answers that could not be deleted").message);
}

/// Waits for something to do. False: nothing comes behind this.
bool CacheFile::Inside::take(Batch& batch) {
  batch.clear = false;
  batch.works.clear();
  std::unique_lock lock(mutex);
  busy = false;
  if (!fresh) settled.notify_all();
  const auto called = [this] { return stopping || fresh; };
  if (clear_wanted || !queue.empty()) {
    wake.wait_for(lock, kTryAgain, called);
  } else {
    wake.wait(lock, called);
  }
  for (Work& work : queue) batch.works.push_back(std::move(work));
  queue.clear();
  queued_bytes = forgotten = 0;
  batch.clear = std::exchange(clear_wanted, false);
  fresh = false;
  busy = true;
  return !stopping;
}

/// What had to be deleted by a batch that failed is done before all that came since.
void CacheFile::Inside::give_back(const Batch& batch) {
  const std::lock_guard lock(mutex);
  clear_wanted = clear_wanted || batch.clear;
  try {
    for (auto work = batch.works.rbegin(); work != batch.works.rend() && !clear_wanted; ++work) {
      const auto* letter = std::get_if<digest::Hash128>(&*work);
      if (letter == nullptr) continue;
      queue.emplace_front(*letter);
      ++forgotten;
    }
  } catch (const std::bad_alloc&) {
    clear_wanted = true;
  }
}

void CacheFile::Inside::work(const Batch& batch) {
  Result<void> done = connection ? Result<void>() : reopen();
  if (done) done = write(batch);
  bool gone = fault == Fault::kForeign;
  if (!done && !gone && (batch.clear || (connection && fault == Fault::kBroken && !renewed))) {
    // Nothing of the old file is wanted any more, or can be had.
    connection.reset();
    gone = batch.clear ? remove_file(settings.path) : move_aside(settings.path);
    renewed = renewed || gone;
    if (gone) done = reopen();
    if (gone && done) done = write(batch);
  }
  report(done);
  if (!done && !gone) give_back(batch);
}

Result<void> CacheFile::Inside::reopen() {
  at_most_bytes = kUncounted;
  // Once only: what has been moved aside stays to be looked at.
  fault = Fault::kNone;
  CCR_TRY(opened, renewed ? open_once(settings.path, store.secret(), fault) : open_file(settings.path, store.secret(), fault));
  if (opened.secret != store.secret()) {
    fault = Fault::kForeign;
    return file_error(settings.path, "has become another proxy's");
  }
  connection.emplace(std::move(opened.connection));
  return {};
}

Result<void> CacheFile::Inside::fill_store() {
  CCR_CHECK(delete_what_is_over());
  // The newest first: the store takes nobody's place for what nobody has asked for again.
  CCR_TRY(rows, Statement::prepare(*connection, "SELECT letter, kept_us, until_us, sum, record FROM answers ORDER BY kept_us DESC"));
  std::size_t count = 0;
  std::size_t damaged = 0;
  for (;;) {
    CCR_TRY(found, rows.step());
    if (!found) break;
    const std::int64_t wall_us = settings.clock->wall_us();
    const std::optional<digest::Hash128> letter = read_hex(rows.text(0));
    const std::string record = rows.text(4);
    const bool whole = letter && hex(digest::hash128(record, store.seed())) == rows.text(3);
    const std::shared_ptr<cache::Answer> answer = whole ? answer_of(*letter, record) : nullptr;
    if (!answer) ++damaged;
    // A clock that went back does not make answers younger than they are.
    const std::int64_t age_us = wall_us - rows.number(1);
    if (!answer || age_us < 0) continue;
    cache::Store::Age age;
    age.now_ms = settings.now_ms() - age_us / kUsPerMs;
    age.ttl = std::chrono::milliseconds((rows.number(2) - rows.number(1)) / kUsPerMs);
    store.restore(answer, age, generation);
    ++count;
  }
  if (damaged > 0) log::warn("cache.persist: " + std::to_string(damaged) + " damaged answers in " + settings.path + " are left out");
  if (count > 0) log::info("the response cache has " + std::to_string(count) + " answers from before");
  return {};
}

Result<void> CacheFile::Inside::delete_what_is_over() {
  const std::int64_t wall_us = settings.clock->wall_us();
  CCR_CHECK(execute(*connection, "DELETE FROM answers WHERE until_us <= ?", [&](Statement& over) { over.bind(1, wall_us); }));
  const auto most = static_cast<std::int64_t>(store.stats().max_bytes);
  if (at_most_bytes <= most) return {};
  CCR_TRY(bytes, connection->number("SELECT coalesce(sum(bytes), 0) FROM answers"));
  at_most_bytes = bytes;
  if (bytes <= most) return {};
  // The oldest first, until the rest fits.
  constexpr std::string_view kOldest =
      "DELETE FROM answers WHERE kept_us <= (SELECT max(kept_us) FROM (SELECT kept_us, sum(bytes) OVER "
      "(ORDER BY kept_us DESC) AS newer FROM answers) WHERE newer > ?)";
  CCR_CHECK(execute(*connection, kOldest, [&](Statement& oldest) { oldest.bind(1, most - most / kSlack); }));
  at_most_bytes = most - most / kSlack;
  return {};
}

Result<void> CacheFile::Inside::write(const Kept& kept) {
  const std::string letter = hex(letter_of(kept.answer->question(), store.seed()));
  const std::string record = record_of(*kept.answer, store.secret());
  const std::string sum = hex(digest::hash128(record, store.seed()));
  CCR_CHECK(execute(*connection, "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)", [&](Statement& row) {
    row.bind_always(1, letter);
    row.bind(2, kept.kept_us);
    row.bind(3, kept.until_us);
    row.bind(4, static_cast<std::int64_t>(record.size()));
    row.bind_always(5, sum);
    row.bind_always(6, record);
  }));
  at_most_bytes += static_cast<std::int64_t>(record.size());
  return {};
}

Result<void> CacheFile::Inside::write(const Batch& batch) {
  const auto apply = [&]() -> Result<void> {
    CCR_CHECK(connection->run("BEGIN IMMEDIATE"));
    if (batch.clear) CCR_CHECK(connection->run("DELETE FROM answers"));
    for (const Work& work : batch.works) {
      if (const auto* kept = std::get_if<Kept>(&work)) {
        CCR_CHECK(write(*kept));
        continue;
      }
      const std::string letter = hex(std::get<digest::Hash128>(work));
      CCR_CHECK(execute(*connection, "DELETE FROM answers WHERE letter = ?", [&](Statement& row) { row.bind_always(1, letter); }));
    }
    CCR_CHECK(delete_what_is_over());
    return connection->run("COMMIT");
  };
  Result<void> applied = apply();
  fault = applied ? Fault::kNone : is_broken(*connection) ? Fault::kBroken : Fault::kOther;  // ROLLBACK has a code of its own
  if (!applied) (void)connection->run("ROLLBACK");  // the first error is the one to show
  if (!applied) return file_error(settings.path, "cannot be used: " + applied.error().message);
  renewed = false;
  return {};
}

void CacheFile::Inside::report(const Result<void>& done) {
  if (done.ok()) {
    if (failing) log::info("cache.persist: " + settings.path + " is written again");
    failing = false;
    return;
  }
  if (!failing) log::warn(done.error().message);
  failing = true;
  if (fault == Fault::kBroken) connection.reset();
}

CacheFile::CacheFile(std::unique_ptr<Inside> inside) : inside_(std::move(inside)) {
  inside_->thread = std::thread([in = inside_.get()] { in->run(); });
}

CacheFile::~CacheFile() {
  inside_->store.tell(nullptr);
  inside_->stop();
}

Result<std::unique_ptr<CacheFile>> CacheFile::open(Settings settings, cache::Store& store) {
  Fault fault = Fault::kNone;
  CCR_TRY(opened, open_file(settings.path, store.secret(), fault));
  store.adopt(opened.secret);
  std::unique_ptr<CacheFile> file(new CacheFile(std::make_unique<Inside>(std::move(settings), store, std::move(opened))));
  store.tell(file.get());
  return file;
}

void CacheFile::keep(std::shared_ptr<const cache::Answer> answer, std::chrono::milliseconds ttl) {
  Inside::Kept kept;
  kept.kept_us = inside_->settings.clock->wall_us();
  kept.until_us = kept.kept_us + std::chrono::duration_cast<std::chrono::microseconds>(ttl).count();
  const std::size_t bytes = answer->question().body.size() + answer->bytes().size();
  kept.answer = std::move(answer);
  inside_->ask(std::move(kept), bytes);
}

void CacheFile::forget(const cache::Question& question) { inside_->forget(letter_of(question, inside_->store.seed())); }
void CacheFile::clear() { inside_->clear(); }

void CacheFile::settle() {
  std::unique_lock lock(inside_->mutex);
  inside_->settled.wait(lock, [this] { return !inside_->fresh && !inside_->busy; });
}

}  // namespace ccrules::proxy
