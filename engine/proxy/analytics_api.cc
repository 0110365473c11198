#include "proxy/analytics_api.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
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
#include "proxy/budget_lines.h"
#include "proxy/past_request.h"
#include "rules/recorded.h"
#include "rules/ruleset.h"

namespace ccrules::proxy {
namespace {

constexpr std::string_view kProjectExport = "/api/export/project/";
constexpr std::string_view kRequests = "/api/requests/";
constexpr double kNanoPerUsd = 1e9;

/// A reading of the ledger. Runs on a thread of the pool.
using Reading = std::function<Result<std::string>(const ledger::Source& from)>;

/// The value of a parameter of the query, decoded; nullopt: it is not there.
std::optional<std::string> parameter(const http::RequestHead& head, std::string_view name) {
  for (const std::string_view part : text::split(head.query(), '&')) {
    const std::size_t equals = part.find('=');
    if (part.substr(0, equals) != name) continue;
    std::string value(equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1));
    for (char& c : value) {
      if (c == '+') c = ' ';
    }
    return dialect::decoded_segment(value);
  }
  return std::nullopt;
}

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

Error unavailable(std::string message) {
  Error error;
  error.code = ErrorCode::kUnsupported;
  error.http_status = 503;
  error.message = std::move(message);
  return error;
}

/// Ends a reading whose client has left.
class Abandon final : public StopCallback {
 public:
  explicit Abandon(const StopToken& stop) : StopCallback([](StopCallback& self) noexcept {
      static_cast<Abandon&>(self).given_up.store(true, std::memory_order_relaxed);
    }) {
    if (stop.stopped()) {
      given_up = true;
    } else {
      stop.subscribe(*this);
    }
  }
  std::atomic<bool> given_up{false};
};

/// Reads on a thread of the pool, when it is our turn.
Task<Result<std::string>> read(Worker& worker, StopToken stop, const Reading& reading) {
  if (worker.ledger == nullptr) co_return unavailable("the ledger could not be opened: nothing is recorded (the log says why)");
  LedgerReads::Waiting waiting = worker.vitals.ledger_reads().turn(worker.loop);
  CCR_CO_TRY(turn, co_await waiting);
  Abandon abandon(stop);
  ledger::Source from(worker.ledger->path());
  from.most_time = limits::kLedgerReadTime;
  from.given_up = &abandon.given_up;
  Result<std::string> text = cancelled();
  std::function<void()> work = [&] { text = reading(from); };
  co_await on_pool(worker.loop, std::move(work));
  (void)turn;  // ends here
  co_return text;
}

Task<Result<void>> send(http::Exchange& exchange, std::string_view body) {
  http::Headers headers;
  headers.add("content-type", "application/json");
  headers.add("cache-control", "no-store");
  co_return co_await exchange.send(200, headers, body);
}

/// The same question, asked again and again by several windows, is not read each time.
Task<Result<std::shared_ptr<const std::string>>> read_or_remember(Worker& worker, StopToken stop, std::string question, Reading reading) {
  LedgerReads& reads = worker.vitals.ledger_reads();
  if (auto known = reads.remembered(question, worker.loop.now_ns())) co_return known;
  const std::int64_t began_ns = worker.loop.now_ns();
  CCR_CO_TRY(text, co_await read(worker, stop, reading));
  auto answer = std::make_shared<const std::string>(std::move(text));
  reads.remember(question, answer, began_ns, worker.loop.now_ns());
  co_return answer;
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
  CCR_CO_TRY(first, co_await read(worker, exchange.stop(), next));
  http::Headers headers;
  headers.add("content-type", "text/csv; charset=utf-8");
  headers.add("content-disposition", "attachment; filename=\"ccrules.csv\"");
  headers.add("cache-control", "no-store");
  exchange.start(200, headers);
  std::string portion = std::move(first);
  while (!portion.empty()) {
    CCR_CO_CHECK(co_await exchange.write(portion));
    auto more = co_await read(worker, exchange.stop(), next);
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

void write_count(json::Writer& writer, const char* name, const std::optional<std::int64_t>& tokens) {
  writer.key(name);
  if (tokens) {
    writer.integer(*tokens);
  } else {
    writer.null();
  }
}

void write_usd(json::Writer& writer, const char* name, const std::optional<std::int64_t>& nanousd) {
  writer.key(name);
  if (nanousd) {
    writer.number(static_cast<double>(*nanousd) / kNanoPerUsd);
  } else {
    writer.null();
  }
}

/// All that is known of a request, and its decision made again with every rule's part in it.
/// @param engine null: the rules cannot be loaded
std::string request_json(const ledger::Record& row, rules::Engine* engine) {
  std::string out;
  json::Writer writer(out);
  writer.begin_object().member("id", row.id).member("atUs", row.at_us).member("client", row.client).member("dialect", row.dialect);
  writer.member("path", row.path).member("session", row.session).member("user", row.user).member("project", row.project);
  writer.member("agent", row.agent).member("requestClass", row.request_class).member("requestedModel", row.requested_model);
  writer.member("provider", row.provider).member("model", row.model).member("attempts", std::int64_t{row.attempts});
  writer.member("status", std::int64_t{row.status}).member("stopReason", row.stop_reason).member("stream", row.stream);
  writer.key("tokens").begin_object();
  write_count(writer, "input", row.usage.input_tokens);
  write_count(writer, "output", row.usage.output_tokens);
  write_count(writer, "cacheRead", row.usage.cache_read_tokens);
  write_count(writer, "cacheWrite", row.usage.cache_write_tokens);
  write_count(writer, "cacheWrite1h", row.usage.cache_write_1h_tokens);
  write_count(writer, "reasoning", row.usage.reasoning_tokens);
  writer.member("estimated", row.usage_estimated).end_object();
  write_usd(writer, "cost", row.cost_nanousd);
  write_usd(writer, "requestedCost", row.requested_cost_nanousd);
  writer.member("cache", row.cache).key("firstContentMs");
  if (row.ttft_us < 0) {
    writer.null();
  } else {
    writer.number(static_cast<double>(row.ttft_us) / 1000);
  }
  writer.member("time", static_cast<double>(row.duration_us) / 1000).member("rule", row.rule).member("reason", row.reason);
  writer.member("error", row.error).key("tags");
  if (json::is_valid(row.tags_json)) {
    writer.raw(row.tags_json);
  } else {
    writer.begin_object().end_object();
  }
  writer.member("decisionId", row.decision_id).member("ruleset", row.ruleset);
  writer.member("rulesUnchanged", engine != nullptr && engine->hash() == row.ruleset).key("notKept").begin_array();
  std::optional<rules::Redecision> again;
  if (engine != nullptr && !row.facts_json.empty()) {
    auto made = rules::decide_again(*engine, recorded(row));
    if (made.ok()) again = *std::move(made);
  }
  if (again) {
    for (const std::string& name : again->not_kept) writer.string(name);
  }
  writer.end_array().key("decision");
  if (again) {
    writer.raw(rules::trace_json(again->decision, again->trace, row.decision_id));
  } else {
    writer.null();
  }
  writer.end_object();
  return out;
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
  CCR_CO_TRY(text, co_await read(worker, exchange.stop(), reading));
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

/// What one look at the ledger brings.
struct Look {
  std::shared_ptr<ledger::News> news;
  std::int64_t after_seq = -1;
};

Task<Result<void>> look(Worker& worker, StopToken stop, Look& at) {
  at.news = std::make_shared<ledger::News>();
  const Reading reading = [into = at.news, after_seq = at.after_seq](const ledger::Source& from) -> Result<std::string> {
    CCR_TRY(found, ledger::news(from, after_seq, limits::kNewsRequests));
    *into = std::move(found);
    return std::string();
  };
  CCR_CO_TRY(unused, co_await read(worker, stop, reading));
  (void)unused;  // it has filled in the news
  at.after_seq = at.news->last_seq;
  co_return Result<void>();
}

/// The sums of one project (empty: all), and of the machine.
Task<Result<std::string>> sums_event(Worker& worker, StopToken stop, std::string project) {
  const std::int64_t now_us = worker.clock.wall_us();
  Reading of_project = [project, now_us](const ledger::Source& from) { return ledger::project_stats_json(from, project, now_us); };
  std::string about_project = "stream project " + project;
  CCR_CO_TRY(first, co_await read_or_remember(worker, stop, std::move(about_project), std::move(of_project)));
  Reading of_machine = [now_us](const ledger::Source& from) { return ledger::machine_stats_json(from, now_us); };
  std::string about_machine = "stream machine";
  CCR_CO_TRY(second, co_await read_or_remember(worker, stop, std::move(about_machine), std::move(of_machine)));
  co_return "event: analytics\ndata: {\"project\":" + *first + ",\"machine\":" + *second + "}\n\n";
}

/// Server-sent events: "analytics" with sums every few seconds, "request" for every row that is written, comments in between.
/// A ledger in trouble is an event "problem"; the stream goes on.
Task<Result<void>> stream_news(Worker& worker, http::Exchange& exchange) {
  LedgerReads& reads = worker.vitals.ledger_reads();
  if (!reads.open_stream()) co_return unavailable("too many dashboards are open (" + std::to_string(limits::kNewsStreams) + "); close one");
  struct Close {
    LedgerReads& reads;
    ~Close() { reads.close_stream(); }
  };
  const Close close{reads};
  const std::string project = parameter(exchange.head(), "project").value_or("");
  http::Headers headers;
  headers.add("content-type", "text/event-stream");
  headers.add("cache-control", "no-store");
  headers.add("x-accel-buffering", "no");
  exchange.start(200, headers);
  const StopToken stop = exchange.stop();
  Look at;
  std::int64_t sums_due_ms = worker.loop.now_ms();
  std::int64_t spoke_ms = worker.loop.now_ms();
  std::string told_problem;
  while (!stop.stopped() && !reads.stopping()) {
    std::string events;
    Result<void> looked = co_await look(worker, stop, at);
    if (looked.ok()) {
      for (const std::string& request : at.news->requests) events.append("event: request\ndata: ").append(request).append("\n\n");
      if (worker.loop.now_ms() >= sums_due_ms) {
        auto sums = co_await sums_event(worker, stop, project);
        if (sums.ok()) events.append(*sums);
        if (!sums.ok()) looked = sums.error();
        sums_due_ms = worker.loop.now_ms() + limits::kNewsStatsTime.count() * 1000;
      }
    }
    if (looked.ok()) {
      told_problem.clear();
    } else if (looked.error().message != told_problem && looked.error().code != ErrorCode::kCancelled) {
      told_problem = looked.error().message;
      events.append("event: problem\ndata: ");
      json::append_string(events, told_problem);
      events.append("\n\n");
    }
    const bool silent = worker.loop.now_ms() - spoke_ms >= std::chrono::milliseconds(limits::kPingTime).count();
    if (events.empty() && silent) events = ": keep-alive\n\n";
    if (!events.empty()) {
      CCR_CO_CHECK(co_await exchange.write(events));
      spoke_ms = worker.loop.now_ms();
    }
    auto slept = co_await sleep_for(worker.loop, limits::kNewsTime, stop);
    if (!slept.ok()) break;
  }
  if (stop.stopped()) co_return Result<void>();
  co_return co_await exchange.finish();
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
  if (path == "/api/stream") co_return co_await stream_news(worker, exchange);
  if (path.starts_with(kRequests)) co_return co_await show_request(worker, exchange);
  if (path.starts_with(kProjectExport)) co_return co_await export_project(worker, exchange);
  Reading reading;
  if (path == "/api/machine/stats") {
    reading = [now_us](const ledger::Source& from) { return ledger::machine_stats_json(from, now_us); };
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
