#include <catch2/catch.hpp>

#include "core/limits.h"
#include "proxy/provider_health.h"
#include "proxy/warm_caches.h"

using namespace ccrules;
using namespace ccrules::proxy;

namespace {

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kNowUs = 1'790'000'000 * kSecondUs;

Error failure(ErrorCode code, Origin origin, int status) {
  Error error;
  error.code = code;
  error.origin = origin;
  error.http_status = status;
  return error;
}

chat::Usage cached(std::int64_t read, std::int64_t written, std::int64_t written_1h = 0) {
  chat::Usage usage;
  usage.cache_read_tokens = read;
  usage.cache_write_tokens = written + written_1h;
  if (written_1h > 0) usage.cache_write_1h_tokens = written_1h;
  return usage;
}

const rules::Target kTarget{"anthropic", "claude-sonnet-5-5"};

}  // namespace

TEST_CASE("a provider is down after three failures in a row, on trial half a minute later, and well with the first answer") {
  ProviderHealth health;
  CHECK(health.state("a", kNowUs) == "ok");
  health.failed("a", kNowUs);
  health.failed("a", kNowUs);
  health.answered("a");
  health.failed("a", kNowUs);
  health.failed("a", kNowUs);
  CHECK(health.state("a", kNowUs) == "ok");
  health.failed("a", kNowUs);
  CHECK(health.state("a", kNowUs) == "down");
  CHECK(health.state("b", kNowUs) == "ok");
  CHECK(health.state("a", kNowUs + 29 * kSecondUs) == "down");
  CHECK(health.state("a", kNowUs + 30 * kSecondUs) == "trial");
  health.failed("a", kNowUs + 31 * kSecondUs);
  CHECK(health.state("a", kNowUs + 32 * kSecondUs) == "down");
  health.answered("a");
  CHECK(health.state("a", kNowUs + 32 * kSecondUs) == "ok");
}

TEST_CASE("what the client did wrong, or a limit it has reached, does not speak against the provider") {
  CHECK(speaks_against_provider(failure(ErrorCode::kConnectFailed, Origin::kUpstream, 502)));
  CHECK(speaks_against_provider(failure(ErrorCode::kUpstreamTimeout, Origin::kUpstream, 504)));
  CHECK(speaks_against_provider(failure(ErrorCode::kBadRequest, Origin::kUpstream, 529)));
  CHECK_FALSE(speaks_against_provider(failure(ErrorCode::kBadRequest, Origin::kUpstream, 400)));
  CHECK_FALSE(speaks_against_provider(failure(ErrorCode::kBadRequest, Origin::kUpstream, 429)));
  CHECK_FALSE(speaks_against_provider(failure(ErrorCode::kBadRequest, Origin::kClient, 500)));
}

TEST_CASE("a target is warm for a session until the prompt cache of its last answer runs out") {
  WarmCaches caches;
  const config::Snapshot config;
  CHECK_FALSE(caches.find("s-1", kTarget, kNowUs).has_value());
  caches.answered("s-1", kTarget, cached(0, 0), kNowUs, config);
  caches.answered("", kTarget, cached(5, 5), kNowUs, config);
  CHECK_FALSE(caches.find("s-1", kTarget, kNowUs).has_value());
  caches.answered("s-1", kTarget, cached(40000, 2000), kNowUs, config);
  auto warmth = caches.find("s-1", kTarget, kNowUs + 299 * kSecondUs);
  REQUIRE(warmth.has_value());
  CHECK(warmth->warm);
  CHECK(warmth->tokens == 42000);
  CHECK(warmth->cost_usd > 0);
  CHECK(warmth->cost_usd < 1);
  CHECK_FALSE(caches.find("s-1", kTarget, kNowUs + 300 * kSecondUs)->warm);
  CHECK_FALSE(caches.find("s-1", {"openai", "gpt-6"}, kNowUs)->warm);
  CHECK_FALSE(caches.find("s-2", kTarget, kNowUs).has_value());
  caches.answered("s-1", kTarget, cached(42000, 0, 500), kNowUs + 60 * kSecondUs, config);
  CHECK(caches.find("s-1", kTarget, kNowUs + 3600 * kSecondUs)->warm);
}

TEST_CASE("sessions whose caches are remembered are bounded, the cold ones go first") {
  WarmCaches caches;
  const config::Snapshot config;
  const rules::Target target{"x", "y"};
  caches.answered("kept", target, cached(1, 0), kNowUs + 1000 * kSecondUs, config);
  for (std::size_t i = 0; i < limits::kWarmKeys; ++i) {
    caches.answered("s" + std::to_string(i), target, cached(1, 0), i + 1 < limits::kWarmKeys ? kNowUs : kNowUs + 1000 * kSecondUs, config);
  }
  CHECK(caches.find("kept", target, kNowUs + 1000 * kSecondUs)->warm);
  CHECK_FALSE(caches.find("s0", target, kNowUs + 1000 * kSecondUs).has_value());
}
