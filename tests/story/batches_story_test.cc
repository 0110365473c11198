#include <catch2/catch.hpp>

#include "support/json_tree.h"
#include "support/proxy_world.h"

/// Message batches and files (docs/batches.md).
using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kConfig = R"({
  "providers": {
    "anth": { "dialect": "anthropic", "base_url": "http://anth:80", "api_key": "anth-secret", "models": ["claude-*"], "switches": { "batches": true } },
    "home": { "dialect": "openai_chat", "base_url": "http://home:80/v1", "models": ["qwen"] }
  },
  "prices": { "claude-x": { "input": 2, "output": 4, "cache_read": 1, "cache_write_5m": 1, "cache_write_1h": 1 } }
})";
constexpr const char* kOnlyHome = R"({ "providers": { "home": { "dialect": "openai_chat", "base_url": "http://home:80/v1", "models": ["qwen"] } } })";
constexpr const char* kChatReply =
    R"({"id":"c1","object":"chat.completion","created":1,"model":"qwen","choices":[{"index":0,"finish_reason":"stop","message":)"
    R"({"role":"assistant","content":"hello"}}],"usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14}})";
constexpr const char* kTheirBatch =
    R"({"id":"msgbatch_there","type":"message_batch","processing_status":"ended","request_counts":{"processing":0,"succeeded":1,)"
    R"("errored":0,"canceled":0,"expired":0},"created_at":"2026-11-18T00:00:00Z","expires_at":"2026-11-19T00:00:00Z","ended_at":null,)"
    R"("cancel_initiated_at":null,"archived_at":null,"results_url":"http://anth:80/v1/messages/batches/msgbatch_there/results"})";

std::string item(const std::string& id, const std::string& model, const std::string& more = {}) {
  return R"({"custom_id":")" + id + R"(","params":{"model":")" + model + R"(","max_tokens":50,)" + more +
         R"("messages":[{"role":"user","content":"hi"}]}})";
}

std::string batch(const std::string& items) { return R"({"requests":[)" + items + "]}"; }

std::string member(const Message& message, const std::string& name) {
  const auto tree = parse_tree(message.body);
  return tree ? tree->string(name) : "(no JSON)";
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> out;
  std::size_t from = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', from)) {
    out.push_back(text.substr(from, end - from));
    from = end + 1;
  }
  return out;
}

}  // namespace

TEST_CASE("a batch that would have to wait for a provider that is asked with the client's own key is refused when it is made") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", kTheirBatch));
  ProxyWorld proxy(world, R"({ "providers": {
    "own": { "dialect": "anthropic", "base_url": "http://anth:80", "auth": "passthrough", "models": ["claude-*"], "switches": { "batches": true } },
    "home": { "dialect": "openai_chat", "base_url": "http://home:80/v1", "models": ["qwen"] } } })");
  const Message refused = proxy.answer("/v1/messages/batches", batch(item("a", "qwen") + "," + item("b", "claude-x")), "x-api-key: mine\r\n");
  CHECK_THAT(refused.first_line, Contains("400"));
  CHECK_THAT(refused.body, Contains("requests[1] goes to provider 'own'") && Contains("providers.own an api_key"));
  CHECK(world.scripted_requests.empty());
  const Message together = proxy.answer("/v1/messages/batches", batch(item("a", "claude-x")), "x-api-key: mine\r\n");
  CHECK_THAT(together.first_line, Contains("200"));
  CHECK_THAT(world.scripted_requests, Contains("x-api-key: mine"));
}

TEST_CASE("a batch for another provider waits here, and each request is answered as if it had come alone") {
  SimWorld world;
  world.script("home", 80, http_reply(200, "application/json", kChatReply));
  ProxyWorld proxy(world, kOnlyHome);
  const Message made = proxy.answer("/v1/messages/batches", batch(item("a", "qwen") + "," + item("b", "qwen")), "x-ccrules-project: web\r\n");
  REQUIRE_THAT(made.first_line, Contains("200"));
  CHECK(member(made, "type") == "message_batch");
  CHECK(member(made, "processing_status") == "in_progress");
  CHECK_THAT(made.body, Contains(R"("request_counts":{"processing":2,"succeeded":0)") && Contains(R"("results_url":null)"));
  const std::string id = member(made, "id");
  CHECK_THAT(id, Catch::StartsWith("msgbatch_"));

  const Message ended = proxy.call("GET", "/v1/messages/batches/" + id);
  CHECK(member(ended, "processing_status") == "ended");
  CHECK_THAT(ended.body, Contains(R"("processing":0,"succeeded":2)") &&
                             Contains(R"("results_url":"http://localhost/v1/messages/batches/)" + id + "/results\""));
  const Message results = proxy.call("GET", "/v1/messages/batches/" + id + "/results");
  CHECK(results.field("content-type") == "application/x-jsonl");
  const auto found = lines(results.body);
  REQUIRE(found.size() == 2);
  CHECK_THAT(found[0], Contains(R"("custom_id":"a","result":{"type":"succeeded","message":{)") && Contains("hello"));
  CHECK_THAT(found[1], Contains(R"("custom_id":"b")"));
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].at("provider") == "home");
  CHECK(rows[0].at("path") == "/v1/messages/batches");
  CHECK(rows[0].at("project") == "web");
  CHECK(rows[0].at("output_tokens") == "5");
}

