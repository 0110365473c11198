#include <catch2/catch.hpp>

#include "support/proxy_world.h"
#include "support/validators.h"

/// Providers of every dialect that answer with something else than an answer.
using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

struct Provider {
  const char* model;
  std::string stream_type;
  std::string whole;                ///< an answer that says "hello"
  std::vector<std::string> pieces;  ///< the same as a stream
};

std::vector<Provider> providers() {
  const std::string responses_item = R"({"type":"message","id":"m1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"hello","annotations":[]}]})";
  const std::string response = R"({"id":"r1","object":"response","model":"m","status":"completed","output":[)" + responses_item +
                               R"(],"usage":{"input_tokens":3,"output_tokens":2}})";
  const std::string gemini = R"({"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"hello"}]},"finishReason":"STOP"}],)"
                             R"("usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2},"modelVersion":"m","responseId":"r"})";
  const std::string ollama = R"({"model":"m","message":{"role":"assistant","content":"hello"},"done":true,"done_reason":"stop",)"
                             R"("prompt_eval_count":3,"eval_count":2})";
  return {
      {"anth,m", "text/event-stream",
       R"({"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn",)"
       R"("stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2}})",
       anthropic_events("hello")},
      {"oai,m", "text/event-stream",
       R"({"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop","message":)"
       R"({"role":"assistant","content":"hello"}}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}})",
       openai_events("hello")},
      {"res,m", "text/event-stream", response,
       {"data: {\"type\":\"response.created\",\"response\":{\"id\":\"r1\",\"model\":\"m\",\"status\":\"in_progress\",\"output\":[]}}\n\n",
        "data: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"type\":\"message\",\"id\":\"m1\",\"role\":\"assistant\",\"content\":[]}}\n\n",
        "data: {\"type\":\"response.output_text.delta\",\"item_id\":\"m1\",\"output_index\":0,\"content_index\":0,\"delta\":\"hello\"}\n\n",
        "data: {\"type\":\"response.completed\",\"response\":" + response + "}\n\n"}},
      {"gem,m", "text/event-stream", gemini, {"data: " + gemini + "\r\n\r\n"}},
      {"oll,m", "application/x-ndjson", ollama, {ollama + "\n"}},
  };
}

constexpr const char* kConfig = R"({
  "providers": {
    "anth": { "dialect": "anthropic", "base_url": "http://up:80" },
    "oai": { "dialect": "openai_chat", "base_url": "http://up:80/v1" },
    "res": { "dialect": "openai_responses", "base_url": "http://up:80/v1" },
    "gem": { "dialect": "gemini", "base_url": "http://up:80" },
    "oll": { "dialect": "ollama", "base_url": "http://up:80" }
  },
  "retry": { "max_attempts": 1 }
})";

/// What a client of Anthropic's format is told when the provider sends these bytes.
Message told(const Provider& provider, const std::string& bytes, bool stream) {
  SimWorld world;
  world.script("up", 80, bytes, true);
  ProxyWorld proxy(world, kConfig);
  return proxy.answer("/v1/messages", std::string(R"({"model":")") + provider.model + R"(","max_tokens":9,"stream":)" +
                                          (stream ? "true" : "false") + R"(,"messages":[{"role":"user","content":"hi"}]})");
}

std::string as_type(std::string bytes, const std::string& type) {
  return bytes.replace(bytes.find("text/event-stream"), std::string("text/event-stream").size(), type);
}

}  // namespace

TEST_CASE("a web page with status 200 is an error in words, whoever sends it and whatever it calls itself") {
  for (const Provider& provider : providers()) {
    for (const bool stream : {false, true}) {
      for (const std::string& type : {std::string("text/html"), provider.stream_type, std::string("application/json")}) {
        INFO(provider.model << " " << type << (stream ? " streamed" : ""));
        const Message answer = told(provider, http_reply(200, type, "<!doctype html><html><body>Sign in</body></html>"), stream);
        CHECK_THAT(answer.first_line, Contains(" 502"));
        const Seen seen = check_anthropic_error(answer.body);
        CHECK(seen.report() == "");
        CHECK_THAT(seen.error_message, Contains("provider") && Contains("a page of HTML") && Contains("base_url"));
        CHECK_THAT(answer.body, !Contains("Sign in"));
      }
    }
  }
}

