#include <string>

#include <catch2/catch.hpp>

#include "support/proxy_world.h"

/// Requests between the same dialects that are more than the target takes: another model was chosen, or the provider's row says no.
using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kMessage =
    R"({"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"done"}],)"
    R"("stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":1}})";
constexpr const char* kCompletion =
    R"({"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant",)"
    R"("content":"done"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}})";

struct Sent {
  std::string request;  ///< as the provider saw it
  std::string losses;
};

Sent sent(const std::string& config, const std::string& body, const char* reply = kMessage) {
  SimWorld world;
  world.script("up", 80, http_reply(200, "application/json", reply));
  ProxyWorld proxy(world, config);
  const Message answer = proxy.answer("/v1/messages", body);
  INFO(answer.body);
  CHECK_THAT(answer.first_line, Contains("200"));
  return {world.scripted_requests, answer.field("x-ccrules-loss")};
}

std::string ask(const std::string& model, const std::string& more) {
  return R"({"model":")" + model + R"(", "messages":[{"role":"user","content":"hi"}],)" + more + "}";
}

std::string one_provider(const std::string& id, const std::string& members) {
  return R"({"providers":{")" + id + R"(":{"dialect":"anthropic","base_url":"http://up:80","api_key":"k",)" + members + "}}";
}

}  // namespace

TEST_CASE("max_tokens is lowered to what a model writes that the routes chose, not one that the client named") {
  const std::string config = one_provider("anthropic", R"("models":["claude-*"])") + R"(,"routes":{"claude-opus-5":"anthropic,claude-haiku-4-5"}})";
  const Sent chosen = sent(config, ask("claude-opus-5", R"("max_tokens":128000,"thinking":{"type":"enabled","budget_tokens":100000})"));
  CHECK_THAT(chosen.request, Contains(R"("model":"claude-haiku-4-5")") && Contains(R"("max_tokens":64000)") && Contains(R"("budget_tokens":63999)"));
  CHECK(chosen.losses == "max_tokens, thinking.budget_tokens");

  const std::string fits = R"("max_tokens":64000 ,"thinking":{"type":"enabled","budget_tokens":6000})";
  CHECK_THAT(sent(config, ask("claude-opus-5", fits)).request, Contains(fits));

  const std::string own = ask("claude-haiku-4-5", R"("max_tokens":128000 )");
  const Sent named = sent(config, own);
  CHECK_THAT(named.request, Contains(own));
  CHECK(named.losses.empty());
}

TEST_CASE("what rules set counts for what the chosen model takes") {
  const std::string config = one_provider("anthropic", R"("models":["claude-*"])") +
                             R"(,"routes":{"claude-opus-5":{"provider":"anthropic","model":"claude-haiku-4-5","parameters":{"max_tokens":100000}}}})";
  CHECK_THAT(sent(config, ask("claude-opus-5", R"("temperature":0.5)")).request, Contains(R"("max_tokens":64000)"));
}

TEST_CASE("thinking between tools goes to the one model that takes it") {
  const std::string config = one_provider("anthropic", R"("models":["claude-*"])") +
                             R"(,"routes":{"a":"anthropic,claude-opus-5","b":"anthropic,claude-sonnet-5-5","c":"anthropic,claude-opus-5-5"}})";
  const std::string between = R"("max_tokens":900,"thinking":{"type":"between_tools"})";
  const Sent opus_5 = sent(config, ask("a", between));
  CHECK_THAT(opus_5.request, Contains(R"("thinking":{"type":"disabled"})"));
  CHECK(opus_5.losses == "thinking.between_tools");
  CHECK_THAT(sent(config, ask("b", between)).request, Contains(between));
  CHECK_THAT(sent(config, ask("c", between)).request, Contains(R"("output_config":{"effort":"low"})") && !Contains("between"));

  const Sent strong = sent(config, ask("a", R"("max_tokens":900,"thinking":{"type":"disabled"},"output_config":{"effort":"xhigh"})"));
  CHECK_THAT(strong.request, Contains(R"("thinking":{"type":"disabled"})") && Contains(R"("output_config":{"effort":"high"})"));
  CHECK(strong.losses == "effort");
}

