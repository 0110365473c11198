#include <catch2/catch.hpp>

#include "support/sim_world.h"

using namespace ccrules;
using namespace std::chrono_literals;
using test::MemoryClient;
using test::SimWorld;

namespace {

enum class Disturbance { kLeave, kReset, kDeadline, kShutdown, kUpstreamGone };

/// A relay, as small as one can be: reads the body, asks the upstream, streams its reply.
struct Relay : test::Scenario {
  Relay(SimWorld& in, Disturbance how, Wire wire)
      : world(in),
        disturbance(how),
        server(
            in.loop, [this](http::Exchange& exchange) { return relay(*this, exchange); },
            http::ServerLimits()),
        client(in.loop, server, wire, wire) {
    SimDialer::Site site;
    site.to_site = wire;
    site.from_site = wire;
    world.serve("up", 80, &Relay::upstream, site);
    upstream_loop = &world.loop;
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
  }

  static Task<void> upstream(http::Exchange& exchange) {
    auto body = co_await exchange.read_body(1000);
    if (!body.ok()) co_return;
    const http::Headers none;
    exchange.start(200, none);
    for (int at = 0; at < 3; ++at) {
      const auto slept = co_await sleep_for(*upstream_loop, 100ms, exchange.stop());
      if (!slept.ok()) co_return;
      const auto written = co_await exchange.write(*body);
      if (!written.ok()) co_return;
    }
    (void)co_await exchange.finish("end");
  }

  static Task<void> relay(Relay& self, http::Exchange& exchange) {
    ++self.begun;
    StopSource stop(exchange.stop());
    Deadline deadline(self.world.loop, stop);
    deadline.set(10s);
    self.running = &stop;
    auto outcome = co_await attempt(self, exchange, stop.token());
    self.running = nullptr;
    if (!outcome.ok()) self.error = error_code_name(outcome.error().code);
    ++self.finished;
  }

  static Task<Result<void>> attempt(Relay& self, http::Exchange& exchange, StopToken stop) {
    CCR_CO_TRY(body, co_await exchange.read_body(1000));
    http::Origin origin;
    origin.host = "up";
    origin.port = 80;
    http::ClientRequest request;
    request.target = "/";
    request.host_header = "up";
    request.body = body;
    CCR_CO_TRY(reply, co_await self.world.client.send(origin, request, http::ClientTimeouts(), stop));
    exchange.start(reply->status(), reply->headers());
    for (;;) {
      auto chunk = co_await reply->read(1s, stop);
      if (!chunk.ok()) {
        exchange.abort();
        co_return std::move(chunk).error();
      }
      if (chunk->end) co_return co_await exchange.finish(chunk->bytes);
      CCR_CO_CHECK(co_await exchange.write(chunk->bytes));
    }
  }

  void disturb() override {
    switch (disturbance) {
      case Disturbance::kLeave:
        return client.leave();
      case Disturbance::kReset:
        return client.reset();
      case Disturbance::kDeadline:
        if (running != nullptr) running->request_stop(StopReason::kDeadline);
        return;
      case Disturbance::kShutdown:
        return server.shutdown();
      case Disturbance::kUpstreamGone: {
        SimDialer::Site gone;
        world.dialer.set("up", 80, gone);
        world.stop_upstreams();
        return;
      }
    }
  }

  void check(bool disturbed) override {
    CHECK(begun == finished);
    CHECK(server.connections() == 0);
    const auto answer = test::read_message(client.received());
    if (!disturbed) {
      CHECK(answer.body == "hellohellohelloend");
      CHECK(answer.complete);
    }
    // Whatever happens: an answer that is complete is right.
    if (answer.complete && answer.first_line == "HTTP/1.1 200 OK") CHECK(answer.body == "hellohellohelloend");
  }

  static inline Loop* upstream_loop = nullptr;
  SimWorld& world;
  Disturbance disturbance;
  http::Server server;
  MemoryClient client;
  StopSource* running = nullptr;
  int begun = 0;
  int finished = 0;
  std::string error;
};

}  // namespace

TEST_CASE("a relay disturbed at every step leaves no frame, no connection and no wrong answer") {
  Wire cut;
  cut.cut = 7;
  Wire late;
  late.latency = 20ms;
  for (const Disturbance how : {Disturbance::kLeave, Disturbance::kReset, Disturbance::kDeadline,
                                Disturbance::kShutdown, Disturbance::kUpstreamGone}) {
    for (const Wire& wire : {Wire(), cut, late}) {
      const std::size_t steps =
          test::at_every_step([&](SimWorld& world) { return std::make_unique<Relay>(world, how, wire); });
      CHECK(steps > 10);
    }
  }
}
