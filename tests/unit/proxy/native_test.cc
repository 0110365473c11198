#include "proxy/native.h"

#include <catch2/catch.hpp>

using namespace ccrules;

namespace {

/// The body that goes to `model` when the client sent `body` and the rules ask for `edits`.
std::string sent(const dialect::Dialect& spoken, std::string body, std::string_view model,
                 std::vector<rules::FieldEdit> edits = {}, bool ask_usage = false) {
  body.reserve(body.size() + 64);
  auto outline = spoken.outline(body);
  REQUIRE(outline.ok());
  proxy::NativeRequest request;
  request.body = body;
  request.outline = &*outline;
  request.spoken = &spoken;
  request.model = model;
  request.edits = &edits;
  request.ask_usage = ask_usage;
  auto out = proxy::native_body(request);
  REQUIRE(out.ok());
  return out->empty() ? body : *out;
}

rules::FieldEdit edit(std::string field, rules::FieldEdit::Kind kind, std::string json) {
  rules::FieldEdit made;
  made.field = std::move(field);
  made.kind = kind;
  made.value_json = std::move(json);
  return made;
}

using Kind = rules::FieldEdit::Kind;
const std::string kAsk =
    R"({"model":"m", "max_tokens": 100 ,"messages":[{"role":"user","content":"h\u00e9 1e3"}],"x":12345678901234567890})";

}  // namespace

TEST_CASE("a request that nothing changes leaves as the very same bytes") {
  CHECK(sent(dialect::anthropic(), kAsk, "m") == kAsk);
}

TEST_CASE("a new model replaces only the model's bytes") {
  CHECK(
      sent(dialect::anthropic(), kAsk, "big\"one") ==
      R"({"model":"big\"one", "max_tokens": 100 ,"messages":[{"role":"user","content":"h\u00e9 1e3"}],"x":12345678901234567890})");
}

TEST_CASE("an upper limit lowers a larger value, keeps a smaller one and adds nothing where there is none") {
  CHECK(sent(dialect::anthropic(), kAsk, "m", {edit("max_tokens", Kind::kAtMost, "50")})
            .find("\"max_tokens\": 50 ") != std::string::npos);
  CHECK(sent(dialect::anthropic(), kAsk, "m", {edit("max_tokens", Kind::kAtMost, "500")}) == kAsk);
  CHECK(sent(dialect::anthropic(), kAsk, "m", {edit("thinking.budget_tokens", Kind::kAtMost, "500")}) ==
        kAsk);
}

TEST_CASE("a route's parameter applies only where the request has none") {
  CHECK(sent(dialect::anthropic(), kAsk, "m", {edit("max_tokens", Kind::kDefault, "7")}) == kAsk);
  CHECK(sent(dialect::anthropic(), kAsk, "m", {edit("temperature", Kind::kDefault, "0.5")})
            .ends_with("\"temperature\":0.5}"));
}

TEST_CASE("a value that is not among those allowed becomes the first of them") {
  CHECK(sent(dialect::anthropic(), kAsk, "m", {edit("max_tokens", Kind::kOneOf, "[50,200]")})
            .find("\"max_tokens\": 50 ") != std::string::npos);
  CHECK(sent(dialect::anthropic(), kAsk, "m", {edit("max_tokens", Kind::kOneOf, "[50,1e2]")}) == kAsk);
  CHECK(sent(dialect::anthropic(), kAsk, "m", {edit("effort", Kind::kOneOf, "[\"low\"]")}) == kAsk);
  chat::Request request;
  request.effort = "max";
  proxy::apply_edits({edit("effort", Kind::kOneOf, "[\"low\",\"high\"]")}, request);
  CHECK(request.effort == "low");
}

TEST_CASE("every field that rules may set reaches a request that is translated") {
  chat::Request request;
  request.thinking.kind = chat::ThinkingKind::kEnabled;
  proxy::apply_edits({edit("stop_sequences", Kind::kSet, R"(["a","b"])"), edit("metadata.user_id", Kind::kSet, "\"u\""),
                      edit("thinking.type", Kind::kSet, "\"adaptive\""),
                      edit("tool_choice", Kind::kSet, R"({"type":"tool","name":"Bash"})")},
                     request);
  CHECK(request.stop_sequences == std::vector<std::string>{"a", "b"});
  CHECK(request.user_id == "u");
  CHECK(request.thinking.kind == chat::ThinkingKind::kAdaptive);
  REQUIRE(request.tool_choice.has_value());
  CHECK(request.tool_choice->name == "Bash");
  proxy::apply_edits({edit("thinking", Kind::kSet, R"({"type":"enabled","budget_tokens":2048})")}, request);
  CHECK(request.thinking.kind == chat::ThinkingKind::kEnabled);
  CHECK(request.thinking.budget_tokens == 2048);
  proxy::apply_edits({edit("thinking", Kind::kRemove, ""), edit("tool_choice", Kind::kRemove, ""),
                      edit("stop_sequences", Kind::kRemove, ""), edit("metadata.user_id", Kind::kDefault, "\"v\"")},
                     request);
  CHECK(request.thinking.kind == chat::ThinkingKind::kAbsent);
  CHECK_FALSE(request.tool_choice.has_value());
  CHECK(request.stop_sequences.empty());
  CHECK(request.user_id == "u");
}

