#include <catch2/catch.hpp>

#include "support/proxy_world.h"
#include "support/validators.h"

/// Strict mode: what a translation must not lose.
using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kProviders = R"("providers": {
    "anth": { "dialect": "anthropic", "base_url": "http://anth:80", "api_key": "anth-secret", "models": ["claude-*"] },
    "home": { "dialect": "openai_chat", "base_url": "http://home:80/v1", "models": ["qwen"] }
  })";

std::string set_up(const std::string& more) { return "{" + std::string(kProviders) + "," + more + "}"; }

constexpr const char* kReply =
    R"({"id":"msg_9","type":"message","role":"assistant","model":"claude-x","content":[{"type":"text","text":"hello"}],)"
    R"("stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":7}})";
constexpr const char* kChatReply =
    R"({"id":"c1","object":"chat.completion","created":1,"model":"qwen","choices":[{"index":0,"finish_reason":"stop","message":)"
    R"({"role":"assistant","content":"hello"}}],"usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14}})";
/// Chat completions know neither top_k nor cache_control.
constexpr const char* kAsk =
    R"({"model":"home,qwen","max_tokens":100,"top_k":5,"messages":[{"role":"user","content":[{"type":"text","text":"hi",)"
    R"("cache_control":{"type":"ephemeral"}}]}]})";

struct Told {
  Message message;
  std::string type, words;
};

Told told(ProxyWorld& proxy, const std::string& path = "/v1/messages", const std::string& body = kAsk) {
  Told told;
  told.message = proxy.answer(path, body);
  const Seen seen = check_anthropic_error(told.message.body);
  told.type = seen.error_type;
  told.words = seen.error_message;
  return told;
}

}  // namespace

TEST_CASE("without strict mode losses are told and nothing more") {
  SimWorld world;
  world.script("home", 80, http_reply(200, "application/json", kChatReply));
  ProxyWorld proxy(world, set_up(R"("rules": [])"));
  const Message answer = proxy.answer("/v1/messages", kAsk);
  CHECK_THAT(answer.first_line, Contains("200"));
  CHECK_THAT(answer.field("x-ccrules-loss"), Contains("cache_control") && Contains("top_k"));
}

TEST_CASE("a request that would lose something is refused before anything is sent, and told what") {
  SimWorld world;
  ProxyWorld proxy(world, set_up(R"("strict": ["*"])"));
  const Told refused = told(proxy);
  CHECK_THAT(refused.message.first_line, Contains("400"));
  CHECK(refused.type == "invalid_request_error");
  CHECK_THAT(refused.words, Contains("strict mode: provider 'home' (openai_chat)") && Contains("top_k (") && Contains("cache_control ("));
  CHECK(refused.message.field("x-should-retry") == "false");
  CHECK(world.scripted_requests.empty());
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].at("status") == "400");
  CHECK_THAT(rows[0].at("error"), Contains("loss: "));
}

TEST_CASE("globs say what matters, and the last one that matches counts") {
  const auto status = [](const std::string& globs) {
    SimWorld world;
    world.script("home", 80, http_reply(200, "application/json", kChatReply));
    ProxyWorld proxy(world, set_up(R"("strict": )" + globs));
    return proxy.answer("/v1/messages", kAsk).first_line.substr(9, 3);
  };
  CHECK(status(R"(["tools*"])") == "200");
  CHECK(status(R"(["top_?"])") == "400");
  CHECK(status(R"(["*", "!cache_control", "!top_k"])") == "200");
  CHECK(status(R"(["!top_k", "top_k"])") == "400");
}

TEST_CASE("a target that would lose something is passed over for a fallback that carries it") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", kReply));
  ProxyWorld proxy(world, set_up(R"("strict": ["*"], "rules": ["/r.lua"])"),
                   {{"/r.lua", R"(rule "net" { fallback = "anth,claude-x" })"}});
  const Message answer = proxy.answer("/v1/messages", kAsk);
  CHECK_THAT(answer.first_line, Contains("200"));
  CHECK(answer.field("x-ccrules-target") == "anth,claude-x");
  CHECK(answer.field("x-ccrules-loss").empty());
  CHECK_THAT(world.scripted_requests, Contains("top_k"));
}

TEST_CASE("a rule reroutes what a target cannot carry") {
  SimWorld world;
  world.script("anth", 80, http_reply(200, "application/json", kReply));
  ProxyWorld proxy(world, set_up(R"("rules": ["/r.lua"])"), {{"/r.lua", R"(
rule "careful" { when = { model = "home,*" }, strict = true }
rule "carry it whole" { on = "error", when = { error = "loss" }, to = "anth,claude-x", tag = { rerouted = true } })"}});
  const Message answer = proxy.answer("/v1/messages", kAsk);
  CHECK_THAT(answer.first_line, Contains("200"));
  CHECK(answer.field("x-ccrules-target") == "anth,claude-x");
  const auto rows = proxy.rows();
  REQUIRE(rows.size() == 1);
  CHECK_THAT(rows[0].at("tags"), Contains("rerouted"));
}

TEST_CASE("a rule makes strict what the configuration does not, and the other way round") {
  const auto status = [](const std::string& global, const std::string& rule) {
    SimWorld world;
    world.script("home", 80, http_reply(200, "application/json", kChatReply));
    ProxyWorld proxy(world, set_up(R"("strict": )" + global + R"(, "rules": ["/r.lua"])"), {{"/r.lua", rule}});
    return proxy.answer("/v1/messages", kAsk).first_line.substr(9, 3);
  };
  CHECK(status("[]", R"(rule "a" { strict = { "top_k" } })") == "400");
  CHECK(status("[]", R"(rule "a" { strict = function(req) return req.model == "home,qwen" end })") == "400");
  CHECK(status("[]", R"(rule "a" { strict = function(req) return nil end })") == "200");
  CHECK(status(R"(["*"])", R"(rule "a" { strict = false })") == "200");
  CHECK(status(R"(["*"])", R"(rule "a" { strict = { "*", "!top_k", "!cache_control" } })") == "200");
}

TEST_CASE("every client reads the refusal in its own dialect") {
  SimWorld world;
  ProxyWorld proxy(world, set_up(R"("strict": ["*"])"));
  const Message chat = proxy.answer(
      "/v1/chat/completions",
      R"({"model":"anth,claude-x","n":2,"messages":[{"role":"user","content":"hi"}]})");
  CHECK_THAT(chat.first_line, Contains("400"));
  CHECK_THAT(chat.body, Contains(R"("error":{"message":"strict mode: provider 'anth' (anthropic))") && Contains("n ("));
  CHECK(world.scripted_requests.empty());
}
