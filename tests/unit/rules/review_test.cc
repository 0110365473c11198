#include <catch2/catch.hpp>

#include "rules/dry_run.h"
#include "support.h"

using namespace ccrules;
using namespace ccrules::rules;
using ccrules::rules::test::findings;

TEST_CASE("check finds a rule whose target a wider rule above always takes") {
  CHECK(findings(R"(rule "long" { when = { tokens = { gt = 1000 } }, to = "sim,a" }
rule "very long" { when = { tokens = { gt = 5000 }, stream = true }, to = "sim,b", tag = { size = "xl" } }
)") == "2:70 rule 'very long' never decides the target: 'long' above claims `to` for whatever it matches | move it above 'long', "
       "which is wider\n");
  CHECK(findings(R"(rule "very long" { when = { tokens = { gt = 5000 } }, to = "sim,b" }
rule "long" { when = { tokens = { gt = 1000 } }, to = "sim,a" }
)").empty());
}

TEST_CASE("check finds a rule below a refusal that covers it") {
  CHECK(findings(R"(rule "no" { when = { project = "/srv/*" }, deny = true }
rule "web" { when = { project = "/srv/web" }, tag = { a = "b" } }
)") == "2:6 rule 'web' is never reached: 'no' above denies whatever it matches\n");
}

TEST_CASE("check finds rules all of whose claims are taken, and not those that still add one") {
  CHECK(findings(R"(rule "a" { when = { stream = true }, tag = { x = "1" }, set = { max_tokens = 5 } }
rule "b" { when = { stream = true, images = 0 }, tag = { x = "2" }, set = { max_tokens = 6 } }
rule "c" { when = { stream = true, images = 0 }, tag = { x = "2", y = "3" } }
rule "d" { on = "error", when = { status = { 429, 529 } }, retry = true }
rule "e" { on = "error", when = { status = 529 }, retry = false }
)") == "2:6 rule 'b' never decides anything: 'a' above claims `set.max_tokens` for whatever it matches | move it above 'a', which "
       "is wider\n"
       "5:6 rule 'e' never decides anything: 'd' above claims `retry` for whatever it matches | move it above 'd', which is wider\n");
}

TEST_CASE("check finds conditions that contradict each other") {
  CHECK(findings(R"(rule "a" { when = { tokens = { gt = 10, lt = 5 } }, to = "sim,a" }
rule "b" { when = { agent = "x", none { { agent = "x" } } }, to = "sim,a" }
)") == "1:6 rule 'a' never matches: no request fulfils all of its conditions | tokens > 10 and tokens < 5\n"
       "2:6 rule 'b' never matches: no request fulfils all of its conditions | agent = \"x\" and none { agent = \"x\" }\n");
}

TEST_CASE("a claim that a function decides takes nothing from the rules below") {
  CHECK(findings(R"(rule "a" { to = function(req) return nil end, tag = { x = function(req) return nil end } }
rule "b" { to = "sim,a", tag = { x = "1" } }
)").empty());
}
