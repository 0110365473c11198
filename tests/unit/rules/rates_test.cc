#include "rules/rates.h"

#include <catch2/catch.hpp>

#include "core/limits.h"

using namespace ccrules;
using namespace ccrules::rules;

namespace {

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kNowUs = 1'790'000'000 * kSecondUs;
constexpr auto kMinute = std::chrono::minutes(1);

Identity of_session(std::string session) {
  Identity who;
  who.session = std::move(session);
  return who;
}

}  // namespace

TEST_CASE("a rate counts the requests of its window, the one at hand included, from the first question on") {
  Rates rates;
  const Identity one = of_session("s-1");
  const Identity two = of_session("s-2");
  const Scope scope{"session", "s-1"};
  rates.arrived(one, "m", kNowUs);
  CHECK(rates.count(scope, kMinute, kNowUs) == 1.0);
  for (int i = 1; i <= 9; ++i) rates.arrived(one, "m", kNowUs + i * kSecondUs);
  rates.arrived(two, "m", kNowUs + 9 * kSecondUs);
  CHECK(rates.count(scope, kMinute, kNowUs + 9 * kSecondUs) == 10.0);
  CHECK(rates.count(scope, kMinute, kNowUs + 9 * kSecondUs) == 10.0);  // asking changes nothing
  CHECK(rates.count({"session", "s-2"}, kMinute, kNowUs + 9 * kSecondUs) == 1.0);
  CHECK(rates.count(scope, kMinute, kNowUs + 64 * kSecondUs) == 5.0);
  CHECK(rates.count(scope, kMinute, kNowUs + 200 * kSecondUs) == 0.0);
  CHECK(rates.count({"", ""}, kMinute, kNowUs) == 1.0);
  CHECK_FALSE(rates.count({"dialect", "anthropic"}, kMinute, kNowUs).has_value());
}

TEST_CASE("a clock that goes back, and one that leaps, do no harm") {
  Rates rates;
  const Scope everybody;
  CHECK(rates.count(everybody, kMinute, kNowUs) == 1.0);
  rates.arrived({}, "m", kNowUs - 500 * kSecondUs);
  CHECK(rates.count(everybody, kMinute, kNowUs - 500 * kSecondUs) == 2.0);
  rates.arrived({}, "m", kNowUs + 1'000'000 * kSecondUs);
  CHECK(rates.count(everybody, kMinute, kNowUs + 1'000'000 * kSecondUs) == 1.0);
}

TEST_CASE("keys and windows are bounded") {
  Rates rates;
  rates.count({"session", "first"}, kMinute, kNowUs);
  for (std::size_t i = 0; i < 2 * limits::kRateKeys; ++i) rates.arrived(of_session(std::to_string(i)), "m", kNowUs);
  CHECK(rates.count({"session", std::to_string(2 * limits::kRateKeys - 1)}, kMinute, kNowUs) == 1.0);
  for (std::size_t i = 1; i < limits::kRateMeters; ++i) CHECK(rates.count({}, std::chrono::seconds(i), kNowUs).has_value());
  CHECK_FALSE(rates.count({}, std::chrono::seconds(5000), kNowUs).has_value());
}
