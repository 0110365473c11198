#include <catch2/catch.hpp>

#include "unit/cli/scratch.h"

using namespace ccrules;
using ccrules::test::CliResult;

TEST_CASE("tokens counts a text exactly where the model's tokenizer is published") {
  const test::Scratch scratch;
  const CliResult shown = scratch.run({"tokens", "--model", "gpt-5.5", "-"}, "hello world");
  CHECK(shown.code == 0);
  CHECK(shown.out == "2 tokens, exact (o200k_base)\n");
}

TEST_CASE("tokens shows a request block by block") {
  const test::Scratch scratch;
  scratch.write(
      "request.json",
      R"({"model":"gpt-5.5","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hello world"}]})");
  const CliResult shown = scratch.run({"tokens", "request.json"});
  CHECK(shown.code == 0);
  CHECK_THAT(shown.out, Catch::Contains("messages[0][0]") && Catch::Contains("system"));
  CHECK_THAT(shown.out, Catch::Contains("messages[1][0]") && Catch::Contains("text"));
  CHECK_THAT(shown.out, Catch::Contains("16 tokens, exact"));
  const CliResult json = scratch.run({"tokens", "request.json", "--json"});
  CHECK_THAT(json.out, Catch::Contains(R"("schema":"ccrules.tokens/1","tokens":16,"grade":"exact","p95":0)"));
}

TEST_CASE("tokens of a model without a published tokenizer come with their error") {
  const test::Scratch scratch;
  scratch.write("request.json",
                R"({"model":"claude-opus-5-5","messages":[{"role":"user","content":"hello world"}]})");
  CHECK_THAT(scratch.run({"tokens", "request.json"}).out, Catch::Contains("estimated ±"));
}

TEST_CASE("tokens says which file it cannot read, and counts broken bytes all the same") {
  const test::Scratch scratch;
  const CliResult missing = scratch.run({"tokens", "nothing.json"});
  CHECK(missing.code == 2);
  CHECK_THAT(missing.err, Catch::Contains("nothing.json"));
  const CliResult broken = scratch.run({"tokens", "--model", "gpt-5.5", "-"}, "{\"messages\":[\xFF\xFE");
  CHECK(broken.code == 0);
  CHECK_THAT(broken.out, Catch::Contains("tokens, exact"));
}

TEST_CASE("tokens takes requests of every dialect apart") {
  const test::Scratch scratch;
  const CliResult responses = scratch.run({"tokens", "-"}, R"({"model":"gpt-5.5","input":"hello world"})");
  CHECK_THAT(responses.out, Catch::Contains("messages[0][0]") && Catch::Contains("9 tokens, exact (o200k_base)"));
  const CliResult gemini = scratch.run({"tokens", "--model", "gemini-3.5-pro", "-"}, R"({"contents":[{"parts":[{"text":"one two three"}]}]})");
  CHECK_THAT(gemini.out, Catch::Contains("messages[0][0]") && Catch::Contains("7 tokens, estimated") && Catch::Contains("gemini"));
  const CliResult schema = scratch.run(
      {"tokens", "-"},
      R"({"model":"claude-opus-5-5","messages":[{"role":"user","content":"hi"}],"output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}})");
  CHECK_THAT(schema.out, Catch::Contains("output schema"));
}
