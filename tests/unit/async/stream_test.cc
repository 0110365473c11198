#include "async/stream.h"

#include <array>

#include <catch2/catch.hpp>

#include "async/memory_stream.h"
#include "async/sim_dialer.h"
#include "async/sim_loop.h"
#include "core/limits.h"

using namespace ccrules;
using namespace std::chrono_literals;

namespace {

struct Read {
  bool finished = false;
  std::string bytes;
  bool end = false;
  bool quiet = false;
  std::string error;
};

Task<void> read_once(ByteStream& stream, std::chrono::milliseconds patience, StopToken stop, Read& read) {
  read = Read();
  const auto got = co_await stream.read(patience, stop);
  if (got.ok()) {
    read.bytes = got->bytes;
    read.end = got->end;
    read.quiet = got->quiet;
  } else {
    read.error = error_code_name(got.error().code);
  }
  read.finished = true;
}

struct Written {
  bool finished = false;
  std::string error;
};

Task<void> write_once(ByteStream& stream, std::string bytes, StopToken stop, std::chrono::milliseconds stall,
                      Written& written) {
  written = Written();
  const std::array<std::string_view, 1> pieces = {bytes};
  const auto done = co_await stream.write(pieces, stop, stall);
  if (!done.ok()) written.error = error_code_name(done.error().code);
  written.finished = true;
}

struct Ends {
  explicit Ends(Wire near_to_far = {}, Wire far_to_near = {})
      : pair(memory_pair(loop, near_to_far, far_to_near)) {}
  ~Ends() {
    pair.near->close();
    pair.far->close();
    loop.run();
  }
  Read read(ByteStream& stream, std::chrono::milliseconds patience = 0ms) {
    Read result;
    spawn(read_once(stream, patience, StopToken(), result));
    loop.run_for(1h);
    return result;
  }
  SimLoop loop;
  MemoryPair pair;
};

}  // namespace

TEST_CASE("bytes that come while nobody reads are kept and handed out first") {
  Ends ends;
  Written written;
  spawn(write_once(*ends.pair.near, "early", StopToken(), 0ms, written));
  ends.loop.run_for(1s);
  CHECK(ends.pair.far->has_unread());
  ends.pair.far->unread("put back, ");
  CHECK(ends.read(*ends.pair.far).bytes == "put back, ");
  CHECK(ends.read(*ends.pair.far).bytes == "early");
  CHECK_FALSE(ends.pair.far->has_unread());
}

TEST_CASE("a peer that nobody reads is stopped after the read-ahead and goes on when it is read") {
  Wire wire;
  wire.window = 100'000;
  Ends ends(wire);
  const std::string big(2'000'000, 'x');
  Written written;
  spawn(write_once(*ends.pair.near, big, StopToken(), 0ms, written));
  ends.loop.run_for(1h);
  CHECK_FALSE(written.finished);
  std::size_t total = 0;
  for (int reads = 0; total < big.size() && reads < 1000; ++reads) {
    const Read read = ends.read(*ends.pair.far);
    CHECK(read.bytes.size() <= limits::kReadChunkBytes);
    total += read.bytes.size();
  }
  CHECK(total == big.size());
  CHECK(written.finished);
  CHECK(written.error.empty());
}

TEST_CASE("a read ends with bytes, with the end, quietly, with a stop, or with a lost connection") {
  Ends ends;
  CHECK(ends.read(*ends.pair.far, 5s).quiet);
  StopSource stop;
  Read stopped;
  spawn(read_once(*ends.pair.far, 0ms, stop.token(), stopped));
  CHECK_FALSE(stopped.finished);
  stop.request_stop(StopReason::kShutdown);
  CHECK(stopped.error == "cancelled");
  Read closed;
  spawn(read_once(*ends.pair.far, 0ms, StopToken(), closed));
  ends.pair.near->shut_write();
  ends.loop.run_for(1s);
  CHECK(closed.end);
  CHECK(ends.read(*ends.pair.far).end);
  Read lost;
  spawn(read_once(*ends.pair.near, 0ms, StopToken(), lost));
  ends.pair.far->reset();
  ends.loop.run_for(1s);
  CHECK(lost.error == "connection_lost");
}

