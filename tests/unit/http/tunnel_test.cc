#include <catch2/catch.hpp>

#include "http/client.h"
#include "support/sim_proxy.h"

using namespace ccrules;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using test::SimProxy;
using test::SimWorld;

namespace {

const std::string kOk = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

http::Origin origin_of(bool tls) {
  http::Origin origin;
  origin.tls = tls;
  origin.host = "up";
  origin.port = tls ? 443 : 80;
  origin.proxy.host = "proxy";
  origin.proxy.port = 3128;
  return origin;
}

Task<void> ask_for(SimWorld& world, http::Origin origin, std::string& answer, StopToken stop) {
  http::ClientRequest request;
  request.target = "/t?q";
  request.host_header = "up";
  request.body = "{}";
  http::ClientTimeouts timeouts;
  timeouts.connect = 5s;
  auto reply = co_await world.client.send(origin, request, timeouts, stop);
  if (!reply.ok()) {
    answer = reply.error().message;
    co_return;
  }
  auto all = co_await http::read_all(**reply, 1000, stop);
  answer = all.ok() ? *all : all.error().message;
}

std::string ask(SimWorld& world, const http::Origin& origin) {
  std::string answer;
  spawn(ask_for(world, origin, answer, StopToken()));
  world.loop.run_for(20s);
  return answer;
}

}  // namespace

TEST_CASE("an https origin is reached by CONNECT, and the tunnel is kept for the next request") {
  for (const std::size_t cut : {std::size_t{0}, std::size_t{1}}) {
    SimWorld world;
    SimDialer::Site site;
    site.from_site.cut = cut;
    SimProxy proxy(world, "proxy", 3128, site);
    world.script("up", 443, kOk);
    http::Origin origin = origin_of(true);
    origin.proxy.authorization = http::basic_authorization("Aladdin", "open sesame");
    CHECK(ask(world, origin) == "ok");
    CHECK(ask(world, origin) == "ok");
    REQUIRE(proxy.heads.size() == 1);
    CHECK(proxy.heads[0] ==
          "CONNECT up:443 HTTP/1.1\r\nhost: up:443\r\n"
          "proxy-authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n");
    CHECK_THAT(world.scripted_requests, Contains("POST /t?q HTTP/1.1\r\nhost: up\r\n") && !Contains("Basic"));
    world.client.close_idle();
    world.loop.run_for(1s);
  }
}

TEST_CASE("an http origin is asked for at the proxy by its whole address") {
  SimWorld world;
  world.script("proxy", 3128, kOk);
  http::Origin origin = origin_of(false);
  origin.proxy.authorization = http::basic_authorization("a", "");
  CHECK(ask(world, origin) == "ok");
  CHECK_THAT(world.scripted_requests,
             Contains("POST http://up/t?q HTTP/1.1\r\nhost: up\r\nproxy-authorization: Basic YTo=\r\n"));
}

TEST_CASE("an origin behind a proxy and the same one without are two pools") {
  SimWorld world;
  SimProxy proxy(world, "proxy", 3128);
  world.script("up", 443, kOk);
  http::Origin direct = origin_of(true);
  direct.proxy = {};
  CHECK(ask(world, origin_of(true)) == "ok");
  CHECK(ask(world, direct) == "ok");
  CHECK(world.client.idle_connections() == 2);
  world.client.close_idle();
  world.loop.run_for(1s);
}

TEST_CASE("what a proxy refuses is told with its name, and never with its password") {
  struct Case {
    const char* answer;
    const char* message;
  };
  for (const Case& one : {
           Case{"HTTP/1.1 407 Who\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n",
                "the proxy proxy:3128 does not accept the user name and password in its URL (407)"},
           Case{"HTTP/1.1 403 No\r\n\r\n",
                "the proxy proxy:3128 does not connect to up:443: it answered 403; it must allow this "
                "address, or no_proxy must "
                "name it"},
           Case{"HTTP/1.1 502 Bad\r\n\r\n",
                "the proxy proxy:3128 does not connect to up:443: it answered 502, so it cannot reach it "
                "itself"},
           Case{"HTTP/1.1 404 What\r\n\r\n",
                "the proxy proxy:3128 does not connect to up:443: it answered 404; is it an HTTP proxy?"},
           Case{"SSH-2.0-OpenSSH\r\n", "the proxy proxy:3128 does not answer in HTTP"},
           Case{"HTTP/1.1 200 OK\r\n\r\nhello there",
                "the proxy proxy:3128 sends something of its own instead of what up:443 sends"},
           Case{"", "the proxy proxy:3128 closed the connection instead of connecting to up:443"},
       }) {
    SimWorld world;
    SimProxy proxy(world, "proxy", 3128);
    proxy.answer = one.answer;
    http::Origin origin = origin_of(true);
    origin.proxy.authorization = http::basic_authorization("me", "s3cret");
    const std::string answer = ask(world, origin);
    CHECK_THAT(answer, Contains(one.message) && !Contains("s3cret") && !Contains("Basic"));
  }
  SimWorld world;
  world.script("proxy", 3128, "HTTP/1.1 407 Who\r\ncontent-length: 0\r\n\r\n");
  CHECK(ask(world, origin_of(false)) ==
        "the proxy proxy:3128 asks for a user name and password (407): write its URL as "
        "http://user:password@host:port");
}

TEST_CASE("a proxy that is not there, or says nothing, is told in its own name within the time to connect") {
  {
    SimWorld world;
    CHECK(ask(world, origin_of(true)) ==
          "through the proxy proxy:3128: cannot connect to proxy:3128: connection refused");
  }
  SimWorld world;
  MemoryPair held;
  SimDialer::Site silent;
  std::unique_ptr<ByteStream> kept;
  silent.accept = [&kept](std::unique_ptr<ByteStream> stream) { kept = std::move(stream); };
  world.dialer.set("proxy", 3128, silent);
  CHECK(ask(world, origin_of(true)) == "the proxy proxy:3128 did not connect to up:443 within 5000 ms");
}

namespace {

struct Tunnelled : test::Scenario {
  explicit Tunnelled(SimWorld& in) : world(in), proxy(in, "proxy", 3128) {
    world.script("up", 443, kOk);
    spawn(ask_for(world, origin_of(true), answer, stop.token()));
  }
  void disturb() override { stop.request_stop(StopReason::kClientGone); }
  void check(bool disturbed) override {
    CHECK_FALSE(answer.empty());
    if (!disturbed) CHECK(answer == "ok");
    world.client.close_idle();
    world.loop.run();
  }
  SimWorld& world;
  SimProxy proxy;
  StopSource stop;
  std::string answer;
};

}  // namespace

TEST_CASE("a request that is given up at any step of a tunnel leaves nothing behind") {
  CHECK(test::at_every_step([](SimWorld& world) { return std::make_unique<Tunnelled>(world); }) > 5);
}
