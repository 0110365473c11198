#include "async/turn.h"

#include <array>
#include <netinet/in.h>
#include <random>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "async/tcp.h"
#include "core/limits.h"

using namespace ccrules;
using namespace std::chrono_literals;

namespace {

struct Line final : Turn::Member {
  Line(std::string wanted, std::vector<std::string>& journal) : name(std::move(wanted)), log(journal) {}
  void came(char* bytes, std::size_t size) override {
    log.push_back(name + " came " + std::string(bytes, size));
    if (on_came) on_came();
  }
  void send(std::string_view bytes) noexcept override { log.push_back(name + " send " + std::string(bytes)); }
  void sent() override {
    log.push_back(name + " sent");
    if (on_sent) on_sent();
  }
  std::string name;
  std::vector<std::string>& log;
  std::function<void()> on_came, on_sent;
};

bool post(Turn& turn, Line& line, std::string_view text) {
  const std::array<std::string_view, 2> pieces = {text.substr(0, text.size() / 2), text.substr(text.size() / 2)};
  return turn.post(line, pieces, 0, text.size());
}

/// Both ends of a TCP connection over loopback, neither of which waits.
std::array<int, 2> tcp_pair() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof where;
  auto* const address = reinterpret_cast<sockaddr*>(&where);
  REQUIRE(bind(listener, address, size) == 0);
  REQUIRE(listen(listener, 1) == 0);
  REQUIRE(getsockname(listener, address, &size) == 0);
  const int near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(connect(near, address, size) == 0);
  const int far = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  REQUIRE(far >= 0);
  ::close(listener);
  return {near, far};
}

struct Ends {
  UvLoop loop;
  std::unique_ptr<ByteStream> near, far;
  int raw = -1;  // of the near end while it is no stream

  explicit Ends(bool both) {
    const std::array<int, 2> descriptors = tcp_pair();
    if (both) {
      near = *adopt_tcp(loop, descriptors[0]);
    } else {
      raw = descriptors[0];
    }
    far = *adopt_tcp(loop, descriptors[1]);
  }
  ~Ends() {
    if (raw >= 0) ::close(raw);
  }
  Ends(const Ends&) = delete;
  Ends& operator=(const Ends&) = delete;
};

struct Heard {
  std::string text;
  std::size_t in_place = 0;  // reads that put their bytes where they were wanted
  bool ended = false, lost = false;
};

Task<void> hear(ByteStream& stream, Heard& heard, Loop& loop) {
  while (!heard.ended && !heard.lost) {
    const auto got = co_await stream.read(0ms, StopToken());
    if (!got.ok()) {
      heard.lost = true;
    } else if (got->end) {
      heard.ended = true;
    } else {
      heard.text.append(got->bytes);
    }
  }
  loop.stop();
}

/// Reads as who gathers a body does: into what it has made room for, or from elsewhere to the same place.
Task<void> gather(ByteStream& stream, Loop& loop, std::mt19937 random, Heard& heard) {
  std::string text(300000, ' ');
  std::size_t size = 0;
  while (!heard.ended && !heard.lost) {
    if (random() % 8 == 0) (void)co_await sleep_for(loop, 1ms, StopToken());  // what comes meanwhile is kept
    text.resize(std::max(text.size(), size + 300000), ' ');
    Room room;
    room.size = 1 + random() % (random() % 2 == 0 ? 300000 : 3000);
    if (random() % 4 != 0) room.at = text.data() + size;
    const auto got = co_await stream.read(0ms, StopToken(), room);
    heard.lost = !got.ok();
    heard.ended = got.ok() && got->end;
    if (heard.lost || heard.ended) break;
    if (got->bytes.data() == text.data() + size) {
      ++heard.in_place;
    } else {
      got->bytes.copy(text.data() + size, got->bytes.size());
    }
    size += got->bytes.size();
  }
  heard.text = text.substr(0, size);
  loop.stop();
}

/// Writes pieces of all sizes, now and then letting a turn end in between.
Task<void> say(std::unique_ptr<ByteStream>& stream, Loop& loop, std::mt19937 random, std::string& said, bool& whole) {
  for (int i = 0; i < 400; ++i) {
    const std::size_t size = random() % 10 == 0 ? random() % 400000 : random() % 900;
    const std::string head(random() % 40, static_cast<char>('A' + i % 26));
    const std::string body(size, static_cast<char>('a' + i % 26));
    said += head + body;
    const std::array<std::string_view, 2> pieces = {head, body};
    whole = (co_await stream->write(pieces, StopToken(), 60s)).ok() && whole;
    if (random() % 4 == 0) (void)co_await sleep_for(loop, 1ms, StopToken());
  }
  whole = (co_await stream->flush(StopToken(), 60s)).ok() && whole;
  stream.reset();
}

Task<void> say_and_close(std::unique_ptr<ByteStream>& stream, bool& written) {
  const std::array<std::string_view, 1> pieces = {"last words"};
  written = (co_await stream->write(pieces, StopToken())).ok();
  stream->close();
}

Task<void> say_and_shut(std::unique_ptr<ByteStream>& stream, bool& written) {
  const std::array<std::string_view, 1> pieces = {"last words"};
  written = (co_await stream->write(pieces, StopToken())).ok();
  stream->shut_write();
}

