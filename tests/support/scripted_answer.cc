#include "support/scripted_answer.h"

#include <algorithm>
#include <set>
#include <utility>

#include "async/loop.h"

namespace ccrules::test {

Task<bool> give(Loop& loop, http::Exchange& exchange, const std::string& body, ScriptedAnswer answer) {
  if (answer.hangs_up) {
    exchange.abort();
    co_return false;
  }
  if (answer.silent.count() > 0) {
    auto slept = co_await sleep_for(loop, answer.silent, exchange.stop());
    if (!slept.ok()) co_return false;
  }
  http::Headers headers;
  headers.add("content-type", "application/json");
  if (answer.status != 200) {
    const std::string type = answer.status == 400 ? "invalid_request_error" : "overloaded_error";
    const std::string refusal = R"({"type":"error","error":{"type":")" + type + R"(","message":"busy"}})";
    auto sent = co_await exchange.send(answer.status, headers, refusal);
    co_return sent.ok();
  }
  if (body.find("\"stream\":true") == std::string::npos) {
    auto sent = co_await exchange.send(200, headers, answer.whole);
    co_return sent.ok();
  }
  headers.set("content-type", "text/event-stream");
  exchange.start(200, headers);
  const std::size_t count = std::min(answer.events.size(), answer.breaks_off_after);
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0 && answer.pause.count() > 0) {
      auto slept = co_await sleep_for(loop, answer.pause, exchange.stop());
      if (!slept.ok()) co_return false;
    }
    auto sent = co_await exchange.write(answer.events[i]);
    if (!sent.ok()) co_return false;
  }
  if (count < answer.events.size()) {
    exchange.abort();
    co_return false;
  }
  auto sent = co_await exchange.finish();
  co_return sent.ok();
}

Task<void> answer_with(Loop& loop, http::Exchange& exchange, ScriptedAnswer answer) {
  const auto body = co_await exchange.read_body(1 << 20);
  if (body.ok()) (void)co_await give(loop, exchange, *body, std::move(answer));  // whoever leaves, leaves
}

std::string anthropic_reply(std::string_view text, std::int64_t input_tokens, std::int64_t output_tokens) {
  return R"({"id":"msg_1","type":"message","role":"assistant","model":"m-1","content":[{"type":"text","text":")" + std::string(text) +
         R"("}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":)" + std::to_string(input_tokens) +
         ",\"output_tokens\":" + std::to_string(output_tokens) + "}}";
}

std::int64_t cost_of(const Row& row) { return row.at("cost_nanousd").empty() ? 0 : std::stoll(row.at("cost_nanousd")); }

std::int64_t settled(const std::vector<Row>& rows) {
  std::int64_t sum = 0;
  for (const Row& row : rows) sum += cost_of(row);
  return sum;
}

std::size_t distinct_ids(const std::vector<Row>& rows) {
  std::set<std::string> ids;
  for (const Row& row : rows) ids.insert(row.at("id"));
  return ids.size();
}

}  // namespace ccrules::test
