#include <catch2/catch.hpp>

#include "core/json.h"
#include "dialect/dialect.h"
#include "dialect/gemini/parts.h"
#include "dialect/gemini/schema.h"
#include "dialect/signature.h"
#include "support/json_tree.h"
#include "support/stream_cuts.h"

using namespace ccrules;
using namespace ccrules::dialect;
using ccrules::test::difference;
using ccrules::test::parse_tree;
using ccrules::test::to_text;

namespace {

/// Where the OpenAPI form of a schema differs from what it should be.
std::string openapi(const std::string& schema, const std::string& wanted) {
  const std::string made = gemini::openapi_schema(schema);
  const auto left = parse_tree(wanted);
  const auto right = parse_tree(made);
  REQUIRE(left);
  INFO(made);
  REQUIRE(right);
  return difference(*left, *right);
}

/// The outline's views point into `body`.
chat::Outline outline_of(std::string_view body) {
  auto outline = gemini_dialect().outline(body);
  INFO(body);
  REQUIRE(outline.ok());
  return *outline;
}

}  // namespace

TEST_CASE("gemini: model and stream stand in the path, encoded so that no name can leave its place") {
  CHECK(gemini_dialect().upstream_target("gemini-2.5-pro", false) == "/v1beta/models/gemini-2.5-pro:generateContent");
  CHECK(gemini_dialect().upstream_target("models/m", true) == "/v1beta/models/m:streamGenerateContent?alt=sse");
  CHECK(gemini_dialect().upstream_target("a/b?c#d:e", false) == "/v1beta/models/a%2Fb%3Fc%23d%3Ae:generateContent");
  CHECK(gemini_dialect().upstream_target("..", false) == "/v1beta/models/%2E%2E:generateContent");
  CHECK(decoded_segment("a%2Fb%3fc%%41%4") == "a/b?c%A%4");
}

TEST_CASE("gemini: what a schema says in Google's subset of OpenAPI") {
  CHECK(openapi(R"({"const":"a"})", R"({"type":"STRING","enum":["a"]})") == "");
  CHECK(openapi(R"({"const":7})", R"({"type":"NUMBER"})") == "");
  CHECK(openapi(R"({"enum":["a",null,""]})", R"({"type":"STRING","nullable":true,"enum":["a"]})") == "");
  CHECK(openapi(R"({"type":["string","null"]})", R"({"type":"STRING","nullable":true})") == "");
  CHECK(openapi(R"({"type":["string","integer"]})", R"({"anyOf":[{"type":"STRING"},{"type":"INTEGER"}]})") == "");
  CHECK(openapi(R"({"type":"integer","exclusiveMinimum":0,"exclusiveMaximum":9})", R"({"type":"INTEGER","minimum":1,"maximum":8})") == "");
  CHECK(openapi(R"({"type":"number","exclusiveMinimum":0.5})", R"({"type":"NUMBER","minimum":0.5})") == "");
  CHECK(openapi(R"({"type":"string","format":"uri"})", R"({"type":"STRING"})") == "");
  CHECK(openapi(R"({"type":"string","format":"date-time"})", R"({"type":"STRING","format":"date-time"})") == "");
  CHECK(openapi(R"({"anyOf":[{"type":"integer"},{"type":"null"}],"description":"d"})",
                R"({"type":"INTEGER","nullable":true,"description":"d"})") == "");
  CHECK(openapi(R"({"type":"object","properties":{"a":true},"required":["a","b"],"additionalProperties":false})",
                R"({"type":"OBJECT","properties":{"a":{"type":"STRING"}},"required":["a"]})") == "");
  CHECK(openapi(R"({"type":"array"})", R"({"type":"ARRAY","items":{"type":"STRING"}})") == "");
  CHECK(openapi("{}", R"({"type":"STRING"})") == "");
}

TEST_CASE("gemini: a schema with a NUL in place of a value is refused") {
  const std::string body = R"({"contents":[],"tools":[{"functionDeclarations":[{"name":"f","parameters":{"properties":{"x":{"nullable":0,"format":"f"}}}}]}]})";
  for (const bool in_front : {false, true}) {
    std::string broken = body;
    const std::string member = R"("nullable":)";
    broken.at(broken.find(member) + member.size()) = '\0';
    if (in_front) broken.insert(broken.find(member), std::string("\"a\":\0,", 6));
    const auto read = gemini_dialect().read_request(std::string_view(broken));
    REQUIRE_FALSE(read.ok());
    CHECK(read.error().message.find("expected a value") != std::string::npos);
  }
}

