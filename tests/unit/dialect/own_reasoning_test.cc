#include <catch2/catch.hpp>
#include <string>
#include <string_view>

#include "dialect/dialect.h"
#include "dialect/gemini/parts.h"
#include "dialect/signature.h"

namespace {

using namespace ccrules;

/// A request that sends reasoning back with this signature, and with this text beside it.
std::string body_of(std::string_view dialect, const std::string& signature, const std::string& text) {
  if (dialect == "anthropic") {
    return R"({"model":"m","messages":[{"role":"user","content":")" + text +
           R"("},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":")" + signature + R"("}]}]})";
  }
  if (dialect == "openai_responses") {
    return R"({"model":"m","input":[{"role":"user","content":")" + text +
           R"("},{"type":"reasoning","id":"r","summary":[],"encrypted_content":")" + signature + R"("}]})";
  }
  return R"({"contents":[{"role":"user","parts":[{"text":")" + text +
         R"("}]},{"role":"model","parts":[{"text":"t","thought":true,"thoughtSignature":")" + signature + R"("}]}]})";
}

bool holds_ours(std::string_view dialect, const std::string& signature, const std::string& text = "hello") {
  const auto outline = dialect::by_name(dialect)->outline(body_of(dialect, signature, text));
  REQUIRE(outline.ok());
  return outline->own_reasoning;
}

}  // namespace

TEST_CASE("reasoning that we signed is found where clients send it back, and nowhere else") {
  const std::string ours = dialect::signature::encode({"gemini", "g-1", "payload"});
  for (const std::string_view dialect : {"anthropic", "openai_responses", "gemini"}) {
    CAPTURE(dialect);
    const std::string as_sent = dialect == "gemini" ? dialect::gemini::wrap_signature(ours) : ours;
    CHECK(holds_ours(dialect, as_sent));
    CHECK_FALSE(holds_ours(dialect, "ErUBCkYIBxgCIkA="));
    CHECK_FALSE(holds_ours(dialect, "ErUBCkYIBxgCIkA=", as_sent));
    CHECK_FALSE(holds_ours(dialect, ""));
  }
}

TEST_CASE("reasoning that we signed is found in all places of a dialect that have room for it") {
  const std::string ours = dialect::signature::encode({"gemini", "g-1", "payload"});
  const auto found = [](const dialect::Dialect& spoken, const std::string& body) {
    const auto outline = spoken.outline(body);
    REQUIRE(outline.ok());
    return outline->own_reasoning;
  };
  const auto anthropic = [&](const std::string& block) {
    return found(dialect::anthropic(), R"({"model":"m","messages":[{"role":"assistant","content":[)" + block + "]}]}");
  };
  CHECK(anthropic(R"({"type":"redacted_thinking","data":")" + ours + R"("})"));
  CHECK(anthropic(R"({"signature":")" + ours + R"(","thinking":"t","type":"thinking"})"));
  CHECK(anthropic(R"({"type":"tool_result","tool_use_id":"t","content":[{"type":"thinking","thinking":"t","signature":")" + ours + R"("}]})"));
  CHECK_FALSE(anthropic(R"({"type":"tool_use","id":"t","name":"n","input":{"signature":")" + ours + R"("}})"));
  const auto gemini = [&](const std::string& part) {
    return found(dialect::gemini_dialect(), R"({"contents":[{"role":"model","parts":[)" + part + "]}]}");
  };
  const std::string wrapped = dialect::gemini::wrap_signature(ours);
  CHECK(gemini(R"({"text":"t","thought":true,"thought_signature":")" + wrapped + R"("})"));
  CHECK(gemini(R"({"functionCall":{"name":"f","args":{}},"thoughtSignature":")" + wrapped + R"("})"));
  CHECK_FALSE(gemini(R"({"functionCall":{"name":"f","args":{"thoughtSignature":")" + wrapped + R"("}}})"));
}

TEST_CASE("gemini: a model's turn whose first call is not signed is found, and only that") {
  const auto is_unsigned = [](const std::string& contents) {
    const auto outline = dialect::gemini_dialect().outline(R"({"contents":[{"parts":[{"text":"hi"}]},)" + contents + "]}");
    REQUIRE(outline.ok());
    return outline->unsigned_call;
  };
  const std::string call = R"({"functionCall":{"name":"f","args":{"thoughtSignature":"U0lH"}}})";
  const std::string signed_call = R"({"functionCall":{"name":"f","args":{}},"thoughtSignature":"U0lH"})";
  const auto model = [](const std::string& parts) { return R"({"role":"model","parts":[)" + parts + "]}"; };
  const std::string answered = R"({"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}}]})";
  CHECK(is_unsigned(model(call)));
  CHECK(is_unsigned(model(R"({"text":"so","thoughtSignature":"U0lH"},)" + call)));
  CHECK(is_unsigned(model(signed_call) + "," + answered + "," + model(call)));
  CHECK(is_unsigned(model(call) + "," + answered + "," + model(signed_call)));
  CHECK(is_unsigned(R"({"parts":[)" + call + R"(],"role":"model"})"));
  CHECK(is_unsigned(model(R"({"thought_signature":"","function_call":{"name":"f"}})")));
  CHECK_FALSE(is_unsigned(model(R"({"text":"ho"})")));
  CHECK_FALSE(is_unsigned(model(signed_call)));
  CHECK_FALSE(is_unsigned(model(R"({"thought_signature":"U0lH","function_call":{"name":"f"}})")));
  CHECK_FALSE(is_unsigned(model(R"({"text":"so","thought":true},)" + signed_call + "," + call)));  // several calls at once: the first holds it
  CHECK_FALSE(is_unsigned(model(signed_call) + "," + model(call)));                                 // the same in contents of their own
  CHECK_FALSE(is_unsigned(model(signed_call) + "," + answered + "," + model(R"({"text":"ho"})")));
  const std::string next = R"({"role":"user","parts":[{"text":"next"}]})";
  CHECK_FALSE(is_unsigned(model(call) + "," + answered + "," + model(R"({"text":"ho"})") + "," + next));  // that turn is over
}
