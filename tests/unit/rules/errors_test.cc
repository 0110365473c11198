#include <catch2/catch.hpp>

#include "support.h"

using namespace ccrules;
using namespace ccrules::rules;
using ccrules::rules::test::errors;

using Lines = std::vector<std::string>;

TEST_CASE("an unknown fact is reported where it is written, not where the rule begins") {
  CHECK(errors(R"(
rule "a" {
  to = "sim",
  when = {
    stream = true,
    tokns = { gt = 5 },  -- here
  },
}
)") == Lines{"6:5 unknown fact 'tokns' | did you mean 'tokens'?"});
  CHECK(errors(R"(rule "a" { when = any { { agnt = "x" } }, to = "sim" })") == Lines{"1:27 unknown fact 'agnt' | did you mean 'agent'?"});
  CHECK(errors(R"(rule "a" { when = { ["text.lastuser"] = "x" }, to = "sim" })") ==
        Lines{"1:22 unknown fact 'text.lastuser' | did you mean 'text.last_user'?"});
  CHECK(errors("rule \"a\" { to = function(r)\n  local x = r.model\n  return r.modell\nend }") ==
        Lines{"3:12 unknown fact 'modell' | did you mean 'model'?"});
}

TEST_CASE("an unknown effect, field or comparison is reported at its own place") {
  CHECK(errors("rule \"a\" {\n  fallbak = \"sim\",\n}") == Lines{"2:3 unknown effect 'fallbak' | did you mean 'fallback'?"});
  CHECK(errors("rule \"a\" {\n  tokens = { gt = 5 },\n}") ==
        Lines{"2:3 unknown effect 'tokens' | 'tokens' is a fact: conditions stand in when = { ... }"});
  CHECK(errors("rule \"a\" { set = {\n  max_token = 5 } }") == Lines{"2:3 unknown field 'max_token' | did you mean 'max_tokens'?"});
  CHECK(errors("rule \"a\" { to = \"sim\", when = { tokens = {\n gtt = 5 } } }") == Lines{"2:2 unknown comparison 'gtt' | did you mean 'gt'?"});
  CHECK(errors("rule \"a\" { to = \"sim\", when = { tools = {\n lt = 5 } } }") ==
        Lines{"2:2 tools is a list of strings, and lt compares numbers | how many there are is tool_count"});
  CHECK(errors("rule \"a\" { to = \"sim\", when = { agent = { gt = 5 } } }") == Lines{"1:43 agent is a string, and gt compares numbers"});
  CHECK(errors("rule \"a\" { to = \"sim\", when = { tokens = { gt = \"many\" } } }") ==
        Lines{"1:49 tokens: gt compares with a number, not a string"});
  CHECK(errors("rule \"a\" { deny = { stat = 5 } }") == Lines{"1:21 deny has no 'stat' | deny has status, message, type"});
  CHECK(errors("rule \"a\" { on = \"error\", retry = { afte = \"2s\" } }") == Lines{"1:36 retry has no 'afte' | retry has after, at_most"});
}

TEST_CASE("an unknown provider, model or alias is reported at the target") {
  CHECK(errors("rule \"a\" {\n  to = \"opnai,gpt-6\" }") == Lines{"2:8 there is no provider 'opnai' | did you mean 'openai'?"});
  CHECK(errors("rule \"a\" {\n  to = \"anthropic,gpt-6\" }") == Lines{"2:8 provider 'anthropic' has no model 'gpt-6' | its models: claude-*"});
  CHECK(errors("alias { cheap = \"sim,x\" }\nrule \"a\" { fallback = { \"cheap\",\n  \"chaep\" } }")[0].substr(0, 26) == "3:3 'chaep' is no target: ");
  CHECK_THAT(errors("rule \"a\" { fallback = { \"sim,x\",\n  \"cheep\" } }\nalias { cheap = \"sim,x\" }")[0], Catch::EndsWith("did you mean 'cheap'?"));
  CHECK(errors("alias {\n cheap = \"nobody,x\" }\nrule \"a\" { to = \"sim\" }")[0].substr(0, 36) == "2:10 there is no provider 'nobody' |");
  CHECK(errors("alias { a = \"b\", b = \"a\" }")[0] == "1:13 alias 'a' leads in a circle");
  CHECK(errors("rule \"a\" { to = \"openai,\" }") == Lines{"1:17 target 'openai,' has an empty half: write provider,model"});
}

TEST_CASE("facts that need words of their own say which") {
  const auto first = [](const std::string& when) { return errors("rule \"a\" { to = \"sim\", when = {\n  " + when + " } }").front(); };
  CHECK(first("spend = 5") == "2:11 spend needs a table: { by = \"project\", per = \"day\", gte = 5 }");
  CHECK(first("spend = { by = \"project\", per = \"year\", gt = 5 }") == "2:35 spend: per is hour, day, week or month");
  CHECK(first("spend = { by = \"tokens\", gt = 5 }") == "2:18 spend: by is \"all\" or a text fact such as session, user or project");
  CHECK(first("spend = { by = \"projct\", gt = 5 }") == "2:18 unknown fact 'projct' | did you mean 'project'?");
  CHECK(first("budget_left = { by = \"project\" }") == "2:3 budget_left needs a comparison, such as gt = 5");
  CHECK(first("rate = { key = \"session\", per = \"soon\", gt = 5 }") ==
        "2:35 rate: per is a time such as \"10s\", \"1m\" or \"1h\", at most 24h");
  CHECK(first("rate = { key = \"session\", per = \"2d\", gt = 5 }") ==
        "2:35 rate: per is a time such as \"10s\", \"1m\" or \"1h\", at most 24h");
  CHECK(first("health = \"down\"") == "2:12 health needs a table of providers: { anthropic = \"down\" }");
  CHECK_THAT(first("health = { anthrpic = \"down\" }"), Catch::StartsWith("2:14 there is no provider 'anthrpic'"));
  CHECK_THAT(first("warm = true"), Catch::StartsWith("2:10 warm names a target"));
  CHECK_THAT(first("warm = \"deap\""), Catch::StartsWith("2:10 'deap' is no target"));
  CHECK(first("warm = { target = \"sim,x\", hot = true }") == "2:30 warm has no 'hot' | warm has target, is, tokens, cost_usd, to, turns, move_usd");
  CHECK(first("warm = { target = \"sim,x\", turns = 3 }") == "2:30 warm: turns needs the target to move to: to = \"cheap\"");
  CHECK(first("warm = { target = \"sim,x\", to = 3, turns = 3 }") == "2:35 warm: to names the target to move to, such as \"cheap\"");
  CHECK_THAT(first("warm = { target = \"sim,x\", to = \"deap\", turns = 3 }"), Catch::StartsWith("2:35 'deap' is no target"));
  CHECK_THAT(first("messages = \"x\""), Catch::StartsWith("2:3 messages can only be read by functions"));
  CHECK_THAT(first("time = { from = \"22:00\", to = \"06:00\", tz = \"Mars/Base\" }"),
             Catch::StartsWith("2:47 ") && Catch::Contains("'Mars/Base'") && Catch::Contains("+01:00"));
  CHECK(first("time = { from = \"22:00\" }") == "2:3 time needs both from and to");
  for (const char* clock : {"-0:30", "22:-0", "22:5", "24:01", "22:60", "22:00:00", "022:00", "22"}) {
    CHECK(first("time = { from = \"" + std::string(clock) + "\", to = \"06:00\" }") == "2:19 a time of day is written \"HH:MM\"");
  }
  CHECK(errors("rule \"a\" { cache = \"yes\" }") ==
        Lines{"1:20 cache is true, false or { ttl = \"1h\", scope = \"project\", keep = { \"tool_use\" } }, not a string"});
  CHECK(errors("rule \"a\" { cache = { scope = \"team\" } }") == Lines{"1:30 cache: scope is session, user, project or all"});
  CHECK(errors("rule \"a\" { cache = { age = 5 } }") == Lines{"1:22 cache has no 'age' | cache has ttl, scope, keep"});
  const std::string kept = "cache: keep lists stop reasons: tool_use, max_tokens, model_context_window_exceeded, refusal; not ";
  CHECK(errors("rule \"a\" { cache = { keep = { \"tool_use\", \"max_token\" } } }") ==
        Lines{"1:43 " + kept + "'max_token' | did you mean 'max_tokens'?"});
  CHECK(errors("rule \"a\" { cache = { keep = { \"error\", 5 } } }") ==
        Lines{"1:31 " + kept + "'error'", "1:40 " + kept + "a number"});
  CHECK(errors("rule \"a\" { cache = { keep = true } }") == Lines{"1:29 " + kept + "a boolean"});
  CHECK(errors("rule \"a\" { strict = 5 }") ==
        Lines{"1:21 strict is true, false or a list of what must not be lost, such as { \"tools*\" }, not a number"});
  CHECK(errors("rule \"a\" { strict = { \"\" } }").size() == 1);
  CHECK(errors("rule \"a\" { budget = 5 }") == Lines{"1:21 budget is the scope that pays, such as \"project:web\", not a number"});
  CHECK(errors("rule \"a\" { set = { effort = { values = \"low\" } } }") == Lines{"1:40 set.effort: values is a list, each a string"});
  CHECK(errors("rule \"a\" { on = \"reply\", to = \"sim\" }") == Lines{"1:17 on is \"request\", \"error\" or \"response\""});
}

TEST_CASE("facts and effects of failed attempts belong to rules with on = error, and only there") {
  CHECK(errors("rule \"a\" { to = \"sim\", when = { status = 529 } }") ==
        Lines{"1:33 fact 'status' exists only after an attempt | add on = \"error\" to the rule"});
  CHECK(errors("rule \"a\" { to = \"sim\", when = { error = \"timeout\" } }") ==
        Lines{"1:33 fact 'error' exists only after a failed attempt | add on = \"error\" to the rule"});
  CHECK(errors("rule \"a\" { on = \"error\", retry = true, when = { stop_reason = \"refusal\" } }") ==
        Lines{"1:49 fact 'stop_reason' exists only once a reply has come | add on = \"response\" to the rule"});
  CHECK(errors("rule \"a\" { on = \"response\", next_fallback = true, when = { error = \"timeout\" } }").size() == 1);
  CHECK(errors("rule \"a\" { retry = true }") == Lines{"1:12 'retry' is only for rules with on = \"error\" or on = \"response\""});
  CHECK(errors("rule \"a\" { on = \"error\", fallback = \"sim\" }") ==
        Lines{"1:26 'fallback' has no meaning in a rule with on = \"error\""});
}

TEST_CASE("a value of the wrong kind is reported at the value") {
  CHECK(errors("rule \"a\" { to = \"sim\", when = { tokens = \"many\" } }") ==
        Lines{"1:42 tokens is a number, so it cannot be compared with a string"});
  CHECK(errors("rule \"a\" { to = \"sim\", when = { stream = \"yes\" } }") ==
        Lines{"1:42 stream is true or false, so it cannot be compared with a string"});
  CHECK(errors("rule \"a\" { to = 5 }") == Lines{"1:17 a target is a string such as \"provider,model\", not a number"});
  CHECK(errors("rule \"a\" { to = { \"sim\", \"sim,x\" } }") == Lines{"1:17 to takes one target | put the others into fallback = { ... }"});
  CHECK(errors("rule \"a\" { set = { max_tokens = \"5\" } }") == Lines{"1:33 set.max_tokens is a finite number, not a string"});
  CHECK(errors("rule \"a\" { set = { effort = { max = \"low\" } } }") == Lines{"1:31 set.effort: max is for numbers"});
  CHECK(errors("rule \"a\" { set = { max_tokens = { max = 5, mix = 6 } } }")[0].substr(0, 32) == "1:44 set.max_tokens has no 'mix'");
  CHECK(errors("rule \"a\" { deny = { status = 200 } }") == Lines{"1:21 deny: status is a whole number from 400 to 599"});
  CHECK(errors("rule \"a\" { headers = { [\"a b\"] = \"x\" } }") == Lines{"1:25 'a b' is not a header name"});
  CHECK(errors("rule \"a\" { headers = { Host = \"x\" } }")[0].substr(0, 20) == "1:24 header 'host' b");
  CHECK(errors("rule \"a\" { headers = { [\"x-a\"] = \"a\\r\\nb: c\" } }") == Lines{"1:34 headers.x-a holds a control character"});
  CHECK(errors("rule \"a\" { on = \"error\", retry = { after = \"soon\" } }") ==
        Lines{"1:44 a duration is written \"250ms\", \"20s\" or \"2m\""});
  CHECK(errors("rule \"a\" { to = \"sim\", reason = \"{tokns} tokens\" }") == Lines{"1:33 unknown fact 'tokns' | did you mean 'tokens'?"});
  CHECK(errors("rule \"a\" { to = \"sim\", when = { bucket = { lt = 5 } } }") ==
        Lines{"1:33 bucket needs a name, so that experiments are independent"});
}

TEST_CASE("Lua's own errors carry their line, and unknown words a suggestion") {
  CHECK(errors("rule \"a\" { to = \"sim\" }\n\nrul \"b\" { to = \"sim\" }") == Lines{"3:1 'rul' is not defined | did you mean 'rule'?"});
  CHECK(errors("rule \"a\" {\n  to = = \"sim\" }") == Lines{"2:6 unexpected symbol near '='"});
  CHECK(errors("rule \"a\" {\n  to = \"sim\",\n  when = { tokens = { gt = 5 }\n\n") ==
        Lines{"3:31 '}' expected (to close '{' at line 3) before the file ends"});
  CHECK(errors("rule \"a\" { to = \"sim\" }\nlocal function f()\n") == Lines{"2:19 'end' expected (to close 'function' at line 2) before the file ends"});
  CHECK(errors("rule \"a\" { to = \"sim")[0] == "1:21 unfinished string before the file ends");
  CHECK_THAT(errors("local x = os.time()")[0], Catch::StartsWith("1:11 'os' is not defined | rules have no I/O"));
  CHECK_THAT(errors("while true do end")[0], Catch::Contains("stopped here: it used more than its CPU time"));
  CHECK_THAT(errors("local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end")[0], Catch::Contains("stopped here: it used more than 8 MiB of memory"));
  CHECK(errors("\nrule { to = \"sim\" }") == Lines{"2:1 rule needs a name: rule \"name\" { ... }"});
  CHECK(errors("\nrule \"a\"") == Lines{"2:1 'a' has no table: a name is followed by { ... }"});
  CHECK(errors("rule \"a\" (5)") == Lines{"1:1 rule needs a table: rule \"name\" { ... }"});
  CHECK(errors("rule \"a\" { \"sim\" }") == Lines{"1:12 a rule is a table of names: when, to, deny, set ... | write name = value"});
}

TEST_CASE("all errors of all files come at once, in order") {
  CHECK(errors(R"(
rule "a" { to = "nobody,x", when = { tokns = 1 } }
rule "a" { to = "sim" }
override "nothing" { off = true }
override "a" { of = true }
)") == Lines{"5:16 override has no 'of' | an override has: off = true", "2:17 there is no provider 'nobody' | providers: anthropic, openai, ollama, openrouter, off, sim",
             "2:38 unknown fact 'tokns' | did you mean 'tokens'?", "3:6 a rule named 'a' exists already",
             "4:10 there is no rule 'nothing' to override | rules of the built-in pack are called \"default#name\""});
}

