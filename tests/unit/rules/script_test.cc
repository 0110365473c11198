#include "rules/script.h"

#include <catch2/catch.hpp>

#include "support.h"

using namespace ccrules;
using namespace ccrules::rules;

namespace {

constexpr std::string_view kIsOpus = R"(rule "r" { when = function(req) return req.model == "claude-opus-5-5" end, tag = { a = "b" } })";

struct Loaded {
  SourceFile file;
  std::unique_ptr<Script> script;
  std::vector<Declaration> declarations;

  Loaded() {
    file.path = "my.lua";
    file.text = kIsOpus;
    std::string error;
    std::vector<config::Diagnostic> diagnostics;
    script = Script::create("rules/prelude/rules.lua", error);
    REQUIRE(script != nullptr);
    REQUIRE(script->set_config(rules::test::snapshot(), error));
    REQUIRE(script->load(file, declarations, diagnostics));
    script->freeze();
  }

  bool is_opus(Reader& reader) {
    bool yes = false;
    std::string error;
    CHECK(script->test(declarations.at(0).body.find("when")->value.ref, reader, nullptr, yes, error));
    CHECK(error.empty());
    return yes;
  }
};

}  // namespace

TEST_CASE("a state that goes on because its files no longer load forgets the facts of the decision before") {
  const rules::test::Sample opus("claude-opus-5-5");
  const rules::test::Sample sonnet("claude-sonnet-5-5");
  for (const std::string_view text : {kIsOpus, std::string_view("this is no Lua"), std::string_view("-- no rule any more")}) {
    CAPTURE(text);
    Loaded loaded;
    Reader first(opus.facts);
    CHECK(loaded.is_opus(first));
    loaded.file.text = text;
    loaded.script->renew();
    CHECK(loaded.is_opus(first));
    Reader second(sonnet.facts);
    CHECK_FALSE(loaded.is_opus(second));
    Reader third(opus.facts);
    CHECK(loaded.is_opus(third));
  }
}
