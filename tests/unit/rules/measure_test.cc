#include "rules/measure.h"

#include <catch2/catch.hpp>

#include "support.h"

using namespace ccrules;
using namespace ccrules::rules;

namespace {

std::optional<Measurement> measured(const std::string& tests, std::vector<config::Diagnostic>& diagnostics) {
  test::MemoryFiles files;
  files.files["/etc/ccrules/rules/my.lua"] =
      "rule \"plain\" { when = { tokens = { gt = 5 } }, to = \"sim,a\" }\n"
      "rule \"lua\" { when = function(req) return req.turns > 5 end, to = \"sim,b\" }\n";
  files.files["/etc/ccrules/my_test.lua"] = tests;
  return measure({"/etc/ccrules/my_test.lua"}, test::snapshot(), files, std::chrono::milliseconds(1), diagnostics);
}

}  // namespace

TEST_CASE("every test that begins with a request is a sample, and every rule has its own time") {
  std::vector<config::Diagnostic> diagnostics;
  const auto found = measured(R"(case "a" { given = { tokens = 9 }, expect = { by = "plain" } }
case "b" { on = "error", given = { status = 529 }, expect = {} }
flow "c" { { expect = { by = "x" } } }
)",
                              diagnostics);
  REQUIRE(found);
  CHECK(diagnostics.empty());
  CHECK(found->samples == 2);
  CHECK(found->decision_ns > 0);
  CHECK(found->decisions_per_second() > 0);
  REQUIRE(found->rules.size() > 2);
  CHECK(found->rules[0].name == "plain");
  CHECK_FALSE(found->rules[0].lua);
  CHECK(found->rules[1].lua);
}

TEST_CASE("nothing is measured when a test file cannot be read") {
  std::vector<config::Diagnostic> diagnostics;
  CHECK_FALSE(measured("case \"a\" { expct = {} }", diagnostics));
  CHECK_FALSE(diagnostics.empty());
}
