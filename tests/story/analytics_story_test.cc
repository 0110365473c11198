#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include <catch2/catch.hpp>

#include "core/json.h"
#include "support/proxy_world.h"

using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kConfig =
    R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://a:80","models":["m-*"]}},)"
    R"("prices":{"m-1":{"input":10,"output":100}},"agents":{"tester":"a,m-1"},"budgets":[{"scope":"project","usd":25}]})";

std::string asking(std::string_view model = "m-1") {
  return "{\"model\":\"" + std::string(model) + "\",\"max_tokens\":20,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
}

/// 8 input and 20 output tokens: 2 080 000 nano-USD.
http::Handler twenty_tokens() {
  return [](http::Exchange& exchange) -> Task<void> {
    const auto body = co_await exchange.read_body(1 << 20);
    if (!body.ok()) co_return;
    http::Headers headers;
    headers.add("content-type", "application/json");
    const std::string reply =
        R"({"id":"msg_9","type":"message","role":"assistant","model":"m-1","content":[{"type":"text","text":"hello"}],)"
        R"("stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":8,"output_tokens":20}})";
    auto sent = co_await exchange.send(200, headers, reply);
    (void)sent;
  };
}

std::unique_ptr<MemoryClient> get(SimWorld& world, ProxyWorld& proxy, const std::string& target, const std::string& headers = {}) {
  auto client = std::make_unique<MemoryClient>(world.loop, proxy.server());
  client->send("GET " + target + " HTTP/1.1\r\nhost: localhost\r\n" + headers + "\r\n");
  return client;
}

Message got(SimWorld& world, ProxyWorld& proxy, const std::string& target, const std::string& headers = {}) {
  const auto client = get(world, proxy, target, headers);
  proxy.run();
  return read_message(client->received());
}

/// The names of all members, those inside lists by the list's name.
void gather_members(json::Value& value, const std::string& below, std::set<std::string>& names) {
  if (value.is(json::Type::kArray)) {
    auto items = value.array();
    while (items.ok() && items->next()) gather_members(items->value(), below, names);
  } else if (value.is(json::Type::kObject)) {
    auto object = value.object();
    while (object.ok() && object->next()) {
      const std::string name = below + (below.empty() ? "" : ".") + std::string(object->key());
      names.insert(name);
      gather_members(object->value(), name, names);
    }
  }
}

/// A proxy that has answered three requests of two projects.
struct Office {
  Office() {
    world.serve("a", 80, twenty_tokens());
    for (const char* project : {"/srv/web", "/srv/web", "=1+1"}) {
      const Message answer = proxy.answer("/v1/messages", asking(), std::string("x-ccrules-project: ") + project + "\r\n");
      REQUIRE_THAT(answer.first_line, Contains("200"));
    }
    proxy.ledger().flush();
  }
  SimWorld world;
  ProxyWorld proxy{world, kConfig};
};

}  // namespace

TEST_CASE("dashboards get true sums by the names that they know") {
  Office office;
  const auto body = [&](const std::string& target) {
    const Message message = got(office.world, office.proxy, target);
    INFO(target << " " << message.body);
    CHECK_THAT(message.first_line, Contains("200"));
    CHECK(message.field("cache-control") == "no-store");
    return message.body;
  };
  CHECK_THAT(body("/api/project/stats"), Catch::StartsWith(R"({"cost":0.00624,"unknownCostCalls":0,"costTrend":{"value":null,"period":"24h"},"tokens":84,)"));
  CHECK_THAT(body("/api/project/stats?project=%2Fsrv%2Fweb"), Contains(R"("calls":2,)") && Contains(R"("cost":0.00416)"));
  CHECK_THAT(body("/api/machine/stats"), Contains(R"("totalCost":0.00624,"totalUnknownCostCalls":0,"activeProjects":2,"totalCalls":3,"totalTokens":84)"));
  CHECK_THAT(body("/api/overrides/stats"), Catch::StartsWith(R"({"total_overrides":0,"overrides_by_model":{},"savings":0)"));
  CHECK_THAT(body("/api/export/analytics?days=7"), Contains(R"("period":"7 days","summary":{"totalCost":0.00624,"totalUnknownCostCalls":0,"totalCalls":3,)"));
  CHECK_THAT(body("/api/export/project/%2Fsrv%2Fweb"), Contains(R"("totalCalls":2)") && Contains(R"("byProject":{"/srv/web":{)"));
  CHECK_THAT(body("/api/budgets"), Contains(R"({"scope":"project:/srv/web","per":"day","mode":"hard","limit_nanousd":25000000000,)"
                                            R"("spent_nanousd":4160000,"left_nanousd":24995840000,"resets_at_us":)"));
  CHECK_THAT(body("/api/rules"), Contains(R"("name":"direct model route","on":"request",)") || Contains(R"("on":"request")"));
  const Message csv = got(office.world, office.proxy, "/api/export/csv?days=1");
  CHECK(csv.field("content-type") == "text/csv; charset=utf-8");
  CHECK_THAT(csv.body, Catch::StartsWith("timestamp,id,project,") && Contains(",'=1+1,") && Contains(",0.002080000,"));
  CHECK(csv.complete);
  CHECK(std::count(csv.body.begin(), csv.body.end(), '\n') == 4);
  const Message one = got(office.world, office.proxy, "/api/export/project/%3D1%2B1?format=csv");
  CHECK(std::count(one.body.begin(), one.body.end(), '\n') == 2);
}

