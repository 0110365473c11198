#include <future>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "async/listener.h"
#include "async/tcp.h"
#include "async/tls.h"
#include "async/uv_dialer.h"
#include "async/uv_loop.h"
#include "http/client.h"
#include "http/server.h"
#include "support/certificates.h"

using namespace ccrules;
using namespace std::chrono_literals;

namespace {

Task<void> echo(http::Exchange& exchange) {
  const auto body = co_await exchange.read_body(64u << 20);
  const http::Headers none;
  if (!body.ok()) {
    (void)co_await exchange.send(body.error().http_status, none, body.error().message);
    co_return;
  }
  (void)co_await exchange.send(200, none, *body);
}

/// A server on a port of its own and a client, on one loop; stops the loop when the test's coroutine has
/// ended.
struct Net {
  explicit Net(http::Handler handler, std::shared_ptr<TlsContext> keys = nullptr,
               const std::string& ca_file = {})
      : dialer(loop),
        client(std::make_unique<http::Client>(loop, dialer)),
        server(loop, std::move(handler), {}) {
    auto opened = Listener::open(loop, "127.0.0.1", 0, [this, keys](int descriptor) {
      auto stream = adopt_tcp(loop, descriptor);
      REQUIRE(stream.ok());
      if (keys == nullptr) {
        server.serve(*std::move(stream));
      } else {
        spawn(secure(*this, *std::move(stream), keys));
      }
    });
    REQUIRE(opened.ok());
    listener = *std::move(opened);
    origin.host = "127.0.0.1";
    origin.port = listener->port();
    origin.tls = keys != nullptr;
    origin.ca_file = ca_file;
  }
  static Task<void> secure(Net& net, std::unique_ptr<ByteStream> plain, std::shared_ptr<TlsContext> keys) {
    auto stream = co_await tls_accept(std::move(plain), std::move(keys), 60s, StopToken());
    if (stream.ok()) net.server.serve(*std::move(stream));
  }

  static Task<void> ask(Net& net, std::string body, std::string& answer) {
    http::ClientRequest request;
    request.target = "/";
    request.host_header = "127.0.0.1";
    request.body = body;
    auto reply = co_await net.client->send(net.origin, request, http::ClientTimeouts(), StopToken());
    if (!reply.ok()) {
      answer = reply.error().message;
    } else {
      auto all = co_await http::read_all(**reply, 64u << 20, StopToken());
      answer = all.ok() ? *std::move(all) : all.error().message;
    }
    net.loop.post([&net] { net.loop.stop(); });
  }
  std::string ask(std::string body) {
    std::string answer;
    spawn(ask(*this, std::move(body), answer));
    loop.run();
    return answer;
  }

  UvLoop loop;
  UvDialer dialer;
  std::unique_ptr<http::Client> client;
  http::Server server;
  std::unique_ptr<Listener> listener;
  http::Origin origin;
};

std::string long_text(std::size_t size) {
  std::string text;
  for (std::size_t at = 0; text.size() < size; ++at) text += std::to_string(at) + ",";
  return text;
}

}  // namespace