Task<void> say_until_broken(ByteStream& stream, Loop& loop, bool& broken) {
  const std::array<std::string_view, 1> pieces = {"is anybody there?"};
  for (int i = 0; i < 100 && !broken; ++i) {
    broken = !(co_await stream.write(pieces, StopToken())).ok();
    (void)co_await sleep_for(loop, 1ms, StopToken());
  }
  loop.stop();
}

}  // namespace

TEST_CASE("a turn delivers everything, then sends everything, then tells everybody") {
  std::vector<std::string> log;
  Turn turn;
  Line a("a", log), b("b", log);
  a.on_came = [&] {
    CHECK(post(turn, a, "first"));
    CHECK(post(turn, a, " second"));
    CHECK(turn.posted(a) == 12);
  };
  b.on_came = [&] { CHECK(post(turn, b, "third")); };
  CHECK(turn.receive(a, "1"));
  CHECK(turn.receive(b, "2"));
  turn.finish();
  CHECK(log == std::vector<std::string>{"a came 1", "b came 2", "a send first second", "b send third", "a sent", "b sent"});
  CHECK(turn.posted(a) == 0);
}

TEST_CASE("what is written while others are told leaves in the same turn") {
  std::vector<std::string> log;
  Turn turn;
  Line a("a", log), b("b", log);
  b.on_sent = [&] {
    CHECK(post(turn, a, "more"));
  };
  CHECK(post(turn, b, "x"));
  turn.finish();
  CHECK(log == std::vector<std::string>{"b send x", "b sent", "a send more", "a sent"});
}

TEST_CASE("who leaves a turn hears no more of it, whoever makes it leave") {
  std::vector<std::string> log;
  Turn turn;
  Line a("a", log), b("b", log), c("c", log);
  a.on_came = [&] { turn.leave(b); };
  a.on_sent = [&] { turn.leave(c); };
  CHECK(turn.receive(a, "1"));
  CHECK(turn.receive(b, "2"));
  CHECK(post(turn, a, "x"));
  CHECK(post(turn, b, "y"));
  CHECK(post(turn, c, "z"));
  turn.finish();
  CHECK(log == std::vector<std::string>{"a came 1", "a send x", "c send z", "a sent"});
}

TEST_CASE("a turn keeps one read of each connection and writes that follow one another, and is bounded") {
  std::vector<std::string> log;
  Turn turn;
  Line a("a", log), b("b", log);
  CHECK(turn.receive(a, "1"));
  CHECK_FALSE(turn.receive(a, "2"));
  const std::span<char> before = turn.take_received(a);
  CHECK(std::string_view(before.data(), before.size()) == "1");
  CHECK(turn.take_received(a).empty());
  CHECK(post(turn, a, "x"));
  CHECK(post(turn, b, "y"));
  CHECK_FALSE(post(turn, a, "z"));  // stands behind b's
  CHECK(turn.take_posted(a) == "x");
  CHECK(turn.take_posted(a).empty());
  const std::string large(limits::kTurnPieceBytes + 1, 'l');
  CHECK_FALSE(turn.receive(a, large));
  CHECK_FALSE(post(turn, a, large));
  const std::string most(limits::kTurnPieceBytes, 'm');
  std::size_t taken = 0;
  while (post(turn, a, most)) taken += most.size();
  CHECK(taken <= limits::kTurnBytes);
  CHECK(taken + 2 * most.size() > limits::kTurnBytes);
  turn.leave(a);
  turn.finish();
  CHECK(log == std::vector<std::string>{"b send y", "b sent"});
}

TEST_CASE("writes of all sizes arrive over TCP as they were written, to where their reader wants them, however turns fall between them") {
  for (const bool in_place : {false, true}) {
    for (unsigned seed = 1; seed <= 4; ++seed) {
      CAPTURE(in_place, seed);
      Ends ends(true);
      std::string said;
      bool whole = true;
      Heard heard;
      spawn(in_place ? gather(*ends.far, ends.loop, std::mt19937(seed + 100), heard) : hear(*ends.far, heard, ends.loop));
      spawn(say(ends.near, ends.loop, std::mt19937(seed), said, whole));
      ends.loop.run();
      CHECK(whole);
      CHECK(heard.ended);
      CHECK((heard.in_place > 10) == in_place);
      CHECK(heard.text == said);
    }
  }
}

TEST_CASE("a small write leaves although its connection is closed, or its sending ended, in the same turn") {
  for (const bool shut : {false, true}) {
    Ends ends(true);
    bool written = false;
    Heard heard;
    spawn(hear(*ends.far, heard, ends.loop));
    spawn(shut ? say_and_shut(ends.near, written) : say_and_close(ends.near, written));
    ends.loop.run();
    CHECK(written);
    CHECK(heard.text == "last words");
    CHECK(heard.ended);
  }
}

TEST_CASE("what came before a connection's end is read before it") {
  Ends ends(false);
  REQUIRE(::send(ends.raw, "good bye", 8, 0) == 8);
  ::close(std::exchange(ends.raw, -1));
  Heard heard;
  spawn(hear(*ends.far, heard, ends.loop));
  ends.loop.run();
  CHECK(heard.text == "good bye");
  CHECK(heard.ended);
}

TEST_CASE("who writes to a peer that is gone learns it with a later write") {
  Ends ends(false);
  const linger now{1, 0};
  REQUIRE(setsockopt(ends.raw, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
  ::close(std::exchange(ends.raw, -1));
  bool broken = false;
  spawn(say_until_broken(*ends.far, ends.loop, broken));
  ends.loop.run();
  CHECK(broken);
}
