#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "core/hmac.h"
#include "ledger/sqlite.h"
#include "proxy/cache_file.h"
#include "proxy/cache_question.h"
#include "support/faulty_disk.h"
#include "support/files.h"

using namespace ccrules;
using proxy::CacheFile;
using std::chrono::milliseconds;

namespace {

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr milliseconds kHour{3600000};

class SetClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t wall_us() const override { return now_us; }
  std::atomic<std::int64_t> now_us{1'790'000'000 * kSecondUs};
};

/// A clock that the file's thread is held at, and with which something happens the next time that the test's own thread asks for it.
class GateClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t wall_us() const override {
    if (std::this_thread::get_id() == mine) {
      if (const auto now = std::exchange(next, {})) now();
    } else {
      std::unique_lock lock(mutex);
      waiting = true;
      changed.notify_all();
      changed.wait(lock, [this] { return !closed; });
      waiting = false;
    }
    return 1'790'000'000 * kSecondUs;
  }
  void close() {
    const std::lock_guard lock(mutex);
    closed = true;
    waiting = false;
  }
  void wait_until_held() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return waiting; });
  }
  void open() {
    const std::lock_guard lock(mutex);
    closed = false;
    changed.notify_all();
  }
  mutable std::function<void()> next;

 private:
  const std::thread::id mine = std::this_thread::get_id();
  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  bool closed = false;
  mutable bool waiting = false;
};

/// A cache and its file; another one on the same folder is the proxy's next start.
struct Start {
  explicit Start(const std::string& path, const Clock& clock, std::size_t max_bytes = 1 << 20) : store(max_bytes) {
    CacheFile::Settings settings;
    settings.path = path;
    settings.clock = &clock;
    settings.now_ms = [&clock] { return clock.wall_us() / 1000; };
    auto opened = CacheFile::open(std::move(settings), store);
    if (opened.ok()) {
      file = *std::move(opened);
      file->settle();
    } else {
      problem = opened.error().message;
    }
  }
  cache::Store store;
  std::unique_ptr<CacheFile> file;
  std::string problem;
};

cache::Question question(const cache::Store& store, const std::string& text) {
  cache::Question asked;
  asked.context = "caller and target of " + text;
  asked.dialect = "anthropic";
  asked.body = "{\"what\":\"" + text + std::string("\0\"}", 3);
  asked.sample = digest::hash128(asked.body, store.seed());
  asked.family = digest::hash64(asked.body, store.seed());
  asked.text_bytes = 7;
  return asked;
}

/// A question that the file does not have.
cache::Question unknown(std::uint64_t number) {
  cache::Question asked;
  asked.letter = digest::Hash128{number, number};
  return asked;
}

cache::Store::Age age(const Clock& clock, milliseconds ttl = kHour) { return {clock.wall_us() / 1000, ttl}; }

void answer(Start& start, const Clock& clock, const std::string& text, std::size_t bytes = 100) {
  cache::Question asked = question(start.store, text);
  const auto mine = start.store.ask(asked, age(clock), {});
  REQUIRE(mine);
  cache::Source source;
  source.provider = "anthropic";
  source.model = "claude-x";
  source.dialect = "anthropic";
  source.content_type = "text/event-stream";
  source.renamed_tools = {{"a_b", "a.b"}, {"", "empty"}};
  source.seed = ~std::uint64_t{0};
  source.loss = "tools";
  mine->arrives(source);
  mine->append("answer to " + text + std::string(bytes, '\0'), true);
  mine->complete();
  start.store.keep(mine, age(clock));
}

std::shared_ptr<cache::Answer> find(Start& start, const Clock& clock, const std::string& text) {
  const cache::Question asked = question(start.store, text);
  const auto sampled = start.store.sampled(asked.sample, age(clock));
  auto found = sampled.fresh ? sampled.unnamed : nullptr;
  if (!found) found = start.store.same(proxy::letter_of(asked.context, asked.dialect, asked.body, start.store.seed()), age(clock));
  if (found) CHECK(found->question().body == asked.body);
  return found;
}