TEST_CASE("a field that an OpenAI body does not have adds nothing to it") {
  const std::string body = R"({"model":"m","messages":[{"role":"user","content":"hi"}]})";
  CHECK(sent(dialect::openai_chat(), body, "m", {edit("thinking.budget_tokens", Kind::kSet, "5"), edit("top_k", Kind::kSet, "5")}) == body);
  CHECK(sent(dialect::openai_chat(), body, "m", {edit("stop_sequences", Kind::kSet, R"(["x"])")})
            .find(R"("stop":["x"])") != std::string::npos);
}

TEST_CASE("max_tokens means max_completion_tokens where an OpenAI request uses that name") {
  const std::string body =
      R"({"model":"m","max_completion_tokens":9,"messages":[{"role":"user","content":"hi"}]})";
  CHECK(sent(dialect::openai_chat(), body, "m", {edit("max_tokens", Kind::kSet, "5")}) ==
        R"({"model":"m","max_completion_tokens":5,"messages":[{"role":"user","content":"hi"}]})");
}

TEST_CASE("an upper limit holds under every name that the provider would heed") {
  const auto openai = [](const std::string& members) {
    return sent(dialect::openai_chat(), R"({"model":"m","messages":[{"role":"user","content":"hi"}],)" + members + "}", "m",
                {edit("max_tokens", Kind::kAtMost, "50")});
  };
  CHECK_THAT(openai(R"("max_tokens":9000,"max_completion_tokens":9)"),
             Catch::EndsWith(R"("max_tokens":50,"max_completion_tokens":9})"));
  CHECK_THAT(openai(R"("max_tokens":9000,"max_completion_tokens":null)"),
             Catch::EndsWith(R"("max_tokens":50,"max_completion_tokens":null})"));
  const auto gemini = [](const std::string& config) {
    return sent(dialect::gemini_dialect(), R"({"contents":[{"parts":[{"text":"hi"}]}],)" + config + "}", "m",
                {edit("max_tokens", Kind::kAtMost, "50")});
  };
  CHECK_THAT(gemini(R"("generationConfig":{"maxOutputTokens":9000})"), Catch::EndsWith(R"("generationConfig":{"maxOutputTokens":50}})"));
  CHECK_THAT(gemini(R"("generation_config":{"max_output_tokens":9000})"),
             Catch::EndsWith(R"("generation_config":{"max_output_tokens":50}})"));
  CHECK_THAT(gemini(R"("generation_config":{"maxOutputTokens":9000})"),
             Catch::EndsWith(R"("generation_config":{"maxOutputTokens":50}})"));
}

TEST_CASE("a header of an answer that repeats the provider's key stays here") {
  http::Headers from;
  from.add("x-request-id", "up");
  from.add("x-echo", "Bearer s3cret-key-of-ours");
  from.add("connection", "keep-alive, X-Hop");
  from.add("x-hop", "of the provider's proxy");
  from.add("Connection", "x-other");
  from.add("x-other", "of this hop as well");
  config::Provider provider;
  http::Headers with_any;
  proxy::forward_reply_headers(from, provider, config::Listen(), with_any);
  CHECK(with_any.size() == 2);
  provider.api_key = "s3cret-key-of-ours";
  http::Headers out;
  proxy::forward_reply_headers(from, provider, config::Listen(), out);
  CHECK(out.size() == 1);
  CHECK(out.get("x-request-id") == "up");
}

TEST_CASE("effort stands where each dialect keeps it") {
  CHECK(sent(dialect::anthropic(), kAsk, "m", {edit("effort", Kind::kSet, "\"low\"")})
            .ends_with(R"("output_config":{"effort":"low"}})"));
  CHECK(sent(dialect::openai_chat(), kAsk, "m", {edit("effort", Kind::kSet, "\"low\"")})
            .ends_with(R"("reasoning_effort":"low"})"));
}

TEST_CASE(
    "credentials, cookies, browser and hop-by-hop headers stay here; everything else of the client goes on") {
  http::Headers client;
  for (const auto& [name, value] :
       std::initializer_list<std::pair<const char*, const char*>>{{"Authorization", "Bearer secret"},
                                                                  {"x-api-key", "secret"},
                                                                  {"api-key", "secret"},
                                                                  {"Cookie", "a=b"},
                                                                  {"Host", "h"},
                                                                  {"Connection", "close, x-hop"},
                                                                  {"Sec-Fetch-Site", "none"},
                                                                  {"X-Forwarded-For", "1.2.3.4"},
                                                                  {"x-ccrules-user", "me"},
                                                                  {"x-hop", "1"},
                                                                  {"connection", "X-Other"},
                                                                  {"x-other", "1"},
                                                                  {"anthropic-beta", "a,b"},
                                                                  {"anthropic-new-thing", "1"},
                                                                  {"user-agent", "claude-cli/2"},
                                                                  {"x-stainless-lang", "js"}}) {
    client.add(name, value);
  }
  const http::Headers out = proxy::forwarded_headers(client);
  CHECK(out.size() == 4);
  CHECK(out.get("anthropic-beta") == "a,b");
  CHECK(out.get("anthropic-new-thing") == "1");
  CHECK(out.get("user-agent") == "claude-cli/2");
  CHECK(out.get("x-stainless-lang") == "js");
}