TEST_CASE("closing one's own end wakes the reader and the writer") {
  Wire wire;
  wire.window = 10;
  wire.latency = 24h;
  Ends ends(wire, wire);
  Read read;
  Written written;
  spawn(read_once(*ends.pair.near, 0ms, StopToken(), read));
  spawn(write_once(*ends.pair.near, std::string(500'000, 'x'), StopToken(), 0ms, written));
  ends.loop.run_for(1s);
  CHECK_FALSE(read.finished);
  CHECK_FALSE(written.finished);
  ends.pair.near->close();
  CHECK(read.error == "connection_lost");
  CHECK(written.error == "connection_lost");
}

TEST_CASE("a write waits while too much is under way, and stalls only when nothing moves") {
  Wire slow;
  slow.window = 1000;
  slow.cut = 100'000;
  slow.latency = 3s;
  Ends ends(slow);
  Written written;
  spawn(write_once(*ends.pair.near, std::string(200'000, 'x'), StopToken(), 5s, written));
  CHECK_FALSE(written.finished);
  std::size_t total = 0;
  for (int reads = 0; total < 200'000 && reads < 100; ++reads)
    total += ends.read(*ends.pair.far).bytes.size();
  CHECK(written.error.empty());
  CHECK(written.finished);

  Wire stuck;
  stuck.window = 1000;
  stuck.latency = 24h;
  Ends other(stuck);
  spawn(write_once(*other.pair.near, std::string(200'000, 'x'), StopToken(), 5s, written));
  other.loop.run_for(4s);
  CHECK_FALSE(written.finished);
  other.loop.run_for(2s);
  CHECK(written.error == "timeout");
}

TEST_CASE("the end of a peer is told once, when nobody reads") {
  Ends ends;
  int told = 0;
  ends.pair.far->on_peer_end([&] { ++told; });
  ends.pair.near->close();
  ends.loop.run_for(1s);
  CHECK(told == 1);
  CHECK_FALSE(ends.pair.far->open());
  Written written;
  spawn(write_once(*ends.pair.far, "x", StopToken(), 0ms, written));
  CHECK(written.error == "connection_lost");
}

TEST_CASE("a stream may be destroyed by whoever it wakes") {
  SimLoop loop;
  static std::unique_ptr<ByteStream> held;
  MemoryPair pair = memory_pair(loop);
  held = std::move(pair.near);
  const auto read_and_drop = [](bool& done) -> Task<void> {
    const auto got = co_await held->read(0ms, StopToken());
    done = !got.ok() || got->end;
    held.reset();
  };
  bool done = false;
  spawn(read_and_drop(done));
  pair.far->reset();
  pair.far.reset();
  loop.run();
  CHECK(done);
  CHECK(held == nullptr);
}

TEST_CASE("the sim dialer connects, refuses, hangs and stops") {
  SimLoop loop;
  SimDialer dialer(loop);
  static std::unique_ptr<ByteStream> far;
  SimDialer::Site site;
  site.connect_time = 2s;
  site.accept = [](std::unique_ptr<ByteStream> stream) { far = std::move(stream); };
  dialer.set("a", 1, site);
  const auto dial = [](SimDialer& with, std::string host, StopToken stop,
                       std::string& outcome) -> Task<void> {
    Endpoint endpoint;
    endpoint.host = std::move(host);
    endpoint.port = 1;
    auto stream = co_await with.dial(std::move(endpoint), 3s, stop);
    outcome = stream.ok() ? "connected" : error_code_name(stream.error().code);
  };
  std::string outcome;
  spawn(dial(dialer, "a", StopToken(), outcome));
  loop.run_for(1s);
  CHECK(outcome.empty());
  loop.run_for(2s);
  CHECK(outcome == "connected");
  spawn(dial(dialer, "b", StopToken(), outcome));
  loop.run();
  CHECK(outcome == "connect_failed");
  site.silent = true;
  dialer.set("a", 1, site);
  spawn(dial(dialer, "a", StopToken(), outcome));
  loop.run();
  CHECK(outcome == "timeout");
  StopSource stop;
  spawn(dial(dialer, "a", stop.token(), outcome));
  stop.request_stop(StopReason::kClientGone);
  CHECK(outcome == "cancelled");
  far.reset();
  loop.run();
}