TEST_CASE("every member that dashboards read is there, down to the last list") {
  Office office;
  const Message moved = office.proxy.answer("/v1/messages", R"({"model":"x-old","max_tokens":20,"messages":[{"role":"user","content":"hi"}]})",
                                            "x-ccrules-project: /srv/web\r\nx-claude-code-agent-id: a1\r\nx-claude-code-agent-type: tester\r\n");
  CHECK_THAT(moved.first_line, Contains("200"));
  office.proxy.ledger().flush();
  const std::map<std::string, std::vector<std::string>> expected = {
      {"/api/cache/stats", {"hits", "misses", "hitRate", "size", "maxSize", "entries", "savedCost"}},
      {"/api/project/stats",
       {"cost", "unknownCostCalls", "costTrend", "costTrend.value", "costTrend.period", "tokens", "tokensTrend", "tokensTrend.value", "tokensTrend.period", "calls",
        "callsTrend", "callsTrend.value", "callsTrend.period", "avgTime", "timeTrend", "timeTrend.value", "timeTrend.period", "cacheHitRate",
        "savings", "recent"}},
      {"/api/machine/stats",
       {"totalCost", "totalUnknownCostCalls", "activeProjects", "totalCalls", "totalTokens", "projects", "projects.name", "projects.calls", "projects.inputTokens",
        "projects.outputTokens", "projects.cost", "projects.unknownCostCalls", "projects.lastActivity", "models", "models.name", "models.calls", "models.inputTokens",
        "models.outputTokens", "models.cost", "models.unknownCostCalls", "chartData", "chartData.costOverTime", "chartData.costByProject", "chartData.modelDistribution"}},
      {"/api/overrides/stats",
       {"total_overrides", "overrides_by_model", "overrides_by_model.x-old", "savings", "recent_overrides", "recent_overrides.original_model",
        "recent_overrides.override_to", "recent_overrides.agent", "recent_overrides.timestamp"}},
      {"/api/export/analytics",
       {"exportDate", "period", "summary", "summary.totalCost", "summary.totalUnknownCostCalls", "summary.totalCalls", "summary.totalTokens", "summary.cacheSavings", "byModel",
        "byProject", "hourlyTrend"}}};
  for (const auto& [target, members] : expected) {
    const Message message = got(office.world, office.proxy, target);
    INFO(target << " " << message.body);
    auto document = json::Document::open(message.body);
    REQUIRE(document.ok());
    auto root = document->root();
    REQUIRE(root.ok());
    std::set<std::string> found;
    gather_members(*root, "", found);
    for (const std::string& member : members) {
      CAPTURE(member);
      CHECK(found.contains(member));
    }
  }
}