TEST_CASE("rules decide on every request of a batch, and what they refuse is an error of that one alone") {
  SimWorld world;
  world.script("home", 80, http_reply(200, "application/json", kChatReply));
  std::string config = kOnlyHome;
  config.insert(config.rfind('}'), R"(, "rules": ["/r.lua"])");
  ProxyWorld proxy(world, config, {{"/r.lua", R"(rule "no" { when = { max_tokens = 77 }, deny = { status = 451, message = "not this one" } })"}});
  std::string bad = item("no", "qwen");
  bad.replace(bad.find("50"), 2, "77");
  const Message made = proxy.answer("/v1/messages/batches", batch(item("yes", "qwen") + "," + bad));
  const std::string id = member(made, "id");
  const auto found = lines(proxy.call("GET", "/v1/messages/batches/" + id + "/results").body);
  REQUIRE(found.size() == 2);
  CHECK_THAT(found[0], Contains("succeeded"));
  CHECK_THAT(found[1], Contains(R"("custom_id":"no","result":{"type":"errored","error":{"type":"error","error":{)") && Contains("not this one"));
  CHECK_THAT(proxy.call("GET", "/v1/messages/batches/" + id).body, Contains(R"("succeeded":1,"errored":1)"));
}

TEST_CASE("a batch of which all goes to Anthropic is handed on, and its answers cost half") {
  SimWorld world;
  const std::string results =
      R"({"custom_id":"a","result":{"type":"succeeded","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-x",)"
      R"("content":[],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1000,"output_tokens":500}}}})"
      "\n";
  const std::string about = http_reply(200, "application/json", kTheirBatch);
  world.script_in_turn("anth", 80, {about, about, http_reply(200, "application/x-jsonl", results)});
  ProxyWorld proxy(world, kConfig);
  const Message made = proxy.answer("/v1/messages/batches", batch(item("a", "claude-x", R"("new":1.50,)")), "anthropic-beta: b-1\r\n");
  CHECK_THAT(made.first_line, Contains("200"));
  CHECK_THAT(made.body, Contains(R"("results_url":"http://localhost/v1/messages/batches/msgbatch_there/results")"));
  CHECK_THAT(world.scripted_requests, Contains("POST /v1/messages/batches HTTP/1.1") && Contains("x-api-key: anth-secret") &&
                                          Contains("anthropic-beta: b-1") && Contains(R"("custom_id":"a","params":{"model":"claude-x")") &&
                                          Contains(R"("new":1.50)"));
  CHECK(proxy.rows().empty());
  CHECK(member(proxy.call("GET", "/v1/messages/batches/msgbatch_there"), "id") == "msgbatch_there");
  CHECK(proxy.call("GET", "/v1/messages/batches/msgbatch_there/results").body == results);
  CHECK(proxy.call("GET", "/v1/messages/batches/msgbatch_there/results").body == results);
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);  // read twice, paid once
  CHECK(rows[0].at("provider") == "anth");
  CHECK(rows[0].at("output_tokens") == "500");
  CHECK(rows[0].at("cost_nanousd") == "2000000");  // half of 1000 x 2 and 500 x 4 millionths of a dollar
}

TEST_CASE("a list shows the batches that wait here, then Anthropic's") {
  SimWorld world;
  world.script("home", 80, http_reply(200, "application/json", kChatReply));
  world.script("anth", 80, http_reply(200, "application/json", R"({"data":[],"has_more":false,"first_id":null,"last_id":null})"));
  ProxyWorld proxy(world, kConfig);
  const std::string id = member(proxy.answer("/v1/messages/batches", batch(item("a", "qwen"))), "id");
  const Message first = proxy.call("GET", "/v1/messages/batches?limit=5");
  CHECK_THAT(first.body, Contains(id) && Contains(R"("has_more":true)") && Contains(R"("last_id":")" + id));
  CHECK_THAT(world.scripted_requests, !Contains("GET /v1/messages/batches"));
  CHECK_THAT(proxy.call("GET", "/v1/messages/batches?limit=5&after_id=" + id).body, Contains(R"("has_more":false)"));
  CHECK_THAT(world.scripted_requests, Contains("GET /v1/messages/batches?limit=5 HTTP/1.1"));
  CHECK_THAT(proxy.call("GET", "/v1/messages/batches?limit=none").body, Contains("limit must be a number from 1 to 100"));
}

TEST_CASE("under a hard budget even Anthropic's requests go one by one") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json",
                                      R"({"id":"msg_9","type":"message","role":"assistant","model":"claude-x","content":[],)"
                                      R"("stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}})"));
  std::string config = kConfig;
  config.insert(config.rfind('}'), R"(, "budgets": [{ "scope": "all", "usd": 5, "per": "day", "mode": "hard" }])");
  ProxyWorld proxy(world, config);
  const Message made = proxy.answer("/v1/messages/batches", batch(item("a", "claude-x")));
  CHECK_THAT(world.scripted_requests, Contains("POST /v1/messages HTTP/1.1"));
  CHECK(member(proxy.call("GET", "/v1/messages/batches/" + member(made, "id")), "processing_status") == "ended");
}

