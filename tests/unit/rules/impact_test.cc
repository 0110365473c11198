#include "rules/impact.h"

#include <catch2/catch.hpp>

#include "support.h"

using namespace ccrules;
using namespace ccrules::rules;
using ccrules::rules::test::engine;

namespace {

RecordedRequest past(std::int64_t tokens) {
  RecordedRequest request;
  request.model = "claude-sonnet-5-5";
  request.dialect = "anthropic";
  request.path = "/v1/messages";
  request.facts_json = R"({"tokens":)" + std::to_string(tokens) + "}";
  return request;
}

}  // namespace

TEST_CASE("the impact of new rules is the share of past decisions that they make otherwise") {
  const auto live = engine(R"lua(
    rule "long" { when = { tokens = { gt = 1000 } }, to = "sim,long" }
    rule "rest" { to = "sim,rest" })lua");
  const auto next = engine(R"lua(
    rule "longer" { when = { tokens = { gt = 2000 } }, to = "sim,long" }
    rule "tagged" { to = "sim,rest", tag = { new = true } })lua");
  Impact impact(*live, *next);
  for (int i = 0; i < 6; ++i) impact.judge(past(500 * i), "req_" + std::to_string(i));
  CHECK(impact.judged() == 6);
  CHECK(impact.changed() == 2);  // 1500 and 2000; a tag changes nothing outside
  CHECK(impact.changed_percent() == Approx(100.0 / 3));
  REQUIRE(impact.moves().size() == 1);
  const Impact::Move move = impact.moves().front();
  CHECK(move.from == "sim,long");
  CHECK(move.to == "sim,rest");
  CHECK(move.rule == "tagged");
  CHECK(move.example == "req_3");
  CHECK(move.requests == 2);
}

TEST_CASE("past decisions that rest on texts are not judged") {
  const auto live = engine(R"lua(rule "rest" { to = "sim,rest" })lua");
  const auto next = engine(R"lua(
    rule "deep" { when = { text = { last_user = "*ultra*" } }, to = "sim,deep" }
    rule "rest" { to = "sim,rest" })lua");
  Impact impact(*live, *next);
  impact.judge(past(1), "req_1");
  RecordedRequest broken = past(1);
  broken.facts_json = "{";
  impact.judge(broken, "req_2");
  CHECK(impact.judged() == 0);
  CHECK(impact.not_judged() == 2);
  CHECK(impact.changed_percent() == 0);
}
