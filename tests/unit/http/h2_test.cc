#include <catch2/catch.hpp>

#include "core/limits.h"
#include "http/client.h"
#include "support/h2_server.h"

using namespace ccrules;
using namespace std::chrono_literals;
using test::H2Server;
using test::SimWorld;

namespace {

struct Asked {
  bool finished = false;
  int status = 0;
  std::string body;
  std::string error;  ///< code name, empty when it went well
  std::string message;
  http::Headers headers;
};

http::Origin origin_of(const std::string& host = "up") {
  http::Origin origin;
  origin.tls = true;
  origin.http2 = true;
  origin.host = host;
  origin.port = 443;
  return origin;
}

struct Call {
  std::string body = "{}";
  std::string target = "/t";
  std::size_t read_bytes = static_cast<std::size_t>(-1);  ///< stops reading after so many
  std::chrono::milliseconds rest{0};                      ///< between two reads
  http::ClientTimeouts timeouts;
};

Task<void> ask_for(SimWorld& world, Asked& asked, Call call, StopToken stop) {
  http::Headers headers;
  headers.add("X-Api-Key", "secret");
  headers.add("Connection", "keep-alive");
  http::ClientRequest request;
  request.target = call.target;
  request.host_header = "up:443";
  request.headers = &headers;
  request.body = call.body;
  const http::Origin origin = origin_of();
  auto reply = co_await world.client.send(origin, request, call.timeouts, stop);
  if (reply.ok()) {
    asked.status = (*reply)->status();
    asked.headers = (*reply)->headers();
    while (asked.body.size() < call.read_bytes) {
      auto chunk = co_await (*reply)->read(0ms, stop);
      if (!chunk.ok()) {
        asked.error = error_code_name(chunk.error().code);
        asked.message = chunk.error().message;
        break;
      }
      asked.body += chunk->bytes;
      if (chunk->end) break;
      if (call.rest.count() > 0) (void)co_await sleep_for(world.loop, call.rest, stop);
    }
  } else {
    asked.error = error_code_name(reply.error().code);
    asked.message = reply.error().message;
  }
  asked.finished = true;
}

void begin(SimWorld& world, Asked& asked, Call call = {}, StopToken stop = {}) {
  spawn(ask_for(world, asked, std::move(call), stop));
}

Asked ask(SimWorld& world, Call call = {}) {
  Asked asked;
  begin(world, asked, std::move(call));
  for (int second = 0; second < 200 && !asked.finished; ++second) world.loop.run_for(1s);
  REQUIRE(asked.finished);
  return asked;
}

/// Answers with "path body".
void echo(H2Server::Session& session, H2Server::Request& request) {
  session.answer(request.id, 200, request.head[":path"] + " " + request.body,
                 {{"content-type", "text/plain"}});
}

std::string long_text(std::size_t size) {
  std::string text;
  for (std::size_t at = 0; text.size() < size; ++at) text += std::to_string(at) + ",";
  return text;
}

}  // namespace

TEST_CASE("where the server agrees to HTTP/2, requests share one connection") {
  SimWorld world;
  H2Server up(world, "up", 443, echo);
  std::array<Asked, 20> all;
  for (std::size_t i = 0; i < all.size(); ++i) {
    Call call;
    call.target = "/" + std::to_string(i);
    begin(world, all[i], call);
  }
  world.loop.run_for(1s);
  for (std::size_t i = 0; i < all.size(); ++i) {
    CHECK(all[i].status == 200);
    CHECK(all[i].body == "/" + std::to_string(i) + " {}");
    CHECK(all[i].headers.get("content-type") == "text/plain");
  }
  CHECK(world.dialer.dialled() == 1);
  CHECK(world.client.idle_connections() == 1);
  CHECK(ask(world).body == "/t {}");
  CHECK(world.dialer.dialled() == 1);
  const auto& head = up.sessions.at(0)->requests.at(1).head;
  CHECK(head.at(":method") == "POST");
  CHECK(head.at(":scheme") == "https");
  CHECK(head.at(":authority") == "up:443");
  CHECK(head.at("x-api-key") == "secret");
  CHECK(head.at("content-length") == "2");
  CHECK(head.at("accept-encoding") == "identity");
  CHECK_FALSE(head.contains("connection"));
  world.loop.run_for(limits::kPoolIdleTime + 1s);
  CHECK(world.client.idle_connections() == 0);
  CHECK(up.sessions.at(0)->ended);
}