TEST_CASE("a batch and its results are still there after a restart") {
  SimWorld world;
  world.script("home", 80, http_reply(200, "application/json", kChatReply));
  ProxyWorld proxy(world, kOnlyHome);
  const std::string id = member(proxy.answer("/v1/messages/batches", batch(item("a", "qwen"))), "id");
  SimWorld later;
  ProxyWorld restarted(later, kOnlyHome, {}, proxy.crash());
  const auto found = lines(restarted.call("GET", "/v1/messages/batches/" + id + "/results").body);
  REQUIRE(found.size() == 1);
  CHECK_THAT(found[0], Contains("hello"));
  CHECK(later.scripted_requests.empty());
}

TEST_CASE("a batch that has ended can be deleted, and another client's is not there") {
  SimWorld world;
  world.script("home", 80, http_reply(200, "application/json", kChatReply));
  ProxyWorld proxy(world, kOnlyHome);
  const std::string mine = "x-api-key: mine\r\n";
  const Message made = proxy.answer("/v1/messages/batches", batch(item("a", "qwen")), mine);
  const std::string path = "/v1/messages/batches/" + member(made, "id");
  CHECK_THAT(proxy.call("GET", path).first_line, Contains("404"));
  CHECK_THAT(proxy.call("GET", path, "x-api-key: yours\r\n").first_line, Contains("404"));
  CHECK_THAT(proxy.call("GET", "/v1/messages/batches").body, Contains(R"("data":[])"));
  CHECK_THAT(proxy.call("GET", "/v1/messages/batches", mine).body, Contains(member(made, "id")) && Contains(R"("has_more":false)"));
  const Message deleted = proxy.call("DELETE", path, mine);
  CHECK(member(deleted, "type") == "message_batch_deleted");
  CHECK_THAT(proxy.call("GET", path, mine).first_line, Contains("404"));
}

TEST_CASE("a batch that cannot be one is refused in words") {
  SimWorld world;
  ProxyWorld proxy(world, kOnlyHome);
  const auto told = [&](const std::string& body) { return proxy.answer("/v1/messages/batches", body).body; };
  CHECK_THAT(told("{}"), Contains("requests is missing or empty"));
  CHECK_THAT(told(batch(item("", "qwen"))), Contains("requests[0].custom_id must be a text of 1 to 64 bytes"));
  CHECK_THAT(told(batch(item("a", "qwen") + "," + item("a", "qwen"))), Contains("requests[1].custom_id 'a' is there twice"));
  CHECK_THAT(told(batch(item("a", "qwen", R"("stream":true,)"))), Contains("a batch has no stream"));
  CHECK_THAT(told(batch(R"({"custom_id":"a","params":[]})")), Contains("requests[0].params must be a Messages request"));
  CHECK_THAT(told(batch(R"({"custom_id":"a","params":{"messages":7}})")), Contains("requests[0].params: "));
  CHECK_THAT(proxy.call("GET", "/v1/messages/batches/msgbatch_none").body, Contains("there is no batch 'msgbatch_none'"));
  CHECK_THAT(proxy.call("GET", "/v1/messages/batches/../files").first_line, Contains("404"));
  CHECK(proxy.rows().empty());
}

TEST_CASE("files go to Anthropic as they come, and nowhere else") {
  SimWorld world;
  world.script_in_turn("anth", 80, {http_reply(200, "application/json", R"({"id":"file_1","type":"file"})"),
                                    http_reply(200, "application/octet-stream", std::string("\0\1\2", 3))});
  ProxyWorld proxy(world, kConfig);
  CHECK(proxy.answer("/v1/files", "--x\r\n\r\nbytes\r\n--x--", "anthropic-beta: files\r\n").body == R"({"id":"file_1","type":"file"})");
  CHECK(proxy.call("GET", "/v1/files/file_1/content").body == std::string("\0\1\2", 3));
  CHECK_THAT(world.scripted_requests, Contains("POST /v1/files HTTP/1.1") && Contains("--x\r\n\r\nbytes\r\n--x--") &&
                                          Contains("GET /v1/files/file_1/content HTTP/1.1") && Contains("x-api-key: anth-secret"));
  SimWorld alone;
  ProxyWorld other(alone, kOnlyHome);
  CHECK_THAT(other.call("GET", "/v1/files").body, Contains("no provider for it is set"));
}
