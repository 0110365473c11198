#include "http/client.h"

#include <catch2/catch.hpp>

#include "core/limits.h"
#include "support/sim_world.h"

using namespace ccrules;
using namespace std::chrono_literals;
using test::SimWorld;

namespace {

struct Asked {
  bool finished = false;
  int status = 0;
  std::string body;
  std::string error;  ///< code name, empty when it went well
  std::string message;
};

/// Sends one request and reads the whole reply.
Task<void> ask_for(SimWorld& world, Asked& asked, http::ClientTimeouts timeouts, StopToken stop,
                   std::string method, std::string target) {
  http::Origin origin;
  origin.host = "up";
  origin.port = 80;
  http::Headers headers;
  headers.add("x-a", "b");
  const std::string body = "{}";
  http::ClientRequest request;
  request.method = method;
  request.target = target;
  request.host_header = "up";
  request.headers = &headers;
  request.body = body;
  auto reply = co_await world.client.send(origin, request, timeouts, stop);
  if (reply.ok()) {
    asked.status = (*reply)->status();
    auto all = co_await http::read_all(**reply, 1'000'000, stop);
    if (all.ok()) {
      asked.body = *std::move(all);
    } else {
      asked.error = error_code_name(all.error().code);
      asked.message = all.error().message;
    }
  } else {
    asked.error = error_code_name(reply.error().code);
    asked.message = reply.error().message;
  }
  asked.finished = true;
}

Asked ask(SimWorld& world, http::ClientTimeouts timeouts = {}, std::string method = "POST",
          std::string target = "/t") {
  Asked asked;
  spawn(ask_for(world, asked, timeouts, StopToken(), std::move(method), std::move(target)));
  for (int second = 0; second < 100 && !asked.finished; ++second) world.loop.run_for(1s);
  REQUIRE(asked.finished);
  return asked;
}

const std::string kOk = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

}  // namespace

TEST_CASE("a request goes out with host and length, and the reply comes back") {
  SimWorld world;
  world.script("up", 80, kOk);
  const Asked asked = ask(world);
  CHECK(asked.status == 200);
  CHECK(asked.body == "ok");
  CHECK(world.scripted_requests ==
        "POST /t HTTP/1.1\r\nhost: up\r\nx-a: b\r\naccept-encoding: identity\r\ncontent-length: 2\r\n\r\n{}");
  CHECK(world.client.idle_connections() == 1);
}

TEST_CASE("replies cut at every byte read the same") {
  for (const char* reply :
       {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;e=f\r\nd\r\n0\r\nT: t\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
        "4\r\n\r\nabcd"}) {
    for (std::size_t cut = 1; cut < 20; ++cut) {
      SimWorld world;
      SimDialer::Site site;
      site.from_site.cut = cut;
      world.script("up", 80, reply, false, site);
      const Asked asked = ask(world);
      CHECK(asked.body == "abcd");
      CHECK(world.client.idle_connections() == 1);
    }
  }
}

TEST_CASE("a connection is used again for the next request to the same origin") {
  SimWorld world;
  world.script("up", 80, kOk);
  for (int round = 0; round < 3; ++round) CHECK(ask(world).body == "ok");
  CHECK(world.dialer.dialled() == 1);
  world.loop.run_for(limits::kPoolIdleTime);
  CHECK(world.client.idle_connections() == 0);
}

TEST_CASE("a reply without length ends with the connection, which is not used again") {
  SimWorld world;
  world.script("up", 80, "HTTP/1.1 200 OK\r\n\r\nto the end", true);
  CHECK(ask(world).body == "to the end");
  CHECK(world.client.idle_connections() == 0);
}

TEST_CASE("a reply that is cut is a lost connection, never an end") {
  const std::string replies[] = {"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
                                 "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
                                 "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
                                 "HTTP/1.1 200 O"};
  for (const std::string& reply : replies) {
    INFO(reply);
    SimWorld world;
    world.script("up", 80, reply, true);
    CHECK(ask(world).error == "connection_lost");
    CHECK(world.client.idle_connections() == 0);
  }
  // A reset is no end either, not even where the end of the connection is the end of the reply.
  SimWorld world;
  SimDialer::Site site;
  site.from_site.break_after = 25;
  world.script("up", 80, "HTTP/1.1 200 OK\r\n\r\nto the end", false, site);
  CHECK(ask(world).error == "connection_lost");
}

