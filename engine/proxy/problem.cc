#include "proxy/problem.h"

#include <string>

#include "core/json.h"
#include "http/write.h"

namespace ccrules::proxy {

Task<void> tell_problem(http::Exchange& exchange, const Error& error) {
  if (exchange.stop().stopped()) co_return;
  if (exchange.head_sent()) {
    exchange.abort();
    co_return;
  }
  http::Headers headers;
  headers.add("content-type", "application/problem+json");
  headers.add("cache-control", "no-store");
  if (error.retry_after_ms >= 0) headers.add("retry-after", std::to_string((error.retry_after_ms + 999) / 1000));
  std::string body;
  json::Writer writer(body);
  // "about:blank": there is no more to its type than the status (RFC 9457, 4.2.1). A key may stand in the query, so that is left out.
  writer.begin_object().member("type", "about:blank").member("title", http::reason_phrase(error.http_status));
  writer.member("status", error.http_status).member("detail", std::string_view(error.message));
  writer.member("instance", exchange.head().path()).end_object();
  auto sent = co_await exchange.send(error.http_status, headers, body);
  (void)sent;  // a client that left meanwhile cannot be told
}

}  // namespace ccrules::proxy