/// A folder of its own, gone with the test.
struct Folder {
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "cache-file-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string file(const std::string& name = "answers.db") const { return path + "/" + name; }
  std::string path;
};

std::int64_t count(const std::string& path) {
  auto connection = ledger::Connection::open(path, ledger::Connection::Mode::kReadOnly, 1000);
  REQUIRE(connection.ok());
  return *connection->number("SELECT count(*) FROM answers");
}

unsigned mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 0777u;
}

}  // namespace

TEST_CASE("kept answers are there again after a restart, with all that belongs to them, until they are too old") {
  const Folder folder;
  SetClock clock;
  {
    Start first(folder.file("sub/answers.db"), clock);
    REQUIRE(first.problem.empty());
    answer(first, clock, "one");
    answer(first, clock, "two");
    first.file->settle();
    for (const char* end : {"", "-wal", "-shm"}) CHECK(mode_of(folder.file("sub/answers.db") + end) == 0600u);
  }
  clock.now_us += 1800 * kSecondUs;
  Start again(folder.file("sub/answers.db"), clock);
  CHECK(again.store.stats().entries == 2);
  const auto found = find(again, clock, "one");
  REQUIRE(found);
  CHECK(found->state() == cache::Answer::State::kComplete);
  CHECK(found->bytes() == "answer to one" + std::string(100, '\0'));
  CHECK(found->question().sealed);  // what the context says cannot be read in the file
  CHECK(found->question().context == digest::hmac_sha256(again.store.secret(), "caller and target of one"));
  CHECK(test::read_file(folder.file("sub/answers.db")).find("caller and target") == std::string::npos);
  CHECK(found->question().dialect == "anthropic");
  CHECK(found->question().family == question(again.store, "one").family);
  CHECK(found->question().text_bytes == 7);
  CHECK(found->source().provider == "anthropic");
  CHECK(found->source().model == "claude-x");
  CHECK(found->source().content_type == "text/event-stream");
  CHECK(found->source().renamed_tools == std::vector<std::pair<std::string, std::string>>{{"a_b", "a.b"}, {"", "empty"}});
  CHECK(found->source().seed == ~std::uint64_t{0});
  CHECK(found->source().loss == "tools");
  clock.now_us += 1799 * kSecondUs;
  CHECK(find(again, clock, "two"));
  clock.now_us += 2 * kSecondUs;
  CHECK_FALSE(find(again, clock, "two"));
  again.file.reset();
  const Start late(folder.file("sub/answers.db"), clock);
  CHECK(late.store.stats().entries == 0);
  CHECK(count(folder.file("sub/answers.db")) == 0);
}

TEST_CASE("an answer that comes from the file is written again as it is") {
  const Folder folder;
  const SetClock clock;
  {
    Start first(folder.file(), clock);
    answer(first, clock, "one");
  }
  {
    Start second(folder.file(), clock);
    second.file->keep(find(second, clock, "one"), kHour);
  }
  Start third(folder.file(), clock);
  REQUIRE(find(third, clock, "one"));
  CHECK(find(third, clock, "one")->question().context == digest::hmac_sha256(third.store.secret(), "caller and target of one"));
}

TEST_CASE("a clock that was set back gives out nothing that is older than it may be") {
  const Folder folder;
  SetClock clock;
  {
    Start first(folder.file(), clock);
    answer(first, clock, "one");
  }
  clock.now_us -= 3600 * kSecondUs;
  Start again(folder.file(), clock);
  CHECK_FALSE(find(again, clock, "one"));
}

TEST_CASE("what is cleared or turned out useless does not come back") {
  const Folder folder;
  const SetClock clock;
  {
    Start first(folder.file(), clock);
    for (const char* text : {"one", "two", "three"}) answer(first, clock, text);
    first.store.drop(*find(first, clock, "two"));
  }
  {
    Start again(folder.file(), clock);
    CHECK(again.store.stats().entries == 2);
    CHECK_FALSE(find(again, clock, "two"));
    again.store.clear();
    answer(again, clock, "four");
  }
  Start last(folder.file(), clock);
  CHECK(last.store.stats().entries == 1);
  CHECK(find(last, clock, "four"));
  // Not even as bytes that nobody uses any more.
  last.file.reset();
  CHECK(test::read_file(folder.file()).find("answer to one") == std::string::npos);
}