TEST_CASE("bytes after the reply end the connection instead of being taken for the next reply") {
  SimWorld world;
  world.script("up", 80, kOk + "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison");
  CHECK(ask(world).body == "ok");
  CHECK(world.client.idle_connections() == 0);
  CHECK(ask(world).body == "ok");
}

TEST_CASE("bytes that come on an idle connection end it") {
  SimWorld world;
  static Loop* loop;
  loop = &world.loop;
  static std::ptrdiff_t asked_times;
  asked_times = 0;
  const auto talkative = [](std::unique_ptr<ByteStream> stream) -> Task<void> {
    for (;;) {
      const auto got = co_await stream->read(0ms, StopToken());
      if (!got.ok() || got->end) co_return;
      ++asked_times;
      const std::string_view first[] = {kOk};
      (void)co_await stream->write(first, StopToken());
      (void)co_await sleep_for(*loop, 5s, StopToken());
      const std::string_view second[] = {"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"};
      (void)co_await stream->write(second, StopToken());
    }
  };
  SimDialer::Site site;
  site.accept = [talkative](std::unique_ptr<ByteStream> stream) { spawn(talkative(std::move(stream))); };
  world.dialer.set("up", 80, site);
  Asked first;
  spawn(ask_for(world, first, {}, StopToken(), "POST", "/t"));
  world.loop.run_for(10s);
  CHECK(first.body == "ok");
  Asked second;
  spawn(ask_for(world, second, {}, StopToken(), "POST", "/t"));
  world.loop.run_for(2s);
  CHECK(second.body == "ok");
  CHECK(world.dialer.dialled() == 2);
}

TEST_CASE(
    "a kept connection that the upstream has closed is noticed, and one that dies under the request is "
    "replaced once") {
  SimWorld world;
  world.script("up", 80, kOk, true);  // closes after each reply without saying so
  CHECK(ask(world).body == "ok");
  CHECK(world.client.idle_connections() == 0);
  // Answers once, then hangs up when the second request comes.
  static int served;
  served = 0;
  const auto once = [](std::unique_ptr<ByteStream> stream) -> Task<void> {
    const auto got = co_await stream->read(0ms, StopToken());
    if (!got.ok()) co_return;
    ++served;
    const std::string_view reply[] = {kOk};
    (void)co_await stream->write(reply, StopToken());
    (void)co_await stream->read(0ms, StopToken());
  };
  SimDialer::Site site;
  site.accept = [once](std::unique_ptr<ByteStream> stream) { spawn(once(std::move(stream))); };
  world.dialer.set("up", 80, site);
  Asked first;
  spawn(ask_for(world, first, {}, StopToken(), "POST", "/t"));
  world.loop.run_for(1s);
  CHECK(world.client.idle_connections() == 1);
  Asked second;
  spawn(ask_for(world, second, {}, StopToken(), "POST", "/t"));
  world.loop.run_for(1s);
  CHECK(second.body == "ok");
  CHECK(served == 2);
}

TEST_CASE("a kept connection that is lost long after a request went out may have been at work on it: it is not asked twice") {
  for (const auto after : {200ms, 5000ms}) {
    CAPTURE(after.count());
    SimWorld world;
    static int asked;
    asked = 0;
    static std::chrono::milliseconds works;
    works = after;
    const auto site = [](SimWorld* on, std::unique_ptr<ByteStream> stream) -> Task<void> {
      const std::string_view reply[] = {kOk};
      for (bool first = true;; first = false) {
        const auto got = co_await stream->read(0ms, StopToken());
        if (!got.ok() || got->end) co_return;
        ++asked;
        if (!first) break;
        auto written = co_await stream->write(reply, StopToken());
        if (!written.ok()) co_return;
      }
      auto slept = co_await sleep_for(on->loop, works, StopToken());
      (void)slept;
      stream->reset();
    };
    SimDialer::Site up;
    up.accept = [site, &world](std::unique_ptr<ByteStream> stream) { spawn(site(&world, std::move(stream))); };
    world.dialer.set("up", 80, up);
    Asked first;
    spawn(ask_for(world, first, {}, StopToken(), "POST", "/t"));
    world.loop.run_for(1s);
    Asked second;
    spawn(ask_for(world, second, {}, StopToken(), "POST", "/t"));
    world.loop.run_for(20s);
    CHECK(asked == (after < 1000ms ? 3 : 2));
    CHECK(second.body == (after < 1000ms ? "ok" : ""));
  }
}

