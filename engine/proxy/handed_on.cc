#include "proxy/handed_on.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/ids.h"
#include "core/json.h"
#include "core/limits.h"
#include "core/text.h"
#include "ledger/cost.h"
#include "proxy/gate.h"
#include "proxy/native.h"

namespace ccrules::proxy {
namespace {

constexpr std::string_view kPath = "/v1/messages/batches";

}  // namespace

bool takes_batches(const config::Provider& provider) {
  if (!provider.enabled || provider.dialect != "anthropic" || !provider.cloud.empty()) return false;
  const auto found = provider.switches.find("batches");
  return found != provider.switches.end() ? found->second : provider.base_url.starts_with("https://api.anthropic.com");
}

const config::Provider* batch_provider(const config::Snapshot& config) {
  const auto found = std::find_if(config.providers.begin(), config.providers.end(), takes_batches);
  return found == config.providers.end() ? nullptr : &*found;
}

std::string own_address(const http::RequestHead& head, const config::Snapshot& config) {
  return (config.listen.tls_cert.empty() ? "http://" : "https://") + std::string(head.headers.get("host"));
}

Task<Result<std::unique_ptr<http::ReplyStream>>> hand_on(Worker& worker, const http::Exchange& exchange, const Handed& handed,
                                                         const config::Snapshot& config, AttemptClock& clock) {
  const http::RequestHead& head = exchange.head();
  provider::Attempt attempt;
  attempt.provider = handed.provider;
  attempt.method = head.method;
  attempt.path = handed.path;
  attempt.body = handed.body;
  attempt.wall_us = worker.clock.wall_us();
  attempt.query = handed.query.value_or(forwarded_query(head.query()));
  attempt.headers = forwarded_headers(head.headers);
  const auto for_provider = [&config](std::string_view credential) {
    return holds_own_key(credential, config.listen) ? std::string_view() : credential;
  };
  attempt.client_authorization = for_provider(head.headers.get("authorization"));
  attempt.client_api_key = for_provider(head.headers.get("x-api-key"));
  auto reply = co_await worker.sender.send(attempt, clock.stop.token());
  if (!reply) co_return explain_stop(std::move(reply).error(), clock, *handed.provider, "its answer");
  clock.deadline.set(handed.provider->timeouts.idle);
  co_return reply;
}

std::string with_own_address(std::string body, const config::Provider& provider, const std::string& address) {
  const std::string theirs = provider.base_url + std::string(kPath) + "/";
  const std::string ours = address + std::string(kPath) + "/";
  for (auto at = body.find(theirs); at != std::string::npos; at = body.find(theirs, at + ours.size()))
    body.replace(at, theirs.size(), ours);
  return provider::without_key(std::move(body), provider);
}

void ResultRows::take(std::string_view bytes) {
  rest_ += bytes;
  for (auto end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n')) {
    take_line(std::string_view(rest_).substr(0, end));
    rest_.erase(0, end + 1);
  }
}

void ResultRows::finish() {
  if (!rest_.empty()) take_line(rest_);
  rest_.clear();
}

void ResultRows::take_line(std::string_view line) {
  auto document = json::Document::open(line);
  if (!document) return;
  auto root = document->root();
  if (!root) return;
  const auto result = root->peek("result");
  const auto message = result ? result->peek("message") : std::nullopt;
  if (!message) return;
  chat::Reply reply = dialect::anthropic().peek_reply(message->peek_raw());
  if (reply.usage.empty()) return;
  ledger::Record row;
  row.id = ids::make("req_", worker_.random);
  row.at_us = worker_.clock.wall_us();
  row.dialect = "anthropic";
  row.path = kPath;
  row.key = key_;
  row.provider = provider_.id;
  row.model = std::string(message->peek_string("model").value_or(""));
  row.requested_model = row.model;
  bill_to(row, row.model, config_);
  row.attempts = 1;
  row.status = 200;
  row.stop_reason = stop_reason_name(reply.reason);
  reply.usage.service_tier = "batch";
  reply.usage.speed.reset();  // batches have one price
  row.usage = reply.usage.total();
  row.cost_nanousd = ledger::cost_nanousd(reply.usage, row.provider, row.model, config_);
  if (!row.cost_nanousd) {
    const ledger::CostRange range = ledger::cost_range(reply.usage, row.provider, row.model, config_);
    row.budget_nanousd = range.most_nanousd.value_or(range.least_nanousd);
  }
  row.unpriced_fees = ledger::unpriced_fees(reply.usage, row.provider, config_);
  worker_.tallies.spend.add(row);
  if (worker_.ledger != nullptr) worker_.ledger->record(row);
}

Task<Result<void>> pass_on(Worker& worker, http::Exchange& exchange, const Handed& handed, const config::Snapshot& config,
                           ResultRows* rows) {
  AttemptClock clock(worker.loop, exchange.stop());
  CCR_CO_TRY(reply, co_await hand_on(worker, exchange, handed, config, clock));
  const int status = reply->status();
  if (status < 200 || (status >= 300 && status < 400)) {
    Error error = internal_error("provider '" + handed.provider->id + "' answered " + std::to_string(status) +
                                 "; redirects are not followed");
    error.http_status = 502;
    co_return error;
  }
  http::Headers headers;
  forward_reply_headers(reply->headers(), *handed.provider, config.listen, headers);
  if (status != 200) rows = nullptr;
  if (text::starts_with_ignore_case(reply->headers().get("content-type"), "application/json") && rows == nullptr) {
    auto body = co_await http::read_all(*reply, limits::kReplyBytes, clock.stop.token());
    if (!body) co_return explain_stop(std::move(body).error(), clock, *handed.provider, "the rest of its answer");
    const std::string answer = with_own_address(*std::move(body), *handed.provider, own_address(exchange.head(), config));
    co_return co_await exchange.send(status, headers, answer);
  }
  exchange.start(status, headers);
  for (;;) {
    auto chunk = co_await reply->read(std::chrono::milliseconds(0), clock.stop.token());
    if (!chunk) {
      exchange.abort();
      co_return Result<void>();
    }
    clock.deadline.set(handed.provider->timeouts.idle);
    if (rows != nullptr) rows->take(chunk->bytes);
    if (!chunk->bytes.empty()) CCR_CO_CHECK(co_await exchange.write(chunk->bytes));
    if (chunk->end) break;
  }
  if (rows != nullptr) rows->finish();
  const std::string_view nothing;
  co_return co_await exchange.finish(nothing);
}

}  // namespace ccrules::proxy
