#include <catch2/catch.hpp>

#include "support/proxy_world.h"

/// Rows that `ccrules models --update` has put into models_dir.
using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

TEST_CASE("a newer row of a model counts wherever models are looked at: in lists, in what is sent and in what is shown") {
  const std::string config = R"({
    "models_dir": "/newer",
    "providers": { "zai": { "dialect": "openai_chat", "base_url": "http://home:80/v1", "api_key": "k", "models": ["glm-new*"] } }
  })";
  const std::string rows = R"({"schema":"ccrules.models/1","provider":"zai","source":"a test","date":"2027-01-01","models":[)"
                           R"({"id":"glm-new-1","context_tokens":5000,"max_output_tokens":77,"vision":false,"usd_per_million":{"input":1}}]})";
  SimWorld world;
  world.script("home", 80, http_reply(200, "application/json",
                                      R"({"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":)"
                                      R"("stop","message":{"role":"assistant","content":"hello"}}]})"));
  ProxyWorld proxy(world, config, {{"/newer/zai.json", rows}});
  CHECK_THAT(proxy.call("GET", "/v1/models").body, Contains(R"("glm-new-1")"));
  const Message answer = proxy.answer(
      "/v1/messages", R"({"model":"glm-new-1","max_tokens":900,"messages":[{"role":"user","content":[{"type":"text","text":"hi"},)"
                      R"({"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]}]})");
  CHECK_THAT(answer.first_line, Contains("200"));
  CHECK_THAT(world.scripted_requests, Contains(R"("max_tokens":77)") && Contains("[image omitted: model has no vision]"));
  const std::string shown = proxy.answer("/api/show", R"({"model":"glm-new-1"})").body;
  CHECK_THAT(shown, Contains(R"("ccrules.context_length":5000)") && !Contains("vision"));
}
