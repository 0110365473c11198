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

/// What goes to `provider` for a client that asks an Anthropic model for `members`; nothing when its own bytes can go.
struct Outgoing {
  std::string body;
  std::string losses;
};
Outgoing outgoing(const config::Provider& provider, const std::string& asked_model, const std::string& model, const std::string& members,
                  std::vector<rules::FieldEdit> edits = {}) {
  const bool has_messages = members.find("\"messages\"") != std::string::npos;
  const std::string messages = has_messages ? "" : R"("messages":[{"role":"user","content":"hi"}],)";
  std::string body = R"({"model":")" + asked_model + "\"," + messages + members + "}";
  body.reserve(body.size() + 64);
  auto outline = dialect::anthropic().outline(body);
  REQUIRE(outline.ok());
  proxy::OutgoingRequest request;
  request.body = body;
  request.outline = &*outline;
  request.spoken = &dialect::anthropic();
  request.provider = &provider;
  request.model = model;
  request.models = &config::ModelTable::built_in();
  request.edits = &edits;
  std::vector<dialect::RenamedTool> renamed;
  chat::LossNotes losses;
  auto out = proxy::outgoing_body(request, renamed, losses);
  REQUIRE(out.ok());
  return {*std::move(out), losses.header_value()};
}

config::Provider anthropic_like(const std::string& id, std::map<std::string, bool, std::less<>> switches = {}) {
  config::Provider provider;
  provider.id = id;
  provider.dialect = "anthropic";
  provider.switches = std::move(switches);
  return provider;
}

bool holds(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("max_tokens is lowered to what a chosen model writes, not what one writes that the client named") {
  const config::Provider provider = anthropic_like("anthropic");
  const std::string asked = R"("max_tokens":128000,"thinking":{"type":"enabled","budget_tokens":100000})";
  const Outgoing chosen = outgoing(provider, "claude-opus-5", "claude-haiku-4-5", asked);
  CHECK(holds(chosen.body, R"("max_tokens":64000)"));
  CHECK(holds(chosen.body, R"("budget_tokens":63999)"));
  CHECK(chosen.losses == "max_tokens, thinking.budget_tokens");
  CHECK(holds(outgoing(provider, "claude-opus-5", "claude-opus-4-1", R"("max_tokens":128000)").body, R"("max_tokens":32000)"));
  const Outgoing by_rule = outgoing(provider, "claude-opus-5", "claude-haiku-4-5", R"("max_tokens":9)", {edit("max_tokens", Kind::kSet, "100000")});
  CHECK(holds(by_rule.body, R"("max_tokens":64000)"));

  const Outgoing named = outgoing(provider, "claude-haiku-4-5", "claude-haiku-4-5", asked);
  CHECK(named.body.empty());
  CHECK(named.losses.empty());
  CHECK(outgoing(provider, "claude-opus-5", "claude-haiku-4-5", R"("max_tokens":64000)").losses.empty());
}

TEST_CASE("thinking that a chosen Claude model refuses becomes what it takes") {
  const config::Provider provider = anthropic_like("anthropic");
  const std::string between = R"("max_tokens":900,"thinking":{"type":"between_tools"})";
  const Outgoing off = outgoing(provider, "claude-sonnet-5-5", "claude-opus-5", between);
  CHECK(holds(off.body, R"("thinking":{"type":"disabled"})"));
  CHECK(off.losses == "thinking.between_tools");
  CHECK(outgoing(provider, "claude-sonnet-5-5", "claude-fable-5", between).losses == "thinking.between_tools");
  CHECK(outgoing(provider, "claude-opus-5", "claude-sonnet-5-5", between).losses.empty());
  CHECK(outgoing(provider, "claude-sonnet-5-5", "claude-sonnet-5-5", between).body.empty());

  const Outgoing strong = outgoing(provider, "claude-sonnet-4-5", "claude-opus-5",
                                   R"("max_tokens":900,"thinking":{"type":"disabled"},"output_config":{"effort":"xhigh"})");
  CHECK(holds(strong.body, R"("effort":"high")"));
  CHECK(strong.losses == "effort");
}

TEST_CASE("an Anthropic-compatible provider's switches hold whatever the model is called") {
  const config::Provider provider = anthropic_like(
      "own", {{"mid_system", false}, {"vision", false}, {"documents", false}, {"sampling", false}, {"forced_tool_choice", false}});
  const auto losses = [&provider](const std::string& members) { return outgoing(provider, "m", "m", R"("max_tokens":900,)" + members).losses; };
  CHECK(losses(R"("temperature":0.5)") == "sampling");
  CHECK(losses(R"("top_k":3)") == "sampling");
  CHECK(losses(R"("tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"name":"f","type":"tool"})") == "tool_choice");
  CHECK(losses(R"("messages":[{"role":"user","content":"q"},{"role":"system","content":"S"}])") == "messages[].role_system");
  const std::string media = R"("messages":[{"role":"user","content":[{"type":"text","text":"q"},{"type":"KIND","source":{"type":"base64",)"
                            R"("media_type":"MIME","data":"AAAA"}}]}])";
  const auto with = [&media](const std::string& kind, const std::string& mime) {
    std::string members = media;
    members.replace(members.find("KIND"), 4, kind);
    return members.replace(members.find("MIME"), 4, mime);
  };
  CHECK(losses(with("image", "image/png")) == "image");
  CHECK(losses(with("document", "application/pdf")) == "document");
  CHECK(outgoing(provider, "m", "m", R"("max_tokens":900,"temperature":null,"tool_choice":{"type":"auto"})").body.empty());
  CHECK(outgoing(anthropic_like("own"), "m", "m", R"("max_tokens":900,"temperature":0.5)").body.empty());
}

TEST_CASE("disabled thinking goes without an effort to a provider that refuses both together") {
  const config::Provider provider = anthropic_like("deepseek", {{"effort_when_disabled", false}});
  for (const char* asked : {"deepseek-flash", "claude-haiku-5-5"}) {
    const Outgoing off =
        outgoing(provider, asked, "deepseek-flash", R"("max_tokens":900,"thinking":{"type":"disabled"},"output_config":{"effort":"high"})");
    CHECK(holds(off.body, R"("thinking":{"type":"disabled"})"));
    CHECK_FALSE(holds(off.body, "effort"));
    CHECK(off.losses == "effort");
  }
  CHECK(outgoing(provider, "deepseek-flash", "deepseek-flash", R"("max_tokens":900,"thinking":{"type":"disabled"})").body.empty());
}

TEST_CASE("Anthropic's second API version, set for a provider, gets no sampling") {
  config::Provider provider = anthropic_like("anthropic");
  provider.headers = {{"Anthropic-Version", "2026-10-21"}};
  CHECK(outgoing(provider, "claude-haiku-4-5", "claude-haiku-4-5", R"("max_tokens":900,"temperature":0.5)").losses == "sampling");
  provider.headers = {{"anthropic-version", "2023-06-01"}};
  CHECK(outgoing(provider, "claude-haiku-4-5", "claude-haiku-4-5", R"("max_tokens":900,"temperature":0.5)").body.empty());
}

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