TEST_CASE("what the cache saved is the same sum wherever dashboards read it, and emptying it says what went") {
  SimWorld world;
  world.serve("a", 80, twenty_tokens());
  const std::string config = kConfig;
  ProxyWorld proxy(world, config.substr(0, config.size() - 1) + R"(,"cache":{"enabled":true}})");
  for (int i = 0; i < 3; ++i) REQUIRE_THAT(proxy.answer("/v1/messages", asking(), "x-ccrules-project: /srv/web\r\n").first_line, Contains("200"));
  proxy.ledger().flush();

  // Two answers from the cache saved $0.00208 each.
  std::string top = got(world, proxy, "/api/cache/top-prompts?limit=10").body;
  const std::string start = R"([{"hash":")";
  REQUIRE_THAT(top, Catch::StartsWith(start));
  const std::string hash = top.substr(start.size(), 32);
  CHECK(hash.find_first_not_of("0123456789abcdef") == std::string::npos);
  CHECK(top == start + hash + R"(","hits":2,"savedCost":0.00416,"preview":""}])");
  CHECK_THAT(got(world, proxy, "/api/cache/stats").body, Catch::StartsWith(R"({"hits":2,"misses":1,"hitRate":0.66)") && Contains(R"("savedCost":0.00416)"));
  CHECK_THAT(got(world, proxy, "/api/project/stats").body, Contains(R"("calls":3,)") && Contains(R"("cacheHitRate":0.66)") && Contains(R"("savings":0.00416)"));
  const std::string summary = R"("summary":{"totalCost":0.00208,"totalUnknownCostCalls":0,"totalCalls":3,"totalTokens":84,"cacheSavings":0.00416},)";
  CHECK_THAT(got(world, proxy, "/api/export/analytics?days=1").body, Contains(summary));

  const std::string one = got(world, proxy, "/api/export/project/%2Fsrv%2Fweb?days=1").body;
  const std::string sums = R"({"calls":3,"tokens":84,"cost":0.00208,"unknownCostCalls":0})";
  CHECK_THAT(one, Catch::StartsWith(R"({"exportDate":")") &&
                      Contains(R"(,"period":"1 days",)" + summary + R"("byModel":{"m-1":)" + sums + R"(},"byProject":{"/srv/web":)" + sums +
                               R"(},"hourlyTrend":[{"hour":")"));
  CHECK_THAT(one, Catch::EndsWith(R"(,"calls":3,"tokens":84,"cost":0.00208,"unknownCostCalls":0}]})"));
  CHECK_THAT(got(world, proxy, "/api/export/project/nobody").body, Contains(R"("totalCalls":0)") && Contains(R"("byModel":{},"byProject":{},"hourlyTrend":[])"));

  CHECK(proxy.answer("/api/cache/clear", "{}").body == R"({"status":"ok","cleared":1,"freedMemory":"0.0MB"})");
  CHECK(got(world, proxy, "/api/cache/top-prompts").body == "[]");
  CHECK(proxy.answer("/v1/messages", asking(), "x-ccrules-project: /srv/web\r\n").field("x-ccrules-cache") == "miss");
}

TEST_CASE("a request is shown with its decision, rule by rule") {
  Office office;
  const Message list = got(office.world, office.proxy, "/api/requests?limit=2");
  CHECK_THAT(list.body, Catch::StartsWith(R"({"requests":[{"seq":3,"id":"req_)") && Contains(R"("project":"=1+1")") &&
                            Catch::EndsWith(R"("next":2})"));
  const std::size_t at = list.body.find("req_");
  const std::string id = list.body.substr(at, list.body.find('"', at) - at);
  const Message one = got(office.world, office.proxy, "/api/requests/" + id);
  CHECK_THAT(one.first_line, Contains("200"));
  CHECK_THAT(one.body, Contains("\"id\":\"" + id + "\"") && Contains(R"("tokens":{"input":8,"output":20,)") &&
                           Contains(R"("cost":0.00208)") && Contains(R"("rulesUnchanged":true,"notKept":[],"decision":{)") &&
                           Contains(R"("claims":[)") && Contains(R"("facts_read")"));
  const Message none = got(office.world, office.proxy, "/api/requests/req_nothere");
  CHECK_THAT(none.first_line, Contains("404"));
  CHECK_THAT(none.body, Contains("there is no request 'req_nothere' in the ledger"));
}

