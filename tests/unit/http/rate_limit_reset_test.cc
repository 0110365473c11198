#include "http/rate_limit_reset.h"

#include <initializer_list>
#include <string_view>
#include <utility>

#include <catch2/catch.hpp>

using namespace ccrules;

namespace {

constexpr std::int64_t kNow_us = 1'795'000'000'000'000;

std::int64_t wait_of(std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
  http::Headers headers;
  for (const auto& [name, value] : fields) headers.add(name, value);
  return http::rate_limit_reset_ms(headers, kNow_us);
}

}  // namespace

TEST_CASE("the end of a rate limit is read from durations, seconds and times") {
  const auto of = [](std::string_view value) { return wait_of({{"X-RateLimit-Reset-Requests", value}}); };
  CHECK(of("6m0s") == 360'000);
  CHECK(of("1h2m3.5s") == 3'723'500);
  CHECK(of("120ms") == 120);
  CHECK(of("7.66s") == 7660);
  CHECK(of("2m59.56s") == 179'560);
  CHECK(of("36.5") == 36'500);
  CHECK(of("0s") == 0);
  CHECK(of("1795000012") == 12'000);
  CHECK(of("1795000012000") == 12'000);
  CHECK(of("1794999999") == 0);
  CHECK(of("900h") == 7LL * 24 * 3600 * 1000);
  for (const char* const nonsense : {"", "soon", "-5", "5x", "5s soon", "inf", "nan", "1e400", "s"}) {
    INFO(nonsense);
    CHECK(of(nonsense) == -1);
  }
}

TEST_CASE("of several rate limits the one that is used up counts") {
  CHECK(wait_of({{"x-ratelimit-remaining-requests", "59"},
                 {"x-ratelimit-reset-requests", "1s"},
                 {"x-ratelimit-remaining-tokens", "0"},
                 {"x-ratelimit-reset-tokens", "20s"}}) == 20'000);
  CHECK(wait_of({{"x-ratelimit-reset-requests", "1s"}, {"x-ratelimit-reset-tokens", "20s"}}) == 1000);
  CHECK(wait_of({{"x-ratelimit-remaining", "0"}, {"x-ratelimit-reset", "5"}}) == 5000);
  CHECK(wait_of({{"x-ratelimit-limit-requests", "5"}}) == -1);
}