TEST_CASE("a provider's switches hold whatever the model is called") {
  const std::string config =
      one_provider("own", R"("models":["m"],"switches":{"mid_system":false,"vision":false,"documents":false,"sampling":false,"forced_tool_choice":false})") + "}";
  const std::string everything =
      R"({"model":"m","max_tokens":900,"temperature":0.5,"tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"any"},)"
      R"("messages":[{"role":"user","content":[{"type":"text","text":"q"},)"
      R"({"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}},)"
      R"({"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"AAAA"}}]},)"
      R"({"role":"assistant","content":"a"},{"role":"system","content":"S"},{"role":"user","content":"z"}]})";
  const Sent all = sent(config, everything);
  CHECK_THAT(all.request, !Contains("temperature") && Contains(R"("tool_choice":{"type":"auto"})") && !Contains("AAAA") &&
                              !Contains(R"("role":"system")") && Contains("<system-reminder>"));
  for (const char* lost : {"sampling", "tool_choice", "image", "document", "messages[].role_system"}) CHECK_THAT(all.losses, Contains(lost));

  for (const char* one : {R"("temperature":0.5)", R"("top_k":3)", R"("tools":[{"name":"f","input_schema":{}}],"tool_choice":{"type":"tool","name":"f"})"}) {
    CHECK_FALSE(sent(config, ask("m", std::string(R"("max_tokens":900,)") + one)).losses.empty());
  }
  const std::string plain = ask("m", R"("max_tokens":900 ,"temperature":null,"tool_choice":{"type":"auto"})");
  CHECK_THAT(sent(config, plain).request, Contains(plain));  // nothing to rewrite: its own bytes
}

TEST_CASE("DeepSeek's Anthropic endpoint gets disabled thinking without an effort, whatever the model is called") {
  const std::string config = one_provider("deepseek", R"("models":["deepseek-*"])") + R"(,"routes":{"claude-haiku-5-5":"deepseek,deepseek-flash"}})";
  for (const char* model : {"deepseek-flash", "deepseek,deepseek-v4-pro", "claude-haiku-5-5"}) {
    INFO(model);
    const Sent off = sent(config, ask(model, R"("max_tokens":900,"thinking":{"type":"disabled"},"output_config":{"effort":"high"})"));
    CHECK_THAT(off.request, Contains(R"("thinking":{"type":"disabled"})") && !Contains("effort"));
    CHECK(off.losses == "effort");
  }
  const std::string alone = R"("max_tokens":900 ,"thinking":{"type":"disabled"})";
  CHECK_THAT(sent(config, ask("deepseek-flash", alone)).request, Contains(alone));
}

TEST_CASE("a provider that is asked in Anthropic's second API version gets no temperature") {
  const std::string config = one_provider("anthropic", R"("models":["claude-*"],"headers":{"Anthropic-Version":"2026-10-21"})") + "}";
  const Sent without = sent(config, ask("claude-sonnet-4-5", R"("max_tokens":900,"temperature":0.5)"));
  CHECK_THAT(without.request, !Contains("temperature") && Contains("2026-10-21"));
  CHECK(without.losses == "sampling");
}

TEST_CASE("vendors of the chat format are told in their own words to think or not") {
  const auto config = [](const std::string& vendor) {
    return R"({"providers":{")" + vendor + R"(":{"base_url":"http://up:80/v1","api_key":"k"}}})";
  };
  const auto off = [&config](const std::string& vendor) {
    return sent(config(vendor), ask(vendor + ",some-model", R"("max_tokens":900,"thinking":{"type":"disabled"},"output_config":{"effort":"high"})"), kCompletion)
        .request;
  };
  for (const char* vendor : {"deepseek", "zai", "moonshot"}) {
    CHECK_THAT(off(vendor), Contains(R"("thinking":{"type":"disabled"})") && !Contains("effort"));
  }
  CHECK_THAT(off("qwen"), Contains(R"("enable_thinking":false)") && !Contains("effort"));
  CHECK_THAT(off("openrouter"), Contains(R"("reasoning":{"enabled":false})") && !Contains("effort"));
  CHECK_THAT(off("vllm"), Contains(R"("chat_template_kwargs":{"enable_thinking":false})") && !Contains("effort"));

  const Sent deepseek = sent(config("deepseek"), ask("deepseek,deepseek-v4-pro", R"("max_tokens":30000,"thinking":{"type":"enabled","budget_tokens":9000})"),
                             kCompletion);
  CHECK_THAT(deepseek.request, Contains(R"("thinking":{"type":"enabled"},"reasoning_effort":"high")"));
  const Sent glm = sent(config("zai"), ask("zai,glm-4.7", R"("max_tokens":30000,"thinking":{"type":"adaptive"},"output_config":{"effort":"high"})"), kCompletion);
  CHECK_THAT(glm.request, Contains(R"("thinking":{"type":"enabled","clear_thinking":false})") && !Contains("effort"));
  CHECK_THAT(glm.losses, Contains("effort"));
}
