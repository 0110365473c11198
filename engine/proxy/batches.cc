#include "proxy/batches.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/ids.h"
#include "core/json.h"
#include "core/limits.h"
#include "core/text.h"
#include "core/utc.h"
#include "ledger/batches.h"
#include "proxy/batch_runner.h"
#include "proxy/batch_sorting.h"
#include "proxy/handed_on.h"
#include "proxy/native.h"
#include "proxy/paying.h"

namespace ccrules::proxy {
namespace {

constexpr std::string_view kPath = "/v1/messages/batches";

Error not_found(const std::string& id) {
  Error error;
  error.code = ErrorCode::kNotFound;
  error.origin = Origin::kClient;
  error.http_status = 404;
  error.message = "there is no batch '" + text::to_valid_utf8(id) + "'; GET " + std::string(kPath) + " lists what there is";
  return error;
}

Error no_store() {
  Error error = internal_error(
      "batches for other providers than Anthropic wait in the ledger's file, and it could not be opened (the log says why)");
  error.http_status = 503;
  return error;
}

// --- what stays here

void write_time(json::Writer& out, std::string_view name, std::int64_t at_us) {
  out.key(name);
  if (at_us > 0) {
    out.string(rfc3339(at_us));
  } else {
    out.null();
  }
}

void write_batch(json::Writer& out, const ledger::Batch& batch, const std::string& address) {
  const char* status = batch.ended_us > 0 ? "ended" : batch.canceled_us > 0 ? "canceling" : "in_progress";
  out.begin_object().member("id", batch.id).member("type", "message_batch").member("processing_status", status);
  out.key("request_counts").begin_object().member("processing", batch.counts.processing);
  out.member("succeeded", batch.counts.succeeded).member("errored", batch.counts.errored);
  out.member("canceled", batch.counts.canceled).member("expired", batch.counts.expired).end_object();
  write_time(out, "created_at", batch.created_us);
  write_time(out, "expires_at", batch.expires_us);
  write_time(out, "ended_at", batch.ended_us);
  write_time(out, "cancel_initiated_at", batch.canceled_us);
  out.key("archived_at").null().key("results_url");
  if (batch.ended_us > 0) {
    out.string(address + std::string(kPath) + "/" + batch.id + "/results");
  } else {
    out.null();
  }
  out.end_object();
}

Task<Result<void>> send_json(http::Exchange& exchange, std::string_view body) {
  http::Headers headers;
  headers.add("content-type", "application/json");
  co_return co_await exchange.send(200, headers, body);
}

Task<Result<void>> send_batch(http::Exchange& exchange, const ledger::Batch& batch, const config::Snapshot& config) {
  std::string body;
  json::Writer out(body);
  write_batch(out, batch, own_address(exchange.head(), config));
  co_return co_await send_json(exchange, body);
}

void append_result(std::string& out, const ledger::BatchResult& result) {
  json::Writer line(out);
  line.begin_object().member("custom_id", result.custom_id).key("result").begin_object();
  switch (result.state) {
    case ledger::BatchState::kSucceeded: line.member("type", "succeeded").member_raw("message", result.body_json); break;
    case ledger::BatchState::kCanceled: line.member("type", "canceled"); break;
    case ledger::BatchState::kExpired: line.member("type", "expired"); break;
    default: line.member("type", "errored").member_raw("error", result.body_json); break;
  }
  line.end_object().end_object();
  out += '\n';
}

/// A call of the store off the loop.
template <class T>
Task<Result<T>> ask_store(Worker& worker, std::function<Result<T>(ledger::Batches&)> question) {
  if (worker.batches == nullptr) co_return no_store();
  std::optional<Result<T>> answer;
  std::function<void()> work = [&] { answer.emplace(question(*worker.batches)); };
  co_await on_pool(worker.loop, std::move(work));
  co_return *std::move(answer);
}

Task<Result<std::optional<ledger::Batch>>> find_batch(Worker& worker, std::string id, std::string owner) {
  if (worker.batches == nullptr) co_return std::optional<ledger::Batch>();
  const std::int64_t now_us = worker.clock.wall_us();
  std::function<Result<std::optional<ledger::Batch>>(ledger::Batches&)> question = [&](ledger::Batches& batches) {
    return batches.find(id, owner, now_us);
  };
  co_return co_await ask_store<std::optional<ledger::Batch>>(worker, std::move(question));
}

Task<Result<void>> send_results(Worker& worker, http::Exchange& exchange, std::string id) {
  http::Headers headers;
  headers.add("content-type", "application/x-jsonl");
  exchange.start(200, headers);
  constexpr auto kPage = static_cast<std::int64_t>(limits::kBatchPage);
  for (std::int64_t from = 0;; from += kPage) {
    std::function<Result<std::vector<ledger::BatchResult>>(ledger::Batches&)> question = [&id, from](ledger::Batches& batches) {
      return batches.results(id, from, kPage);
    };
    auto page = co_await ask_store<std::vector<ledger::BatchResult>>(worker, std::move(question));
    if (!page.ok()) {
      exchange.abort();  // what is there must not look complete
      co_return Result<void>();
    }
    std::string lines;
    for (const ledger::BatchResult& result : *page) append_result(lines, result);
    if (static_cast<std::int64_t>(page->size()) < kPage) co_return co_await exchange.finish(lines);
    CCR_CO_CHECK(co_await exchange.write(lines));
  }
}

// --- making one

bool limits_requests(const config::Snapshot& config) {
  return !config.rate_limits.empty() ||
         std::any_of(config.budgets.begin(), config.budgets.end(), [](const config::Budget& budget) { return budget.hard; });
}

/// Headers for the requests of a batch: who asks and in what version, no credentials.
std::string kept_headers(const http::Headers& from) {
  std::string lines;
  for (std::size_t i = 0; i < from.size(); ++i) {
    const auto [name, value] = from.at(i);
    const std::string lower = text::lower(name);
    const bool ours = lower.starts_with("x-ccrules-") || lower.starts_with("anthropic-") || lower.starts_with("x-claude-code-");
    if (ours || lower == "user-agent") lines.append(lower).append(": ").append(value).append("\n");
  }
  return lines;
}

std::string id_in(std::string_view body) {
  auto document = json::Document::open(body);
  if (!document) return {};
  auto root = document->root();
  return root.ok() ? std::string(root->peek_string("id").value_or("")) : std::string();
}

Task<Result<void>> make_there(Worker& worker, http::Exchange& exchange, const Handed& handed, const Policy& policy) {
  const config::Snapshot& config = *policy.config;
  AttemptClock clock(worker.loop, exchange.stop());
  CCR_CO_TRY(reply, co_await hand_on(worker, exchange, handed, config, clock));
  auto answer = co_await http::read_all(*reply, limits::kReplyBytes, clock.stop.token());
  if (!answer) co_return explain_stop(std::move(answer).error(), clock, *handed.provider, "the rest of its answer");
  if (reply->status() == 200 && worker.batches != nullptr) {
    ledger::Batch batch;
    batch.id = id_in(*answer);
    batch.owner = fingerprint(exchange.head(), worker.policy->config->listen);
    batch.provider = handed.provider->id;
    batch.created_us = worker.clock.wall_us();
    batch.expires_us = batch.created_us;
    std::function<Result<void>(ledger::Batches&)> add = [&batch](ledger::Batches& batches) { return batches.add(batch, {}, {}); };
    if (!batch.id.empty()) CCR_CO_CHECK(co_await ask_store<void>(worker, std::move(add)));
  }
  http::Headers headers;
  forward_reply_headers(reply->headers(), *handed.provider, config.listen, headers);
  headers.add("x-ccrules-target", handed.provider->id);
  const std::string told = with_own_address(*std::move(answer), *handed.provider, own_address(exchange.head(), config));
  co_return co_await exchange.send(reply->status(), headers, told);
}

Task<Result<void>> make(Worker& worker, http::Exchange& exchange) {
  const std::shared_ptr<Policy> policy = worker.policy;
  const config::Snapshot& config = *policy->config;
  CCR_CO_TRY(body, co_await exchange.read_body(config.limits.body * limits::kBatchBodies));
  CCR_CO_TRY(items, read_items(json::padded(body)));
  body = std::string();
  BatchSorting sorting(worker, *policy, exchange.head());
  if (limits_requests(config)) sorting.one_by_one();
  for (std::size_t i = 0; i < items.size(); ++i) CCR_CO_CHECK(sorting.look_at(items[i], i));
  if (sorting.provider() != nullptr) {
    const std::string outgoing = sorting.body(items);
    items.clear();
    Handed handed;
    handed.provider = sorting.provider();
    handed.body = outgoing;
    handed.path = kPath;
    co_return co_await make_there(worker, exchange, handed, *policy);
  }
  if (!sorting.keyless().empty()) co_return bad_request(sorting.keyless());
  ledger::Batch batch;
  batch.id = ids::make("msgbatch_", worker.random);
  batch.owner = fingerprint(exchange.head(), worker.policy->config->listen);
  batch.created_us = worker.clock.wall_us();
  batch.expires_us = batch.created_us + std::chrono::microseconds(limits::kBatchTime).count();
  batch.counts.processing = static_cast<std::int64_t>(items.size());
  const std::string headers = kept_headers(exchange.head().headers);
  std::function<Result<void>(ledger::Batches&)> add = [&](ledger::Batches& batches) { return batches.add(batch, headers, items); };
  CCR_CO_CHECK(co_await ask_store<void>(worker, std::move(add)));
  items.clear();
  if (worker.batch_runner != nullptr) worker.batch_runner->wake();
  co_return co_await send_batch(exchange, batch, config);
}

// --- asking about one

std::string value_in(std::string_view query, std::string_view name) {
  for (const std::string_view part : text::split(query, '&')) {
    const std::size_t equals = part.find('=');
    if (equals != std::string_view::npos && part.substr(0, equals) == name) return std::string(part.substr(equals + 1));
  }
  return {};
}

/// Those that wait here, then Anthropic's.
Task<Result<void>> list(Worker& worker, http::Exchange& exchange) {
  const std::shared_ptr<Policy> policy = worker.policy;
  const config::Snapshot& config = *policy->config;
  const std::string_view query = exchange.head().query();
  ledger::BatchPage page;
  page.after_id = value_in(query, "after_id");
  page.before_id = value_in(query, "before_id");
  const std::string limit = value_in(query, "limit");
  const auto most = text::to_int(limit);
  if (!limit.empty() && (!most || *most < 1 || *most > static_cast<std::int64_t>(limits::kBatchPage)))
    co_return bad_request("limit must be a number from 1 to " + std::to_string(limits::kBatchPage));
  page.most = most.value_or(page.most);
  const std::string owner = fingerprint(exchange.head(), worker.policy->config->listen);
  const std::string cursor = page.after_id.empty() ? page.before_id : page.after_id;
  CCR_CO_TRY(from, co_await find_batch(worker, cursor, owner));
  const bool cursor_is_ours = cursor.empty() || (from && from->provider.empty());
  const config::Provider* theirs = batch_provider(config);
  std::vector<ledger::Batch> batches;
  if (cursor_is_ours && worker.batches != nullptr) {
    const std::int64_t now_us = worker.clock.wall_us();
    ++page.most;  // one more tells whether there is more
    std::function<Result<std::vector<ledger::Batch>>(ledger::Batches&)> question = [&](ledger::Batches& store) {
      return store.list(owner, page, now_us);
    };
    CCR_CO_TRY(found, co_await ask_store<std::vector<ledger::Batch>>(worker, std::move(question)));
    batches = std::move(found);
    --page.most;
  }
  if (batches.empty() && theirs != nullptr) {
    Handed handed;
    handed.provider = theirs;
    handed.path = kPath;
    if (cursor_is_ours && !cursor.empty()) handed.query = "limit=" + std::to_string(page.most);  // ours are through: theirs begin
    co_return co_await pass_on(worker, exchange, handed, config, nullptr);
  }
  const bool more = static_cast<std::int64_t>(batches.size()) > page.most;
  if (more) batches.pop_back();
  const bool theirs_follow = theirs != nullptr && page.before_id.empty();
  std::string body;
  json::Writer out(body);
  out.begin_object().key("data").begin_array();
  for (const ledger::Batch& batch : batches) write_batch(out, batch, own_address(exchange.head(), config));
  out.end_array().member("has_more", more || theirs_follow).key("first_id");
  if (batches.empty()) {
    out.null().key("last_id").null();
  } else {
    out.string(batches.front().id).key("last_id").string(batches.back().id);
  }
  out.end_object();
  co_return co_await send_json(exchange, body);
}

/// About a batch that was handed on.
Task<Result<void>> ask_there(Worker& worker, http::Exchange& exchange, const config::Provider& provider, std::string behind,
                             std::string id, bool known) {
  const std::shared_ptr<Policy> policy = worker.policy;
  Handed handed;
  handed.provider = &provider;
  handed.path = std::string(kPath) + "/" + behind;
  CCR_CO_TRY(body, co_await exchange.read_body(policy->config->limits.body));
  handed.body = body;
  std::optional<ResultRows> rows;
  if (known && behind.ends_with("/results")) {
    const std::int64_t now_us = worker.clock.wall_us();
    std::function<Result<bool>(ledger::Batches&)> question = [&](ledger::Batches& batches) { return batches.first_results(id, now_us); };
    CCR_CO_TRY(first, co_await ask_store<bool>(worker, std::move(question)));
    if (first) rows.emplace(worker, *policy->config, provider, fingerprint(exchange.head(), worker.policy->config->listen));
  }
  co_return co_await pass_on(worker, exchange, handed, *policy->config, rows ? &*rows : nullptr);
}

bool is_safe(std::string_view behind) {
  constexpr std::string_view kMarks = "_-/.";
  return !behind.empty() && behind.find("..") == std::string_view::npos &&
         std::all_of(behind.begin(), behind.end(), [kMarks](char c) {
           const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
           return letter || (c >= '0' && c <= '9') || kMarks.find(c) != std::string_view::npos;
         });
}

Error wrong_call(const http::RequestHead& head) {
  Error error = not_found({});
  error.message = head.method + " " + std::string(head.path()) + " is not served here; batches are made with POST " + std::string(kPath) +
                  " and asked about with GET, DELETE " + std::string(kPath) + "/{id}, GET .../results and POST .../cancel";
  return error;
}

}  // namespace

Task<Result<void>> serve_batches(Worker& worker, http::Exchange& exchange, const dialect::Route& route) {
  const http::RequestHead& head = exchange.head();
  const std::string behind(route.model);
  if (behind.empty() && head.method == "POST") co_return co_await make(worker, exchange);
  if (behind.empty() && head.method == "GET") co_return co_await list(worker, exchange);
  const std::size_t slash = behind.find('/');
  const std::string id = behind.substr(0, slash);
  const std::string verb = slash == std::string::npos ? std::string() : behind.substr(slash + 1);
  const bool fits = verb.empty()         ? head.method != "POST"
                    : verb == "results" ? head.method == "GET"
                                        : verb == "cancel" && head.method == "POST";
  if (!fits || id.empty() || !is_safe(behind)) co_return wrong_call(head);

  const std::shared_ptr<Policy> policy = worker.policy;
  CCR_CO_TRY(found, co_await find_batch(worker, id, fingerprint(head, worker.policy->config->listen)));
  const bool handed_on = found && !found->provider.empty();
  const config::Provider* there = handed_on ? policy->config->provider(found->provider) : batch_provider(*policy->config);
  if (!found || handed_on) {
    const bool made_here = id.starts_with("msgbatch_") && there == nullptr;
    if (there == nullptr || made_here) co_return not_found(id);
    co_return co_await ask_there(worker, exchange, *there, behind, id, handed_on);
  }
  const ledger::Batch& batch = *found;
  const std::int64_t now_us = worker.clock.wall_us();
  if (verb == "results") {
    if (batch.ended_us == 0) co_return bad_request("batch '" + id + "' has not ended yet: its results are there once processing_status is ended");
    co_return co_await send_results(worker, exchange, id);
  }
  if (verb == "cancel") {
    std::function<Result<void>(ledger::Batches&)> cancel = [&](ledger::Batches& batches) { return batches.cancel(id, now_us); };
    CCR_CO_CHECK(co_await ask_store<void>(worker, std::move(cancel)));
    CCR_CO_TRY(now, co_await find_batch(worker, id, batch.owner));
    if (!now) co_return not_found(id);
    co_return co_await send_batch(exchange, *now, *policy->config);
  }
  if (head.method == "DELETE") {
    if (batch.ended_us == 0) co_return bad_request("batch '" + id + "' has not ended yet: cancel it first");
    std::function<Result<void>(ledger::Batches&)> remove = [&](ledger::Batches& batches) { return batches.remove(id); };
    CCR_CO_CHECK(co_await ask_store<void>(worker, std::move(remove)));
    std::string body;
    json::Writer out(body);
    out.begin_object().member("id", id).member("type", "message_batch_deleted").end_object();
    co_return co_await send_json(exchange, body);
  }
  co_return co_await send_batch(exchange, batch, *policy->config);
}

Task<Result<void>> serve_files(Worker& worker, http::Exchange& exchange) {
  const std::shared_ptr<Policy> policy = worker.policy;
  const config::Snapshot& config = *policy->config;
  const config::Provider* provider = batch_provider(config);
  const std::string_view path = exchange.head().path();
  const std::string_view below = path.substr(std::min(path.find("/files"), path.size()));
  const bool plain = below == "/files" || is_safe(below.substr(std::min<std::size_t>(7, below.size())));
  if (provider == nullptr || !plain) {
    Error error = not_found({});
    error.message = provider == nullptr ? "files are kept by Anthropic, and no provider for it is set; send the file's content in the message"
                                        : "there is no such file";
    co_return error;
  }
  CCR_CO_TRY(body, co_await exchange.read_body(config.limits.body));
  Handed handed;
  handed.provider = provider;
  handed.body = body;
  handed.path = "/v1" + std::string(below);
  co_return co_await pass_on(worker, exchange, handed, config, nullptr);
}

}  // namespace ccrules::proxy