TEST_CASE("requests of any size pass real sockets both ways on one kept connection") {
  Net net(echo);
  for (const std::size_t size : {0u, 1u, 1000u, 300'000u, 20'000'000u}) {
    const std::string body = size == 0 ? std::string() : long_text(size);
    CHECK(net.ask(body) == body);
  }
  CHECK(net.server.connections() == 1);
  CHECK(net.client->idle_connections() == 1);
}

TEST_CASE("the same over TLS, with the certificate checked against the address") {
  test::Authority authority;
  const auto files = authority.issue("IP:127.0.0.1");
  auto keys = TlsContext::server(files.certificate, files.key);
  REQUIRE(keys.ok());
  {
    Net net(echo, *keys, authority.file());
    for (const std::size_t size : {1u, 1000u, 300'000u, 5'000'000u}) {
      const std::string body = long_text(size);
      CHECK(net.ask(body) == body);
    }
    CHECK(net.client->idle_connections() == 1);
  }
  Net stranger(echo, *keys);
  CHECK(stranger.ask("x").find("is not trusted") != std::string::npos);
}

TEST_CASE("every origin is trusted by its own certificate authorities and by no other's") {
  test::Authority one;
  test::Authority other;
  const auto files = one.issue("IP:127.0.0.1");
  auto keys = TlsContext::server(files.certificate, files.key);
  REQUIRE(keys.ok());
  Net net(echo, *keys, one.file());
  CHECK(net.ask("x") == "x");
  net.origin.ca_file = other.file();  // neither the first one's authorities nor its kept connection serve it
  CHECK(net.ask("x").find("is not trusted") != std::string::npos);
  net.origin.ca_file = one.file();
  CHECK(net.ask("y") == "y");
}

TEST_CASE("a port in use, a port below 1024 or a foreign address gives one clear sentence") {
  UvLoop loop;
  auto first = Listener::open(loop, "127.0.0.1", 0, [](int descriptor) { ::close(descriptor); });
  REQUIRE(first.ok());
  const std::uint16_t port = (*first)->port();
  const auto second = Listener::open(loop, "127.0.0.1", port, [](int descriptor) { ::close(descriptor); });
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().message ==
        "cannot listen on 127.0.0.1:" + std::to_string(port) +
            ": the port is in use; stop the other program or set listen.port to another port");
  const auto foreign = Listener::open(loop, "192.0.2.1", port, [](int descriptor) { ::close(descriptor); });
  REQUIRE_FALSE(foreign.ok());
  CHECK(foreign.error().message.find("must be an address of this machine") != std::string::npos);
}

TEST_CASE("a refused connection names the address and the reason") {
  Net net(echo);
  const std::uint16_t port = net.listener->port();
  net.listener->close();
  CHECK(net.ask("x") == "cannot connect to 127.0.0.1:" + std::to_string(port) + ": connection refused");
  net.origin.host = "no-such-host.invalid";
  CHECK(net.ask("x").find("cannot connect to no-such-host.invalid: the name cannot be resolved") == 0);
}

// The sanitizer's own check of objects needs descriptors, so it cannot be where there are none.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
TEST_CASE("running out of file descriptors sheds connections and recovers, without a busy loop") {
  Net net(echo);
  CHECK(net.ask("before") == "before");
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  // Connections from outside the loop until no descriptor is left for accepting.
  std::vector<int> clients;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(net.listener->port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int at = 0; at < 8; ++at) {
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(client >= 0);
    REQUIRE(connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    clients.push_back(client);
  }
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(clients.back()) + 1;
  setrlimit(RLIMIT_NOFILE, &none);
  struct Later : Timer {
    explicit Later(UvLoop& wanted)
        : Timer([](Timer& timer) noexcept { static_cast<Later&>(timer).loop.stop(); }), loop(wanted) {}
    UvLoop& loop;
  };
  Later later(net.loop);
  later.start(net.loop.timers(), 300ms);
  timespec cpu_before{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu_before);
  net.loop.run();
  timespec cpu_after{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu_after);
  setrlimit(RLIMIT_NOFILE, &before);
  const auto cpu_ms =
      (cpu_after.tv_sec - cpu_before.tv_sec) * 1000 + (cpu_after.tv_nsec - cpu_before.tv_nsec) / 1'000'000;
  CHECK(cpu_ms < 150);
  for (const int client : clients) ::close(client);
  CHECK(net.ask("after") == "after");
}
#endif

TEST_CASE("work posted from other threads runs on the loop's thread, in order") {
  UvLoop loop;
  std::vector<int> seen;
  const std::thread::id here = std::this_thread::get_id();
  bool elsewhere = false;
  std::thread poster([&] {
    for (int at = 0; at < 1000; ++at) {
      loop.post([&, at] {
        elsewhere = elsewhere || std::this_thread::get_id() != here;
        seen.push_back(at);
      });
    }
    loop.post([&] { loop.stop(); });
  });
  loop.run();
  poster.join();
  CHECK(seen.size() == 1000);
  CHECK(std::is_sorted(seen.begin(), seen.end()));
  CHECK_FALSE(elsewhere);
}

TEST_CASE("a client that resets its connection stops the exchange and harms nobody") {
  static StopReason reason;
  reason = StopReason::kNone;
  static UvLoop* loop;
  static std::promise<void> asked;
  const auto wait = [](http::Exchange& exchange) -> Task<void> {
    asked.set_value();
    (void)co_await sleep_for(*loop, 60s, exchange.stop());
    reason = exchange.stop().reason();
    loop->stop();
  };
  Net net(wait);
  loop = &net.loop;
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(net.listener->port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  REQUIRE(send(client, kRequest.data(), kRequest.size(), 0) == static_cast<ssize_t>(kRequest.size()));
  std::thread resetter([client] {
    (void)asked.get_future().wait_for(30s);
    const linger now{1, 0};
    setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    ::close(client);
  });
  net.loop.run();
  resetter.join();
  CHECK(reason == StopReason::kClientGone);
}
