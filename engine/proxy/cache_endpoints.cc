#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "core/limits.h"
#include "core/json.h"
#include "core/text.h"
#include "proxy/endpoints.h"
#include "proxy/gate.h"

namespace ccrules::proxy {
namespace {

constexpr double kBytesPerMegabyte = 1024.0 * 1024.0;
constexpr double kNanoPerUsd = 1e9;
constexpr std::int64_t kShown = 10;  ///< Rows without `limit`.

enum class Call : std::uint8_t { kStats, kClear, kTop };

std::optional<Call> call_of(const http::RequestHead& head) {
  const std::string_view path = head.path();
  if (head.method == "GET" && path == "/api/cache/stats") return Call::kStats;
  if (head.method == "POST" && path == "/api/cache/clear") return Call::kClear;
  if (head.method == "GET" && path == "/api/cache/top-prompts") return Call::kTop;
  return std::nullopt;
}

double megabytes(std::size_t bytes) { return static_cast<double>(bytes) / kBytesPerMegabyte; }
double usd(std::int64_t nanousd) { return static_cast<double>(nanousd) / kNanoPerUsd; }

std::string hex(const digest::Hash128& hash) {
  std::array<char, 33> text{};
  const int size = std::snprintf(text.data(), text.size(), "%016llx%016llx", static_cast<unsigned long long>(hash.high),
                                 static_cast<unsigned long long>(hash.low));
  return {text.data(), static_cast<std::size_t>(size)};
}

void write_stats(const cache::Store& store, json::Writer& writer) {
  const cache::Store::Stats stats = store.stats();
  const std::uint64_t looked = stats.hits + stats.misses;
  writer.begin_object().member("hits", static_cast<std::int64_t>(stats.hits)).member("misses", static_cast<std::int64_t>(stats.misses));
  writer.member("hitRate", looked == 0 ? 0.0 : static_cast<double>(stats.hits) / static_cast<double>(looked));
  writer.member("size", megabytes(stats.bytes)).member("maxSize", megabytes(stats.max_bytes));
  writer.member("entries", static_cast<std::int64_t>(stats.entries)).member("savedCost", usd(stats.saved_nanousd));
  writer.member("evicted", static_cast<std::int64_t>(stats.evicted)).member("rejected", static_cast<std::int64_t>(stats.rejected));
  writer.end_object();
}

void clear(cache::Store& store, json::Writer& writer) {
  const cache::Store::Cleared cleared = store.clear();
  std::array<char, 32> freed{};
  const double size = megabytes(cleared.bytes);
  const int length = std::snprintf(freed.data(), freed.size(), size < 10 ? "%.1fMB" : "%.0fMB", size);
  writer.begin_object().member("status", "ok").member("cleared", static_cast<std::int64_t>(cleared.entries));
  writer.member("freedMemory", std::string_view(freed.data(), static_cast<std::size_t>(length))).end_object();
}

/// The `limit` of a query; nothing when it is no number of rows.
std::optional<std::int64_t> limit_of(std::string_view query) {
  constexpr std::string_view kName = "limit=";
  for (const std::string_view part : text::split(query, '&')) {
    if (!part.starts_with(kName)) continue;
    const std::string_view digits = part.substr(kName.size());
    std::int64_t limit = 0;
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), limit);
    if (failed != std::errc() || end != digits.data() + digits.size() || limit < 1) return std::nullopt;
    return std::min(limit, limits::kCacheTop);
  }
  return kShown;
}

void write_top(const cache::Store& store, std::int64_t limit, json::Writer& writer) {
  writer.begin_array();
  for (const cache::Store::Top& row : store.top(static_cast<std::size_t>(limit))) {
    const std::string hash = hex(row.hash);
    writer.begin_object().member("hash", std::string_view(hash)).member("hits", static_cast<std::int64_t>(row.hits));
    // No words of a prompt leave the cache while bodies are not kept ("bodies": "none").
    writer.member("savedCost", usd(row.saved_nanousd)).member("preview", "").end_object();
  }
  writer.end_array();
}

}  // namespace

bool is_cache_call(const http::RequestHead& head) { return call_of(head).has_value(); }
bool changes_cache(const http::RequestHead& head) { return call_of(head) == Call::kClear; }

Task<Result<void>> tell_cache(Worker& worker, http::Exchange& exchange) {
  cache::Store& store = worker.tallies.answers;
  store.resize(worker.policy->config->cache.max_bytes);
  std::string body;
  json::Writer writer(body);
  switch (*call_of(exchange.head())) {
    case Call::kStats:
      write_stats(store, writer);
      break;
    case Call::kClear:
      clear(store, writer);
      break;
    case Call::kTop: {
      const std::optional<std::int64_t> limit = limit_of(exchange.head().query());
      if (!limit) co_return bad_request("limit must be a whole number from 1 on, as in /api/cache/top-prompts?limit=10");
      write_top(store, *limit, writer);
      break;
    }
  }
  http::Headers headers;
  headers.add("content-type", "application/json");
  headers.add("cache-control", "no-store");
  co_return co_await exchange.send(200, headers, body);
}

}  // namespace ccrules::proxy