TEST_CASE("gemini: references are put in place, circles end, and doubling ones end too") {
  CHECK(openapi(R"({"$defs":{"p":{"type":"object","properties":{"x":{"type":"number"}}}},"type":"object","properties":{"a":{"$ref":"#/$defs/p"}}})",
                R"({"type":"OBJECT","properties":{"a":{"type":"OBJECT","properties":{"x":{"type":"NUMBER"}}}}})") == "");
  CHECK(openapi(R"({"definitions":{"n":{"properties":{"next":{"$ref":"#/definitions/n"}}}},"$ref":"#/definitions/n"})",
                R"({"type":"OBJECT","properties":{"next":{"type":"OBJECT"}}})") == "");
  CHECK(openapi(R"({"$ref":"https://example.com/other"})", R"({"type":"OBJECT"})") == "");
  std::string defs;
  for (int i = 0; i < 23; ++i) {
    const std::string next = R"({"$ref":"#/$defs/d)" + std::to_string(i + 1) + "\"}";
    defs += (i > 0 ? "," : "") + ("\"d" + std::to_string(i)) + R"(":{"properties":{"a":)" + next + R"(,"b":)" + next + "}}";
  }
  const std::string made = gemini::openapi_schema(R"({"$defs":{)" + defs + R"(},"$ref":"#/$defs/d0"})");
  CHECK(json::is_valid(made));
  CHECK(made.size() < 4'000'000);
}

TEST_CASE("gemini: JSON Schema stays as it is, but const, also as the name of a property") {
  CHECK(gemini::google_json_schema(R"({"type":"object","$ref":"#/x"})") == R"({"type":"object","$ref":"#/x"})");
  CHECK(gemini::google_json_schema(R"({"properties":{"const":{"const":1}},"default":{"const":2}})") ==
        R"({"properties":{"const":{"enum":[1]}},"default":{"const":2}})");
  CHECK(gemini::takes_nothing(R"({"type":"object","properties":{},"additionalProperties":false})"));
  CHECK_FALSE(gemini::takes_nothing(R"({"type":"object","properties":{"a":{}}})"));
  CHECK_FALSE(gemini::takes_nothing(R"({"$ref":"#/$defs/a"})"));
  CHECK_FALSE(gemini::takes_nothing(R"({"$schema":"https://json-schema.org/","type":"object","properties":{"a":{}}})"));
  CHECK_FALSE(gemini::takes_nothing(R"({"title":"a \",\"properties\":{}","properties":{"a":{}}})"));
  CHECK(gemini::takes_nothing(R"({"title":"a \",\"properties\":{\"b\":1}","properties":{}})"));
  CHECK(gemini::takes_nothing(R"({"type":"object","title":"properties"})"));
}

TEST_CASE("gemini: a schema in Google's words becomes JSON Schema, and one that is JSON Schema already stays byte for byte") {
  const auto read = [](const std::string& schema) {
    std::string text = R"({"before":1,"parameters":)" + schema + R"(,"behind":2})";
    auto document = json::Document::open(text);
    REQUIRE(document.ok());
    auto root = document->root_object();
    REQUIRE(root.ok());
    std::string made;
    while (root->next()) {
      if (root->key() != "parameters") continue;
      auto converted = gemini::schema_from_openapi(root->value());
      REQUIRE(converted.ok());
      made = *std::move(converted);
    }
    CHECK(root->done().ok());
    CHECK(json::is_valid(made));
    return made;
  };
  const std::string plain = R"({ "type": "object", "properties": { "nullable": {"type":"string", "enum":["A"]} }, "required": [ "nullable" ], "minItems": 1 })";
  CHECK(read(plain) == plain);
  CHECK(read(R"({"type":"OBJECT","properties":{"type":{"type":"STRING","nullable":true}},"minProperties":"1"})") ==
        R"({"type":"object","properties":{"type":{"type":["string","null"]}},"minProperties":1})");
  CHECK(read(R"({"nullable": true, "type":"STRING"})") == R"({"type":["string","null"]})");
  CHECK(read(R"({"nullable":true})") == "{}");
  CHECK(read(R"({"type":"TYPE_UNSPECIFIED","nullable":true,"title":"t"})") == R"({"title":"t"})");
  CHECK(read(R"({"title":"t" , "propertyOrdering":["b","a"],"property_ordering":[]})") == R"({"title":"t" })");
  CHECK(read(R"({"any_of":[{"type":"STRING"},{"type":"NUMBER","example":1.50,"nullable":false}]})") ==
        R"({"anyOf":[{"type":"string"},{"type":"number","examples":[1.50]}]})");
  CHECK(read(R"({"items":{"type":"INTEGER","maximum":"9007199254740993","minimum":"low"},"type":"ARRAY"})") ==
        R"({"items":{"type":"integer","maximum":9007199254740993,"minimum":"low"},"type":"array"})");
  CHECK(read(R"({"items":{"\u0074ype":"STRING"}})") == R"({"items":{"\u0074ype":"string"}})");
  // One member that differs, behind others and inside them.
  const auto within = [&read](const std::string& member) {
    return read(R"({"description":"d","type":"object","properties":{"type":{"type":"string"},"p":{"title":"","minItems":1,)" + member + "}}}");
  };
  const auto kept = [](const std::string& member) {
    return R"({"description":"d","type":"object","properties":{"type":{"type":"string"},"p":{"title":"","minItems":1)" + member + "}}}";
  };
  CHECK(within(R"("type":"string")") == kept(R"(,"type":"string")"));
  CHECK(within(R"("type":"strinG")") == kept(R"(,"type":"string")"));
  CHECK(within(R"("type" : "String" )") == kept(R"(,"type" : "string" )"));
  CHECK(within(R"("nullable":false)") == kept(""));
  CHECK(within(R"("propertyOrdering":["a"])") == kept(""));
  CHECK(within(R"("property_ordering":["a"])") == kept(""));
  CHECK(within(R"("any_of":[])") == kept(R"(,"anyOf":[])"));
  CHECK(within(R"("example":{})") == kept(R"(,"examples":[{}])"));
  CHECK(within(R"("maxLength":"5")") == kept(R"(,"maxLength":5)"));
  CHECK(within(R"("format":"type")") == kept(R"(,"format":"type")"));
  CHECK(read(R"({"items":{"type":"TYPE_UNSPECIFIED"}})") == R"({"items":{}})");
  CHECK(read(R"({"minimum":1,"title":"BIG","properties":{"type":{"type":"string"},"example":{"type":"NUMBER"}}})") ==
        R"({"minimum":1,"title":"BIG","properties":{"type":{"type":"string"},"example":{"type":"number"}}})");
  CHECK(read("\"any\"") == "\"any\"");
}

TEST_CASE("gemini: what a function answered goes back to Google as it was") {
  for (const std::string response :
       {R"({"output":"plain"})", R"({"output":"a \"line\"\n"})", R"({"error":"no\\thing"})", R"({"result":"named otherwise"})",
        R"({ "output": "with blanks" })", R"({"output":"\u0041 spelt otherwise\/"})", R"({"output":""})", R"({"output":1})", R"({})",
        R"({"output":"one","error":"two"})", R"({"out\u0070ut":"x"})", "{\"output\":\"a line \xe2\x80\xa8 and another\"}"}) {
    CAPTURE(response);
    for (const char* beside : {"", R"(,"parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}}])"}) {
      const auto request = gemini_dialect().read_request(
          R"({"contents":[{"role":"user","parts":[{"text":"q"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},)"
          R"({"role":"user","parts":[{"functionResponse":{"name":"f","response":)" +
          response + beside + "}}]}]}");
      REQUIRE(request.ok());
      chat::LossNotes losses;
      const auto written = gemini_dialect().write_request(*request, Capabilities{}, losses);
      REQUIRE(written.ok());
      CHECK(written->find("\"response\":" + response) != std::string::npos);
    }
  }
}

TEST_CASE("gemini: another provider's signature survives a client that keeps bytes") {
  const std::string signature = "ccr1.openai,gpt-x:Zm9v";
  std::string wrapped = gemini::wrap_signature(signature);
  CHECK(gemini::unwrap_signature(wrapped) == signature);
  for (char& c : wrapped) c = c == '+' ? '-' : c == '/' ? '_' : c;
  while (wrapped.ends_with('=')) wrapped.pop_back();
  CHECK(gemini::unwrap_signature(wrapped) == signature);
  CHECK_FALSE(gemini::unwrap_signature("EqQFCqEFARFNMg/n1ZU9kj5y"));
  CHECK_FALSE(gemini::unwrap_signature(""));
}

TEST_CASE("turns without parts and lists without blocks take no room for any") {
  for (const auto& [spoken, body] : {std::pair(&gemini_dialect(), R"({"contents":[{},{"parts":[]}]})"),
                                     std::pair(&anthropic(), R"({"model":"m","messages":[{"role":"user","content":[]}]})")}) {
    const auto request = spoken->read_request(std::string_view(body));
    REQUIRE(request.ok());
    for (const chat::Message& message : request->messages) CHECK(message.blocks.capacity() == 0);
  }
}

TEST_CASE("gemini: the outline finds what rules decide on, in either spelling of the names") {
  const chat::Outline outline = outline_of(
      R"({"system_instruction":{"parts":[{"text":"sys"}]},"generationConfig":{"max_output_tokens":77,"thinkingConfig":{"thinkingLevel":"LOW"},)"
      R"("responseSchema":{}},"tools":[{"function_declarations":[{"name":"f"},{"name":"g"}]},{"googleSearch":{}}],)"
      R"("contents":[{"role":"user","parts":[{"text":"one"},{"inline_data":{"mime_type":"image/png","data":"AAAA"}}]},)"
      R"({"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},)"
      R"({"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}}]}]})");
  CHECK(outline.max_tokens == 77);
  CHECK(outline.effort == "low");
  CHECK(outline.thinking.kind == chat::ThinkingKind::kAdaptive);
  CHECK(outline.json_schema_answer);
  CHECK(outline.tools == 3);
  CHECK(outline.tool_names == std::vector<std::string_view>{"f", "g"});
  CHECK(outline.messages == 3);
  CHECK(outline.images == 1);
  CHECK(outline.media_bytes == 4);
  CHECK(outline.tool_results == 1);
  CHECK(outline.last_role == "tool");
  CHECK(outline.first_user_json == "\"one\"");
  CHECK(outline.system_json == std::vector<std::string_view>{"\"sys\""});
  CHECK_FALSE(gemini_dialect().outline(R"({"contents":[],"contents":[]})").ok());
}

