#include <catch2/catch.hpp>

#include "support/proxy_world.h"
#include "support/scripted_answer.h"

using namespace ccrules;
using namespace ccrules::test;
using std::chrono::milliseconds;

/// Two attempts beside each other, and a disconnect, a reset, a shutdown, dying providers or a deadline at every step: nothing
/// crashes or leaks, and there is one row.
namespace {

enum class Blow { kClientLeaves, kClientResets, kShutdown, kUpstreamsDie, kDeadline };

struct Shape {
  bool stream = true;
  bool first_wins = false;
  bool both_fail = false;
  Blow blow = Blow::kClientLeaves;
};

struct Pace {
  milliseconds silent{0};
  bool fails = false;
};

ScriptedAnswer paced(Pace pace) {
  ScriptedAnswer answer;
  answer.silent = pace.silent;
  answer.pause = milliseconds(20);
  answer.status = pace.fails ? 529 : 200;
  answer.whole = anthropic_reply("hello", 3, 2);
  answer.events = anthropic_events("hello");
  return answer;
}

constexpr const char* kConfig = R"({
  "providers": {
    "a": { "dialect": "anthropic", "base_url": "http://a:80", "models": ["m-*"], "hedge": { "after": "100ms" } },
    "b": { "dialect": "anthropic", "base_url": "http://b:80", "models": ["n-*"] }
  },
  "prices": { "m-1": { "input": 10, "output": 100 }, "n-1": { "input": 20, "output": 200 } },
  "fallbacks": { "m-1": ["b,n-1"] },
  "rate_limits": [{ "scope": "all", "concurrent": 9, "requests": 100 }],
  "cache": { "enabled": true }, "retry": { "max_attempts": 2 }TIMEOUTS
})";

class Hedged final : public Scenario {
 public:
  Hedged(SimWorld& world, Shape shape) : world_(world), shape_(shape), proxy_(world, config(shape)) {
    Pace slow{milliseconds(shape.first_wins ? 150 : 300), shape.both_fail};
    Pace other{milliseconds(shape.first_wins ? 300 : 30), shape.both_fail};
    world.serve("a", 80, [&world, slow](http::Exchange& exchange) { return answer_with(world.loop, exchange, paced(slow)); });
    world.serve("b", 80, [&world, other](http::Exchange& exchange) { return answer_with(world.loop, exchange, paced(other)); });
    client_ = proxy_.ask("/v1/messages", std::string(R"({"model":"m-1","max_tokens":9,"stream":)") + (shape.stream ? "true" : "false") +
                                             R"(,"messages":[{"role":"user","content":"how do you do"}]})");
  }

  void disturb() override {
    switch (shape_.blow) {
      case Blow::kClientLeaves: client_->leave(); return;
      case Blow::kClientResets: client_->reset(); return;
      case Blow::kShutdown: proxy_.server().shutdown(); return;
      case Blow::kUpstreamsDie: world_.stop_upstreams(); return;
      case Blow::kDeadline: return;  // timeouts.total is shorter than the answers
    }
  }

  void check(bool disturbed) override {
    const auto rows = proxy_.rows();
    CHECK(rows.size() <= 1);
    const bool client_stays = shape_.blow == Blow::kUpstreamsDie || shape_.blow == Blow::kDeadline;
    std::int64_t spent = 0;
    if (!rows.empty() && !rows[0].at("cost_nanousd").empty()) spent = std::stoll(rows[0].at("cost_nanousd"));
    CHECK(proxy_.tallies().spend.nanousd("", "", ledger::Span::kTotal, 0) == spent);
    if (disturbed && !client_stays) return;
    REQUIRE(rows.size() == 1);
    const Message answer = read_message(client_->received());
    CHECK(answer.complete);
    const bool whole = answer.body.find("hello") != std::string::npos &&
                       (!shape_.stream || answer.body.find("message_stop") != std::string::npos);
    CHECK(whole != (answer.body.find("\"error\"") != std::string::npos));
    if (!disturbed && shape_.blow != Blow::kDeadline) {
      CHECK(whole != shape_.both_fail);
      CHECK(rows[0].at("attempts") == "2");
      CHECK(rows[0].at("provider") == (shape_.first_wins && !shape_.both_fail ? "a" : "b"));
    }
  }

 private:
  static std::string config(Shape shape) {
    std::string text = kConfig;
    const std::string_view place = "TIMEOUTS";
    return text.replace(text.find(place), place.size(), shape.blow == Blow::kDeadline ? R"(, "timeouts": { "total": "120ms" })" : "");
  }

  SimWorld& world_;
  Shape shape_;
  ProxyWorld proxy_;
  std::unique_ptr<MemoryClient> client_;
};

}  // namespace

TEST_CASE("whatever happens at whatever step while two attempts run, both end, and the request has one row and one answer") {
  for (const Blow blow : {Blow::kClientLeaves, Blow::kClientResets, Blow::kShutdown, Blow::kUpstreamsDie, Blow::kDeadline}) {
    for (const bool stream : {true, false}) {
      for (const int how : {0, 1, 2}) {
        Shape shape;
        shape.stream = stream;
        shape.first_wins = how == 1;
        shape.both_fail = how == 2;
        shape.blow = blow;
        CAPTURE(static_cast<int>(blow), stream, how);
        CHECK(at_every_step([shape](SimWorld& world) -> std::unique_ptr<Scenario> { return std::make_unique<Hedged>(world, shape); }) > 5);
      }
    }
  }
}
