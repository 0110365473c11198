#include <catch2/catch.hpp>

#include "support/proxy_world.h"

using namespace ccrules;
using namespace ccrules::test;

/// A disconnect, a deadline, a shutdown and a dying provider at every step of a request: nothing crashes or
/// leaks, the client never sees a clean end of an incomplete answer, and there is exactly one row.
namespace {

enum class Blow { kClientLeaves, kClientResets, kShutdown, kUpstreamDies, kDeadline };

struct Shape {
  bool stream = true;
  bool translated = false;
  Blow blow = Blow::kClientLeaves;
};

std::string ask_body(const Shape& shape) {
  return std::string("{\"model\":\"") + (shape.translated ? "oai,gpt-x" : "claude-sonnet-4-5") +
         "\",\"max_tokens\":9,\"stream\":" + (shape.stream ? "true" : "false") +
         ",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
}

/// Sends its answer event by event, a moment apart.
http::Handler provider(SimWorld& world, Shape shape) {
  return [&world, shape](http::Exchange& exchange) -> Task<void> {
    auto body = co_await exchange.read_body(1 << 20);
    if (!body.ok()) co_return;
    http::Headers headers;
    if (!shape.stream) {
      headers.add("content-type", "application/json");
      const std::string reply =
          shape.translated
              ? R"({"id":"c1","object":"chat.completion","created":1,"model":"gpt-x","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}})"
              : R"({"id":"m1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2}})";
      (void)co_await exchange.send(200, headers, reply);
      co_return;
    }
    headers.add("content-type", "text/event-stream");
    exchange.start(200, headers);
    const auto events = shape.translated ? openai_events("hello") : anthropic_events("hello");
    for (const std::string& event : events) {
      const auto slept = co_await sleep_for(world.loop, std::chrono::milliseconds(20), exchange.stop());
      if (!slept.ok()) co_return;
      const auto sent = co_await exchange.write(event);
      if (!sent.ok()) co_return;
    }
    (void)co_await exchange.finish();
  };
}

class Request final : public Scenario {
 public:
  Request(SimWorld& world, Shape shape) : world_(world), shape_(shape), proxy_(world, config(shape)) {
    world.serve("anth", 80, provider(world, shape));
    world.serve("oai", 80, provider(world, shape));
    client_ = proxy_.ask("/v1/messages", ask_body(shape));
  }

  void disturb() override {
    switch (shape_.blow) {
      case Blow::kClientLeaves:
        client_->leave();
        return;
      case Blow::kClientResets:
        client_->reset();
        return;
      case Blow::kShutdown:
        proxy_.server().shutdown();
        return;
      case Blow::kUpstreamDies:
        world_.stop_upstreams();
        return;
      case Blow::kDeadline:
        return;  // the configuration's timeouts are shorter than the provider's pauses
    }
  }

  void check(bool disturbed) override {
    const auto rows = proxy_.rows();
    const bool client_stays = shape_.blow == Blow::kUpstreamDies || shape_.blow == Blow::kDeadline;
    CHECK(rows.size() <= 1);
    if (!disturbed || client_stays) CHECK(rows.size() == 1);
    if (!client_stays && disturbed) return;
    const Message answer = read_message(client_->received());
    CHECK(answer.complete);
    const bool whole = answer.body.find("hello") != std::string::npos &&
                       (!shape_.stream || answer.body.find("message_stop") != std::string::npos);
    const bool told = answer.body.find("\"error\"") != std::string::npos;
    CHECK(whole != told);
  }

 private:
  static std::string config(Shape shape) {
    const std::string timeouts =
        shape.blow == Blow::kDeadline ? R"(,"timeouts":{"first_byte":"10ms","idle":"10ms"})" : "";
    return R"({"providers":{"anth":{"dialect":"anthropic","base_url":"http://anth:80","models":["claude-*"])" +
           timeouts + R"(},"oai":{"dialect":"openai_chat","base_url":"http://oai:80/v1","models":["gpt-*"])" +
           timeouts + "}}}";
  }

  SimWorld& world_;
  Shape shape_;
  ProxyWorld proxy_;
  std::unique_ptr<MemoryClient> client_;
};

}  // namespace

TEST_CASE(
    "whatever happens at whatever step of a request, it ends once, leaves nothing behind and tells the "
    "truth") {
  for (const Blow blow :
       {Blow::kClientLeaves, Blow::kClientResets, Blow::kShutdown, Blow::kUpstreamDies, Blow::kDeadline}) {
    for (const bool stream : {true, false}) {
      for (const bool translated : {false, true}) {
        Shape shape;
        shape.stream = stream;
        shape.translated = translated;
        shape.blow = blow;
        CAPTURE(static_cast<int>(blow), stream, translated);
        const std::size_t steps = at_every_step([shape](SimWorld& world) -> std::unique_ptr<Scenario> {
          return std::make_unique<Request>(world, shape);
        });
        CHECK(steps > 5);
      }
    }
  }
}
