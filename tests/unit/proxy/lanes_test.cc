#include "proxy/lanes.h"

#include <catch2/catch.hpp>

#include "core/limits.h"

using namespace ccrules;
using namespace ccrules::proxy;

namespace {

config::Provider provider_with(std::size_t lanes) {
  config::Provider provider;
  provider.id = "anth";
  for (std::size_t i = 0; i < lanes; ++i) provider.lanes.push_back({"http://anth", "key-" + std::to_string(i), 100 + i});
  return provider;
}

Error failure(ErrorCode code, int status, std::int64_t retry_after_ms = -1) {
  Error error;
  error.code = code;
  error.origin = Origin::kUpstream;
  error.http_status = status;
  error.retry_after_ms = retry_after_ms;
  return error;
}

}  // namespace

TEST_CASE("the lane with the fewest under way is next, of equals the one that waited longest") {
  const config::Provider provider = provider_with(3);
  Lanes lanes;
  CHECK(lanes.take(provider, "", {}, 0) == 0u);
  CHECK(lanes.take(provider, "", {}, 0) == 1u);
  CHECK(lanes.take(provider, "", {}, 0) == 2u);
  lanes.give_back(provider.lanes[1]);
  CHECK(lanes.take(provider, "", {}, 0) == 1u);
  lanes.give_back(provider.lanes[1]);
  lanes.give_back(provider.lanes[0]);
  CHECK(lanes.take(provider, "", {}, 0) == 0u);  // 1 was taken after it
  CHECK(lanes.take(provider, "", {0, 1}, 0) == 2u);
  CHECK_FALSE(lanes.take(provider, "", {0, 1, 2}, 0).has_value());
}

TEST_CASE("a session keeps its seat until it has been silent for long, and loses it to a rest") {
  const config::Provider provider = provider_with(2);
  Lanes lanes;
  CHECK(lanes.take(provider, "a", {}, 1000) == 0u);
  for (int i = 0; i < 5; ++i) CHECK(lanes.take(provider, "a", {}, 1000 + i) == 0u);  // however busy it is
  lanes.rest(provider.lanes[0], 5000, 2000);
  CHECK(lanes.take(provider, "a", {}, 2000) == 1u);
  CHECK(lanes.wait_ms(provider, 2000) == 0);
  CHECK(lanes.take(provider, "a", {}, 7000) == 1u);  // it has moved
  const std::int64_t later_ms = 7000 + std::chrono::milliseconds(limits::kLaneSeatTime).count();
  for (int i = 0; i < 2; ++i) lanes.give_back(provider.lanes[1]);
  for (int i = 0; i < 6; ++i) lanes.give_back(provider.lanes[0]);
  CHECK(lanes.take(provider, "a", {}, later_ms) == 0u);
}

TEST_CASE("failures say what they say about a lane: limits and refused keys make it rest, others count") {
  const config::Provider provider = provider_with(2);
  config::Snapshot config;
  config.circuit.failures = 2;
  const config::Lane& lane = provider.lanes[0];
  const auto rest_after = [&](const Error& error, int times) {
    Lanes lanes;
    for (int i = 0; i < times; ++i) (void)note_lane_failure(lanes, lane, config, error, error.http_status, 0);
    lanes.rest(provider.lanes[1], 1'000'000'000, 0);
    return lanes.wait_ms(provider, 0);
  };
  CHECK(rest_after(failure(ErrorCode::kUpstreamRateLimited, 429, 7000), 1) == 7000);
  CHECK(rest_after(failure(ErrorCode::kUpstreamRateLimited, 429), 1) == 10000);
  CHECK(rest_after(failure(ErrorCode::kUpstreamRateLimited, 429, 86'400'000), 1) == 300'000);  // within reason
  CHECK(rest_after(failure(ErrorCode::kUpstreamAuth, 401), 1) == 300'000);
  CHECK(rest_after(failure(ErrorCode::kUpstreamRefused, 402), 1) == 300'000);  // no money left
  CHECK(rest_after(failure(ErrorCode::kUpstreamAuth, 403), 1) == 0);           // perhaps only that model
  config::Lane clients_own = lane;
  clients_own.api_key.clear();
  Lanes lanes;
  for (const int status : {401, 429}) {
    const ErrorCode code = status == 401 ? ErrorCode::kUpstreamAuth : ErrorCode::kUpstreamRateLimited;
    CHECK_FALSE(note_lane_failure(lanes, clients_own, config, failure(code, status, 7000), status, 0));
  }
  CHECK(lanes.wait_ms(provider, 0) == 0);
  CHECK(rest_after(failure(ErrorCode::kConnectFailed, 502), 1) == 0);
  CHECK(rest_after(failure(ErrorCode::kConnectFailed, 502), 2) == 30'000);
  CHECK(rest_after(failure(ErrorCode::kUpstreamRefused, 400), 5) == 0);
}

TEST_CASE("seats of sessions are bounded, whatever clients call themselves") {
  const config::Provider provider = provider_with(2);
  Lanes lanes;
  for (std::size_t i = 0; i < 3 * limits::kLaneSeats; ++i) {
    const auto lane = lanes.take(provider, "session " + std::to_string(i), {}, 0);
    REQUIRE(lane.has_value());
    lanes.give_back(provider.lanes[*lane]);
  }
  const auto lane = lanes.take(provider, "the last one", {}, 0);
  REQUIRE(lane.has_value());
  CHECK(lanes.take(provider, "the last one", {}, 0) == lane);
}