TEST_CASE("the file is bounded as the memory is; the newest stay") {
  const Folder folder;
  SetClock clock;
  constexpr std::size_t kBound = 1 << 20;
  {
    Start first(folder.file(), clock, 16 * kBound);
    for (int i = 0; i < 300; ++i) {
      clock.now_us += kSecondUs;
      answer(first, clock, std::to_string(i), 20000);
      if (i == 200) first.store.resize(4 * kBound);
    }
    first.file->settle();
  }
  CHECK(count(folder.file()) * 20000 <= static_cast<std::int64_t>(4 * kBound));
  Start again(folder.file(), clock, kBound);
  CHECK(again.store.stats().entries > 30);
  CHECK_FALSE(find(again, clock, "1"));
  CHECK(again.store.stats().bytes <= kBound);
  again.file.reset();
  CHECK(count(folder.file()) > 30);
  CHECK(count(folder.file()) * 20000 <= static_cast<std::int64_t>(kBound));
}

TEST_CASE("a broken file is moved aside and the cache begins empty") {
  const Folder folder;
  const SetClock clock;
  for (const std::string damage : {"no database at all", "torn"}) {
    CAPTURE(damage);
    std::filesystem::remove(folder.file() + ".broken");
    {
      Start first(folder.file(), clock);
      for (int i = 0; i < 50; ++i) answer(first, clock, damage + std::to_string(i), 3000);
    }
    std::string bytes = test::read_file(folder.file());
    if (damage == "torn") {
      bytes.replace(100, 3000, std::string(3000, '\xff'));
    } else {
      bytes = damage;
    }
    test::write_file(folder.file(), bytes);
    Start again(folder.file(), clock);
    CHECK(again.problem.empty());
    CHECK(again.store.stats().entries == 0);
    CHECK(std::filesystem::exists(folder.file() + ".broken"));
    answer(again, clock, "new");
    again.file.reset();
    Start then(folder.file(), clock);
    CHECK(find(then, clock, "new"));
    then.file.reset();
    std::filesystem::remove(folder.file());
  }
}

TEST_CASE("a damaged answer is left out, the others stay") {
  const Folder folder;
  const SetClock clock;
  {
    Start first(folder.file(), clock);
    answer(first, clock, "one");
    answer(first, clock, "two");
  }
  {
    auto connection = ledger::Connection::open(folder.file(), ledger::Connection::Mode::kReadWrite, 1000);
    REQUIRE(connection.ok());
    REQUIRE(connection->run("UPDATE answers SET record = replace(record, 'answer to one', 'answer to two')").ok());
  }
  Start again(folder.file(), clock);
  CHECK(again.store.stats().entries == 1);
  CHECK_FALSE(find(again, clock, "one"));
  CHECK(find(again, clock, "two"));
}

TEST_CASE("a database of another program, and a place where no file can be, are left alone and told") {
  const Folder folder;
  const SetClock clock;
  {
    auto made = [&folder] {
      test::write_file(folder.file("other.db"), "");
      return ledger::Connection::open(folder.file("other.db"), ledger::Connection::Mode::kReadWrite, 1000);
    }();
    REQUIRE(made.ok());
    REQUIRE(made->run("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").ok());
  }
  const Start other(folder.file("other.db"), clock);
  CHECK_THAT(other.problem, Catch::Contains("is a database of another program; answers are kept in memory only"));
  CHECK_FALSE(std::filesystem::exists(folder.file("other.db.broken")));
  test::write_file(folder.file("plain"), "x");
  const Start nowhere(folder.file("plain/answers.db"), clock);
  CHECK_THAT(nowhere.problem, Catch::Contains("cache.persist: "));
}

