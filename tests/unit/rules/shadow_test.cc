#include "rules/shadow.h"

#include <catch2/catch.hpp>

#include "support.h"

using namespace ccrules;
using namespace ccrules::rules;
using ccrules::rules::test::engine;
using ccrules::rules::test::Sample;

namespace {

constexpr const char* kLive = R"lua(
  rule "main" { to = "sim,a", set = { max_tokens = { max = 100 } }, tag = { team = "core" } }
  rule "net"  { fallback = "sim,b" })lua";

std::string lines(const std::vector<Change>& changes) {
  std::string text;
  for (const Change& change : changes) text += change.slot + ": " + change.before + " -> " + change.after + "\n";
  return text;
}

/// What the candidate would do otherwise than kLive.
Comparison compared(const std::string& candidate, Sample& sample) {
  const auto live = engine(kLive);
  Shadow shadow(engine(candidate));
  const std::string told = shadow.compare(sample.facts, live->decide(sample.facts));
  auto comparison = read_comparison(told);
  INFO(told);
  REQUIRE(comparison.ok());
  CHECK(to_json(*comparison) == told);
  CHECK(comparison->ruleset == shadow.candidate().hash());
  return *std::move(comparison);
}

}  // namespace

TEST_CASE("what two decisions do differently is told slot by slot, the target first") {
  Sample sample;
  const Comparison comparison = compared(R"lua(
    rule "other" { to = "sim,c", set = { max_tokens = { max = 50 }, temperature = 0 }, headers = { ["x-key"] = "s3cret" }, cache = false })lua",
                                         sample);
  CHECK(comparison.rule == "other");
  CHECK(lines(comparison.changes) ==
        "to: sim,a -> sim,c\ncache:  -> bypass\nfallback: sim,b -> \nheaders.x-key:  -> set\n"
        "set.max_tokens: max 100 -> max 50\nset.temperature:  -> 0\ntag.team: core -> \n");
  CHECK(std::count_if(comparison.changes.begin(), comparison.changes.end(), [](const Change& one) { return one.outside(); }) == 6);
}

TEST_CASE("other names, reasons and wordings of rules are no difference") {
  Sample sample;
  CHECK(compared(R"lua(
    rule "renamed" { to = "sim,a", reason = "because", set = { max_tokens = { max = 100 } }, tag = { team = "core" } }
    rule "net too" { fallback = { "sim,b" } })lua",
                 sample)
            .changes.empty());
}

TEST_CASE("a refusal is a difference of the target") {
  Sample sample;
  const Comparison comparison = compared(R"lua(rule "no" { deny = { status = 429, message = "slow down" } })lua", sample);
  REQUIRE_FALSE(comparison.changes.empty());
  CHECK(comparison.changes.front().slot == "to");
  CHECK(comparison.changes.front().after == "denied (429)");
}

TEST_CASE("a candidate that fails is told, and one that loops costs no more than its share of the time") {
  Sample sample;
  const Comparison comparison = compared(R"lua(rule "throws" { to = function() error("oh") end })lua", sample);
  CHECK(comparison.failed_rules == std::vector<std::string>{"throws"});

  const auto live = engine(kLive);
  std::string loops;
  for (int i = 0; i < 40; ++i) loops += "rule \"r" + std::to_string(i) + "\" { when = function() while true do end end, to = \"sim,x\" }\n";
  Shadow shadow(engine(loops));
  int left_out = 0;
  for (int i = 0; i < 40 && left_out == 0; ++i) {
    sample.facts.wall_us += 120'000'000;  // so far apart that no rule is quarantined
    if (shadow.compare(sample.facts, live->decide(sample.facts)).empty()) ++left_out;
  }
  CHECK(left_out > 0);
}

TEST_CASE("about an attempt, both are asked; what they say alike and what its request left out is not told") {
  const auto live = engine(R"lua(rule "wait" { on = "error", when = { status = 529 }, retry = true, tag = { busy = "1" } })lua");
  Shadow shadow(engine(R"lua(
    rule "wait"  { on = "error", when = { status = 529 }, retry = true }
    rule "no"    { on = "error", when = { status = 400 }, deny = { status = 418, message = "no" } }
    rule "fails" { on = "error", when = { status = 401 }, to = function() error("oh") end })lua"));
  CHECK(shadow.asks(api::On::kError));
  CHECK_FALSE(shadow.asks(api::On::kResponse));
  Sample sample;
  std::string told = shadow.compare(sample.facts, live->decide(sample.facts));
  const auto attempt = [&](int status) {
    sample.facts.status = status;
    sample.facts.attempt = 1;
    shadow.compare(api::On::kError, sample.facts, live->decide_error(sample.facts), told);
  };
  const std::string before = told;
  attempt(500);
  CHECK(told == before);
  for (const int status : {529, 400, 401}) attempt(status);
  const auto comparison = read_comparison(told);
  REQUIRE(comparison.ok());
  CHECK(lines(comparison->changes) == "error.tag.busy: 1 -> \nerror.deny:  -> 418\n");
  CHECK(comparison->changes.back().rule == "no");
  CHECK_FALSE(comparison->changes.front().outside());
  CHECK(comparison->failed_rules == std::vector<std::string>{"fails"});
  told.clear();
  attempt(400);
  CHECK(told.empty());
}

TEST_CASE("a share of the time fills its reserve again as time passes, and never beyond") {
  TimeShare share(10, 1000);
  CHECK(share.may_begin(5'000'000));
  share.took(1500);
  CHECK_FALSE(share.may_begin(5'004'000));
  CHECK(share.may_begin(5'006'000));
  share.took(100);
  CHECK(share.may_begin(900'000'000'000));
  share.took(1001);
  CHECK_FALSE(share.may_begin(900'000'000'000));
  CHECK_FALSE(share.may_begin(1));  // a clock that goes back gives nothing
}

TEST_CASE("a comparison that is no JSON is an error, and what later versions add is passed over") {
  CHECK_FALSE(read_comparison("{").ok());
  CHECK_FALSE(read_comparison(R"({"changes":[5]})").ok());
  const auto comparison = read_comparison(R"({"ruleset":"h","new":{"a":[1]},"changes":[{"slot":"to","since":5,"after":"x"}]})");
  REQUIRE(comparison.ok());
  CHECK(lines(comparison->changes) == "to:  -> x\n");
}
