#include "proxy/health.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/utc.h"
#include "proxy/board.h"
#include "proxy/gate.h"

namespace ccrules::proxy {
namespace {

constexpr std::string_view kVersion = CCR_VERSION;

std::int64_t uptime_s(const Worker& worker) {
  return (worker.loop.now_ns() - worker.vitals.started_ns()) / 1'000'000'000;
}

std::int64_t enabled_providers(const config::Snapshot& config) {
  return std::count_if(config.providers.begin(), config.providers.end(),
                       [](const config::Provider& provider) { return provider.enabled; });
}

/// "disabled"; "enabled"; "open": left alone after too many failures; "half_open": one request at a time may try.
std::string_view state_of(const Worker& worker, const config::Provider& provider) {
  if (!provider.enabled) return "disabled";
  const std::string_view state = worker.tallies.circuits.state(provider.id, worker.loop.now_ms());
  if (state == "down") return "open";
  return state == "trial" ? "half_open" : "enabled";
}

ledger::Health ledger_health(const Worker& worker) {
  if (worker.ledger != nullptr) return worker.ledger->health();
  ledger::Health none;
  none.ok = false;
  none.problem = "the ledger could not be opened: requests are served but not recorded";
  return none;
}

/// "ok", "degraded" (served, but something needs a person) or "unhealthy".
std::string_view overall(const Worker& worker, const ledger::Health& ledger) {
  if (enabled_providers(*worker.policy->config) == 0) return "unhealthy";
  return ledger.ok && worker.vitals.reload_problem().empty() ? "ok" : "degraded";
}

void write_ledger(json::Writer& writer, const ledger::Health& health) {
  writer.key("ledger").begin_object().member("ok", health.ok);
  if (!health.ok) writer.member("problem", std::string_view(health.problem));
  writer.member("rows_written", static_cast<std::int64_t>(health.rows_written))
      .member("rows_dropped", static_cast<std::int64_t>(health.rows_dropped))
      .end_object();
}

void write_health(json::Writer& writer, const Worker& worker, const ledger::Health& ledger) {
  const std::int64_t providers = enabled_providers(*worker.policy->config);
  writer.member("uptime", uptime_s(worker));
  const cache::Store::Stats cache = worker.tallies.answers.stats();
  writer.key("cache_stats")
      .begin_object()
      .member("hits", static_cast<std::int64_t>(cache.hits))
      .member("misses", static_cast<std::int64_t>(cache.misses))
      .member("entries", static_cast<std::int64_t>(cache.entries))
      .end_object();
  // Nobody asks providers how they are: an enabled one counts as healthy until its circuit opens.
  const std::int64_t healthy = std::count_if(worker.policy->config->providers.begin(), worker.policy->config->providers.end(),
                                             [&worker](const config::Provider& p) { return state_of(worker, p) == "enabled"; });
  writer.key("providers").begin_object().member("healthy", healthy).member("total", providers).end_object();
  write_ledger(writer, ledger);
}

/// The keys and addresses of a provider that has several, by their number: no key is shown.
void write_lanes(json::Writer& writer, const Worker& worker, const config::Provider& provider) {
  writer.key("lanes").begin_array();
  std::vector<std::string_view> keys;
  for (const config::Lane& lane : provider.lanes) {
    auto key = std::find(keys.begin(), keys.end(), lane.api_key);
    if (key == keys.end()) key = keys.insert(key, lane.api_key);
    const Lanes::Seen seen = worker.tallies.lanes.seen(lane, worker.loop.now_ms());
    writer.begin_object().member("base_url", std::string_view(lane.base_url)).member("key", std::int64_t{key - keys.begin() + 1});
    writer.member("status", seen.rests_ms > 0 ? std::string_view("resting") : std::string_view("enabled"));
    writer.member("rests_ms", seen.rests_ms).member("under_way", seen.under_way).member("failures", std::int64_t{seen.failures});
    writer.end_object();
  }
  writer.end_array();
}

void write_status(json::Writer& writer, const Worker& worker, const ledger::Health& ledger) {
  const Policy& policy = *worker.policy;
  writer.key("providers").begin_array();
  for (const config::Provider& provider : policy.config->providers) {
    writer.begin_object().member("name", std::string_view(provider.id));
    writer.member("status", state_of(worker, provider));
    const auto seen = worker.tallies.circuits.seen(provider.id);
    writer.key("last_check");
    if (seen) {
      writer.string(rfc3339(seen->last_us));
    } else {
      writer.null();
    }
    writer.key("response_time_ms");
    if (seen && seen->took_ms >= 0) {
      writer.integer(seen->took_ms);
    } else {
      writer.null();
    }
    writer.member("failures", std::int64_t{seen ? seen->failures : 0}).member("opened", seen ? seen->opened : 0);
    if (!provider.lanes.empty()) write_lanes(writer, worker, provider);
    writer.end_object();
  }
  writer.end_array().key("rules").begin_object();
  writer.member("hash", policy.rules->hash())
      .member("count", static_cast<std::int64_t>(policy.rules->rule_count()));
  const std::string problem = worker.vitals.reload_problem();
  if (!problem.empty()) writer.member("reload_problem", std::string_view(problem));
  if (worker.board != nullptr) worker.board->write(writer);
  writer.end_object();
  write_ledger(writer, ledger);
}

}  // namespace

Task<Result<void>> tell_health(Worker& worker, http::Exchange& exchange, dialect::Endpoint endpoint) {
  const bool trusted = !refuse(exchange, *worker.policy->config, true).has_value();
  const ledger::Health ledger = ledger_health(worker);
  const std::string_view status = overall(worker, ledger);
  const bool unhealthy = status == "unhealthy";
  const std::string now = rfc3339(worker.clock.wall_us());

  std::string body;
  json::Writer writer(body);
  writer.begin_object();
  if (endpoint == dialect::Endpoint::kReady) {
    writer.member("ready", !unhealthy).member("version", kVersion).member("timestamp", std::string_view(now));
  } else if (endpoint == dialect::Endpoint::kStatus) {
    writer.member("status", status).member("timestamp", std::string_view(now));
    writer.key("proxy").begin_object().member("version", kVersion).member("uptime", uptime_s(worker));
    writer.member("requests_served", static_cast<std::int64_t>(worker.vitals.requests_served())).end_object();
    if (trusted) write_status(writer, worker, ledger);
  } else {
    writer.member("status", status).member("version", kVersion);
    if (trusted) write_health(writer, worker, ledger);
  }
  writer.end_object();

  http::Headers headers;
  headers.add("content-type", "application/json");
  headers.add("cache-control", "no-store");
  co_return co_await exchange.send(unhealthy ? 503 : 200, headers, body);
}

}  // namespace ccrules::proxy
