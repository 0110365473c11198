#include "proxy/analytics_api.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/limits.h"
#include "core/text.h"
#include "dialect/dialect.h"
#include "ledger/analytics.h"
#include "ledger/queries.h"
#include "proxy/board.h"
#include "proxy/budget.h"
#include "proxy/budget_lines.h"
#include "proxy/ledger_reading.h"
#include "proxy/news_stream.h"
#include "proxy/past_request.h"
#include "proxy/query.h"
#include "rules/ruleset.h"

namespace ccrules::proxy {
namespace {

constexpr std::string_view kProjectExport = "/api/export/project/";
constexpr std::string_view kRequests = "/api/requests/";

std::optional<std::string> parameter(const http::RequestHead& head, std::string_view name) { return query_parameter(head.query(), name); }

/// A whole number between two bounds.
Result<std::int64_t> number(const http::RequestHead& head, std::string_view name, std::int64_t usual, std::int64_t most) {
  const auto text = parameter(head, name);
  if (!text) return usual;
  const auto value = text::to_int(*text);
  if (value && *value >= 1 && *value <= most) return *value;
  return bad_request(std::string(name) + " must be a whole number from 1 to " + std::to_string(most) + " (got '" +
                     text->substr(0, 40) + "')");
}

Result<ledger::Export> period(const http::RequestHead& head) {
  constexpr std::int64_t kMostDays = 3660;
  ledger::Export what;
  CCR_TRY(days, number(head, "days", what.days, kMostDays));
  what.days = days;
  return what;
}

Task<Result<void>> send(http::Exchange& exchange, std::string_view body) {
  http::Headers headers;
  headers.add("content-type", "application/json");
  headers.add("cache-control", "no-store");
  co_return co_await exchange.send(200, headers, body);
}

Task<Result<void>> answer(Worker& worker, http::Exchange& exchange, Reading reading) {
  std::string question = exchange.head().target;
  CCR_CO_TRY(text, co_await read_or_remember(worker, exchange.stop(), std::move(question), std::move(reading)));
  co_return co_await send(exchange, *text);
}

/// One portion after the other: as large as the client is fast.
Task<Result<void>> send_csv(Worker& worker, http::Exchange& exchange, ledger::Export what) {
  auto portions = std::make_shared<ledger::CsvExport>(what, worker.clock.wall_us());
  const Reading next = [portions](const ledger::Source& from) { return portions->next(from); };
  CCR_CO_TRY(first, co_await read_ledger(worker, exchange.stop(), next));
  http::Headers headers;
  headers.add("content-type", "text/csv; charset=utf-8");
  headers.add("content-disposition", "attachment; filename=\"ccrules.csv\"");
  headers.add("cache-control", "no-store");
  exchange.start(200, headers);
  std::string portion = std::move(first);
  while (!portion.empty()) {
    CCR_CO_CHECK(co_await exchange.write(portion));
    auto more = co_await read_ledger(worker, exchange.stop(), next);
    if (!more.ok()) {
      exchange.abort();  // what came must not look like all of it
      co_return Result<void>();
    }
    portion = *std::move(more);
  }
  co_return co_await exchange.finish();
}

Task<Result<void>> export_project(Worker& worker, http::Exchange& exchange) {
  const http::RequestHead& head = exchange.head();
  CCR_CO_TRY(what, period(head));
  what.one_project = true;
  what.project = dialect::decoded_segment(head.path().substr(kProjectExport.size()));
  const std::string format = parameter(head, "format").value_or("json");
  if (format == "csv") co_return co_await send_csv(worker, exchange, what);
  if (format != "json") co_return bad_request("format must be json or csv (got '" + format.substr(0, 40) + "')");
  const std::int64_t now_us = worker.clock.wall_us();
  Reading reading = [what, now_us](const ledger::Source& from) { return ledger::export_json(from, what, now_us); };
  co_return co_await answer(worker, exchange, std::move(reading));
}

Task<Result<void>> list_requests(Worker& worker, http::Exchange& exchange) {
  const http::RequestHead& head = exchange.head();
  constexpr std::int64_t kAnySeq = std::int64_t{1} << 62;
  ledger::RequestQuery query;
  CCR_CO_TRY(limit, number(head, "limit", query.limit, limits::kListedRequests));
  CCR_CO_TRY(before, number(head, "before", kAnySeq, kAnySeq));
  query.limit = limit;
  query.before = before;
  query.project = parameter(head, "project").value_or("");
  query.session = parameter(head, "session").value_or("");
  query.model = parameter(head, "model").value_or("");
  query.errors = parameter(head, "errors").value_or("") == "true";
  Reading reading = [query](const ledger::Source& from) { return ledger::requests_json(from, query); };
  co_return co_await answer(worker, exchange, std::move(reading));
}

/// The decision is made again with rules that are loaded for it: those in force belong to their worker, and are not to be held
/// responsible for what they do here.
Task<Result<void>> show_request(Worker& worker, http::Exchange& exchange) {
  const std::string id = dialect::decoded_segment(exchange.head().path().substr(kRequests.size()));
  const auto policy = worker.policy;
  const Reading reading = [id, policy, &files = worker.rule_files](const ledger::Source& from) -> Result<std::string> {
    CCR_TRY(row, ledger::find(from.path, id));
    if (!row) return std::string();
    std::vector<config::Diagnostic> diagnostics;
    const auto engine = row->facts_json.empty() ? nullptr : rules::Engine::load(*policy->config, files, diagnostics);
    return request_json(*row, engine.get());
  };
  CCR_CO_TRY(text, co_await read_ledger(worker, exchange.stop(), reading));
  if (!text.empty()) co_return co_await send(exchange, text);
  Error error = bad_request("there is no request '" + id.substr(0, 80) + "' in the ledger; GET /api/requests lists what there is");
  error.code = ErrorCode::kNotFound;
  error.http_status = 404;
  co_return error;
}

/// The rules in force, in order of precedence, as this worker has them.
Task<Result<void>> list_rules(Worker& worker, http::Exchange& exchange) {
  const auto policy = worker.policy;
  std::string out;
  json::Writer writer(out);
  writer.begin_object().member("hash", policy->rules->hash()).member("count", static_cast<std::int64_t>(policy->rules->rule_count()));
  writer.key("rules").begin_array();
  constexpr std::string_view kPhases[] = {"request", "error", "response"};
  std::size_t phase = 0;
  for (const std::vector<rules::Rule>* list : rules::rule_lists(policy->rules->rules())) {
    for (const rules::Rule& rule : *list) {
      writer.begin_object().member("name", rule.name).member("on", kPhases[std::min<std::size_t>(phase, 2)]);
      writer.member("where", rule.where).member("layer", rules::layer_name(rule.layer)).member("pack", rule.pack);
      writer.member("mayDeny", rule.may_deny()).member("usesLua", rule.uses_lua).end_object();
    }
    ++phase;
  }
  writer.end_array();
  if (worker.board != nullptr) worker.board->write(writer);
  writer.end_object();
  co_return co_await send(exchange, out);
}

Task<Result<void>> list_budgets(Worker& worker, http::Exchange& exchange) {
  const auto policy = worker.policy;
  const std::int64_t now_us = worker.clock.wall_us();
  Reading reading = [policy, now_us](const ledger::Source& from) -> Result<std::string> {
    CCR_TRY(spending, ledger::spending(from.path));
    std::string out;
    json::Writer writer(out);
    writer.begin_object().member("complete", spending.complete && spending.zone == policy->config->time_zone).key("budgets").begin_array();
    for (const BudgetLine& line : budget_lines(*policy->config, spending, now_us)) write_budget_line(writer, line);
    writer.end_array().end_object();
    return out;
  };
  co_return co_await answer(worker, exchange, std::move(reading));
}

}  // namespace

bool is_analytics(const http::RequestHead& head) noexcept {
  const std::string_view path = head.path();
  if (head.method != "GET" || !path.starts_with("/api/")) return false;
  for (const std::string_view known :
       {"/api/project/stats", "/api/machine/stats", "/api/overrides/stats", "/api/export/analytics", "/api/export/csv", "/api/requests",
        "/api/rules", "/api/budgets", "/api/stream"}) {
    if (path == known) return true;
  }
  return (path.starts_with(kRequests) && path.size() > kRequests.size()) || path.starts_with(kProjectExport);
}

Task<Result<void>> tell_analytics(Worker& worker, http::Exchange& exchange) {
  const http::RequestHead& head = exchange.head();
  const std::string_view path = head.path();
  const std::int64_t now_us = worker.clock.wall_us();
  if (path == "/api/requests") co_return co_await list_requests(worker, exchange);
  if (path == "/api/rules") co_return co_await list_rules(worker, exchange);
  if (path == "/api/budgets") co_return co_await list_budgets(worker, exchange);
  if (path == "/api/stream") {
    std::string project = parameter(head, "project").value_or("");
    co_return co_await stream_news(worker, exchange, std::move(project));
  }
  if (path.starts_with(kRequests)) co_return co_await show_request(worker, exchange);
  if (path.starts_with(kProjectExport)) co_return co_await export_project(worker, exchange);
  Reading reading;
  if (path == "/api/machine/stats") {
    ledger::Calendar calendar = calendar_of(*worker.policy->config);
    reading = [now_us, calendar = std::move(calendar)](const ledger::Source& from) {
      return ledger::machine_stats_json(from, calendar, now_us);
    };
  } else if (path == "/api/overrides/stats") {
    reading = [](const ledger::Source& from) { return ledger::override_stats_json(from); };
  } else if (path == "/api/project/stats") {
    const std::string project = parameter(head, "project").value_or("");
    reading = [project, now_us](const ledger::Source& from) { return ledger::project_stats_json(from, project, now_us); };
  } else {
    CCR_CO_TRY(what, period(head));
    if (path == "/api/export/csv") co_return co_await send_csv(worker, exchange, what);
    reading = [what, now_us](const ledger::Source& from) { return ledger::export_json(from, what, now_us); };
  }
  co_return co_await answer(worker, exchange, std::move(reading));
}

}  // namespace ccrules::proxy