TEST_CASE("text or bytes with status 200 as a stream are an error that says what came") {
  for (const Provider& provider : providers()) {
    for (const auto& [bytes, words] : {std::pair<std::string, std::string>{"upstream timed out\n", "text (\\\"upstream timed out\\\")"},
                                       {std::string("\x1f\x8b\x08\x00\x01", 5), "bytes that are no text"},
                                       {"data: <html><title>Sign in</title></html>\n\n", provider.model == std::string("oll,m") ? "text" : "a page of HTML (\\\"Sign in\\\")"}}) {
      INFO(provider.model << " " << words);
      const Message answer = told(provider, http_reply(200, provider.stream_type, bytes), true);
      CHECK_THAT(answer.first_line, Contains(" 502"));
      CHECK(check_anthropic_error(answer.body).report() == "");
      CHECK_THAT(answer.body, Contains(words) && Contains("base_url"));
    }
  }
}

TEST_CASE("a redirect is an error that names where to set the address") {
  for (const Provider& provider : providers()) {
    for (const int status : {301, 302, 303, 307, 308}) {
      INFO(provider.model << " " << status);
      const Message answer = told(provider, http_reply(status, "text/plain", "", "location: http://elsewhere/\r\n"), true);
      CHECK_THAT(answer.first_line, Contains("502"));
      CHECK(answer.field("location").empty());
      CHECK_THAT(answer.body, Contains("redirects are not followed"));
    }
  }
}

TEST_CASE("a whole answer instead of the stream that was asked for becomes one") {
  for (const Provider& provider : providers()) {
    INFO(provider.model);
    const Message answer = told(provider, http_reply(200, "application/json", provider.whole), true);
    CHECK_THAT(answer.first_line, Contains("200"));
    const Seen seen = check_anthropic_stream(answer.body);
    CHECK(seen.report() == "");
    CHECK(seen.text() == "hello");
  }
}

TEST_CASE("a stream instead of the whole answer that was asked for becomes one") {
  for (const Provider& provider : providers()) {
    INFO(provider.model);
    const Message answer = told(provider, as_type(http_stream(provider.pieces), provider.stream_type), false);
    CHECK_THAT(answer.first_line, Contains("200"));
    CHECK_THAT(answer.body, Contains(R"("text":"hello")"));
  }
}

TEST_CASE("an empty answer with status 200 is an error, not silence") {
  for (const Provider& provider : providers()) {
    for (const bool stream : {false, true}) {
      for (const std::string& type : {std::string("application/json"), provider.stream_type}) {
        INFO(provider.model << " " << type << (stream ? " streamed" : ""));
        const Message answer = told(provider, http_reply(200, type, ""), stream);
        CHECK_THAT(answer.first_line, Contains("502"));
        CHECK(check_anthropic_error(answer.body).report() == "");
      }
    }
  }
}

TEST_CASE("a whole answer of which only the beginning comes is told as broken, and none of its text with it") {
  for (const Provider& provider : providers()) {
    // Such a member stands in every whole answer of the Responses API: it does not make an error of the answer.
    const std::string whole = R"({"error":null,)" + provider.whole.substr(1);
    for (std::size_t cut = 1; cut < whole.size(); ++cut) {
      INFO(provider.model << " cut at " << cut);
      const Message answer = told(provider, http_reply(200, "application/json", whole.substr(0, cut)), false);
      CHECK_THAT(answer.first_line, Contains(" 502"));
      CHECK(check_anthropic_error(answer.body).report() == "");
      CHECK_THAT(answer.body, !Contains("hello") && Contains("JSON that breaks off"));
    }
  }
}