TEST_CASE("whatever the disk does, the cache goes on, and the file is whole afterwards") {
  for (const unsigned call : {test::FaultyDisk::kWrite, test::FaultyDisk::kRead, test::FaultyDisk::kSync, test::FaultyDisk::kAll}) {
    for (const std::int64_t after : {0, 1, 3, 7, 20}) {
      CAPTURE(call, after);
      const Folder folder;
      const SetClock clock;
      test::FaultyDisk disk;
      {
        Start first(folder.file(), clock);
        REQUIRE(first.problem.empty());
        answer(first, clock, "before");
        first.file->settle();
        disk.fail(call, SQLITE_IOERR, after);
        for (int i = 0; i < 10; ++i) {
          answer(first, clock, std::to_string(i));
          first.file->settle();
          CHECK(find(first, clock, std::to_string(i)));
        }
        disk.heal();
        answer(first, clock, "after");
      }
      Start again(folder.file(), clock);
      CHECK(again.problem.empty());
      CHECK(find(again, clock, "before"));
      CHECK(find(again, clock, "after"));
    }
  }
}

TEST_CASE("damage behind the first pages moves the file aside at start, and a new one keeps what comes then") {
  const Folder folder;
  const SetClock clock;
  {
    Start first(folder.file(), clock);
    for (int i = 0; i < 100; ++i) answer(first, clock, std::to_string(i), 3000);
  }
  constexpr std::size_t kWhole = 10 * 4096;
  std::string bytes = test::read_file(folder.file());
  REQUIRE(bytes.size() > 2 * kWhole);
  bytes.replace(kWhole, bytes.size() - kWhole, std::string(bytes.size() - kWhole, '\xff'));
  test::write_file(folder.file(), bytes);
  {
    Start again(folder.file(), clock);
    CHECK(again.problem.empty());
    CHECK(test::read_file(folder.file() + ".broken") == bytes);
    answer(again, clock, "new");
  }
  std::filesystem::remove(folder.file() + ".broken");
  Start then(folder.file(), clock);
  CHECK(then.store.stats().entries == 1);
  CHECK(find(then, clock, "new"));
  CHECK_FALSE(std::filesystem::exists(folder.file() + ".broken"));
  CHECK(mode_of(folder.file()) == 0600u);
}

TEST_CASE("damage met while writing moves the file aside, and what was to be written is in the new one") {
  for (const int code : {SQLITE_CORRUPT, SQLITE_NOTADB}) {
    CAPTURE(code);
    const Folder folder;
    const SetClock clock;
    test::FaultyDisk disk;
    {
      Start first(folder.file(), clock);
      answer(first, clock, "old");
      first.file->settle();
      disk.fail_once(test::FaultyDisk::kWrite, code, 0);
      answer(first, clock, "new");
      first.file->settle();
      CHECK(disk.failed() == 1);
      CHECK(std::filesystem::exists(folder.file() + ".broken"));
      answer(first, clock, "newer");
    }
    Start again(folder.file(), clock);
    CHECK_FALSE(find(again, clock, "old"));
    CHECK(find(again, clock, "new"));
    CHECK(find(again, clock, "newer"));
  }
}

TEST_CASE("a disk that damages everything does not end what is kept after it has healed") {
  const Folder folder;
  const SetClock clock;
  test::FaultyDisk disk;
  std::string kept;
  {
    Start first(folder.file(), clock);
    answer(first, clock, "old");
    first.file->settle();
    disk.fail(test::FaultyDisk::kWrite, SQLITE_CORRUPT);
    for (int i = 0; i < 5; ++i) {
      answer(first, clock, std::to_string(i));
      first.file->settle();
      if (i == 0) kept = test::read_file(folder.file() + ".broken");
    }
    disk.heal();
    answer(first, clock, "after");
  }
  CHECK(test::read_file(folder.file() + ".broken") == kept);  // and not the empty ones that came after it
  Start again(folder.file(), clock);
  CHECK(again.problem.empty());
  CHECK(find(again, clock, "after"));
}

TEST_CASE("what is cleared or forgotten is so however much waits to be written") {
  constexpr int kMoreThanFits = 20000;
  for (const bool all : {true, false}) {
    CAPTURE(all);
    const Folder folder;
    GateClock clock;
    {
      Start first(folder.file(), clock);
      answer(first, clock, "one");
      answer(first, clock, "two");
      first.file->settle();
      const auto one = find(first, clock, "one");
      clock.close();
      answer(first, clock, "three");
      clock.wait_until_held();
      for (int i = 0; i < kMoreThanFits; ++i) first.file->keep(one, kHour);
      if (all) {
        first.store.clear();
      } else {
        first.store.drop(*one);
      }
      clock.open();
    }
    Start again(folder.file(), clock);
    CHECK(again.store.stats().entries == (all ? 0u : 2u));
    CHECK_FALSE(find(again, clock, "one"));
  }
}

