#include <catch2/catch.hpp>
#include <sqlite3.h>

#include "support/faulty_disk.h"
#include "support/proxy_world.h"

using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kConfig =
    R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://a:80","models":["m-*"]}},)"
    R"("prices":{"m-*":{"input":10,"output":100}},"budgets":[{"scope":"project:strict","usd":1},)"
    R"({"scope":"project:loose","usd":1,"mode":"soft"}]})";
constexpr const char* kAsk = R"({"model":"m-1","max_tokens":20,"messages":[{"role":"user","content":"hi"}]})";
constexpr const char* kReply =
    R"({"id":"msg_9","type":"message","role":"assistant","model":"m-1","content":[{"type":"text","text":"hello"}],)"
    R"("stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":8,"output_tokens":20}})";

http::Handler replies() {
  return [](http::Exchange& exchange) -> Task<void> {
    const auto body = co_await exchange.read_body(1 << 20);
    if (!body.ok()) co_return;
    http::Headers headers;
    headers.add("content-type", "application/json");
    auto sent = co_await exchange.send(200, headers, kReply);
    (void)sent;
  };
}

std::string project(const char* name) { return std::string("x-ccrules-project: ") + name + "\r\n"; }

std::string health(SimWorld& world, ProxyWorld& proxy) {
  MemoryClient client(world.loop, proxy.server());
  client.send("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n");
  world.loop.run_for(std::chrono::seconds(1));
  return read_message(client.received()).body;
}

}  // namespace

TEST_CASE("whatever is wrong with the ledger's disk, requests are served, /health says so, and hard budgets refuse") {
  struct Trouble {
    const char* name;
    unsigned calls;
    int code;
    const char* says;
  };
  for (const Trouble& trouble : {Trouble{"full disk", FaultyDisk::kWrite, SQLITE_FULL, "full"},
                                 Trouble{"broken disk", FaultyDisk::kAll, SQLITE_IOERR, "disk I/O error"},
                                 Trouble{"cannot sync", FaultyDisk::kSync | FaultyDisk::kWrite, SQLITE_IOERR_FSYNC, "disk I/O error"},
                                 Trouble{"read-only", FaultyDisk::kWrite, SQLITE_READONLY, "readonly"},
                                 Trouble{"locked", FaultyDisk::kSharedMemory, SQLITE_BUSY, "lock"},
                                 Trouble{"corrupted", FaultyDisk::kRead | FaultyDisk::kWrite, SQLITE_CORRUPT, "malformed"}}) {
    for (const bool durable : {false, true}) {
      INFO(trouble.name << (durable ? ", durable" : ""));
      FaultyDisk disk;
      SimWorld world;
      world.serve("a", 80, replies());
      const std::string config = std::string(kConfig).insert(1, durable ? R"("ledger":{"durable":true},)" : "");
      ProxyWorld proxy(world, config);
      CHECK_THAT(proxy.answer("/v1/messages", kAsk, project("strict")).first_line, Contains("200"));
      proxy.ledger().flush();

      disk.fail(trouble.calls, trouble.code);
      CHECK_THAT(proxy.answer("/v1/messages", kAsk, project("any")).first_line, Contains("200"));
      proxy.ledger().flush();
      CHECK_THAT(health(world, proxy), Contains(R"("status":"degraded")") && Contains(R"("ledger":{"ok":false,"problem":")") &&
                                           Contains(trouble.says));
      CHECK_THAT(proxy.answer("/v1/messages", kAsk, project("any")).first_line, Contains("200"));
      CHECK_THAT(proxy.answer("/v1/messages", kAsk, project("loose")).first_line, Contains("200"));
      const Message refused = proxy.answer("/v1/messages", kAsk, project("strict"));
      CHECK_THAT(refused.first_line, Contains("503"));
      CHECK_THAT(refused.body, Contains("a hard budget applies to this request and what it has left is not known"));

      disk.heal();
      for (int i = 0; i < 3 && !proxy.ledger().health().ok; ++i) proxy.ledger().flush();
      CHECK_THAT(health(world, proxy), Contains(R"("status":"ok")") && Contains(R"("rows_written":5,"rows_dropped":0)"));
      CHECK_THAT(proxy.answer("/v1/messages", kAsk, project("strict")).first_line, Contains("200"));
      CHECK(proxy.rows().size() == 6);
    }
  }
}

TEST_CASE("a trouble that begins while money is set aside refuses the request before it is sent") {
  constexpr const char* kDurable = R"("ledger":{"durable":true},)";  // else what is set aside has a file of its own
  FaultyDisk disk;
  SimWorld world;
  int asked = 0;
  world.serve("a", 80, [&asked](http::Exchange& exchange) -> Task<void> {
    ++asked;
    const http::Headers none;
    auto sent = co_await exchange.send(200, none, kReply);
    (void)sent;
  });
  ProxyWorld proxy(world, std::string(kConfig).insert(1, kDurable));
  disk.fail(FaultyDisk::kWrite, SQLITE_FULL);
  const Message refused = proxy.answer("/v1/messages", kAsk, project("strict"));
  CHECK_THAT(refused.first_line, Contains("503"));
  CHECK_THAT(refused.body, Contains("full"));
  CHECK(asked == 0);
  CHECK_FALSE(proxy.ledger().health().ok);  // although there is no row that waits
  disk.heal();
  for (int i = 0; i < 3 && !proxy.ledger().health().ok; ++i) proxy.ledger().flush();
  CHECK_THAT(proxy.answer("/v1/messages", kAsk, project("strict")).first_line, Contains("200"));
}
