#include "http/server.h"

#include <catch2/catch.hpp>

#include "core/limits.h"
#include "http/coding.h"
#include "support/compress.h"
#include "support/sim_world.h"

using namespace ccrules;
using namespace std::chrono_literals;
using test::MemoryClient;
using test::SimWorld;

namespace {

/// Answers with "METHOD target body".
Task<void> echo_within(http::Exchange& exchange, std::size_t most_bytes) {
  const auto body = co_await exchange.read_body(most_bytes);
  http::Headers headers;
  headers.add("content-type", "text/plain");
  if (!body.ok()) {
    (void)co_await exchange.send(body.error().http_status, headers, body.error().message);
    co_return;
  }
  const std::string text = exchange.head().method + " " + exchange.head().target + " " + *body;
  (void)co_await exchange.send(200, headers, text);
}

Task<void> echo(http::Exchange& exchange) { return echo_within(exchange, 100'000); }
Task<void> echo_large(http::Exchange& exchange) { return echo_within(exchange, 8'000'000); }

Task<void> chunks(http::Exchange& exchange) {
  http::Headers headers;
  headers.add("content-type", "text/event-stream");
  exchange.start(200, headers);
  (void)co_await exchange.write("one");
  (void)co_await exchange.write("");
  (void)co_await exchange.write("two");
  (void)co_await exchange.finish("three");
}

struct Served {
  explicit Served(http::Handler handler, http::ServerLimits limits = {}, Wire to_server = {},
                  Wire from_server = {})
      : server(world.loop, std::move(handler), limits), client(world.loop, server, to_server, from_server) {}
  SimWorld world;
  http::Server server;
  MemoryClient client;
  /// Sends, lets a second pass, and gives what came back.
  std::string ask(std::string bytes, std::chrono::milliseconds time = 1s) {
    client.send(std::move(bytes));
    world.loop.run_for(time);
    return client.take();
  }
};

std::string post(const std::string& body) {
  return "POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

std::string chunked_post(const std::string& chunked_body) {
  return "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked_body;
}

}  // namespace

TEST_CASE("a request is answered and the connection takes the next one") {
  Served served(echo);
  CHECK(served.ask(post("hello")) ==
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 17\r\n\r\nPOST /a?b=c hello");
  CHECK(test::read_message(served.ask("GET /x HTTP/1.1\r\nHost: x\r\n\r\n")).body == "GET /x ");
  CHECK_FALSE(served.client.ended());
}

TEST_CASE("a request line with a whole address is read as its path, and its host counts, not the field Host") {
  Served served([](http::Exchange& exchange) -> Task<void> {
    const http::Headers none;
    const std::string seen = std::string(exchange.head().headers.get("host")) + " " + exchange.head().target;
    (void)co_await exchange.send(200, none, seen);
  });
  const auto seen = [&served](const std::string& target) {
    return test::read_message(served.ask("GET " + target + " HTTP/1.1\r\nHost: elsewhere\r\n\r\n")).body;
  };
  CHECK(seen("http://127.0.0.1:3456/health") == "127.0.0.1:3456 /health");
  CHECK(seen("HTTPS://x/a/b?c=http://d/e") == "x /a/b?c=http://d/e");
  CHECK(seen("http://x") == "x /");
  CHECK(seen("http://[::1]:80?q") == "[::1]:80 /?q");
  CHECK(seen("/http://x/y") == "elsewhere /http://x/y");
  for (const char* wrong : {"http:///health", "http://?q", "http://user@x/health", "http://u:p@x"}) {
    Served once(echo);
    CHECK(test::read_message(once.ask("GET " + std::string(wrong) + " HTTP/1.1\r\nHost: x\r\n\r\n")).first_line == "HTTP/1.1 400 Bad Request");
    CHECK(once.client.ended());
  }
}

TEST_CASE("a request arriving byte by byte is read like one that comes whole") {
  Wire slow;
  slow.cut = 1;
  Served served(echo, {}, slow);
  CHECK(test::read_message(served.ask(post("hello"))).body == "POST /a?b=c hello");
  CHECK(test::read_message(served.ask(chunked_post("3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n")))
            .body == "POST /c abcde");
}

TEST_CASE("a body is whole whatever the pieces it comes in, and the next request begins behind it") {
  std::string body;
  for (int i = 0; body.size() < 90'000; ++i) body += std::to_string(i) + (i % 7 == 0 ? "\r\n" : ",");
  for (const std::size_t cut : {0u, 1000u, 4096u, 16'384u, 16'385u, 50'000u}) {
    INFO("pieces of " << cut);
    Wire wire;
    wire.cut = cut;
    Served served(echo, {}, wire);
    const std::string answers = served.ask(post(body) + post("next") + post(body), 60s);
    const auto first = test::read_message(answers);
    CHECK(first.body == "POST /a?b=c " + body);
    const auto second = test::read_message(std::string_view(answers).substr(first.used));
    CHECK(second.body == "POST /a?b=c next");
    CHECK(test::read_message(std::string_view(answers).substr(first.used + second.used)).body == first.body);
  }
}

TEST_CASE("a body is whole that is larger than what is set aside on a client's word") {
  std::string body;
  for (int i = 0; body.size() < limits::kBodyReserveBytes + 500'000; ++i) body += std::to_string(i) + ",";
  Served served(echo_large);
  const std::string answers = served.ask(post(body) + post("next"), 60s);
  const auto first = test::read_message(answers);
  CHECK((first.body == "POST /a?b=c " + body));
  CHECK(test::read_message(std::string_view(answers).substr(first.used)).body == "POST /a?b=c next");
}

TEST_CASE("a body that stops in its middle is refused or given up, wherever it was read to") {
  const std::string whole = post(std::string(90'000, 'x'));
  for (const std::size_t size : {20'000u, 40'000u, 90'000u}) {
    Served served(echo);
    CHECK(served.ask(whole.substr(0, size), 200s).starts_with("HTTP/1.1 408 "));
    Wire wire;
    wire.break_after = size;
    Served broken(echo, {}, wire);
    CHECK(broken.ask(whole, 200s).empty());
  }
}

TEST_CASE("pipelined requests are answered in order") {
  Served served(echo);
  const std::string answers =
      served.ask(post("1") + post("2") + chunked_post("1\r\n3\r\n0\r\n\r\n") + post("4"));
  std::string_view rest = answers;
  for (const char* body : {"POST /a?b=c 1", "POST /a?b=c 2", "POST /c 3", "POST /a?b=c 4"}) {
    const auto message = test::read_message(rest);
    CHECK(message.body == body);
    rest.remove_prefix(message.used);
  }
  CHECK(rest.empty());
}

TEST_CASE("thousands of pipelined requests in one read are answered one after the other") {
  Served served(echo);
  std::string requests;
  for (int at = 0; at < 5000; ++at) requests += "GET /" + std::to_string(at) + " HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string answers = served.ask(requests, 60s);
  CHECK(answers.ends_with("GET /4999 "));
  std::size_t count = 0;
  for (std::size_t at = answers.find("HTTP/1.1 200"); at != std::string::npos;
       at = answers.find("HTTP/1.1 200", at + 1))
    ++count;
  CHECK(count == 5000);
}

TEST_CASE("a streamed answer is chunked, with head and first bytes in one write") {
  Served served(chunks);
  CHECK(served.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n") ==
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        "3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n");
}

TEST_CASE("an HTTP/1.0 client gets a streamed answer that ends with the connection") {
  Served served(chunks);
  CHECK(served.ask("GET / HTTP/1.0\r\n\r\n") ==
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\nonetwothree");
  CHECK(served.client.ended());
  CHECK_FALSE(served.client.broken());
}

TEST_CASE("an answer to HEAD has the length of the body and no body") {
  Served served(echo);
  CHECK(served.ask("HEAD /h HTTP/1.1\r\nHost: x\r\n\r\n") ==
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 8\r\n\r\n");
  CHECK(test::read_message(served.ask(post("next"))).body == "POST /a?b=c next");
}

TEST_CASE("a client that expects 100-continue gets it before its body is read") {
  Served served(echo);
  CHECK(served.ask("POST /e HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n") ==
        "HTTP/1.1 100 Continue\r\n\r\n");
  CHECK(test::read_message(served.ask("hi")).body == "POST /e hi");
}

TEST_CASE("malformed requests are answered with a JSON error and the connection ends") {
  struct Case {
    const char* bytes;
    const char* status_line;
  };
  const Case cases[] = {
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
       "HTTP/1.1 400 Bad Request"},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
       "HTTP/1.1 400 Bad Request"},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: five\r\n\r\n", "HTTP/1.1 400 Bad Request"},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
       "HTTP/1.1 400 Bad Request"},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
       "HTTP/1.1 501 Not Implemented"},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
       "HTTP/1.1 400 Bad Request"},
      {"GET / HTTP/1.1\nHost: x\n\n", "HTTP/1.1 400 Bad Request"},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\n",
       "HTTP/1.1 400 Bad Request"},
      {"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", "HTTP/1.1 400 Bad Request"},
      {"GET / HTTP/1.1\r\nHost : x\r\n\r\n", "HTTP/1.1 400 Bad Request"},
      {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request"},
      {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "HTTP/1.1 400 Bad Request"},
      {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", "HTTP/1.1 505 HTTP Version Not Supported"},
      {"CONNECT a:443 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 501 Not Implemented"},
      {"\x16\x03\x01\x02\x00\x01", "HTTP/1.1 400 Bad Request"},
  };
  for (const Case& one : cases) {
    INFO(one.bytes);
    Served served(echo);
    const auto answer = test::read_message(served.ask(one.bytes, 5s));
    CHECK(answer.first_line == one.status_line);
    CHECK(answer.field("connection") == "close");
    CHECK(answer.body.starts_with(R"({"type":"error","error":{"type":")"));
    CHECK(answer.complete);
    CHECK(served.client.ended());
    CHECK(served.server.connections() == 0);
  }
}

TEST_CASE("heads beyond the limits are refused with the status that says which") {
  const auto status_of = [](const std::string& request) {
    Served served(echo);
    return test::read_message(served.ask(request, 5s)).first_line.substr(9, 3);
  };
  const std::string begin = "GET / HTTP/1.1\r\nHost: x\r\n";
  CHECK(status_of("GET /" + std::string(limits::kTargetBytes, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n") ==
        "414");
  CHECK(status_of(begin + "A: " + std::string(limits::kHeaderBytes, 'a') + "\r\n\r\n") == "431");
  std::string many = begin;
  for (std::size_t at = 0; at < limits::kHeaderCount; ++at) many += "A: b\r\n";
  CHECK(status_of(many + "\r\n") == "431");
  CHECK(status_of(chunked_post("1;" + std::string(limits::kHeaderBytes + 1, 'e') + "\r\na\r\n0\r\n\r\n")) ==
        "431");
}

TEST_CASE(
    "a body that is too large is refused with 413 while the client is still sending, and the client can read "
    "it") {
  for (const bool chunked : {false, true}) {
    Wire slow;
    slow.window = 16 * 1024;
    Served served(echo, {}, slow);
    const std::string big(300'000, 'b');
    const auto answer = test::read_message(
        served.ask(chunked ? chunked_post("493e0\r\n" + big + "\r\n0\r\n\r\n") : post(big), 30s));
    CHECK(answer.first_line == "HTTP/1.1 413 Content Too Large");
    CHECK(answer.complete);
    CHECK(answer.field("connection") == "close");
    CHECK(served.client.ended());
    CHECK_FALSE(served.client.broken());
  }
}

TEST_CASE("an answer before a small body is read keeps the connection, before a large one it ends it") {
  const auto refuse = [](http::Exchange& exchange) -> Task<void> {
    const http::Headers none;
    (void)co_await exchange.send(401, none, "no");
  };
  Served served(refuse);
  CHECK(test::read_message(served.ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"))
            .field("connection")
            .empty());
  CHECK(served.ask("123456789").empty());
  CHECK(test::read_message(served.ask(post("x"))).first_line == "HTTP/1.1 401 Unauthorized");
  CHECK(test::read_message(served.ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n", 5s))
            .field("connection") == "close");
  CHECK(served.client.ended());
}

TEST_CASE("slow clients are ended: silent, in the head, in the body") {
  http::ServerLimits limits;
  limits.idle = 10s;
  limits.header = 5s;
  limits.body_stall = 3s;
  {
    Served served(echo, limits);
    CHECK(served.ask("", 9s).empty());
    CHECK_FALSE(served.client.ended());
    CHECK(served.ask("", 2s).empty());
    CHECK(served.client.ended());
  }
  {
    Wire drip;
    drip.cut = 1;
    drip.latency = 0ms;
    Served served(echo, limits, drip);
    served.ask("GET / HT", 3s);
    served.ask("TP/1.1\r\nA", 1s);
    CHECK(test::read_message(served.ask("", 6s)).first_line == "HTTP/1.1 408 Request Timeout");
    CHECK(served.client.ended());
  }
  {
    Served served(echo, limits);
    served.ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n12", 2s);
    CHECK(test::read_message(served.ask("", 4s)).first_line == "HTTP/1.1 408 Request Timeout");
  }
}

TEST_CASE("a body that drips in byte by byte is given up, one that is merely slow is read") {
  http::ServerLimits limits;
  limits.body_stall = 5s;
  for (const std::size_t piece : {1u, 2000u}) {
    Served served(echo, limits);
    served.ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n");
    std::string answer;
    for (int second = 0; second < 30; ++second) answer += served.ask(std::string(piece, 'b'), 1s);
    CHECK(test::read_message(answer).first_line ==
          (piece == 1 ? "HTTP/1.1 408 Request Timeout" : "HTTP/1.1 200 OK"));
  }
}

TEST_CASE("what comes behind a body that was given up is the next request") {
  http::ServerLimits limits;
  limits.body_stall = 5s;
  Served served(echo, limits);
  std::string answer = served.ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n");
  std::size_t sent = 0;
  for (; answer.empty() && sent < 20; ++sent) answer = served.ask("b", 1s);
  CHECK(test::read_message(answer).first_line == "HTTP/1.1 408 Request Timeout");
  answer = served.ask(std::string(20 - sent, 'b') + "GET /next HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(test::read_message(answer).body == "GET /next ");
}

TEST_CASE("a client that does not read is ended after the write stall and the handler learns it") {
  static std::string outcome;
  outcome.clear();
  http::ServerLimits limits;
  limits.write_stall = 7s;
  const auto flood = [](http::Exchange& exchange) -> Task<void> {
    const http::Headers none;
    exchange.start(200, none);
    const std::string block(50'000, 'x');
    for (;;) {
      const auto written = co_await exchange.write(block);
      if (!written.ok()) {
        outcome = error_code_name(written.error().code);
        co_return;
      }
    }
  };
  SimWorld world;
  http::Server server(world.loop, flood, limits);
  Wire narrow;
  narrow.window = 1000;
  narrow.latency = 24h;  // nothing arrives
  MemoryClient client(world.loop, server, {}, narrow);
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  world.loop.run_for(6s);
  CHECK(outcome.empty());
  world.loop.run_for(2s);
  CHECK(outcome == "connection_lost");
}

TEST_CASE("a client that leaves while the handler waits stops the exchange with client_gone") {
  static StopReason reason;
  reason = StopReason::kNone;
  static Loop* loop;
  const auto wait = [](http::Exchange& exchange) -> Task<void> {
    const auto slept = co_await sleep_for(*loop, 1h, exchange.stop());
    CHECK_FALSE(slept.ok());
    reason = exchange.stop().reason();
  };
  for (const bool reset : {false, true}) {
    Served served(wait);
    loop = &served.world.loop;
    served.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(reason == StopReason::kNone);
    if (reset) {
      served.client.reset();
    } else {
      served.client.leave();
    }
    served.world.loop.run_for(1s);
    CHECK(reason == StopReason::kClientGone);
    CHECK(served.server.connections() == 0);
    reason = StopReason::kNone;
  }
}

TEST_CASE("an aborted answer does not look complete") {
  const auto give_up = [](http::Exchange& exchange) -> Task<void> {
    const http::Headers none;
    exchange.start(200, none);
    (void)co_await exchange.write("half");
    exchange.abort();
  };
  Served modern(give_up);
  const std::string answer = modern.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(answer.ends_with("\r\n\r\n4\r\nhalf\r\n"));
  CHECK(modern.client.ended());
  Served old(give_up);
  old.ask("GET / HTTP/1.0\r\n\r\n");
  CHECK(old.client.broken());
}

TEST_CASE(
    "a handler that gives no answer becomes a 500, and one that forgets to finish an incomplete answer") {
  const auto silent = [](http::Exchange&) -> Task<void> { co_return; };
  Served nothing(silent);
  CHECK(test::read_message(nothing.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 5s)).first_line ==
        "HTTP/1.1 500 Internal Server Error");
  const auto forgets = [](http::Exchange& exchange) -> Task<void> {
    const http::Headers none;
    exchange.start(200, none);
    (void)co_await exchange.write("half");
  };
  Served half(forgets);
  CHECK_FALSE(test::read_message(half.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n")).complete);
  CHECK(half.client.ended());
}

TEST_CASE("header values that would begin another field or message, or command a terminal, are not written") {
  const auto smuggle = [](http::Exchange& exchange) -> Task<void> {
    http::Headers headers;
    headers.add("x-good", "fine");
    headers.add("x-bad", "a\r\nset-cookie: b");
    headers.add("x-bad", "a\x1b]0;title\x07");
    headers.add("x-tab", "a\tb");
    headers.add("x bad", "a");
    headers.add("content-length", "999");
    headers.add("Transfer-Encoding", "chunked");
    headers.add("connection", "upgrade");
    (void)co_await exchange.send(200, headers, "ok");
  };
  Served served(smuggle);
  CHECK(served.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n") ==
        "HTTP/1.1 200 OK\r\nx-good: fine\r\nx-tab: a\tb\r\ncontent-length: 2\r\n\r\nok");
}

TEST_CASE("draining ends idle connections now and busy ones after their answer") {
  static Loop* loop;
  const auto slow = [](http::Exchange& exchange) -> Task<void> {
    (void)co_await sleep_for(*loop, 5s, exchange.stop());
    const http::Headers none;
    (void)co_await exchange.send(200, none, "late");
  };
  SimWorld world;
  loop = &world.loop;
  http::Server server(world.loop, slow, {});
  MemoryClient idle(world.loop, server);
  MemoryClient busy(world.loop, server);
  busy.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  world.loop.run_for(1s);
  bool drained = false;
  server.on_drained([&] { drained = true; });
  server.drain();
  world.loop.run_for(1s);
  CHECK(idle.ended());
  CHECK_FALSE(busy.ended());
  CHECK_FALSE(drained);
  world.loop.run_for(20s);
  CHECK(test::read_message(busy.received()).body == "late");
  CHECK(test::read_message(busy.received()).field("connection") == "close");
  CHECK(busy.ended());
  CHECK(drained);
}

TEST_CASE("shutdown stops what still runs with the reason shutdown") {
  static StopReason reason;
  reason = StopReason::kNone;
  static Loop* loop;
  const auto wait = [](http::Exchange& exchange) -> Task<void> {
    (void)co_await sleep_for(*loop, 1h, exchange.stop());
    reason = exchange.stop().reason();
  };
  Served served(wait);
  loop = &served.world.loop;
  served.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  served.server.shutdown();
  CHECK(reason == StopReason::kShutdown);
  CHECK(served.server.connections() == 0);
}

namespace {

std::string encoded_post(http::Coding coding, const std::string& encoded) {
  return "POST /z HTTP/1.1\r\nHost: x\r\nContent-Encoding: " + std::string(http::coding_name(coding)) +
         "\r\nContent-Length: " + std::to_string(encoded.size()) + "\r\n\r\n" + encoded;
}

std::string get_accepting(const std::string& accept_encoding) {
  return "GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: " + accept_encoding + "\r\n\r\n";
}

std::string plain_of(http::Coding coding, std::string_view encoded) {
  http::Decoder decoder(coding);
  decoder.feed(encoded);
  std::string plain;
  std::string_view bytes;
  while (decoder.next(bytes) == http::Decoder::Step::kBytes) plain += bytes;
  return plain;
}

const std::string& large_answer() {
  static const std::string kText = [] {
    std::string text;
    while (text.size() < 200'000) text += "{\"role\":\"assistant\",\"n\":" + std::to_string(text.size()) + "},";
    return text;
  }();
  return kText;
}

template <std::size_t kBytes>
Task<void> json_answer(http::Exchange& exchange) {
  http::Headers headers;
  headers.add("content-type", "application/json");
  const std::string_view body = std::string_view(large_answer()).substr(0, kBytes);
  (void)co_await exchange.send(200, headers, body);
}

Task<void> encoded_answer(http::Exchange& exchange) {
  http::Headers headers;
  headers.add("content-type", "application/json");
  const std::string body(5000, 'x');
  if (exchange.accepts(http::Coding::kBrotli)) headers.add("content-encoding", "br");
  (void)co_await exchange.send(200, headers, body);
}

http::ServerLimits compressing(http::Compression compression) {
  http::ServerLimits limits;
  limits.compression = compression;
  return limits;
}

}  // namespace

TEST_CASE("a compressed request body reaches the handler decoded, and the next request follows") {
  for (const http::Coding coding : {http::Coding::kGzip, http::Coding::kBrotli, http::Coding::kZstd}) {
    Wire slow;
    slow.cut = 3;
    Served served(echo, {}, slow);
    const std::string request = encoded_post(coding, test::compressed(coding, std::string("hello")));
    CHECK(test::read_message(served.ask(request)).body == "POST /z hello");
    CHECK(test::read_message(served.ask(post("again"))).body == "POST /a?b=c again");
  }
}

TEST_CASE("a compressed body that is wrong, cut, too large once unpacked or in an unknown coding is refused") {
  const std::string good = test::compressed(http::Coding::kGzip, std::string("hello"));
  const auto refused = [](const std::string& request) {
    Served served(echo);
    return test::read_message(served.ask(request));
  };
  const auto wrong = refused(encoded_post(http::Coding::kGzip, "no gzip"));
  CHECK(wrong.first_line == "HTTP/1.1 400 Bad Request");
  CHECK(wrong.body == "the request body is not valid gzip");
  const auto cut = refused(encoded_post(http::Coding::kGzip, good.substr(0, good.size() - 1)));
  CHECK(cut.first_line == "HTTP/1.1 400 Bad Request");
  CHECK(cut.body == "the request body ends before its gzip data does");
  const auto large = refused(
      encoded_post(http::Coding::kZstd, test::compressed(http::Coding::kZstd, std::string(100'001, 'a'))));
  CHECK(large.first_line.find("413") != std::string::npos);
  CHECK(large.body == "the request body is larger than 100000 bytes once decompressed");
  const auto unknown = refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: compress\r\nContent-Length: 5\r\n\r\nhello");
  CHECK(unknown.first_line.find("415") != std::string::npos);
  CHECK(unknown.body == "the body is compressed (content-encoding: compress): send it as it is, or with gzip, br or zstd");
}

TEST_CASE("an answer is compressed for a client that accepts it, where that is switched on") {
  for (const http::Coding coding : {http::Coding::kGzip, http::Coding::kZstd}) {
    Served served(json_answer<200'000>, compressing(http::Compression::kAll));
    const auto answer = test::read_message(served.ask(get_accepting(std::string(http::coding_name(coding)))));
    CHECK(answer.field("content-encoding") == http::coding_name(coding));
    CHECK(answer.field("vary") == "accept-encoding");
    CHECK(answer.body.size() < 40'000);
    CHECK(plain_of(coding, answer.body) == large_answer().substr(0, 200'000));
  }
}

TEST_CASE("an answer stays plain when it is small, not accepted, over loopback or encoded already") {
  {
    Served served(json_answer<100>, compressing(http::Compression::kAll));
    const auto answer = test::read_message(served.ask(get_accepting("gzip")));
    CHECK(answer.field("content-encoding").empty());
    CHECK(answer.field("vary") == "accept-encoding");
  }
  {
    Served served(json_answer<5000>, compressing(http::Compression::kAll));
    const auto answer = test::read_message(served.ask(get_accepting("identity")));
    CHECK(answer.field("content-encoding").empty());
    CHECK(answer.field("vary") == "accept-encoding");
    CHECK(test::read_message(served.ask("HEAD / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"))
              .field("content-length") == "5000");
  }
  for (const http::Compression compression : {http::Compression::kRemote, http::Compression::kOff}) {
    Served served(json_answer<5000>, compressing(compression));  // the test's client is on loopback
    const auto answer = test::read_message(served.ask(get_accepting("gzip")));
    CHECK(answer.field("content-encoding").empty());
    CHECK(answer.field("vary").empty());
  }
  {
    Served served(encoded_answer, compressing(http::Compression::kAll));
    const auto answer = test::read_message(served.ask(get_accepting("br, gzip")));
    CHECK(answer.field("content-encoding") == "br");
    CHECK(answer.body == std::string(5000, 'x'));
  }
}

namespace {

Loop* g_slow_loop = nullptr;

Task<void> slow_events(http::Exchange& exchange) {
  http::Headers headers;
  headers.add("content-type", "text/event-stream");
  exchange.start(200, headers);
  for (const char* event : {"data: one\n\n", "data: two\n\n"}) {
    (void)co_await exchange.write(event);
    (void)co_await sleep_for(*g_slow_loop, 10s, exchange.stop());
  }
  (void)co_await exchange.finish("data: three\n\n");
}

}  // namespace

TEST_CASE("each write of a compressed stream can be read at once") {
  for (const http::Coding coding : {http::Coding::kGzip, http::Coding::kZstd}) {
    Served served(slow_events, compressing(http::Compression::kAll));
    g_slow_loop = &served.world.loop;
    served.client.send(get_accepting(std::string(http::coding_name(coding))));
    std::string expected;
    for (const char* event : {"data: one\n\n", "data: two\n\n", "data: three\n\n"}) {
      served.world.loop.run_for(9s);
      expected += event;
      const auto answer = test::read_message(served.client.received());
      CHECK(answer.field("content-encoding") == http::coding_name(coding));
      CHECK(plain_of(coding, answer.body) == expected);
      served.world.loop.run_for(1s);
    }
    CHECK(test::read_message(served.client.received()).complete);
  }
}