TEST_CASE("gemini: a part is what its member says in either spelling, whatever stands behind that") {
  const auto request = gemini_dialect().read_request(
      R"({"contents":[{"role":"user","parts":[{"inline_data":{"mime_type":"image/png","data":"AAAA"},"part_metadata":{}},)"
      R"({"file_data":{"mime_type":"image/png","file_uri":"https://a/b"},"video_metadata":{}},{"executable_code":{"code":"1"},"thought_signature":"s"},)"
      R"({"toolCall":{}}]}]})");
  REQUIRE(request.ok());
  const std::vector<chat::Block>& blocks = request->messages.at(0).blocks;
  REQUIRE(blocks.size() == 4);
  CHECK(std::get<chat::Image>(blocks[0].value).kind == chat::SourceKind::kBase64);
  CHECK(std::get<chat::Image>(blocks[1].value).kind == chat::SourceKind::kUrl);
  CHECK(std::get<chat::Opaque>(blocks[2].value).type == "executableCode");
  CHECK(std::get<chat::Opaque>(blocks[3].value).type == "toolCall");
}

TEST_CASE("gemini: a part that is several things is refused with its path, as Google refuses it") {
  const std::string call = R"("functionCall":{"name":"f","args":{}})";
  const std::string result = R"("functionResponse":{"name":"f","response":{"output":"o"}})";
  const std::string picture = R"("inlineData":{"mimeType":"image/png","data":"AAAA"})";
  const std::string text = R"("text":"t")";
  for (const std::string& part :
       {text + "," + picture, picture + "," + text, text + "," + call + "," + picture, result + "," + text + "," + picture,
        text + R"(,"thought":true,)" + call, call + R"(,"function_call":{"name":"g","args":{}})", call + "," + result, call + "," + call,
        text + "," + text, picture + R"(,"fileData":{"mimeType":"image/png","fileUri":"https://a/b"})", text + R"(,"executableCode":{})"}) {
    CAPTURE(part);
    const auto request = gemini_dialect().read_request(R"({"contents":[{"parts":[{"text":"a"},{)" + part + "}]}]}");
    REQUIRE_FALSE(request.ok());
    CHECK(request.error().http_status == 400);
    CHECK_THAT(request.error().message, Catch::Matchers::Contains("contents[0].parts[1] holds several things at once"));
  }
}

TEST_CASE("gemini: an empty text, a null and what is told about a part are nothing beside what it is") {
  const auto blocks_of = [](const std::string& parts) {
    const auto request = gemini_dialect().read_request(R"({"contents":[{"role":"model","parts":[)" + parts + "]}]}");
    REQUIRE(request.ok());
    return request->messages.at(0).blocks;
  };
  const std::string call = R"("functionCall":{"name":"f","args":{}})";
  for (const std::string& part : {R"({"text":"",)" + call + "}", "{" + call + R"(,"text":"","inlineData":null})", R"({"thought":true,)" + call + "}",
                                  "{" + call + R"(,"thoughtSignature":"s","partMetadata":{"a":1}})", "{" + call + R"(,"odd":1})"}) {
    CAPTURE(part);
    CHECK(std::get<chat::ToolCall>(blocks_of(part).at(0).value).name == "f");
  }
  CHECK(std::get<chat::Image>(blocks_of(R"({"text":"","inlineData":{"mimeType":"image/png","data":"AAAA"},"mediaResolution":{"level":"LOW"}})").at(0).value).data == "AAAA");
  CHECK(std::get<chat::Text>(blocks_of(R"({"text":"","text":"t","":1})").at(0).value).text == "t");
  CHECK(std::get<chat::Opaque>(blocks_of(R"({"odd_thing":1})").at(0).value).type == "oddThing");
  CHECK(std::get<chat::Opaque>(blocks_of(R"({"thought":true,"inlineData":{"mimeType":"image/png","data":"AAAA"}})").at(0).value).type == "inlineData");
  CHECK(blocks_of(R"({},{"text":""},{"text":null},{"videoMetadata":{}})").empty());
}

TEST_CASE("gemini: members that the neutral request has no place for are named, wherever they are written") {
  const auto lost = [](const std::string& body, const Dialect& to) {
    auto request = gemini_dialect().read_request(body);
    INFO(body);
    REQUIRE(request.ok());
    request->model = "m";
    Capabilities target;
    target.vision = true;
    target.documents = true;
    chat::LossNotes losses;
    const auto written = to.write_request(*request, target, losses);
    REQUIRE(written.ok());
    CHECK(written->find("contents[]") == std::string::npos);
    return ", " + losses.header_value() + ",";
  };
  const auto in_part = [](const std::string& part) { return R"({"contents":[{"role":"user","parts":[{"text":"q"},{)" + part + "}]}]}"; };
  const std::string called = R"("functionCall":{"name":"f","args":{})";
  const std::string answered = R"("functionResponse":{"name":"f","response":{"output":"o"})";
  const std::string picture = R"("inlineData":{"mimeType":"image/png","data":"AAAA")";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {in_part(called + R"(,"will_continue":true})"), "contents[].parts[].functionCall.willContinue"},
      {in_part(called + R"(,"partialArgs":[{"jsonPath":"$.a"}]})"), "contents[].parts[].functionCall.partialArgs"},
      {in_part(answered + R"(,"scheduling":"SILENT"})"), "contents[].parts[].functionResponse.scheduling"},
      {in_part(picture + R"(,"displayName":"cat.png"})"), "contents[].parts[].inlineData.displayName"},
      {in_part(picture + R"(,"odd":7})"), "contents[].parts[].inlineData.odd"},
      {in_part(picture + R"(},"mediaResolution":{"level":"LOW"})"), "contents[].parts[].mediaResolution"},
      {in_part(R"("text":"t","odd":1)"), "contents[].parts[].odd"},
      {R"({"contents":[{"role":"user","parts":[{"text":"q"}],"odd":1}]})", "contents[].odd"},
      {R"({"contents":[{"parts":[{"text":"q"}]}],"systemInstruction":{"parts":[{"text":"s"}],"odd":1}})", "systemInstruction.odd"}};
  for (const Dialect* to : {&anthropic(), &openai_chat(), &openai_responses(), &ollama_chat(), &gemini_dialect()}) {
    for (const auto& [body, name] : cases) {
      INFO(to->name());
      CHECK_THAT(lost(body, *to), Catch::Matchers::Contains(", " + name + ","));
    }
    CHECK_THAT(lost(in_part(R"("text":"t","partMetadata":{})"), *to), !Catch::Matchers::Contains("contents[]"));
    CHECK_THAT(lost(R"({"contents":[{"parts":[{"text":"q"}]}],"systemInstruction":{"parts":[{"text":"s"},{)" + called + "}}]}}", *to),
               Catch::Matchers::Contains(", systemInstruction.parts[].functionCall,"));
  }
  std::string many;
  for (int i = 0; i < 1000; ++i) many += R"(,"o)" + std::to_string(i) + "\":1";
  CHECK_THAT(lost(in_part(R"("text":"t")" + many), openai_chat()), Catch::Matchers::Contains(", contents[].others,"));
}

