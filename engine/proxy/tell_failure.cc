#include "proxy/tell_failure.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "dialect/capability.h"
#include "proxy/endpoints.h"

namespace ccrules::proxy {
namespace {

/// What Claude Code recovers from by itself when it is told the class and nothing else (claude-code-gateway 5.3); the
/// provider's words stay in the ledger and the log.
std::optional<Error> capability_rejected(const Error& error, const dialect::Dialect& spoken, const Visit& visit) {
  if (&spoken != &dialect::anthropic() || visit.row.client != "claude-code" || error.origin != Origin::kUpstream || visit.verbatim)
    return std::nullopt;
  const std::string_view kind = dialect::capability_class(error);
  if (kind.empty()) return std::nullopt;
  Error told = error;
  told.message = "capability_rejected: " + std::string(kind);
  return told;
}

}  // namespace

Task<void> tell_failure(http::Exchange& exchange, const dialect::Dialect& spoken, const Error& error, Visit& visit) {
  if (visit.row.error.empty())
    visit.row.error = std::string(error_code_name(error.code)) + ": " + error.message;
  if (exchange.stop().stopped()) {
    visit.row.status = 499;
    co_return;
  }
  http::Headers headers;
  if (exchange.head_sent()) {  // only the client's own connection can fail now: relay tells of the provider's
                               // failures
    visit.row.status = 499;
    co_await tell_error(exchange, spoken, error, headers, visit.row.id);
    co_return;
  }
  if (visit.verbatim && error.origin == Origin::kUpstream) {
    visit.row.status = visit.verbatim->status;
    headers = std::move(visit.verbatim->headers);
    if (visit.policy->config->listen.shared) headers.set("request-id", visit.row.id);
    visit.describe(headers);
    if (visit.must_commit()) co_await visit.commit();
    auto sent = co_await exchange.send(visit.verbatim->status, headers, visit.verbatim->body);
    (void)sent;  // a client that left meanwhile cannot be told
    co_return;
  }
  visit.row.status = spoken.error_status(error);
  visit.describe(headers);
  for (std::size_t i = 0; i < visit.more_headers.size(); ++i) {
    const auto [name, value] = visit.more_headers.at(i);
    headers.add(name, value);
  }
  if (visit.must_commit()) co_await visit.commit();
  const std::optional<Error> rejected = capability_rejected(error, spoken, visit);
  co_await tell_error(exchange, spoken, rejected ? *rejected : error, headers, visit.row.id);
}

}  // namespace ccrules::proxy
