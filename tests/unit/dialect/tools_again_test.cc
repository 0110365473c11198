#include <string>
#include <thread>

#include <catch2/catch.hpp>

#include "core/json.h"
#include "dialect/dialect.h"

using namespace ccrules;

namespace {

const std::string kLong(3000, 'd');

/// Two tools as a client of the dialect sends them; `first` is the name of the first one.
std::string tools_of(const dialect::Dialect& spoken, const std::string& first) {
  const std::string schema = R"({"type":"object","properties":{"path":{"type":"string","description":"x \"y\" \\ é"}},"required":["path"]})";
  const std::string about = R"("name":")" + first + R"(","description":")" + kLong + "\"";
  if (spoken.name() == "anthropic") {
    return "[{" + about + R"(,"input_schema":)" + schema + R"(},{"type":"web_search_20250305","name":"web_search","max_uses":2}])";
  }
  if (spoken.name() == "openai_responses") {
    return R"([{"type":"function",)" + about + R"(,"parameters":)" + schema + R"(},{"type":"custom","name":"patch"}])";
  }
  if (spoken.name() == "gemini") {
    return R"([{"functionDeclarations":[{)" + about + R"(,"parameters":)" + schema + R"(},{"name":"b"}]},{"googleSearch":{}}])";
  }
  return R"([{"type":"function","function":{)" + about + R"(,"parameters":)" + schema + R"(}},{"type":"function","function":{"name":"b"}}])";
}

std::string body_of(const dialect::Dialect& spoken, const std::string& tools, const std::string& text) {
  const std::string head = R"({"model":"m","max_tokens":5,"tools":)" + tools + ",";
  if (spoken.name() == "openai_responses") return head + R"("input":")" + text + "\"}";
  if (spoken.name() == "gemini") return R"({"contents":[{"parts":[{"text":")" + text + R"("}]}],"tools":)" + tools + "}";
  return head + R"("messages":[{"role":"user","content":")" + text + "\"}]}";
}

/// All that an outline says of tools, and the tools of the request that is read after it.
std::string told(const dialect::Dialect& spoken, std::string body) {
  auto document = json::Document::open_view(body);
  if (!document.ok()) return document.error().message;
  const auto outline = spoken.outline(*document);
  if (!outline.ok()) return outline.error().message;
  std::string out = std::to_string(outline->tools) + " tools, " + std::to_string(outline->text_bytes) + " bytes, " +
                    std::to_string(outline->messages) + " messages;";
  for (const std::string_view name : outline->tool_names) out.append(" ").append(name);
  for (const std::string& name : outline->custom_tools) out.append(" custom ").append(name);
  const auto request = spoken.read_request(*document);
  if (!request.ok()) return out + "; " + request.error().message;
  for (const chat::Tool& tool : request->tools) {
    out.append("; ").append(tool.name).append(" ").append(tool.schema_json).append(" ").append(tool.description.view());
  }
  return out;
}

/// By a thread that has seen no tools before.
std::string told_at_first(const dialect::Dialect& spoken, const std::string& body) {
  std::string out;
  std::thread([&] { out = told(spoken, body); }).join();
  return out;
}

}  // namespace

TEST_CASE("tools that come again are the tools they were, in every dialect and whatever stands around them") {
  for (const char* name : {"anthropic", "openai_chat", "openai_responses", "gemini", "ollama"}) {
    CAPTURE(name);
    const dialect::Dialect* spoken = dialect::by_name(name);
    REQUIRE(spoken != nullptr);
    const std::string tools = tools_of(*spoken, "first");
    for (const std::string& text : {std::string("a"), std::string("quite another text"), kLong}) {
      const std::string body = body_of(*spoken, tools, text);
      CHECK(told(*spoken, body) == told_at_first(*spoken, body));
    }
    const std::string other = body_of(*spoken, tools_of(*spoken, "third"), "a");
    CHECK(told(*spoken, other) == told_at_first(*spoken, other));
    CHECK(told(*spoken, other).find("third") != std::string::npos);
    const std::string broken = body_of(*spoken, tools.substr(0, tools.size() - 1), "a");
    CHECK(told(*spoken, broken) == told_at_first(*spoken, broken));
  }
}

TEST_CASE("tools of one dialect are read anew where another one's client sends the same bytes") {
  const std::string chat = body_of(dialect::openai_chat(), tools_of(dialect::openai_chat(), "first"), "a");
  CHECK(told(dialect::openai_chat(), chat) == told_at_first(dialect::openai_chat(), chat));
  CHECK(told(dialect::anthropic(), chat) == told_at_first(dialect::anthropic(), chat));
  const dialect::Dialect& ollama = *dialect::by_name("ollama");
  CHECK(told(ollama, chat) == told_at_first(ollama, chat));
}