TEST_CASE("more that is forgotten than can be remembered clears the file") {
  const Folder folder;
  GateClock clock;
  {
    Start first(folder.file(), clock);
    answer(first, clock, "one");
    first.file->settle();
    clock.close();
    answer(first, clock, "two");
    clock.wait_until_held();
    for (std::uint64_t i = 0; i < 20000; ++i) first.file->forget(unknown(i));
    first.store.drop(*find(first, clock, "one"));
    clock.open();
  }
  Start again(folder.file(), clock);
  CHECK_FALSE(find(again, clock, "one"));
}

TEST_CASE("what is cleared or forgotten while the disk fails does not come back") {
  for (const unsigned call : {test::FaultyDisk::kWrite, test::FaultyDisk::kSharedMemory, test::FaultyDisk::kAll}) {
    for (const bool all : {true, false}) {
      for (const bool heals : {true, false}) {
        CAPTURE(call, all, heals);
        const Folder folder;
        const SetClock clock;
        test::FaultyDisk disk;
        {
          Start first(folder.file(), clock);
          answer(first, clock, "one");
          answer(first, clock, "two");
          first.file->settle();
          disk.fail(call, SQLITE_FULL);
          if (all) {
            first.store.clear();
          } else {
            first.store.drop(*find(first, clock, "one"));
          }
          first.file->settle();
          if (heals) disk.heal();
          if (heals) answer(first, clock, "after");
        }
        disk.heal();
        Start again(folder.file(), clock);
        CHECK(again.problem.empty());
        CHECK_FALSE(find(again, clock, "one"));
        CHECK((find(again, clock, "two") != nullptr) == (!all && heals));
        CHECK((find(again, clock, "after") != nullptr) == heals);
      }
    }
  }
}

TEST_CASE("an answer that is cleared or dropped before its file hears of it does not come back") {
  for (const bool all : {true, false}) {
    CAPTURE(all);
    const Folder folder;
    GateClock clock;
    {
      Start first(folder.file(), clock);
      const std::string text = "one";
      cache::Question asked = question(first.store, text);
      const auto mine = first.store.ask(asked, age(clock), {});
      REQUIRE(mine);
      mine->arrives({});
      mine->append("answer", true);
      mine->complete();
      const cache::Store::Age now = age(clock);
      bool happened = false;
      clock.next = [&] {
        happened = true;
        if (all) {
          first.store.clear();
        } else {
          first.store.drop(*mine);
        }
      };
      first.store.keep(mine, now);
      CHECK(happened);
      answer(first, clock, "two");
    }
    Start again(folder.file(), clock);
    CHECK_FALSE(find(again, clock, "one"));
    CHECK(find(again, clock, "two"));
  }
}

TEST_CASE("another program's database in the file's place is left alone, whatever is cleared") {
  const Folder folder;
  const SetClock clock;
  test::FaultyDisk disk;
  {
    Start first(folder.file(), clock);
    answer(first, clock, "one");
    first.file->settle();
    disk.fail(test::FaultyDisk::kWrite, SQLITE_CORRUPT);
    answer(first, clock, "two");
    first.file->settle();  // now the file is not open any more
    disk.heal();
    test::write_file(folder.file(), "");
    auto other = ledger::Connection::open(folder.file(), ledger::Connection::Mode::kReadWrite, 1000);
    REQUIRE(other.ok());
    REQUIRE(other->run("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").ok());
    first.store.clear();
    first.file->settle();
    first.file->forget(unknown(1));
  }
  auto other = ledger::Connection::open(folder.file(), ledger::Connection::Mode::kReadOnly, 1000);
  REQUIRE(other.ok());
  CHECK(*other->number("SELECT count(*) FROM theirs") == 1);
}