TEST_CASE("gemini: results are the user's and calls the model's, whatever turn they stand in") {
  const std::string call = R"({"functionCall":{"id":"c1","name":"f","args":{"a":1}}})";
  const std::string result = R"({"functionResponse":{"id":"c1","name":"f","response":{"output":"found it"}}})";
  const std::string question = R"({"role":"user","parts":[{"text":"q"}]},)";
  for (const std::string& contents : {question + R"({"role":"model","parts":[)" + call + "," + result + R"(,{"text":"so"}]},{"parts":[{"text":"more"}]})",
                                      R"({"parts":[{"text":"q"},{"text":"hm","thought":true},)" + call + "," + result + R"(]},{"role":"model","parts":[{"text":"so"}]},{"parts":[{"text":"more"}]})"}) {
    auto request = gemini_dialect().read_request(R"({"contents":[)" + contents + "]}");
    REQUIRE(request.ok());
    REQUIRE(request->messages.size() == 5);
    CHECK(request->messages[0].role == chat::Role::kUser);
    CHECK(request->messages[1].role == chat::Role::kAssistant);
    CHECK(std::get<chat::ToolCall>(request->messages[1].blocks.back().value).id == "c1");
    CHECK(request->messages[2].role == chat::Role::kUser);
    CHECK(std::get<chat::ToolResult>(request->messages[2].blocks.at(0).value).call_id == "c1");
    CHECK(request->messages[3].role == chat::Role::kAssistant);
    request->model = "m";
    for (const Dialect* to : {&anthropic(), &openai_chat(), &openai_responses(), &ollama_chat()}) {
      INFO(to->name());
      chat::LossNotes losses;
      const auto written = to->write_request(*request, {}, losses);
      REQUIRE(written.ok());
      CHECK_THAT(*written, Catch::Matchers::Contains("found it") && !Catch::Matchers::Contains("[no result]"));
      CHECK(losses.header_value().find("tool_result") == std::string::npos);
    }
  }
}