TEST_CASE("a reply that was not read to its end closes its connection") {
  SimWorld world;
  world.script("up", 80, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
  const auto drop = [](SimWorld& on) -> Task<void> {
    http::Origin origin;
    origin.host = "up";
    origin.port = 80;
    http::ClientRequest request;
    request.target = "/";
    request.host_header = "up";
    auto reply = co_await on.client.send(origin, request, http::ClientTimeouts(), StopToken());
    REQUIRE(reply.ok());
    const auto chunk = co_await (*reply)->read(0ms, StopToken());
    CHECK(chunk.ok());
    CHECK(chunk->bytes == "half");
    CHECK_FALSE(chunk->end);
  };
  spawn(drop(world));
  world.loop.run_for(1s);
  CHECK(world.client.idle_connections() == 0);
}

TEST_CASE("a reply that has no body is over with its head: its connection is kept without a read") {
  SimWorld world;
  world.script("up", 80, "HTTP/1.1 204 No Content\r\n\r\n");
  const auto head_only = [](SimWorld& on) -> Task<void> {
    http::Origin origin;
    origin.host = "up";
    origin.port = 80;
    http::ClientRequest request;
    request.target = "/";
    request.host_header = "up";
    const auto reply = co_await on.client.send(origin, request, http::ClientTimeouts(), StopToken());
    CHECK(reply.ok());
  };
  spawn(head_only(world));
  world.loop.run_for(1s);
  CHECK(world.client.idle_connections() == 1);
}

TEST_CASE("connecting, refusing, hanging and garbage each give their own error") {
  http::ClientTimeouts timeouts;
  timeouts.connect = 2s;
  timeouts.first_byte = 3s;
  {
    SimWorld world;
    const Asked asked = ask(world, timeouts);
    CHECK(asked.error == "connect_failed");
    CHECK(asked.message == "cannot connect to up:80: connection refused");
  }
  {
    SimWorld world;
    SimDialer::Site site;
    site.silent = true;
    world.script("up", 80, kOk, false, site);
    CHECK(ask(world, timeouts).error == "timeout");
  }
  {
    SimWorld world;
    world.script("up", 80, "");
    const Asked asked = ask(world, timeouts);
    CHECK(asked.error == "timeout");
    CHECK(asked.message == "the upstream did not answer within 3000 ms");
  }
  for (const char* garbage : {"SSH-2.0-OpenSSH\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
                              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
                              "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
                              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    SimWorld world;
    world.script("up", 80, garbage);
    CHECK(ask(world, timeouts).error == "protocol");
    CHECK(world.client.idle_connections() == 0);
  }
}

TEST_CASE("endless interim replies and endless heads are cut off") {
  std::string interim;
  for (int at = 0; at < 100; ++at) interim += "HTTP/1.1 100 Continue\r\n\r\n";
  SimWorld world;
  world.script("up", 80, interim);
  CHECK(ask(world).error == "protocol");
  SimWorld other;
  other.script("up", 80, "HTTP/1.1 200 OK\r\nA: " + std::string(limits::kHeaderBytes, 'a'));
  CHECK(ask(other).error == "protocol");
}

TEST_CASE("the reply to HEAD has no body, whatever its head announces") {
  SimWorld world;
  world.script("up", 80, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n");
  const Asked asked = ask(world, {}, "HEAD");
  CHECK(asked.status == 200);
  CHECK(asked.body.empty());
  CHECK(world.client.idle_connections() == 1);
}

TEST_CASE("a redirect is handed out as it came, never followed") {
  SimWorld world;
  world.script("up", 80, "HTTP/1.1 302 Found\r\nlocation: http://elsewhere/\r\ncontent-length: 0\r\n\r\n");
  CHECK(ask(world).status == 302);
  CHECK(world.dialer.dialled() == 1);
}

TEST_CASE("a target or method that could begin another request is refused") {
  SimWorld world;
  world.script("up", 80, kOk);
  CHECK(ask(world, {}, "POST", "/a HTTP/1.1\r\nx: y").error == "internal");
  CHECK(ask(world, {}, "PO ST", "/").error == "internal");
  CHECK(ask(world, {}, "POST", "").error == "internal");
  CHECK(world.dialer.dialled() == 0);
}

TEST_CASE("an early refusal is read although the request could not be sent whole") {
  SimWorld world;
  const auto refuses = [](std::unique_ptr<ByteStream> stream) -> Task<void> {
    (void)co_await stream->read(0ms, StopToken());
    const std::string_view reply[] = {"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig"};
    (void)co_await stream->write(reply, StopToken());
  };
  SimDialer::Site site;
  site.to_site.window = 10'000;
  site.accept = [refuses](std::unique_ptr<ByteStream> stream) { spawn(refuses(std::move(stream))); };
  world.dialer.set("up", 80, site);
  static int status;
  status = 0;
  const auto big = [](SimWorld& on) -> Task<void> {
    http::Origin origin;
    origin.host = "up";
    origin.port = 80;
    const std::string body(3'000'000, 'x');
    http::ClientRequest request;
    request.target = "/";
    request.host_header = "up";
    request.body = body;
    auto reply = co_await on.client.send(origin, request, http::ClientTimeouts(), StopToken());
    if (reply.ok()) status = (*reply)->status();
  };
  spawn(big(world));
  world.loop.run_for(70s);
  CHECK(status == 413);
}

TEST_CASE("retry-after is read from seconds, milliseconds and dates, and nonsense is absent") {
  const auto of = [](std::string_view name, std::string_view value) {
    http::Headers headers;
    headers.add(name, value);
    return http::retry_after_ms(headers, 784'111'770'000'000);  // 1994-11-06 08:49:30
  };
  CHECK(of("retry-after", "5") == 5000);
  CHECK(of("retry-after-ms", "250") == 250);
  CHECK(of("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT") == 7000);
  CHECK(of("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT") == 0);
  CHECK(of("retry-after", "Sun, 30 Feb 1994 08:49:00 GMT") == -1);
  CHECK(of("retry-after", "soon") == -1);
  CHECK(of("retry-after", "-5") == -1);
  CHECK(of("retry-after", "99999999999") == 7LL * 24 * 3600 * 1000);
  CHECK(of("x", "5") == -1);
}

TEST_CASE("a base URL is taken apart, and a wrong one is refused with what to write") {
  const auto base = http::parse_base_url("https://API.example.com/v1/");
  REQUIRE(base.ok());
  CHECK(base->origin == http::Origin{true, "api.example.com", 443, "", false, {}});
  CHECK(base->prefix == "/v1");
  CHECK(base->host_header == "API.example.com");
  const auto six = http::parse_base_url("http://[::1]:8080");
  REQUIRE(six.ok());
  CHECK(six->origin == http::Origin{false, "::1", 8080, "", false, {}});
  CHECK(six->host_header == "[::1]:8080");
  CHECK(six->prefix.empty());
  for (const char* wrong : {"grok", "ftp://x", "https://", "https://user:pw@x/", "https://x/#a",
                            "https://x/?a", "https://x:0/", "https://x:99999", "https://x:y", "https://x y",
                            "https://x\r\ny", "https://[::1", "https://[::1]x", "http://x\\y"}) {
    INFO(wrong);
    CHECK_FALSE(http::parse_base_url(wrong).ok());
  }
}

TEST_CASE("headers keep their order, compare without case and trim their values") {
  http::Headers headers;
  headers.add("A", " 1 ");
  headers.add("b", "2");
  headers.add("a", "3");
  CHECK(headers.get("a") == "1");
  CHECK(headers.size() == 3);
  headers.set("A", "4");
  CHECK(headers.size() == 2);
  CHECK(headers.get("a") == "4");
  headers.remove("B");
  CHECK_FALSE(headers.has("b"));
  CHECK(http::is_hop_by_hop("Connection"));
  CHECK_FALSE(http::is_hop_by_hop("content-type"));
}
