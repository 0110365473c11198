#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "chat/loss.h"
#include "dialect/call_ids.h"
#include "dialect/dialect.h"
#include "dialect/spent_request.h"

using namespace ccrules;
using Catch::Contains;

namespace {

struct Sent {
  Result<std::string> body;
  std::string losses;
};

/// A request as another dialect's provider gets it.
Sent translated(const dialect::Dialect& from, const dialect::Dialect& to, const std::string& body) {
  auto request = from.read_request(std::string_view(body));
  REQUIRE(request.ok());
  chat::LossNotes losses;
  dialect::Capabilities target;
  target.model = "m";
  Result<std::string> sent = to.write_request(*request, target, losses);
  std::string names;
  for (const chat::Loss& loss : losses.all()) names += loss.what + ";";
  return {std::move(sent), names};
}

std::string anthropic_turn(const std::string& assistant) {
  return R"({"model":"m","max_tokens":9,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[)" + assistant +
         R"(]},{"role":"user","content":"go on"}]})";
}

}  // namespace

TEST_CASE("an assistant's turn of which a chat completion takes nothing is named as lost") {
  const Sent thought = translated(dialect::anthropic(), dialect::openai_chat(), anthropic_turn(R"({"type":"thinking","thinking":"t","signature":"s"})"));
  CHECK_THAT(thought.losses, Contains("thinking;"));
  const std::string searched = R"({"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"q"}})";
  CHECK_THAT(translated(dialect::anthropic(), dialect::openai_chat(), anthropic_turn(searched)).losses, Contains("content.server_tool_use;"));
  const Sent called = translated(dialect::anthropic(), dialect::openai_chat(),
                                 anthropic_turn(searched + R"(,{"type":"tool_use","id":"t","name":"f","input":{}})"));
  CHECK_THAT(called.losses, Contains("content.server_tool_use;"));
  CHECK_THAT(*called.body, Contains(R"("tool_calls":[{"id":"t")"));
}

TEST_CASE("a conversation of which nothing can be sent is refused") {
  for (const dialect::Dialect* to : {&dialect::openai_chat(), &dialect::ollama_chat()}) {
    const Sent sent = translated(dialect::anthropic(), *to,
                                 R"({"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"redacted_thinking","data":"x"}]}]})");
    REQUIRE_FALSE(sent.body.ok());
    CHECK(sent.body.error().message == "messages hold no content that can be sent: send at least one text");
  }
}

TEST_CASE("types and names spelt with escapes mean what they mean without") {
  const auto text = [](const std::string& block) {
    return R"({"model":"m","max_tokens":9,"messages":[{"role":"user","content":[)" + block + "]}]}";
  };
  for (const char* block : {R"({"t\u0079pe":"text","text":"hello"})", R"({"type":"te\u0078t","text":"hello"})", R"({"text":"hello","\u0074ype":"t\u0065xt"})"}) {
    for (const dialect::Dialect* from : {&dialect::anthropic(), &dialect::openai_chat()}) {
      for (const dialect::Dialect* to : {&dialect::anthropic(), &dialect::openai_chat(), &dialect::openai_responses(), &dialect::gemini_dialect()}) {
        const Sent sent = translated(*from, *to, text(block));
        REQUIRE(sent.body.ok());
        const Sent plain = translated(*from, *to, text(R"({"type":"text","text":"hello"})"));
        CHECK(*sent.body == *plain.body);
        CHECK(sent.losses == plain.losses);
      }
    }
  }
  const Sent called = translated(dialect::anthropic(), dialect::openai_chat(),
                                 anthropic_turn(R"({"type":"tool\u005fuse","id":"t","name":"f","input":{"a":1}})"));
  CHECK_THAT(*called.body, Contains(R"("arguments":"{\"a\":1}")"));
}

TEST_CASE("thousands of calls with one id get thousands of ids, each the same every time") {
  for (const std::string id : {"x", "", "nine_char", "not fit"}) {
    for (const auto form : {dialect::CallIds::Form::kUpTo40, dialect::CallIds::Form::kUpTo64, dialect::CallIds::Form::kNine}) {
      dialect::CallIds ids(form);
      dialect::CallIds again(form);
      std::set<std::string> seen;
      bool same = true;
      for (int i = 0; i < 20'000; ++i) same = again.sent(id) == *seen.insert(ids.sent(id)).first && same;
      CHECK(same);
      CHECK(seen.size() == 20'000);
    }
  }
}

TEST_CASE("the summary that stands for an earlier conversation is sent to every other dialect as text") {
  const std::string body =
      R"({"model":"m","max_tokens":99,"messages":[{"role":"assistant","content":[{"type":"compaction","content":"They agreed on \"blue\".",)"
      R"("encrypted_content":"xyz"}]},{"role":"user","content":"Which colour?"}]})";
  for (const dialect::Dialect* to : {&dialect::openai_chat(), &dialect::openai_responses(), &dialect::gemini_dialect(), &dialect::ollama_chat()}) {
    auto request = dialect::anthropic().read_request(body);
    REQUIRE(request.ok());
    chat::LossNotes losses;
    const auto sent = dialect::write_spent_request(*to, *std::move(request), {}, losses);
    CAPTURE(to->name());
    REQUIRE(sent.ok());
    CHECK_THAT(*sent, Contains(R"(They agreed on \"blue\".)") && !Contains("xyz"));
    CHECK_THAT(losses.header_value(), Contains("content.compaction"));
  }
  auto own = dialect::anthropic().read_request(body);
  REQUIRE(own.ok());
  chat::LossNotes losses;
  CHECK_THAT(*dialect::write_spent_request(dialect::anthropic(), *std::move(own), {}, losses), Contains(R"("encrypted_content":"xyz")"));
  CHECK(losses.empty());
}