TEST_CASE("gemini: what cannot be a call's arguments or stand in a result is refused with its path") {
  const auto refused = [](const std::string& part) {
    const auto request = gemini_dialect().read_request(R"({"contents":[{"role":"model","parts":[{)" + part + "}]}]}");
    INFO(part);
    REQUIRE_FALSE(request.ok());
    CHECK(request.error().http_status == 400);
    return request.error().message;
  };
  using Catch::Matchers::Contains;
  for (const char* args : {"[1]", R"("{\"a\":1}")", "7"}) {
    CHECK_THAT(refused(R"("functionCall":{"name":"f","args":)" + std::string(args) + "}"), Contains("contents[0].parts[0].functionCall.args must be an object"));
  }
  CHECK(gemini_dialect().read_request(R"({"contents":[{"parts":[{"functionCall":{"name":"f","args":null}}]}]})").ok());
  for (const char* inner : {R"("functionCall":{"name":"f"})", R"("functionResponse":{"name":"f"})", R"("text":"t","thought":true)"}) {
    CHECK_THAT(refused(R"("functionResponse":{"name":"f","parts":[{)" + std::string(inner) + "}]}"), Contains("contents[0].parts[0].functionResponse.parts[0] must be inlineData or fileData"));
  }
}

TEST_CASE("gemini: two spellings of one member are one member sent twice") {
  CHECK_FALSE(gemini_dialect().outline(R"({"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{},"generation_config":{}})").ok());
}

TEST_CASE("gemini: an answer's signature returns to its call byte for byte, for its own provider and model only") {
  ReaderOptions options;
  options.provider = "google";
  options.model = "gemini-3.5-flash";
  const auto reply = gemini_dialect().read_reply(
      R"({"candidates":[{"content":{"parts":[{"functionCall":{"id":"a","name":"f","args":{}},"thoughtSignature":"EqQ/+w=="}]},"finishReason":"STOP"}]})",
      options);
  REQUIRE(reply.ok());
  REQUIRE(reply->blocks.size() == 2);
  chat::Request request;
  request.dialect = "anthropic";
  chat::Text hello;
  hello.text = "hi";
  chat::Message asked;
  asked.blocks.push_back(chat::Block{hello});
  chat::Message answered;
  answered.role = chat::Role::kAssistant;
  answered.blocks = reply->blocks;
  chat::ToolResult result;
  result.call_id = "a";
  chat::Message returned;
  returned.blocks.push_back(chat::Block{result});
  request.messages = {asked, answered, returned};
  Capabilities target;
  target.provider = "google";
  target.model = "gemini-3.5-flash";
  chat::LossNotes losses;
  CHECK(gemini_dialect().write_request(request, target, losses)->find(R"("thoughtSignature":"EqQ/+w==")") != std::string::npos);
  target.provider = "other";
  CHECK(gemini_dialect().write_request(request, target, losses)->find("EqQ") == std::string::npos);
}

TEST_CASE("gemini: usage counts thoughts as output and takes what the cache served out of the input") {
  const auto reply = gemini_dialect().peek_reply(
      R"({"candidates":[{}],"usageMetadata":{"promptTokenCount":100,"cachedContentTokenCount":80,"toolUsePromptTokenCount":5,)"
      R"("candidatesTokenCount":7,"thoughtsTokenCount":3}})");
  CHECK(reply.usage.input_tokens == 25);
  CHECK(reply.usage.cache_read_tokens == 80);
  CHECK(reply.usage.output_tokens == 10);
  CHECK(reply.usage.reasoning_tokens == 3);
  const auto hostile = gemini_dialect().peek_reply(
      R"({"candidates":[{}],"usageMetadata":{"promptTokenCount":-5,"cachedContentTokenCount":9e18,"candidatesTokenCount":"x"}})");
  CHECK(hostile.usage == chat::Usage{});
}

TEST_CASE("gemini: names tell the generation, and the newest is assumed") {
  using gemini::Generation;
  CHECK(gemini::generation_of("gemini-2.5-flash") == Generation::k25);
  CHECK(gemini::generation_of("google/gemini-2.0-flash") == Generation::kBefore25);
  CHECK(gemini::generation_of("gemini-3-pro-preview") == Generation::k3);
  CHECK(gemini::generation_of("gemini-pro-latest") == Generation::k3);
  CHECK(gemini::generation_of("gemma-3") == Generation::kBefore25);
}

TEST_CASE("gemini: limits are told once, under one spelling, and as a number") {
  const auto config = [](const std::string& members) {
    return gemini_dialect().outline(R"({"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{)" + members + "}}");
  };
  CHECK_FALSE(config(R"("maxOutputTokens":1,"maxOutputTokens":9000)").ok());
  CHECK_FALSE(config(R"("maxOutputTokens":1,"max_output_tokens":9000)").ok());
  CHECK_FALSE(config(R"("maxOutputTokens":"9000")").ok());
  CHECK_FALSE(config(R"("thinkingConfig":{"thinkingBudget":1,"thinking_budget":9000})").ok());
  CHECK_FALSE(config(R"("candidateCount":1,"candidateCount":8)").ok());
  CHECK(config(R"("max_output_tokens":77,"candidateCount":3)")->max_tokens == 77);
  CHECK_FALSE(config(R"("maxOutputTokens":null)")->max_tokens.has_value());
}
