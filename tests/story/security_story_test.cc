#include <chrono>

#include <catch2/catch.hpp>

#include "support/proxy_world.h"

// What docs/security.md promises and no other file's tests show.

using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kConfig = R"({
  "providers": {
    "anth": { "dialect": "anthropic", "base_url": "http://anth:80", "api_key": "anth-secret", "models": ["claude-*"] },
    "oai": { "dialect": "openai_chat", "base_url": "http://oai:80/v1", "api_key": "oai-secret", "models": ["gpt-*"] },
    "oll": { "dialect": "ollama", "base_url": "http://oll:80", "local": true, "models": ["llama-*"] }
  }
})";
constexpr const char* kWithKey = R"({"listen": {"api_key": "proxy-key"}})";
constexpr const char* kReply =
    R"({"id":"msg_9","type":"message","role":"assistant","model":"claude-x","content":[{"type":"text","text":"hello"}],)"
    R"("stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":7}})";
constexpr const char* kOpenAiReply =
    R"({"id":"c","object":"chat.completion","created":1,"model":"gpt-x","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},)"
    R"("finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}})";

/// A host that nobody may ask; counts who did.
void bait(SimWorld& world, int& reached) {
  world.serve("evil", 80, [&reached](http::Exchange& exchange) -> Task<void> {
    ++reached;
    const http::Headers headers;
    (void)co_await exchange.send(200, headers, "{}");
  });
}

}  // namespace

TEST_CASE("nothing that a client sends changes the address that its request goes to") {
  const std::string headers =
      "x-forwarded-host: evil\r\nx-original-url: http://evil/\r\nx-rewrite-url: http://evil/\r\nforwarded: host=evil\r\n"
      "x-ccrules-base-url: http://evil:80\r\nx-ccrules-provider: http://evil:80\r\n";
  const std::string body =
      R"({"model":"claude-x","max_tokens":9,"base_url":"http://evil:80","api_base":"http://evil:80","provider":{"base_url":"http://evil"},)"
      R"("messages":[{"role":"user","content":"hi"}]})";
  int reached = 0;
  SimWorld world;
  bait(world, reached);
  world.script("anth", 80, http_reply(200, "application/json", kReply));
  ProxyWorld proxy(world, kConfig);
  CHECK_THAT(proxy.answer("/v1/messages?base_url=http://evil:80", body, headers).first_line, Contains("200"));
  CHECK_THAT(world.scripted_requests, Contains("host: anth"));
  CHECK_THAT(proxy.answer("http://evil:80/v1/messages", body).first_line, Contains("403"));
  CHECK_THAT(proxy.answer("http://localhost/v1/messages", body).first_line, Contains("200"));
  CHECK_THAT(proxy.answer("/v1/messages", R"({"model":"http://evil:80,claude-x","max_tokens":9,"messages":[{"role":"user","content":"hi"}]})")
                 .first_line,
             Contains("404"));
  CHECK(reached == 0);
}

TEST_CASE("the address of an image is never asked, not even for a provider that takes only bytes") {
  int reached = 0;
  SimWorld world;
  bait(world, reached);
  world.script("oai", 80, http_reply(200, "application/json", kOpenAiReply));
  world.script("oll", 80, http_reply(200, "application/json", R"({"model":"m","message":{"role":"assistant","content":"x"},"done":true})"));
  ProxyWorld proxy(world, kConfig);
  for (const char* model : {"gpt-x", "llama-x"}) {
    for (const char* url : {"http://evil:80/a.png", "file:///etc/passwd"}) {
      (void)proxy.answer("/v1/messages",
                         R"({"model":")" + std::string(model) +
                             R"(","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"look"},)" +
                             R"({"type":"image","source":{"type":"url","url":")" + url + R"("}}]}]})");
    }
  }
  CHECK(reached == 0);
  CHECK_THAT(world.scripted_requests, !Contains("root:"));
}

TEST_CASE("whole numbers above 2^53 and what stands behind a NUL reach a provider of another dialect") {
  SimWorld world;
  world.script("oai", 80, http_reply(200, "application/json", kOpenAiReply));
  ProxyWorld proxy(world, kConfig);
  const Message answer = proxy.answer(
      "/v1/messages",
      R"({"model":"gpt-x","max_tokens":9,"messages":[{"role":"user","content":"a\u0000behind"},{"role":"assistant","content":[)"
      R"({"type":"tool_use","id":"t","name":"f","input":{"n":9007199254740993,"s":"c\u0000also"}}]},)"
      R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"done"}]}]})");
  CHECK_THAT(answer.first_line, Contains("200"));
  CHECK_THAT(world.scripted_requests, Contains("9007199254740993") && Contains("a\\u0000behind") && Contains("u0000also"));
}

