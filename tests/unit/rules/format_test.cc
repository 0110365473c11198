#include "rules/format.h"

#include <catch2/catch.hpp>

#include "core/embedded.h"
#include "rules/lua_inspect.h"

using namespace ccrules;
using namespace ccrules::rules;

namespace {

std::string lua(std::string_view source) {
  const Result<std::string> text = format_lua(source);
  if (!text.ok()) return "error: " + text.error().message;
  const Result<std::string> again = format_lua(*text);
  CHECK((again.ok() && *again == *text));
  CHECK(same_lua(source, *text));
  return *text;
}

std::string json(std::string_view source) {
  const Result<std::string> text = format_json(source);
  return text.ok() ? *text : "error: " + text.error().message;
}

}  // namespace

TEST_CASE("Lua is indented by what is open and gets one blank where one belongs") {
  CHECK(lua("\n\nalias {cheap=\"ollama,x\",   main = 'anthropic,y'}\nrule   \"a\"{when={tokens={gt=5}},to=\"cheap\"}   \n\n\n\n"
            "rule \"b\" {\n\twhen = function (req)\nlocal n=-1   -- minus one\nfor i=1,#req.tools do\nif req.tools[i]==\"Bash\" "
            "then n=n+1 elseif x then\nn = n-1\nelse\nn=2^3\nend\nend\nreturn foo (n>1,\nn)\nend,\n}") ==
        R"(alias { cheap = "ollama,x", main = 'anthropic,y' }
rule "a" { when = { tokens = { gt = 5 } }, to = "cheap" }

rule "b" {
  when = function(req)
    local n = -1  -- minus one
    for i = 1, #req.tools do
      if req.tools[i] == "Bash" then n = n + 1 elseif x then
        n = n - 1
      else
        n = 2^3
      end
    end
    return foo(n > 1,
      n)
  end,
}
)");
}

TEST_CASE("columns that were aligned on purpose stay, others go") {
  CHECK(lua("rule \"secret\"   { deny = true }\nrule \"explicit\" { to = requested }\nrule \"x\"        { to = \"a\" }\n") ==
        "rule \"secret\"   { deny = true }\nrule \"explicit\" { to = requested }\nrule \"x\"        { to = \"a\" }\n");
  CHECK(lua("local a    = 1\n\nf(2)\n") == "local a = 1\n\nf(2)\n");
}

TEST_CASE("long strings, comments and quotes are left as they are") {
  const char* text = "-- a   comment\nlocal t = [==[\n  x\n\ty ]] ]==]\n--[[ more\n     lines ]]\nreturn t, 'it\\'s', \"a\\\"b\"\n";
  CHECK(lua(text) == text);
}

TEST_CASE("what is no Lua is refused with its line and left alone") {
  CHECK_THAT(lua("rule \"a\" {\n  to = = 5\n}"), Catch::StartsWith("error: 2: unexpected symbol near '='"));
  CHECK_THAT(lua("\x1bLJ\x02"), Catch::Contains("compiled Lua"));
  CHECK(lua("").empty());
  CHECK(lua("\n\n").empty());
}

TEST_CASE("a byte order mark goes, and what stands behind it is the first line") {
  CHECK(lua("\xEF\xBB\xBFreturn  1") == "return 1\n");
  CHECK(json("\xEF\xBB\xBF{\"a\":1}") == "{ \"a\": 1 }\n");
  CHECK_THAT(lua("\xEF\xBB\xBF# \"a   b\n"), Catch::Contains("begin it with '--'"));
}

TEST_CASE("the project's own rule files are laid out already") {
  for (const embedded::Row& row : embedded::files()) {
    if (!std::string_view(row.name).ends_with(".lua")) continue;
    INFO(row.name);
    CHECK(lua(row.text()) == row.text());
  }
}

TEST_CASE("JSON keeps its tokens, comments and line breaks") {
  CHECK(json("{\"rules\":[ {\"name\":\"a\" ,\"when\":{\"tokens\":{\"gt\":-5.5e+3}},\n\"to\":\"x\"}, // why\n{}],\n\n\n\"k\":[1,2 ,3],}") ==
        "{ \"rules\": [{ \"name\": \"a\", \"when\": { \"tokens\": { \"gt\": -5.5e+3 } },\n  \"to\": \"x\" }, // why\n  {}],\n\n"
        "  \"k\": [1, 2, 3], }\n");
  CHECK_THAT(json("{\"a\":}"), Catch::StartsWith("error: "));
  CHECK_THAT(json("{} /* x"), Catch::StartsWith("error: "));
}

TEST_CASE("the bytecode tells which lines can run and what functions keep") {
  const LuaFacts facts = inspect_lua(R"(local n, seen, cfg = 0, {}, { a = 1 }
local function helper(x)
  seen[x] = true
  return x
end
rule "a" { when = function(req)
  n = n + 1
  local k = 0
  local function inner() k = k + 1 end
  inner()
  last = req.model
  local t = {}
  t.x = 1
  for i = 1, 3 do t[i] = cfg.a end
  return helper(req.model)
end }
total = 0
)");
  std::string writes;
  for (const StateWrite& write : facts.writes) {
    writes += std::to_string(write.line) + " " + write.name + (write.global ? " global" : write.table ? " table" : "") + "\n";
  }
  CHECK(writes == "3 seen table\n7 n\n11 last global\n");
  CHECK(facts.lines.count(3) == 1);
  CHECK(facts.lines.count(20) == 0);
  CHECK(inspect_lua("not lua").lines.empty());
}