TEST_CASE("what is asked wrongly is told") {
  Office office;
  for (const auto& [target, message] : std::map<std::string, std::string>{
           {"/api/export/analytics?days=0", "days must be a whole number from 1 to 3660 (got '0')"},
           {"/api/export/csv?days=x", "days must be a whole number"},
           {"/api/export/project/p?format=xml", "format must be json or csv (got 'xml')"},
           {"/api/requests?limit=100000", "limit must be a whole number from 1 to 1000"},
           {"/api/requests?before=-3", "before must be a whole number"}}) {
    const Message answer = got(office.world, office.proxy, target);
    INFO(target);
    CHECK_THAT(answer.first_line, Contains("400"));
    CHECK_THAT(answer.body, Contains(message));
  }
  CHECK_THAT(got(office.world, office.proxy, "/api/nothing").first_line, Contains("404"));
}

TEST_CASE("a rule that gives an agent another model counts as an override when its reason says so") {
  SimWorld world;
  world.serve("a", 80, twenty_tokens());
  std::string config = kConfig;
  config.insert(config.rfind('}'), R"(, "rules": ["/r.lua"])");
  ProxyWorld proxy(world, config, {{"/r.lua", R"lua(
rule "reviewer" { when = { agent = "reviewer" }, to = "a,m-1", reason = "agent override" }
rule "writer" { when = { agent = "writer" }, to = "a,m-1" }
)lua"}});
  for (const char* agent : {"tester", "reviewer", "reviewer", "writer"}) {
    const std::string id = std::string("x-claude-code-agent-id: ") + agent + "\r\n";
    const std::string who = id + "x-claude-code-agent-type: " + agent + "\r\n";
    CHECK_THAT(proxy.answer("/v1/messages", asking("x-old"), who).first_line, Contains("200"));
  }
  proxy.ledger().flush();
  CHECK_THAT(got(world, proxy, "/api/overrides/stats").body,
             Contains(R"({"total_overrides":3,"overrides_by_model":{"x-old":["a,m-1",3]},)") && Contains(R"("agent":"reviewer")"));
}

TEST_CASE("errors of the API for operators are problems, those of models speak their clients' dialect") {
  SimWorld world;
  ProxyWorld proxy(world, R"({"listen":{"api_key":"sk-client"},"providers":{"a":{"dialect":"anthropic","base_url":"http://a:80","models":["m-*"]}}})");
  const std::string key = "x-api-key: sk-client\r\n";
  const Message wrong = got(world, proxy, "/api/requests?limit=0&key=sk-client", key);
  CHECK_THAT(wrong.first_line, Contains("400"));
  CHECK(wrong.field("content-type") == "application/problem+json");
  CHECK(wrong.body == R"({"type":"about:blank","title":"Bad Request","status":400,)"
                      R"x("detail":"limit must be a whole number from 1 to 1000 (got '0')","instance":"/api/requests"})x");
  CHECK(got(world, proxy, "/api/requests/req_none", key).body ==
        R"({"type":"about:blank","title":"Not Found","status":404,"detail":"there is no request 'req_none' in the ledger; GET /api/requests)"
        R"( lists what there is","instance":"/api/requests/req_none"})");
  for (const char* path : {"/api/machine/stats", "/api/cache/stats", "/api/stream", "/api/export/project/x"}) {
    INFO(path);
    const Message refused = got(world, proxy, path);
    CHECK_THAT(refused.first_line, Contains("401"));
    CHECK(refused.field("content-type") == "application/problem+json");
    CHECK_THAT(refused.body, Contains(R"("title":"Unauthorized","status":401,"detail":")"));
  }
  CHECK(proxy.answer("/reload", "{}").field("content-type") == "application/problem+json");
  CHECK(proxy.answer("/api/requests", "{}", key).field("content-type") == "application/problem+json");
  CHECK_THAT(got(world, proxy, "/v1/models").body, Contains(R"({"type":"error","error":{"type":"authentication_error")"));
  CHECK(got(world, proxy, "/api/tags").field("content-type") == "application/json");
}

TEST_CASE("only operators see what everybody has asked") {
  SimWorld world;
  ProxyWorld proxy(world, R"({"listen":{"api_key":"sk-client","admin_key":"sk-admin"},"providers":{"a":{"dialect":"anthropic","base_url":"http://a:80","models":["m-*"]}}})");
  for (const char* path : {"/api/project/stats", "/api/machine/stats", "/api/overrides/stats", "/api/export/analytics", "/api/export/csv",
                           "/api/export/project/x", "/api/requests", "/api/requests/req_1", "/api/rules", "/api/budgets", "/api/stream"}) {
    INFO(path);
    CHECK_THAT(got(world, proxy, path).first_line, Contains("401"));
    CHECK_THAT(got(world, proxy, path, "x-api-key: sk-client\r\n").first_line, Contains("401"));
    CHECK_THAT(got(world, proxy, path, "x-api-key: sk-admin\r\norigin: http://evil.example\r\n").first_line, Contains("403"));
  }
  CHECK_THAT(got(world, proxy, "/api/machine/stats", "x-api-key: sk-admin\r\n").first_line, Contains("200"));
}

TEST_CASE("a stream tells sums at once and every five seconds, requests as they are written, and ends with the proxy") {
  using std::chrono::seconds;
  Office office;
  const auto stream = get(office.world, office.proxy, "/api/stream?project=%2Fsrv%2Fweb");
  office.world.loop.run_for(seconds(1));
  const std::string first = stream->take();
  CHECK_THAT(first, Contains("content-type: text/event-stream"));
  CHECK_THAT(first, Contains("retry: 2000\n\nevent: analytics\nid: 3\ndata: {\"project\":{\"cost\":0.00416,") && Contains("\"machine\":{\"totalCost\":0.00624,"));
  CHECK_THAT(first, !Contains("event: request"));

  const auto client = office.proxy.ask("/v1/messages", asking(), "x-ccrules-project: /srv/web\r\n");
  for (int i = 0; i < 4; ++i) {
    office.world.loop.run_for(std::chrono::milliseconds(50));
    office.proxy.ledger().flush();
  }
  office.world.loop.run_for(seconds(1));
  const std::string second = stream->take();
  CHECK_THAT(second, Contains("event: request\nid: 4\ndata: {\"seq\":4,\"id\":\"req_") && !Contains("event: analytics"));
  office.world.loop.run_for(seconds(4));
  CHECK_THAT(stream->take(), Contains("event: analytics\nid: 4\ndata: {\"project\":{\"cost\":0.00624,"));

  office.proxy.vitals().ledger_reads().stop();
  office.world.loop.run_for(seconds(2));
  CHECK_THAT(stream->take(), Contains("\r\n0\r\n\r\n") || Catch::StartsWith("0\r\n\r\n"));
}

TEST_CASE("a stream that broke off goes on behind the last event that its client had") {
  Office office;
  const auto events_after = [&](const char* last_id) {
    const auto stream = get(office.world, office.proxy, "/api/stream", std::string("last-event-id: ") + last_id + "\r\n");
    office.world.loop.run_for(std::chrono::seconds(2));
    return stream->take();
  };
  const std::string one_missed = events_after("2");
  CHECK_THAT(one_missed, Contains("event: analytics\nid: 2\ndata: ") && Contains("event: request\nid: 3\ndata: {\"seq\":3,"));
  CHECK_THAT(one_missed, !Contains("\"seq\":2,"));
  CHECK_THAT(events_after("0"), Contains("id: 1\ndata: {\"seq\":1,") && Contains("id: 3\ndata: {\"seq\":3,"));
  for (const char* nothing_missed : {"3", "4", "99999999999999999999", "-1", "x", ""}) {
    INFO(nothing_missed);
    CHECK_THAT(events_after(nothing_missed), Contains("event: analytics\nid: 3\n") && !Contains("event: request"));
  }
}

TEST_CASE("more streams than anybody needs are refused, and those that leave make room") {
  SimWorld world;
  ProxyWorld proxy(world, kConfig);
  std::vector<std::unique_ptr<MemoryClient>> streams;
  for (int i = 0; i < 32; ++i) streams.push_back(get(world, proxy, "/api/stream"));
  world.loop.run_for(std::chrono::seconds(1));
  const auto refused = get(world, proxy, "/api/stream");
  world.loop.run_for(std::chrono::seconds(1));
  CHECK_THAT(refused->received(), Contains("503") && Contains("too many dashboards are open (32)"));
  streams.clear();
  world.loop.run_for(std::chrono::seconds(1));
  const auto served = get(world, proxy, "/api/stream");
  world.loop.run_for(std::chrono::seconds(1));
  CHECK_THAT(served->received(), Contains("200") && Contains("event: analytics"));
}
