#include <cmath>
#include <optional>
#include <string>

#include <catch2/catch.hpp>

#include "core/limits.h"
#include "proxy/circuit.h"
#include "proxy/visit.h"
#include "proxy/warm_caches.h"
#include "rules/api.h"

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

TEST_CASE("a circuit that is open when circuits are switched off closes") {
  Circuits circuits;
  config::Circuit rules;
  rules.failures = 1;
  circuits.failed("a", Circuits::Pass::kFree, rules, -1, 0, kNowUs);
  circuits.failed("b", Circuits::Pass::kFree, rules, -1, 0, kNowUs);
  CHECK(circuits.admit("b", 30'000).pass == Circuits::Pass::kTrial);
  rules.failures = 0;
  circuits.failed("b", Circuits::Pass::kTrial, rules, -1, 30'000, kNowUs);
  CHECK(circuits.admit("b", 30'000).pass == Circuits::Pass::kFree);
  circuits.set_free();
  CHECK(circuits.admit("a", 1).pass == Circuits::Pass::kFree);
}

TEST_CASE("answers that break off in a row open a circuit, however well they begin") {
  Circuits circuits;
  config::Circuit rules;
  rules.failures = 3;
  const auto broken = [&] {
    circuits.answered("a", Circuits::Pass::kFree, 0, kNowUs, 5);
    circuits.broke("a", rules, 0, kNowUs);
  };
  broken();
  broken();
  circuits.finished("a");
  broken();
  broken();
  CHECK(circuits.state("a", 0) == "ok");
  broken();
  CHECK(circuits.state("a", 0) == "down");
  CHECK(circuits.seen("a")->opened == 1);
  CHECK(circuits.admit("a", 30'000).pass == Circuits::Pass::kTrial);
  circuits.answered("a", Circuits::Pass::kTrial, 30'000, kNowUs, 5);
  CHECK(circuits.state("a", 30'000) == "ok");
  rules.failures = 0;
  for (int i = 0; i < 9; ++i) circuits.broke("b", rules, 0, kNowUs);
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

namespace {

/// Prices in USD per million tokens.
config::Snapshot priced(const std::string& model, double input, double output, double read, double written) {
  config::Snapshot config;
  const auto add = [&config](const std::string& glob, double in, double out, std::optional<double> cache_read, std::optional<double> cache_write) {
    config::Price price;
    price.model = glob;
    const auto rate = [](double usd) { return std::optional<std::int64_t>(static_cast<std::int64_t>(usd * 1'000'000)); };
    price.rates.input_picousd = rate(in);
    price.rates.output_picousd = rate(out);
    if (cache_read) price.rates.cache_read_picousd = rate(*cache_read);
    if (cache_write) price.rates.cache_write_5m_picousd = rate(*cache_write);
    config.prices.push_back(price);
  };
  add("here-1", 10, 50, 1, 12.5);
  add(model, input, output, read < 0 ? std::nullopt : std::optional(read), written < 0 ? std::nullopt : std::optional(written));
  return config;
}

}  // namespace

TEST_CASE("moving a session pays once what each request saves is more than writing its prompt again") {
  const rules::Target here{"a", "here-1"};
  const rules::Target there{"b", "there-1"};
  WarmCaches caches;
  chat::Usage last = cached(99'000, 1'000);
  last.input_tokens = 0;
  last.output_tokens = 1'000;
  const auto move = [&](const config::Snapshot& config, std::int64_t wall_us = kNowUs) {
    caches.answered("s-1", here, last, kNowUs, config);
    return caches.move("s-1", {here, there}, wall_us, config);
  };
  // Staying: 100 000 read ($0.10), 1 000 written ($0.0125), answer $0.05: $0.1625 each. There: $0.6365 first, then $0.0515 + ...
  const config::Snapshot half = priced("there-1", 5, 25, 0.5, 6.25);
  auto found = move(half);
  REQUIRE(found.has_value());
  // First there: 101 000 written ($0.63125), answer $0.025; later 100 000 read, 1 000 written, answer: $0.08125.
  CHECK(found->cost_usd == Approx(0.63125 + 0.025 - 0.1625));
  CHECK(found->turns == 1 + std::ceil((0.63125 + 0.025 - 0.1625) / (0.1625 - 0.08125)));
  // Once the cache here has run out, staying has to write as well: the cheaper one is cheaper at once.
  found = move(half, kNowUs + 3600 * kSecondUs);
  REQUIRE(found.has_value());
  CHECK(found->turns == 1);
  CHECK(found->cost_usd < 0);
  // A target that reads no cheaper never pays; one without cache prices pays the plain ones each time.
  CHECK(std::isinf(move(priced("there-1", 10, 50, 1, 12.5))->turns));
  CHECK(std::isinf(move(priced("there-1", 5, 25, -1, -1))->turns));
  CHECK(move(priced("there-1", 0.5, 2.5, -1, -1))->turns == 1);
  // What nobody knows.
  CHECK_FALSE(caches.move("s-2", {here, there}, kNowUs, half).has_value());
  CHECK_FALSE(caches.move("", {here, there}, kNowUs, half).has_value());
  CHECK_FALSE(caches.move("s-1", {there, here}, kNowUs, half).has_value());
  CHECK_FALSE(caches.move("s-1", {here, {"b", "unpriced-7"}}, kNowUs, half).has_value());
  // Back where a part of the prompt is held still.
  caches.answered("s-1", there, cached(50'000, 30'000), kNowUs, half);
  CHECK(caches.move("s-1", {here, there}, kNowUs, half)->turns < 7);
}

TEST_CASE("rules know every word for why an answer ended") {
  const rules::api::Values& words = *rules::api::fact_row(rules::api::Fact::kStopReason).values;
  const auto last = static_cast<std::size_t>(chat::StopReason::kOther);
  CHECK(words.words.size() == last + 1);
  for (std::size_t reason = 0; reason <= last; ++reason) {
    CHECK(words.has(proxy::stop_reason_name(static_cast<chat::StopReason>(reason))));
  }
}