TEST_CASE("a target of the configuration that cannot be is reported in the configuration") {
  config::Snapshot configuration = test::snapshot();
  configuration.agents["reviewer"] = "deep";
  CHECK_THAT(errors("rule \"a\" { to = \"sim\" }", configuration)[0], Catch::Contains("agents.reviewer: 'deep' is no target"));
  test::engine("alias { deep = \"sim,x\" }", configuration);
}

TEST_CASE("a rule file that cannot be read is an error that names it") {
  config::Snapshot configuration = test::snapshot();
  configuration.rules.push_back("/etc/ccrules/rules/other.lua");
  const Lines found = errors("rule \"a\" { to = \"sim\" }", configuration);
  REQUIRE(found.size() == 1);
  CHECK_THAT(found[0], Catch::Contains("/etc/ccrules/rules/other.lua"));
}

TEST_CASE("a file that is stopped while it loads is stopped at a line") {
  CHECK(errors("rule \"a\" { to = \"sim\" }\nlocal n = 0\nwhile true do n = n + 1 end") ==
        Lines{"3:1 loading this file was stopped here: it used more than its CPU time"});
  CHECK(errors("local function spin()\n  while true do end\nend\n\nspin()\n") ==
        Lines{"2:1 loading this file was stopped here: it used more than its CPU time"});
  CHECK(errors("\nlocal t = {}\nfor i = 1, 1e9 do\n  t[i] = { i }\nend") ==
        Lines{"4:1 loading this file was stopped here: it used more than 8 MiB of memory"});
  CHECK(errors("\n\nlocal s = string.rep('a', 30)\ns = s:match(string.rep('a?', 30) .. string.rep('a', 31) .. '$')") ==
        Lines{"4:1 loading this file was stopped here: it did too much work in library functions"});
}
