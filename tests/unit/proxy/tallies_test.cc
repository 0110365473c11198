#include <catch2/catch.hpp>

#include "core/limits.h"
#include "proxy/circuit.h"
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

TEST_CASE("a circuit opens after so many failures in a row, lets one request try after a while, and closes with its answer") {
  Circuits circuits;
  const config::Circuit rules;
  std::int64_t now_ms = 1000;
  using Pass = Circuits::Pass;
  const auto fail = [&](Pass pass = Pass::kFree) { circuits.failed("a", pass, rules, -1, now_ms, kNowUs); };
  CHECK(circuits.state("a", now_ms) == "ok");
  for (int i = 0; i < 4; ++i) fail();
  circuits.answered("a", Pass::kFree, now_ms, kNowUs, 12);
  for (int i = 0; i < 4; ++i) fail();
  CHECK(circuits.admit("a", now_ms).pass == Pass::kFree);
  fail();
  CHECK(circuits.state("a", now_ms) == "down");
  CHECK(circuits.state("b", now_ms) == "ok");
  CHECK(circuits.admit("b", now_ms).pass == Pass::kFree);
  now_ms += 29'000;
  CHECK(circuits.admit("a", now_ms).pass == Pass::kClosed);
  CHECK(circuits.admit("a", now_ms).wait_ms == 1000);
  now_ms += 1000;
  CHECK(circuits.state("a", now_ms) == "trial");
  CHECK(circuits.admit("a", now_ms).pass == Pass::kTrial);
  CHECK(circuits.admit("a", now_ms).pass == Pass::kClosed);  // one at a time
  circuits.left("a", Pass::kTrial);
  CHECK(circuits.admit("a", now_ms).pass == Pass::kTrial);
  fail(Pass::kTrial);
  CHECK(circuits.admit("a", now_ms).wait_ms == 30'000);
  now_ms += 30'000;
  CHECK(circuits.admit("a", now_ms).pass == Pass::kTrial);
  circuits.answered("a", Pass::kTrial, now_ms, kNowUs, 250);
  CHECK(circuits.state("a", now_ms) == "ok");
  REQUIRE(circuits.seen("a").has_value());
  CHECK(circuits.seen("a")->took_ms == 250);
  CHECK(circuits.seen("a")->failures == 0);
  CHECK(circuits.seen("a")->opened == 2);
  CHECK_FALSE(circuits.seen("b").has_value());
}

TEST_CASE("a provider that says when to come back is left alone until then, within reason") {
  Circuits circuits;
  const config::Circuit rules;
  circuits.failed("a", Circuits::Pass::kFree, rules, 7000, 0, kNowUs);
  CHECK(circuits.admit("a", 6999).wait_ms == 1);
  CHECK(circuits.admit("a", 7000).pass == Circuits::Pass::kTrial);
  circuits.failed("b", Circuits::Pass::kFree, rules, std::int64_t{1} << 60, 0, kNowUs);
  CHECK(circuits.admit("b", 0).wait_ms == 300'000);
}

TEST_CASE("answers that were asked for before a circuit opened do not close it, and 0 failures never open one") {
  Circuits circuits;
  config::Circuit rules;
  rules.failures = 1;
  circuits.failed("a", Circuits::Pass::kFree, rules, -1, 0, kNowUs);
  circuits.answered("a", Circuits::Pass::kFree, 10, kNowUs, 5);
  CHECK(circuits.state("a", 10) == "down");
  rules.failures = 0;
  for (int i = 0; i < 100; ++i) circuits.failed("b", Circuits::Pass::kFree, rules, 5000, 0, kNowUs);
  CHECK(circuits.state("b", 0) == "ok");
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