TEST_CASE("a whole answer in the client's own format is one without an id, and whatever its counts say") {
  struct Case {
    const char* path;
    const char* request;
    std::string whole;
  };
  const std::vector<Case> cases = {
      {"/v1/chat/completions", R"({"model":"oai,m","messages":[{"role":"user","content":"hi"}]})",
       R"({"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"hello"}}],"error":null,"usage":null})"},
      {"/v1beta/models/gem,m:generateContent", R"({"contents":[{"parts":[{"text":"hi"}]}]})",
       R"({"candidates":[{"content":{"role":"model","parts":[{"text":"hello"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1.5}})"},
      {"/api/chat", R"({"model":"oll,m","stream":false,"messages":[{"role":"user","content":"hi"}]})",
       R"({"model":"m","message":{"role":"assistant","content":"hello"},"done":true,"eval_count":null})"},
  };
  for (const Case& one : cases) {
    INFO(one.path);
    SimWorld world;
    world.script("up", 80, http_reply(200, "application/json", one.whole), true);
    ProxyWorld proxy(world, kConfig);
    const Message answer = proxy.answer(one.path, one.request);
    CHECK_THAT(answer.first_line, Contains(" 200"));
    CHECK(answer.body == one.whole);
  }
}

TEST_CASE("a stream that breaks off behind its answer, in its counts, ends in a whole event") {
  std::string stream;
  for (const std::string& event : openai_events("hello")) stream += event;
  const std::size_t counts = stream.find("\"usage\"");
  const std::size_t done = stream.find("data: [DONE]");
  REQUIRE(counts < done);
  for (std::size_t cut = stream.rfind("data: ", counts); cut < stream.size(); ++cut) {
    INFO(stream.substr(0, cut));
    SimWorld world;
    world.script("up", 80, http_stream({stream.substr(0, cut)}));
    ProxyWorld proxy(world, kConfig);
    const Message answer = proxy.answer(
        "/v1/chat/completions",
        R"({"model":"oai,m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]})");
    const std::string_view told = answer.body;
    CHECK_THAT(answer.body, Contains("hello"));
    const bool whole = told.ends_with("}\n\n") || told.ends_with("}\n") || told.ends_with("}") || told.ends_with("[DONE]") ||
                       told.ends_with("[DONE]\n");
    CHECK(whole);
  }
}

TEST_CASE("an answer that nobody has billed is counted the same as a stream, in one piece, and translated") {
  const std::string words = "counted by its words, however it came";
  const std::string whole = R"({"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop",)"
                            R"("message":{"role":"assistant","content":")" + words + R"("}}]})";
  std::vector<std::string> pieces = openai_events(words);
  std::erase_if(pieces, [](const std::string& piece) { return piece.find("\"usage\":{") != std::string::npos; });
  std::string counted;
  for (const char* path : {"/v1/chat/completions", "/v1/messages"}) {
    for (const bool stream : {false, true}) {
      CAPTURE(path, stream);
      SimWorld world;
      world.script("up", 80, stream ? http_stream(pieces) : http_reply(200, "application/json", whole));
      ProxyWorld proxy(world, kConfig);
      CHECK_THAT(proxy.answer(path, std::string(R"({"model":"oai,m","max_tokens":50,"stream":)") + (stream ? "true" : "false") +
                                        R"(,"messages":[{"role":"user","content":"hi"}]})").first_line, Contains(" 200"));
      const auto rows = proxy.rows();
      REQUIRE(rows.size() == 1);
      CHECK(rows[0].at("usage_estimated") == "1");
      if (counted.empty()) counted = rows[0].at("output_tokens");
      CHECK(rows[0].at("output_tokens") == counted);
    }
  }
  CHECK(std::stoi(counted) < 15);
}
