#include <array>

#include <catch2/catch.hpp>

#include "async/tls.h"
#include "support/certificates.h"
#include "support/sim_world.h"

using namespace ccrules;
using namespace std::chrono_literals;
using test::SimWorld;

namespace {

enum class Disturbance { kStop, kServerGone, kBothGone };

struct Keys {
  Keys() {
    const auto files = authority.issue("DNS:api.example");
    server = *TlsContext::server(files.certificate, files.key);
    client = *TlsContext::client(authority.file());
  }
  test::Authority authority;
  std::shared_ptr<TlsContext> server;
  std::shared_ptr<TlsContext> client;
};

/// A client that shakes hands, asks once over TLS and reads the answer to the end.
struct Secure : test::Scenario {
  Secure(SimWorld& in, const Keys& with, Disturbance how)
      : world(in), keys(with), disturbance(how), server(in.loop, &Secure::answer, http::ServerLimits()) {
    Wire wire;
    wire.cut = 900;
    MemoryPair pair = memory_pair(world.loop, wire, wire);
    spawn(listen(*this, std::move(pair.far)));
    spawn(ask(*this, std::move(pair.near)));
  }

  static Task<void> answer(http::Exchange& exchange) {
    const auto body = co_await exchange.read_body(100);
    if (!body.ok()) co_return;
    const http::Headers none;
    exchange.start(200, none);
    for (int at = 0; at < 3; ++at) {
      const auto written = co_await exchange.write(*body);
      if (!written.ok()) co_return;
    }
    (void)co_await exchange.finish("end");
  }

  static Task<void> listen(Secure& self, std::unique_ptr<ByteStream> lower) {
    auto stream = co_await tls_accept(std::move(lower), self.keys.server, 5s, self.server_stop.token());
    if (stream.ok()) self.server.serve(*std::move(stream));
  }

  static Task<void> ask(Secure& self, std::unique_ptr<ByteStream> lower) {
    Endpoint endpoint;
    endpoint.host = "api.example";
    endpoint.port = 443;
    auto stream = co_await tls_connect(std::move(lower), self.keys.client, std::move(endpoint), 5s,
                                       self.client_stop.token());
    if (stream.ok()) {
      const std::array<std::string_view, 1> request = {
          "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"};
      (void)co_await (*stream)->write(request, self.client_stop.token());
      for (;;) {
        const auto got = co_await (*stream)->read(0ms, self.client_stop.token());
        if (!got.ok()) break;
        if (got->end) {
          self.ended = true;
          break;
        }
        self.received.append(got->bytes);
      }
    }
    self.finished = true;
  }

  void disturb() override {
    if (disturbance != Disturbance::kServerGone) client_stop.request_stop(StopReason::kDeadline);
    if (disturbance != Disturbance::kStop) {
      server_stop.request_stop(StopReason::kShutdown);
      server.shutdown();
    }
  }

  void check(bool disturbed) override {
    CHECK(finished);
    CHECK(server.connections() == 0);
    const auto message = test::read_message(received);
    if (!disturbed) CHECK((message.complete && ended));
    if (message.complete) CHECK(message.body == "hellohellohelloend");
  }

  SimWorld& world;
  const Keys& keys;
  Disturbance disturbance;
  StopSource client_stop;
  StopSource server_stop;
  http::Server server;
  std::string received;
  bool ended = false;
  bool finished = false;
};

}  // namespace

TEST_CASE("TLS disturbed at every step of handshake, request and answer leaves nothing behind") {
  const Keys keys;
  for (const Disturbance how : {Disturbance::kStop, Disturbance::kServerGone, Disturbance::kBothGone}) {
    const std::size_t steps =
        test::at_every_step([&](SimWorld& world) { return std::make_unique<Secure>(world, keys, how); });
    CHECK(steps > 10);
  }
}
