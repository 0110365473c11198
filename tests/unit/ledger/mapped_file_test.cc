#include "ledger/mapped_file.h"

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <thread>
#include <vector>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

using namespace ccrules;
using ledger::MappedFile;

namespace {

constexpr std::size_t kBytes = 1u << 20;

/// A file without a name.
class Nameless {
 public:
  explicit Nameless(std::size_t bytes) {
    std::array<char, 32> name{"/tmp/ccrules-XXXXXX"};
    fd_ = ::mkstemp(name.data());
    REQUIRE(fd_ >= 0);
    ::unlink(name.data());
    resize(bytes);
  }
  ~Nameless() { ::close(fd_); }
  Nameless(const Nameless&) = delete;
  Nameless& operator=(const Nameless&) = delete;
  void resize(std::size_t bytes) const { REQUIRE(::ftruncate(fd_, static_cast<off_t>(bytes)) == 0); }
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] char byte(std::size_t at) const {
    char value = '?';
    REQUIRE(::pread(fd_, &value, 1, static_cast<off_t>(at)) == 1);
    return value;
  }

 private:
  int fd_;
};

}  // namespace

TEST_CASE("what is stored in a mapped file is in the file") {
  const Nameless file(kBytes);
  const auto mapped = MappedFile::map(file.fd(), kBytes);
  REQUIRE(mapped);
  mapped->bytes()[5000] = 'x';
  CHECK(file.byte(5000) == 'x');
  CHECK_FALSE(mapped->is_lost());
}

TEST_CASE("a page that a mapped file has lost is memory of its own, and other files know nothing of it") {
  const Nameless cut(kBytes);
  const Nameless whole(kBytes);
  const auto lost = MappedFile::map(cut.fd(), kBytes);
  const auto kept = MappedFile::map(whole.fd(), kBytes);
  REQUIRE((lost && kept));
  cut.resize(0);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&lost, t] {
      for (std::size_t at = t * 4096; at < kBytes; at += 4 * std::size_t{4096}) lost->bytes()[at] = static_cast<char>('a' + t);
    });
  }
  for (std::thread& thread : threads) thread.join();
  kept->bytes()[1] = 'k';
  CHECK(lost->bytes()[kBytes - 2 * std::size_t{4096}] == 'c');
  CHECK(lost->is_lost());
  CHECK_FALSE(kept->is_lost());
  CHECK(whole.byte(1) == 'k');
}

TEST_CASE("a place of a mapped file that is gone is as good as new for the next one") {
  for (int i = 0; i < 200; ++i) {
    const Nameless file(kBytes);
    const auto mapped = MappedFile::map(file.fd(), kBytes);
    REQUIRE(mapped);
    CHECK_FALSE(mapped->is_lost());
    file.resize(0);
    mapped->bytes()[0] = 'x';
    CHECK(mapped->is_lost());
  }
}

TEST_CASE("what cannot be mapped is nothing") {
  std::array<int, 2> pipe{};
  REQUIRE(::pipe(pipe.data()) == 0);
  CHECK_FALSE(MappedFile::map(pipe[0], kBytes));
  for (const int fd : pipe) ::close(fd);
}

TEST_CASE("a bus error that has nothing to do with mapped files ends the process as before") {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const Nameless file(kBytes);
    const auto mapped = MappedFile::map(file.fd(), kBytes);
    ::close(STDERR_FILENO);  // what a sanitizer has to say of it
    (void)std::raise(SIGBUS);
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK_FALSE((WIFEXITED(status) && WEXITSTATUS(status) == 0));  // sanitizers exit with a report
}
