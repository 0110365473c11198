#include <catch2/catch.hpp>

#include "dialect/tools.h"
#include "support/json_tree.h"
#include "support/proxy_world.h"

/// What a translation changes or loses, as clients of the whole proxy see it.
using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kConfig = R"({
  "providers": {
    "anth": { "dialect": "anthropic", "base_url": "http://anth:80", "api_key": "k", "models": ["claude-*"] },
    "oai": { "dialect": "openai_chat", "base_url": "http://oai:80/v1", "api_key": "k", "models": ["gpt-x", "gpt-y"] },
    "zai": { "dialect": "openai_chat", "base_url": "http://home:80/v1", "api_key": "k", "models": ["glm-listed"] }
  },
  "models_dir": "/newer"
})";
const std::map<std::string, std::string> kFiles = {
    {"/newer/zai.json", R"({"schema":"ccrules.models/1","provider":"zai","source":"a test","date":"2027-01-01","models":[)"
                        R"({"id":"glm-listed","context_tokens":5000,"max_output_tokens":77,"usd_per_million":{"input":1}}]})"}};

std::string codex_asks(bool stream) {
  return R"({"model":"claude-x","stream":)" + std::string(stream ? "true" : "false") +
         R"(,"input":[{"role":"user","content":"go"}],"tools":[{"type":"namespace","name":"team","tools":[)"
         R"({"type":"function","name":"spawn","parameters":{"type":"object","properties":{"a":{"type":"integer"}}}}]}]})";
}

std::string ids_of(const std::string& body, const char* list) {
  const auto tree = parse_tree(body);
  REQUIRE(tree);
  std::string ids;
  for (const Tree& model : tree->get(list)->items) ids += model.string("id") + model.string("name") + " ";
  return ids;
}

}  // namespace

TEST_CASE("a function in a namespace is offered, called and answered at a provider that has no namespaces") {
  const std::string sent = dialect::shortened_tool_name(dialect::spaced_name("team", "spawn"));
  SimWorld world;
  world.script("anth", 80,
               http_reply(200, "application/json",
                          R"({"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[{"type":"tool_use","id":"toolu_1","name":")" +
                              sent + R"(","input":{"a":1}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2}})"));
  ProxyWorld proxy(world, kConfig, kFiles);
  const Message whole = proxy.answer("/v1/responses", codex_asks(false));
  CHECK_THAT(world.scripted_requests, Contains("\"name\":\"" + sent + "\"") && !Contains("namespace"));
  CHECK_THAT(whole.body, Contains(R"("call_id":"toolu_1","name":"spawn","namespace":"team")"));
  CHECK(whole.field("x-ccrules-loss").empty());
  // The provider answers whole where a stream was asked for: the client gets its stream.
  const Message streamed = proxy.answer("/v1/responses", codex_asks(true));
  CHECK_THAT(streamed.body, Contains("event: response.output_item.added") && Contains(R"("name":"spawn","namespace":"team")") && !Contains(sent));
  const Message again = proxy.answer(
      "/v1/responses",
      R"({"model":"claude-x","input":[{"role":"user","content":"go"},{"type":"function_call","call_id":"toolu_1","name":"spawn","namespace":"team",)"
      R"("arguments":"{}"},{"type":"function_call_output","call_id":"toolu_1","output":"done"}]})");
  CHECK_THAT(again.first_line, Contains("200"));
  CHECK_THAT(world.scripted_requests, Contains(R"("type":"tool_use","id":"toolu_1","name":")" + sent + "\""));
}

TEST_CASE("a spoken answer is its words, and the head of the answer names the sound that is lost") {
  SimWorld world;
  world.script("oai", 80,
               http_reply(200, "application/json",
                          R"({"id":"c","object":"chat.completion","created":1,"model":"gpt-x","choices":[{"index":0,"finish_reason":"stop",)"
                          R"("message":{"role":"assistant","content":null,"audio":{"id":"a","data":"AA","transcript":"spoken words"}}}]})"));
  ProxyWorld proxy(world, kConfig, kFiles);
  const Message answer = proxy.answer("/v1/messages", R"({"model":"gpt-x","max_tokens":9,"messages":[{"role":"user","content":"hi"}]})");
  CHECK_THAT(answer.body, Contains("spoken words"));
  CHECK(answer.field("x-ccrules-loss") == "audio");
  const Message own = proxy.answer("/v1/chat/completions", R"({"model":"gpt-x","messages":[{"role":"user","content":"hi"}]})");
  CHECK(own.field("x-ccrules-loss").empty());  // its own dialect's answers go out as they came
}

TEST_CASE("lists of models tell the limits that are known, and come in pages") {
  SimWorld world;
  ProxyWorld proxy(world, kConfig, kFiles);
  const std::string anthropic = "anthropic-version: 2023-06-01\r\n";
  const std::string one = proxy.call("GET", "/v1/models/glm-listed", anthropic).body;
  CHECK_THAT(one, Contains(R"("max_input_tokens":5000,"max_tokens":77)") && Contains(R"("display_name":"glm-listed")"));
  CHECK_THAT(proxy.call("GET", "/v1/models", anthropic).body, Contains(R"("max_input_tokens":5000)") && Contains(R"("has_more":false)"));
  const auto page = [&](const std::string& query) { return proxy.call("GET", "/v1/models?" + query, anthropic).body; };
  CHECK(ids_of(page("limit=2"), "data") == "glm-listed gpt-x ");
  CHECK_THAT(page("limit=2"), Contains(R"("has_more":true,"first_id":"glm-listed","last_id":"gpt-x")"));
  CHECK(ids_of(page("limit=2&after_id=gpt-x"), "data") == "gpt-y ");
  CHECK(ids_of(page("limit=1&before_id=gpt-y"), "data") == "gpt-x ");
  CHECK(ids_of(page("limit=0"), "data") == "glm-listed gpt-x gpt-y ");
  const std::string google = proxy.call("GET", "/v1beta/models?pageSize=1").body;
  CHECK_THAT(google, Contains(R"("inputTokenLimit":5000,"outputTokenLimit":77)") && Contains(R"("nextPageToken":"glm-listed")"));
  CHECK(ids_of(proxy.call("GET", "/v1beta/models?pageSize=1&pageToken=gpt-x").body, "models") == "models/gpt-y ");
  CHECK_THAT(proxy.call("GET", "/v1beta/models/glm-listed").body, Contains(R"("name":"models/glm-listed")") && Contains("inputTokenLimit"));
  CHECK(ids_of(proxy.call("GET", "/v1/models?limit=1").body, "data") == "glm-listed gpt-x gpt-y ");  // OpenAI's list has no pages
}
