#include <catch2/catch.hpp>

#include "ledger/ledger.h"
#include "unit/cli/scratch.h"

using namespace ccrules;
using Catch::Matchers::Contains;
using ccrules::test::CliResult;

namespace {

struct Past {
  test::Scratch scratch;
  int count = 0;

  Past() {
    scratch.write("ccrules.json", R"({ "ledger": { "path": "ledger.db" }, "shadow": ["next.lua"] })");
    scratch.write("next.lua", "");
  }

  void had(const std::vector<std::string>& comparisons) {
    ledger::Settings settings;
    settings.path = scratch.path("ledger.db");
    settings.keep_days = 0;
    auto opened = ledger::Ledger::open(settings);
    REQUIRE(opened.ok());
    for (const std::string& comparison : comparisons) {
      ledger::Record row;
      row.id = "req_" + std::to_string(++count);
      row.at_us = 1'700'000'000'000'000;
      row.shadow_json = comparison;
      (*opened)->record(row);
    }
    (*opened)->flush();
  }
};

}  // namespace

TEST_CASE("shadow shows what the newest candidate would have done otherwise, the most frequent first") {
  Past past;
  past.had({R"({"ruleset":"old","rule":"r","changes":[{"slot":"to","before":"a,b","after":"x,y"}]})",
            R"({"ruleset":"new","rule":"cheap","changes":[{"slot":"to","before":"a,b","after":"c,d"},{"slot":"tag.t","after":"1"}]})",
            R"({"ruleset":"new"})",
            R"({"ruleset":"new","rule":"cheap","changes":[{"slot":"to","before":"a,b","after":"c,d"}],"failed":["throws"]})", ""});
  const CliResult shown = past.scratch.run({"shadow", "--since", "all"});
  INFO(shown.out << shown.err);
  CHECK(shown.code == 1);
  CHECK_THAT(shown.out, Contains("3 requests were decided by the candidate too; 2 would go otherwise"));
  CHECK_THAT(shown.out, Contains("       2  to     a,b  c,d        cheap    req_2"));
  CHECK_THAT(shown.out, Contains("the candidate's rule 'throws' failed 1 time"));
  CHECK_THAT(shown.out, !Contains("x,y"));
  const CliResult json = past.scratch.run({"shadow", "--since", "all", "--json"});
  CHECK_THAT(json.out, Contains(R"("schema":"ccrules.shadow/1","ruleset":"new","requests":3,"differ":2)"));
}

TEST_CASE("shadow counts a request once whose failed attempts differ alike") {
  Past past;
  const std::string change = R"({"slot":"error.next_fallback","after":"yes"})";
  past.had({R"({"ruleset":"new","rule":"busy","changes":[)" + change + "," + change + "]}",
            R"({"ruleset":"new","rule":"busy","changes":[)" + change + "]}"});
  const CliResult shown = past.scratch.run({"shadow", "--since", "all"});
  INFO(shown.out << shown.err);
  CHECK_THAT(shown.out, Contains("2 requests were decided by the candidate too; 2 would go otherwise"));
  CHECK_THAT(shown.out, Contains("       2  error.next_fallback  -    yes"));
}

TEST_CASE("shadow without anything to show says what is missing") {
  Past past;
  CliResult shown = past.scratch.run({"shadow"});
  CHECK(shown.code == 2);
  CHECK_THAT(shown.err, Contains("there is no ledger at"));
  past.had({""});
  shown = past.scratch.run({"shadow", "--since", "all"});
  CHECK(shown.code == 2);
  CHECK_THAT(shown.err, Contains("no request has been decided by the candidate rules"));
  past.had({"{"});
  shown = past.scratch.run({"shadow", "--since", "all"});
  CHECK(shown.code == 2);
}

TEST_CASE("reload without a proxy says that none is there") {
  const Past past;
  const CliResult said = past.scratch.run({"reload", "--url", "http://127.0.0.1:1"});
  CHECK(said.code == 5);
  CHECK_THAT(said.err, Contains("no proxy to reload"));
}
