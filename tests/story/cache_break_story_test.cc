#include <string>
#include <utility>

#include <catch2/catch.hpp>

#include "support/proxy_world.h"

/// A session whose prompt cache is not read though it is warm: the ledger says why, and what it cost.
using namespace ccrules;
using namespace ccrules::test;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kConfig = R"({
  "providers": { "anth": { "dialect": "anthropic", "base_url": "http://anth:80", "models": ["claude-*"] } },
  "prices": { "claude-x": { "input": 2, "output": 4, "cache_read": 0.2, "cache_write_5m": 2.5 } }
})";

std::string usage(int was_read, int written) {
  return R"("usage":{"input_tokens":9,"cache_read_input_tokens":)" + std::to_string(was_read) + R"(,"cache_creation_input_tokens":)" +
         std::to_string(written) + R"(,"output_tokens":1})";
}

std::string whole(int was_read, int written) {
  return http_reply(200, "application/json",
                    R"({"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[{"type":"text","text":"done"}],)"
                    R"("stop_reason":"end_turn","stop_sequence":null,)" + usage(was_read, written) + "}");
}

std::string streamed(int was_read, int written) {
  return http_reply(200, "text/event-stream",
                    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\","
                    "\"model\":\"claude-x\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null," + usage(was_read, written) + "}}\n\n"
                    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
                    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"done\"}}\n\n"
                    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
                    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},"
                    "\"usage\":{\"output_tokens\":1}}\n\n"
                    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
}

std::string turn(const std::string& tools, const std::string& version, bool stream) {
  return R"({"model":"claude-x","max_tokens":20,"stream":)" + std::string(stream ? "true" : "false") +
         R"(,"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=)" + version +
         R"(;"},{"type":"text","text":"You help."}],"tools":)" + tools + R"(,"messages":[{"role":"user","content":"hi"}]})";
}

}  // namespace

TEST_CASE("the ledger tells what broke a session's prompt cache, and what writing it again cost") {
  const bool stream = GENERATE(false, true);
  const auto reply = stream ? &streamed : &whole;
  SimWorld world;
  world.script_in_turn("anth", 80, {reply(0, 1000), reply(1000, 50), reply(0, 1100), reply(0, 1100), reply(1100, 0)});
  ProxyWorld proxy(world, kConfig);
  const std::string session = "x-claude-code-session-id: s-1\r\n";
  const std::string tools = R"([{"name":"a","input_schema":{"type":"object"}},{"name":"b","input_schema":{"type":"object"}}])";
  const std::string reordered = R"([{"name":"b","input_schema":{"type":"object"}},{"name":"a","input_schema":{"type":"object"}}])";
  for (const auto& [body_tools, version] : {std::pair(tools, "1"), std::pair(tools, "1"), std::pair(reordered, "1"), std::pair(reordered, "2"),
                                            std::pair(reordered, "2")}) {
    REQUIRE_THAT(proxy.answer("/v1/messages", turn(body_tools, version, stream), session).first_line, Contains("200"));
  }
  auto rows = proxy.rows();
  REQUIRE(rows.size() == 5);
  for (const std::size_t quiet : {0u, 1u, 4u}) {
    CHECK(rows[quiet]["cache_break"].empty());
    CHECK(rows[quiet]["cache_break_tokens"].empty());
  }
  CHECK(rows[2]["cache_break"] == "tools reordered");
  CHECK(rows[2]["cache_break_tokens"] == "1050");
  CHECK(rows[2]["cache_break_nanousd"] == std::to_string(1050 * 2300));  // $2.50 in place of $0.20 per million
  CHECK(rows[3]["cache_break"] == "attribution line");
}
