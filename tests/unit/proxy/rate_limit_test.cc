#include "proxy/rate_limit.h"

#include <algorithm>
#include <deque>

#include <catch2/catch.hpp>

using namespace ccrules;
using namespace ccrules::proxy;

namespace {

RateRule rule(std::string by, std::string_view key, std::int64_t requests, std::int64_t tokens = -1, std::int64_t concurrent = -1) {
  config::RateLimit limit;
  limit.by = std::move(by);
  limit.requests = requests;
  limit.tokens = tokens;
  limit.concurrent = concurrent;
  limit.per = std::chrono::seconds(60);
  return {limit, key};
}

}  // namespace

TEST_CASE("so many requests may come at once, then one each time that a share of the period has passed") {
  RateLimits limits;
  const std::vector<RateRule> rules = {rule("session", "s1", 6)};
  std::int64_t now_ms = 5000;
  for (int i = 0; i < 6; ++i) CHECK_FALSE(limits.take(rules, 0, now_ms).has_value());
  auto refused = limits.take(rules, 0, now_ms);
  REQUIRE(refused.has_value());
  CHECK(refused->wait_ms == 10'000);
  CHECK(limits.left(rules[0], now_ms).requests == 0);
  CHECK(limits.left(rules[0], now_ms + 30'000).requests == 3);
  CHECK(limits.take(rules, 0, now_ms + 9'999).has_value());
  CHECK_FALSE(limits.take(rules, 0, now_ms + 10'000).has_value());
  CHECK(limits.take(rules, 0, now_ms + 10'000).has_value());
  CHECK_FALSE(limits.take({rule("session", "s2", 6)}, 0, now_ms).has_value());
}

TEST_CASE("in no window of the period do more than twice as many requests pass, and over long times never more than allowed") {
  RateLimits limits;
  const std::vector<RateRule> rules = {rule("", "", 60)};
  int passed = 0;
  std::deque<std::int64_t> window;  // when the requests of the last minute passed
  std::size_t most = 0;
  for (std::int64_t now_ms = 0; now_ms < 3'600'000; now_ms += 100) {
    if (now_ms % 600'000 >= 300'000) continue;  // five minutes of silence fill what is left again
    while (!window.empty() && window.front() <= now_ms - 60'000) window.pop_front();
    if (limits.take(rules, 0, now_ms).has_value()) continue;
    ++passed;
    window.push_back(now_ms);
    most = std::max(most, window.size());
  }
  CHECK(passed >= 1800);
  CHECK(passed <= 1800 + 6 * 60);
  CHECK(most <= 120);
  CHECK(most > 100);  // a full bucket at once, and what flows out of it meanwhile
}

TEST_CASE("limits that differ in whose they are or in any number are counted apart") {
  RateLimits limits;
  const std::vector<RateRule> rules = {rule("", "", 1),        rule("user", "", 1),       rule("user", "a", 1),       rule("session", "a", 1),
                                       rule("user", "a", 1, 5), rule("user", "a", 1, 6), rule("user", "a", 1, 5, 7)};
  for (const RateRule& each : rules) {
    CHECK_FALSE(limits.take({each}, 0, 0).has_value());
    CHECK(limits.take({each}, 0, 0).has_value());
  }
  CHECK(limits.states() == rules.size());
}

TEST_CASE("what one limit refuses takes nothing from the others") {
  RateLimits limits;
  const std::vector<RateRule> both = {rule("", "", 10), rule("user", "ann", 1)};
  CHECK_FALSE(limits.take(both, 0, 0).has_value());
  for (int i = 0; i < 20; ++i) CHECK(limits.take(both, 0, 0)->rule == 1);
  CHECK(limits.left(both[0], 0).requests == 9);
}

TEST_CASE("tokens are taken by estimate and settled by what was used") {
  RateLimits limits;
  const std::vector<RateRule> rules = {rule("", "", -1, 1000)};
  CHECK_FALSE(limits.take(rules, 300, 0).has_value());
  limits.end(rules, 500, 0);  // 800 were used
  CHECK(limits.left(rules[0], 0).tokens == 200);
  auto refused = limits.take(rules, 300, 0);
  REQUIRE(refused.has_value());
  CHECK(refused->wait_ms == 6000);
  CHECK_FALSE(limits.take(rules, 200, 0).has_value());
  limits.end(rules, -200, 0);  // it was not sent
  CHECK(limits.left(rules[0], 0).tokens == 200);
  CHECK_FALSE(limits.take(rules, 5000, 60'000).has_value());  // larger than the bucket: when it is empty
  CHECK(limits.take(rules, 1, 60'000).has_value());
}

TEST_CASE("a prompt larger than the limit passes when nothing else is under way, and is paid for whole") {
  RateLimits limits;
  const std::vector<RateRule> rules = {rule("", "", -1, 1000)};
  CHECK_FALSE(limits.take(rules, 5000, 0).has_value());
  limits.end(rules, -500, 0);  // 4500 were used: four and a half minutes' worth
  CHECK(limits.left(rules[0], 0).tokens == 0);
  CHECK(limits.left(rules[0], 239'000).tokens == 483);
  auto refused = limits.take(rules, 1000, 60'000);
  REQUIRE(refused.has_value());
  CHECK(refused->wait_ms == 210'000);
}

TEST_CASE("so many requests may be under way, and each that ends makes room") {
  RateLimits limits;
  const std::vector<RateRule> rules = {rule("", "", -1, -1, 2)};
  {
    CHECK_FALSE(limits.take(rules, 0, 0).has_value());
    RateLease first(limits, rules, 0);
    CHECK_FALSE(limits.take(rules, 0, 0).has_value());
    const RateLease second(limits, rules, 0);
    auto refused = limits.take(rules, 0, 0);
    REQUIRE(refused.has_value());
    CHECK(refused->concurrent);
    first.end(0, 0);
    CHECK_FALSE(limits.take(rules, 0, 0).has_value());
    limits.end(rules, 0, 0);
  }
  CHECK_FALSE(limits.take(rules, 0, 0).has_value());
}

TEST_CASE("who has not waited yet takes nothing before those who wait, whatever room there is") {
  RateLimits limits;
  const std::vector<RateRule> rules = {rule("", "", 10), rule("user", "ann", 10)};
  CHECK_FALSE(limits.take_in_turn(rules, 0, 0).has_value());
  const auto ticket = limits.queue(rules[1], "s1");
  REQUIRE(ticket.has_value());
  const auto refused = limits.take_in_turn(rules, 0, 0);
  REQUIRE(refused.has_value());
  CHECK(refused->rule == 1);
  CHECK(refused->wait_ms == 0);
  CHECK_FALSE(refused->concurrent);
  CHECK(limits.left(rules[0], 0).requests == 9);
  CHECK_FALSE(limits.take(rules, 0, 0).has_value());  // the one whose turn it is
  limits.leave_queue(rules[1], *ticket);
  CHECK_FALSE(limits.take_in_turn(rules, 0, 0).has_value());
}

TEST_CASE("memory for limits is bounded, whatever clients call themselves") {
  RateLimits limits;
  for (int i = 0; i < 100'000; ++i) {
    const std::vector<RateRule> rules = {rule("session", std::to_string(i), 1)};
    CHECK_FALSE(limits.take(rules, 0, i).has_value());
    limits.end(rules, 0, i);
    if (i % 1000 == 0) CHECK(limits.states() <= 20'000);
  }
  CHECK(limits.states() <= 20'000);
}