TEST_CASE("where the server does not agree, requests go over HTTP/1.1 connections") {
  SimWorld world;
  world.script("up", 443, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
  std::array<Asked, 5> all;
  for (Asked& asked : all) begin(world, asked);
  world.loop.run_for(1s);
  for (const Asked& asked : all) CHECK(asked.body == "ok");
  CHECK(ask(world).body == "ok");
  CHECK(world.client.idle_connections() == 5);
}

TEST_CASE("bodies of any size pass both ways, in any cut") {
  for (const std::size_t cut : {std::size_t{0}, std::size_t{1}, std::size_t{1000}}) {
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, std::size_t{70'000}, std::size_t{3'000'000}}) {
      if (cut == 1 && size > 100'000) continue;
      SimWorld world;
      SimDialer::Site site;
      site.to_site.cut = cut;
      site.from_site.cut = cut;
      site.from_site.window = 100'000;
      site.to_site.window = 100'000;
      H2Server up(world, "up", 443, echo, {}, site);
      Call call;
      call.body = size == 0 ? std::string() : long_text(size);
      const Asked asked = ask(world, call);
      CHECK(asked.error.empty());
      CHECK(asked.body == "/t " + call.body);
    }
  }
}

TEST_CASE("more requests than the server allows at once open a second connection") {
  SimWorld world;
  H2Server::Options few;
  few.max_streams = 2;
  std::vector<std::pair<H2Server::Session*, std::int32_t>> waiting;
  H2Server up(
      world, "up", 443,
      [&](H2Server::Session& session, H2Server::Request& request) {
        waiting.emplace_back(&session, request.id);
      },
      few);
  Asked first;
  begin(world, first);
  world.loop.run_for(1s);  // now its limit is known
  std::array<Asked, 4> more;
  for (Asked& asked : more) begin(world, asked);
  world.loop.run_for(1s);
  CHECK(up.sessions.size() == 3);
  CHECK(waiting.size() == 5);
  for (const auto& [session, id] : waiting) session->answer(id, 200, "late");
  world.loop.run_for(1s);
  CHECK(first.body == "late");
  for (const Asked& asked : more) CHECK(asked.body == "late");
}

TEST_CASE("a client that reads slowly holds up its own stream and no other, and little is kept for it") {
  SimWorld world;
  const std::string large = long_text(2'000'000);
  H2Server up(world, "up", 443, [&](H2Server::Session& session, H2Server::Request& request) {
    session.answer(request.id, 200, request.head[":path"] == "/slow" ? large : "quick");
  });
  Asked slow;
  Call slowly;
  slowly.target = "/slow";
  slowly.rest = 10s;
  begin(world, slow, slowly);
  world.loop.run_for(5s);
  const auto& session = *up.sessions.at(0);
  CHECK(session.requests.at(1).sent_bytes <= 2 * limits::kH2StreamBytes);
  CHECK(ask(world).body == "quick");
  CHECK(up.sessions.size() == 1);
  for (int i = 0; i < 100 && !slow.finished; ++i) world.loop.run_for(10s);
  CHECK(slow.body == large);
}

TEST_CASE("a request that is given up is reset, and the others on the connection go on") {
  SimWorld world;
  H2Server up(world, "up", 443, [](H2Server::Session& session, H2Server::Request& request) {
    session.head(request.id, 200);
    session.data(request.id, "some");
  });
  StopSource stop;
  Asked left;
  Asked stays;
  begin(world, left, {}, stop.token());
  world.loop.run_for(1s);
  begin(world, stays);
  world.loop.run_for(1s);
  stop.request_stop(StopReason::kClientGone);
  world.loop.run_for(1s);
  CHECK(left.error == "cancelled");
  auto& session = *up.sessions.at(0);
  CHECK(session.requests.at(1).cancelled);
  CHECK_FALSE(session.requests.at(3).cancelled);
  session.data(3, " more");
  session.finish(3);
  world.loop.run_for(1s);
  CHECK(stays.body == "some more");
}

TEST_CASE("a GOAWAY lets what it covers finish; the rest goes to a new connection without anybody noticing") {
  SimWorld world;
  int asked_for = 0;
  H2Server up(world, "up", 443, [&](H2Server::Session& session, H2Server::Request& request) {
    ++asked_for;
    if (request.head[":path"] == "/held") return session.head(request.id, 200);
    if (asked_for == 2) return session.goaway(1, 0);  // leaves out this very request
    session.answer(request.id, 200, "from another connection");
  });
  Asked held;
  Call call;
  call.target = "/held";
  begin(world, held, call);
  world.loop.run_for(1s);
  CHECK(ask(world).body == "from another connection");
  CHECK(up.sessions.size() == 2);
  up.sessions[0]->data(1, "to the end");
  up.sessions[0]->finish(1);
  world.loop.run_for(1s);
  CHECK(held.body == "to the end");
  CHECK(ask(world).body == "from another connection");
  CHECK(up.sessions.size() == 2);
}

TEST_CASE("a request that is refused again and again is given up with a clear error") {
  SimWorld world;
  int asked_for = 0;
  H2Server up(world, "up", 443, [&](H2Server::Session& session, H2Server::Request& request) {
    ++asked_for;
    session.reset(request.id, 7);  // REFUSED_STREAM
  });
  const Asked asked = ask(world);
  CHECK(asked.error == "connection_lost");
  CHECK(asked.message == "the upstream refused the request before looking at it");
  CHECK(asked_for == 1 + limits::kH2Retries);
}

TEST_CASE("a reply that the server breaks off is an error, never an end") {
  SimWorld world;
  H2Server up(world, "up", 443, [](H2Server::Session& session, H2Server::Request& request) {
    session.head(request.id, 200);
    session.data(request.id, "half");
  });
  Asked asked;
  begin(world, asked);
  world.loop.run_for(1s);
  up.sessions.at(0)->reset(1, 2);  // INTERNAL_ERROR
  world.loop.run_for(1s);
  CHECK(asked.body == "half");
  CHECK(asked.error == "connection_lost");
  CHECK(asked.message == "the upstream broke its reply off (HTTP/2 INTERNAL_ERROR)");
}

TEST_CASE("a connection that ends takes every reply on it with a clear error") {
  SimWorld world;
  H2Server up(world, "up", 443, [](H2Server::Session& session, H2Server::Request& request) {
    session.head(request.id, 200);
    session.data(request.id, "half");
  });
  std::array<Asked, 3> all;
  for (Asked& asked : all) begin(world, asked);
  world.loop.run_for(1s);
  up.sessions.at(0)->goaway(5, 11);  // ENHANCE_YOUR_CALM
  world.loop.run_for(1s);
  up.sessions.at(0)->close();
  world.loop.run_for(1s);
  for (const Asked& asked : all) {
    CHECK(asked.body == "half");
    CHECK(asked.error == "connection_lost");
    CHECK(asked.message == "the upstream closed the HTTP/2 connection (ENHANCE_YOUR_CALM)");
  }
}

TEST_CASE("a silent connection is asked by PING; one that does not answer is given up") {
  for (const bool deaf : {false, true}) {
    SimWorld world;
    H2Server::Options options;
    options.deaf = deaf;
    H2Server up(
        world, "up", 443,
        [](H2Server::Session& session, H2Server::Request& request) { session.head(request.id, 200); },
        options);
    Asked asked;
    begin(world, asked);
    world.loop.run_for(limits::kH2PingTime * 4 + 1s);
    CHECK(asked.finished == deaf);
    if (deaf)
      CHECK(asked.message == "the upstream's connection is dead: it did not answer a PING within 15000 ms");
    if (!deaf) CHECK(up.sessions.at(0)->pings == 4);
    up.close_all();
    world.loop.run_for(1s);
  }
}

TEST_CASE("an upstream that does not answer in time is a timeout, and its connection goes on") {
  SimWorld world;
  bool silent = true;
  H2Server up(world, "up", 443, [&](H2Server::Session& session, H2Server::Request& request) {
    if (!silent) session.answer(request.id, 200, "now");
  });
  Call call;
  call.timeouts.first_byte = 5s;
  const Asked asked = ask(world, call);
  CHECK(asked.error == "timeout");
  CHECK(asked.message == "the upstream did not answer within 5000 ms");
  silent = false;
  CHECK(ask(world).body == "now");
  CHECK(up.sessions.size() == 1);
}

TEST_CASE("a head that is too large, or interim heads without end, fail their own request only") {
  SimWorld world;
  H2Server up(world, "up", 443, [](H2Server::Session& session, H2Server::Request& request) {
    const std::string path = request.head[":path"];
    if (path == "/large") {
      std::map<std::string, std::string> fields;
      for (std::size_t i = 0; i <= limits::kHeaderCount; ++i) fields["x-" + std::to_string(i)] = "y";
      session.answer(request.id, 200, "", fields);
    } else if (path == "/interim") {
      for (int i = 0; i < 40; ++i) session.interim(request.id, 103);
      session.answer(request.id, 200, "too late");
    } else {
      session.interim(request.id, 103);
      session.answer(request.id, 200, "good");
    }
  });
  Call large;
  large.target = "/large";
  CHECK(ask(world, large).message ==
        "the upstream's reply is not valid HTTP: the head is larger than we accept");
  Call interim;
  interim.target = "/interim";
  CHECK(ask(world, interim).message ==
        "the upstream's reply is not valid HTTP: it sends interim replies without end");
  CHECK(ask(world).body == "good");
  CHECK(up.sessions.size() == 1);
}

TEST_CASE("frames without end that bring nothing, and CONTINUATIONs without end, end the connection") {
  const std::string window_update("\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x01", 13);
  const std::string empty_data("\x00\x00\x00\x00\x00\x00\x00\x00\x01", 9);
  const std::string ping(
      "\x00\x00\x08\x06\x00\x00\x00\x00\x00"
      "abcdefgh",
      17);
  const std::string headers("\x00\x00\x01\x01\x00\x00\x00\x00\x01\x88", 10);  // :status 200, no END_HEADERS
  const std::string continuation("\x00\x00\x01\x09\x00\x00\x00\x00\x01\x88", 10);
  for (const std::string& frame : {window_update, empty_data, ping, continuation}) {
    SimWorld world;
    H2Server up(world, "up", 443, [&](H2Server::Session& session, H2Server::Request& request) {
      if (frame == continuation) {
        session.raw(headers);
      } else {
        session.head(request.id, 200);
      }
      std::string flood;
      for (std::size_t i = 0; i < 2 * limits::kH2IdleFrames; ++i) flood += frame;
      session.raw(flood);
    });
    const Asked asked = ask(world);
    CHECK_FALSE(asked.error.empty());
    CHECK_FALSE(asked.message.empty());
    CHECK(world.client.idle_connections() == 0);
  }
}

TEST_CASE("a session cut at any byte fails its requests, and never looks complete") {
  // What a server sends for two replies, recorded once.
  std::string recorded;
  {
    SimWorld world;
    H2Server up(world, "up", 443, echo);
    Asked one;
    Asked two;
    begin(world, one);
    begin(world, two);
    world.loop.run_for(1s);
    REQUIRE(two.body == "/t {}");
    recorded = up.sessions.at(0)->server_bytes;
  }
  for (std::size_t size = 0; size < recorded.size(); ++size) {
    for (const bool orderly : {true, false}) {
      SimWorld world;
      SimDialer::Site site;
      site.from_site.break_after = size;
      site.from_site.break_orderly = orderly;
      if (size == 0) site.from_site.break_after = 1;
      H2Server up(world, "up", 443, echo, {}, site);
      std::array<Asked, 2> all;
      for (Asked& asked : all) begin(world, asked);
      world.loop.run_for(200s);
      for (const Asked& asked : all) {
        REQUIRE(asked.finished);
        CHECK((asked.error.empty() ? asked.body == "/t {}" : asked.body.size() <= 5));
      }
      CHECK_FALSE((all[0].error.empty() && all[1].error.empty()));
    }
  }
}

namespace {

enum class Disturbance { kStop, kServerGone, kGoaway, kClientClosed };

struct TwoReplies : test::Scenario {
  TwoReplies(SimWorld& in, Disturbance how)
      : world(in),
        disturbance(how),
        up(in, "up", 443, [](H2Server::Session& session, H2Server::Request& request) {
          session.head(request.id, 200);
          session.data(request.id, "one,");
          session.data(request.id, "two");
          session.finish(request.id);
        }) {
    begin(world, first, {}, stop.token());
    Call call;
    call.body = long_text(100'000);
    call.rest = 10ms;
    begin(world, second, call);
  }
  void disturb() override {
    switch (disturbance) {
      case Disturbance::kStop:
        return stop.request_stop(StopReason::kClientGone);
      case Disturbance::kServerGone:
        return up.close_all();
      case Disturbance::kGoaway:
        for (const auto& session : up.sessions)
          session->goaway(session->requests.empty() ? 0 : session->requests.rbegin()->first, 0);
        return;
      case Disturbance::kClientClosed:
        return world.client.close_idle();
    }
  }
  void check(bool disturbed) override {
    for (const Asked* asked : {&first, &second}) {
      CHECK(asked->finished);
      if (!disturbed || asked->error.empty()) CHECK(asked->body == "one,two");
    }
    if (disturbance != Disturbance::kServerGone) CHECK(second.message == "");
    up.close_all();
    world.loop.run();
  }
  SimWorld& world;
  Disturbance disturbance;
  StopSource stop;
  Asked first;
  Asked second;
  H2Server up;
};

}  // namespace

TEST_CASE("whatever happens at any step, HTTP/2 requests finish and leave nothing behind") {
  for (const Disturbance how :
       {Disturbance::kStop, Disturbance::kServerGone, Disturbance::kGoaway, Disturbance::kClientClosed}) {
    CAPTURE(static_cast<int>(how));
    CHECK(test::at_every_step([how](SimWorld& world) { return std::make_unique<TwoReplies>(world, how); }) >
          5);
  }
}