TEST_CASE("every path refuses a rebound Host, a foreign page and a missing key, whether it exists or not") {
  SimWorld world;
  ProxyWorld proxy(world, kWithKey);
  for (const char* path : {"/", "/v1/messages", "/v1/messages/count_tokens", "/v1/chat/completions", "/v1/responses", "/v1/completions",
                           "/v1/embeddings", "/v1/models", "/v1beta/models/g:generateContent", "/api/chat", "/api/tags", "/api/show",
                           "/reload", "/nowhere", "//v1//messages", "/v1%2fmessages", "/health/../v1/messages"}) {
    INFO(path);
    CHECK_THAT(proxy.answer(path, "{}").first_line, Contains("401"));
    CHECK_THAT(proxy.answer(path, "{}", "x-api-key: proxy-key\r\norigin: http://evil\r\n").first_line, Contains("403"));
    CHECK_THAT(proxy.answer(path, "{}", "x-api-key: proxy-key\r\nsec-fetch-site: cross-site\r\ncontent-type: text/plain\r\n").first_line,
               Contains("403"));
    MemoryClient rebound(world.loop, proxy.server());
    rebound.send("GET " + std::string(path) + " HTTP/1.1\r\nHost: evil\r\nx-api-key: proxy-key\r\n\r\n");
    world.loop.run_for(std::chrono::seconds(1));
    CHECK_THAT(rebound.received(), Contains(" 403 ") && !Contains("access-control-") && !Contains("x-ccrules-decision"));
  }
}

TEST_CASE("OPTIONS tells what may be asked of a path, and lets no page of another origin in") {
  SimWorld world;
  ProxyWorld proxy(world, kWithKey);
  const auto ask = [&](const std::string& target, const std::string& fields) {
    MemoryClient client(world.loop, proxy.server());
    client.send("OPTIONS " + target + " HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n");
    world.loop.run_for(std::chrono::seconds(1));
    return client.received();
  };
  const auto allowed = [&](const std::string& target) {
    const Message answer = read_message(ask(target, "x-api-key: proxy-key\r\n"));
    return answer.first_line.substr(9, 3) + " " + answer.field("allow");
  };
  CHECK(allowed("/v1/messages?beta=true") == "204 POST, OPTIONS");
  CHECK(allowed("/v1/responses") == "204 POST, OPTIONS");
  CHECK(allowed("/v1/models") == "204 GET, HEAD, OPTIONS");
  CHECK(allowed("/v1/messages/batches") == "204 GET, POST, DELETE, OPTIONS");
  CHECK(allowed("/health") == "204 GET, HEAD, OPTIONS");
  CHECK(allowed("/reload") == "204 POST, OPTIONS");
  CHECK(allowed("/api/requests") == "204 GET, OPTIONS");
  CHECK(allowed("*") == "204 GET, HEAD, POST, DELETE, OPTIONS");
  CHECK(allowed("http://localhost/v1/messages") == "204 POST, OPTIONS");
  CHECK(allowed("/nowhere") == "404 ");
  CHECK(allowed("/v1/responses/resp_1") == "404 ");
  CHECK_THAT(ask("/v1/messages", ""), Contains(" 401 "));
  const std::string preflight = "origin: http://evil\r\naccess-control-request-method: POST\r\naccess-control-request-headers: x-api-key\r\n";
  for (const char* path : {"/v1/messages", "/health", "*"}) CHECK_THAT(ask(path, preflight), Contains(" 403 ") && !Contains("access-control-"));
  CHECK_THAT(ask("/v1/messages", "x-api-key: proxy-key\r\n"), !Contains("access-control-") && !Contains("content-length"));
}

TEST_CASE("who has no key is refused before a byte of the body has come") {
  SimWorld world;
  ProxyWorld proxy(world, kWithKey);
  MemoryClient client(world.loop, proxy.server());
  client.send("POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30000000\r\n\r\n");
  world.loop.run_for(std::chrono::seconds(1));
  CHECK_THAT(client.received(), Contains(" 401 "));
}

TEST_CASE("a provider's status that HTTP does not know is a bad gateway, and no redirect") {
  SimWorld world;
  world.script("anth", 80, "HTTP/1.1 000 Weird\r\ncontent-length: 2\r\n\r\nhi");
  ProxyWorld proxy(world, kConfig);
  const Message answer =
      proxy.answer("/v1/messages", R"({"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"hi"}]})");
  CHECK_THAT(answer.first_line, Contains("502"));
  CHECK_THAT(answer.body, Contains("the status 0") && !Contains("redirect"));
}

TEST_CASE("what a client calls itself is text to the database, never a statement") {
  const std::string name = "x'); DROP TABLE requests; --";
  SimWorld world;
  ProxyWorld proxy(world, "{}");
  for (int i = 0; i < 2; ++i) {
    const Message answer = proxy.answer(
        "/v1/messages",
        R"({"model":"sim,')); DROP TABLE requests; --","max_tokens":9,"metadata":{"user_id":"u' OR '1'='1"},"messages":[{"role":"user","content":"hi"}]})",
        "x-ccrules-project: " + name + "\r\nx-ccrules-session: " + name + "\r\n");
    CHECK_THAT(answer.first_line, Contains("200"));
  }
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 2);
  CHECK(rows[1].at("project") == name);
  CHECK(rows[1].at("session") == name);
}

TEST_CASE("a stream costs what the same answer costs in one piece") {
  std::string events;
  for (const std::string& event : anthropic_events("hello")) events += event;
  SimWorld world;
  world.script_in_turn("anth", 80, {http_reply(200, "application/json", kReply), http_stream({events})});
  ProxyWorld proxy(world, kConfig);
  for (const char* stream : {"false", "true"}) {
    (void)proxy.answer("/v1/messages", R"({"model":"claude-sonnet-4-5","max_tokens":9,"stream":)" + std::string(stream) +
                                           R"(,"messages":[{"role":"user","content":"hi"}]})");
  }
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 2);
  CHECK_FALSE(rows[0].at("cost_nanousd").empty());
  CHECK(rows[0].at("cost_nanousd") == rows[1].at("cost_nanousd"));
  CHECK(rows[1].at("stream") == "1");
}
