#include "ledger/queries.h"

#include <array>
#include <utility>

#include "core/json.h"
#include "core/text.h"
#include "ledger/days.h"
#include "ledger/spend_table.h"
#include "ledger/sqlite.h"
#include "ledger/unknown_costs.h"

namespace ccrules::ledger {
namespace {

constexpr int kBusyMs = 2000;
constexpr double kNanoPerUsd = 1e9;

/// What `by` may name, and the column or expression it groups by.
constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kKeys = {{
    {"model", "model"},
    {"provider", "provider"},
    {"project", "project"},
    {"agent", "agent"},
    {"session", "session"},
    {"rule", "rule"},
    {"day", "local_day(at_us)"},
    {"status", "status"},
    {"user", "user"},
    {"client", "client"},
}};

constexpr char kSums[] =
    "count(*), total(status >= 400), total(input_tokens), total(output_tokens), total(cache_read_tokens),"
    " total(cache_write_5m_tokens) + total(cache_write_1h_tokens), total(cost_nanousd),"
    " total(requested_cost_nanousd - cost_nanousd), total";

StatsRow read_row(const Statement& statement, std::string key, int first) {
  StatsRow row;
  row.key = std::move(key);
  for (std::int64_t* sum :
       {&row.requests, &row.errors, &row.input_tokens, &row.output_tokens, &row.cache_read_tokens,
        &row.cache_write_tokens, &row.cost_nanousd, &row.savings_nanousd, &row.unknown_cost_requests}) {
    *sum = statement.number(first++);
  }
  return row;
}

constexpr std::string_view kBilled =
    "(input_tokens + coalesce(cache_read_tokens, 0) + coalesce(cache_write_5m_tokens, 0) +"
    " coalesce(cache_write_1h_tokens, 0))";
constexpr std::int64_t kErrorRows = 20000;  ///< requests the published error is taken from
constexpr std::int64_t kErrorTokens = 200;  ///< of smaller prompts the frames are most

/// Newer columns are absent until the proxy has opened a ledger of an older version: then there are no errors to tell.
std::vector<CountError> count_errors(Connection& connection, std::int64_t since_us) {
  std::vector<CountError> errors;
  const std::string billed(kBilled);
  auto rows = Statement::prepare(
      connection, "SELECT counted_grade, abs(counted_tokens * 1.0 / " + billed + " - 1) AS error FROM (SELECT * FROM requests" +
                      " WHERE at_us >= ? AND estimate_tokens IS NOT NULL AND usage_estimated = 0 AND " + billed + " >= ?" +
                      " ORDER BY seq DESC LIMIT ?) ORDER BY 1, 2");
  if (!rows) return errors;
  rows->bind(1, since_us);
  rows->bind(2, kErrorTokens);
  rows->bind(3, kErrorRows);
  std::vector<double> of_grade;
  const auto close = [&errors, &of_grade] {
    if (of_grade.empty()) return;
    CountError& error = errors.back();
    error.requests = static_cast<std::int64_t>(of_grade.size());
    for (const double one : of_grade) error.mean_percent += 100 * one / static_cast<double>(of_grade.size());
    error.p95_percent = 100 * of_grade[of_grade.size() * 95 / 100];
    of_grade.clear();
  };
  for (;;) {
    const Result<bool> more = rows->step();
    if (!more || !*more) break;
    const std::string grade = rows->text(0);
    if (errors.empty() || errors.back().grade != grade) {
      close();
      errors.push_back({grade, 0, 0, 0});
    }
    of_grade.push_back(rows->real(1));
  }
  close();
  return errors;
}

/// Requests with their session's request before, of the same agent at the same target. Parameter: since when.
constexpr char kCacheUses[] =
    "WITH uses AS (SELECT session, client, provider, model, agent, subagent, at_us, coalesce(cache_read_tokens, 0) AS was_read,"
    " coalesce(cache_write_5m_tokens, 0) + coalesce(cache_write_1h_tokens, 0) AS written FROM requests"
    " WHERE at_us >= ? AND session IS NOT NULL AND coalesce(cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens) IS NOT NULL),"
    " pairs AS (SELECT *, lag(was_read + written) OVER turns AS cached, lag(at_us) OVER turns AS before_us FROM uses"
    " WINDOW turns AS (PARTITION BY session, provider, model, agent, subagent ORDER BY at_us)) ";

/// Nothing where the columns are those of an older version.
CacheWaste cache_waste(Connection& connection, std::int64_t since_us) {
  CacheWaste waste;
  // Half of it is not there any more, and it cannot have run out: within four minutes, with a minute's slack.
  const std::string rewritten = std::string(kCacheUses) +
                                "SELECT session, client, provider || ',' || model, count(*), total(min(cached - was_read, written)) FROM pairs"
                                " WHERE cached > 0 AND was_read * 2 < cached AND written > 0 AND at_us - before_us < 240000000"
                                " GROUP BY session, client, provider, model ORDER BY 5 DESC";
  constexpr std::size_t kWorst = 5;
  if (auto rows = Statement::prepare(connection, rewritten)) {
    rows->bind(1, since_us);
    for (;;) {
      const Result<bool> more = rows->step();
      if (!more || !*more) break;
      waste.rewritten_requests += rows->number(3);
      waste.rewritten_tokens += rows->number(4);
      if (waste.worst.size() < kWorst)
        waste.worst.push_back({rows->text(0), rows->text(1), rows->text(2), rows->number(3), rows->number(4)});
    }
  }
  const std::string unread = std::string(kCacheUses) +
                             "SELECT total(written) FROM (SELECT total(written) AS written FROM pairs"
                             " GROUP BY session, provider, model, agent, subagent HAVING count(*) > 1 AND total(was_read) = 0)";
  if (auto rows = Statement::prepare(connection, unread)) {
    rows->bind(1, since_us);
    const Result<bool> any = rows->step();
    if (any && *any) waste.unread_tokens = rows->number(0);
  }
  const std::string_view causes =
      "SELECT cache_break, count(*), total(cache_break_tokens), total(cache_break_nanousd), total(cache_break_nanousd IS NULL)"
      " FROM requests WHERE at_us >= ? AND cache_break IS NOT NULL GROUP BY 1 ORDER BY 4 DESC, 3 DESC, 1";
  if (auto rows = Statement::prepare(connection, causes)) {
    rows->bind(1, since_us);
    for (;;) {
      const Result<bool> more = rows->step();
      if (!more || !*more) break;
      waste.causes.push_back({rows->text(0), rows->number(1), rows->number(2), rows->number(3), rows->number(4)});
    }
  }
  return waste;
}

std::vector<UnpricedTier> unpriced_tiers(Connection& connection, std::int64_t since_us) {
  std::vector<UnpricedTier> tiers;
  auto rows = Statement::prepare(connection, "SELECT unpriced_tier, count(*) FROM requests WHERE at_us >= ? AND unpriced_tier IS NOT NULL"
                                             " GROUP BY 1 ORDER BY 2 DESC, 1");
  if (!rows) return tiers;  // a ledger of an older version
  rows->bind(1, since_us);
  for (;;) {
    const Result<bool> more = rows->step();
    if (!more || !*more) return tiers;
    tiers.push_back({rows->text(0), rows->number(1)});
  }
}

std::int64_t unpriced_fee_requests(Connection& connection, std::int64_t since_us) {
  auto row = Statement::prepare(connection, "SELECT count(*) FROM requests WHERE at_us >= ? AND unpriced_fees IS NOT NULL");
  if (!row) return 0;  // a ledger of an older version
  row->bind(1, since_us);
  const Result<bool> found = row->step();
  return found && *found ? row->number(0) : 0;
}

void write_row(json::Writer& writer, const StatsRow& row, bool with_key) {
  writer.begin_object();
  if (with_key) writer.member("key", row.key);
  writer.member("requests", row.requests).member("errors", row.errors);
  writer.member("input_tokens", row.input_tokens).member("output_tokens", row.output_tokens);
  writer.member("cache_read_tokens", row.cache_read_tokens)
      .member("cache_write_tokens", row.cache_write_tokens);
  writer.member("cost_nanousd", row.cost_nanousd)
      .member("cost_usd", static_cast<double>(row.cost_nanousd) / kNanoPerUsd);
  writer.member("unknown_cost_requests", row.unknown_cost_requests);
  writer.member("savings_nanousd", row.savings_nanousd);
  writer.end_object();
}

}  // namespace

Result<Stats> stats(const StatsQuery& query) {
  std::string column;
  std::string known;
  for (const auto& [name, expression] : kKeys) {
    if (name == query.by) column = expression;
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  if (column.empty()) return bad_request("cannot group by '" + query.by + "'; use one of " + known);
  const auto explain = [&query](Error error) {
    error.message = "cannot read the ledger " + query.path + ": " + error.message;
    return error;
  };
  Result<Connection> connection = Connection::open(query.path, Connection::Mode::kReadOnly, kBusyMs);
  if (!connection) return explain(std::move(connection).error());
  const auto read = [&]() -> Result<Stats> {
    Stats stats;
    CCR_CHECK(add_local_day(*connection, query.calendar));
    CCR_CHECK(connection->run("BEGIN"));  // the total and the rows see the same state
    const std::string from = std::string(kSums) + kCostIsUnknown + " FROM requests WHERE at_us >= ?";
    CCR_TRY(total, Statement::prepare(*connection, "SELECT " + from));
    total.bind(1, query.since_us);
    CCR_CHECK(total.step());
    stats.total = read_row(total, {}, 0);
    CCR_TRY(rows, Statement::prepare(*connection, "SELECT coalesce(" + column + ", ''), " + from +
                                                      " GROUP BY 1 ORDER BY " +
                                                      (query.by == "day" ? "1" : "8 DESC, 2 DESC, 1")));
    rows.bind(1, query.since_us);
    for (;;) {
      CCR_TRY(more, rows.step());
      if (!more) {
        stats.count_errors = count_errors(*connection, query.since_us);
        stats.cache_waste = cache_waste(*connection, query.since_us);
        stats.unpriced_tiers = unpriced_tiers(*connection, query.since_us);
        stats.unpriced_fee_requests = unpriced_fee_requests(*connection, query.since_us);
        return stats;
      }
      stats.rows.push_back(read_row(rows, rows.text(0), 1));
    }
  };
  Result<Stats> result = read();
  if (!result) return explain(std::move(result).error());
  return result;
}

std::string to_json(const StatsQuery& query, const Stats& stats) {
  std::string out;
  json::Writer writer(out);
  writer.begin_object()
      .member("schema", "ccrules.stats/1")
      .member("by", query.by)
      .member("since_us", query.since_us)
      .member("time_zone", query.calendar.name());
  writer.key("total");
  write_row(writer, stats.total, false);
  writer.key("rows").begin_array();
  for (const StatsRow& row : stats.rows) write_row(writer, row, true);
  writer.end_array();
  writer.key("unpriced_tiers").begin_array();
  for (const UnpricedTier& tier : stats.unpriced_tiers)
    writer.begin_object().member("tier", tier.name).member("requests", tier.requests).end_object();
  writer.end_array();
  writer.member("unpriced_fee_requests", stats.unpriced_fee_requests);
  writer.key("token_counts").begin_array();
  for (const CountError& error : stats.count_errors) {
    writer.begin_object().member("grade", error.grade).member("requests", error.requests);
    writer.member("mean_error_percent", error.mean_percent).member("p95_error_percent", error.p95_percent).end_object();
  }
  writer.end_array().key("prompt_cache").begin_object();
  const CacheWaste& waste = stats.cache_waste;
  writer.member("rewritten_requests", waste.rewritten_requests).member("rewritten_tokens", waste.rewritten_tokens);
  writer.member("unread_tokens", waste.unread_tokens).key("worst").begin_array();
  for (const CacheWaste::Worst& one : waste.worst) {
    writer.begin_object().member("session", one.session).member("client", one.client).member("model", one.model);
    writer.member("requests", one.requests).member("tokens", one.tokens).end_object();
  }
  writer.end_array().key("causes").begin_array();
  for (const CacheWaste::Cause& one : waste.causes) {
    writer.begin_object().member("cause", one.name).member("requests", one.requests).member("tokens", one.tokens);
    writer.member("cost_nanousd", one.cost_nanousd).member("cost_usd", static_cast<double>(one.cost_nanousd) / kNanoPerUsd);
    writer.member("unknown_cost_requests", one.unknown_cost_requests).end_object();
  }
  writer.end_array().end_object().end_object();
  return out;
}

namespace {

constexpr std::string_view kColumns =
    "id, at_us, client, dialect, path, session, user, project, agent, request_class, requested_model, decision_id, rule,"
    " reason, provider, model, attempts, status, stop_reason, stream, input_tokens, output_tokens, cache_read_tokens,"
    " cache_write_5m_tokens, cache_write_1h_tokens, reasoning_tokens, usage_estimated, cost_nanousd,"
    " requested_cost_nanousd, cache, ttft_us, duration_us, error, tags, ruleset, facts, shadow";

std::optional<std::int64_t> maybe(const Statement& from, int column) {
  return from.is_null(column) ? std::nullopt : std::optional(from.number(column));
}

/// A row of kColumns.
Record read_record(const Statement& from) {
  Record row;
  int at = 0;
  row.id = from.text(at++);
  row.at_us = from.number(at++);
  for (std::string* text : {&row.client, &row.dialect, &row.path, &row.session, &row.user, &row.project, &row.agent,
                            &row.request_class, &row.requested_model, &row.decision_id, &row.rule, &row.reason,
                            &row.provider, &row.model}) {
    *text = from.text(at++);
  }
  row.attempts = static_cast<int>(from.number(at++));
  row.status = static_cast<int>(from.number(at++));
  row.stop_reason = from.text(at++);
  row.stream = from.number(at++) != 0;
  chat::Usage& usage = row.usage;
  usage.input_tokens = maybe(from, at++);
  usage.output_tokens = maybe(from, at++);
  usage.cache_read_tokens = maybe(from, at++);
  usage.cache_write_tokens = maybe(from, at++);
  usage.cache_write_1h_tokens = maybe(from, at++);
  if (usage.cache_write_tokens) *usage.cache_write_tokens += usage.cache_write_1h_tokens.value_or(0);
  usage.reasoning_tokens = maybe(from, at++);
  row.usage_estimated = from.number(at++) != 0;
  row.cost_nanousd = maybe(from, at++);
  row.requested_cost_nanousd = maybe(from, at++);
  row.cache = from.text(at++);
  row.ttft_us = maybe(from, at++).value_or(-1);
  row.duration_us = from.number(at++);
  for (std::string* text : {&row.error, &row.tags_json, &row.ruleset, &row.facts_json, &row.shadow_json}) *text = from.text(at++);
  return row;
}

Error unreadable(const std::string& path, Error error) {
  error.message = "cannot read the ledger " + path + ": " + error.message;
  return error;
}

/// The only row whose request or decision id begins so; nullopt when there is none, an error when there are several.
Result<std::optional<Record>> find_in(Connection& connection, std::string_view id) {
  const bool whole_prefix = id.starts_with("req_") || id.starts_with("dec_");
  const std::string column = id.starts_with("dec_") ? "decision_id" : "id";
  std::string begin = (whole_prefix ? std::string() : std::string("req_")).append(id);
  // Newest first: what one asks about has just happened.
  CCR_TRY(rows, Statement::prepare(connection, "SELECT " + std::string(kColumns) + " FROM requests WHERE substr(" + column +
                                                   ", 1, length(?1)) = ?1 ORDER BY seq DESC LIMIT 2"));
  rows.bind(1, begin);
  CCR_TRY(any, rows.step());
  if (!any) return std::optional<Record>();
  Record found = read_record(rows);
  constexpr std::size_t kWholeId = 28;  // ids::make with its prefix; looking for a second one reads the whole table
  bool another = false;
  if (begin.size() < kWholeId) {
    CCR_TRY(more, rows.step());
    another = more;
  }
  if (another) return bad_request("several requests have an id that begins with '" + begin + "'; give more of it");
  return std::optional<Record>(std::move(found));
}

}  // namespace

Result<std::optional<Record>> find(const std::string& path, std::string_view id) {
  Result<Connection> connection = Connection::open(path, Connection::Mode::kReadOnly, kBusyMs);
  if (!connection) return unreadable(path, std::move(connection).error());
  auto found = find_in(*connection, id);
  if (!found && found.error().code != ErrorCode::kBadRequest) return unreadable(path, std::move(found).error());
  return found;
}

namespace {

/// Rows of `which`, a clause with one parameter.
Result<void> each_row(const std::string& path, const std::string& which, std::int64_t parameter,
                      const std::function<bool(const Record&)>& take) {
  Result<Connection> connection = Connection::open(path, Connection::Mode::kReadOnly, kBusyMs);
  if (!connection) return unreadable(path, std::move(connection).error());
  const auto read = [&]() -> Result<void> {
    CCR_TRY(rows, Statement::prepare(*connection, "SELECT " + std::string(kColumns) + " FROM requests " + which));
    rows.bind(1, parameter);
    for (;;) {
      CCR_TRY(more, rows.step());
      if (!more || !take(read_record(rows))) return {};
    }
  };
  Result<void> done = read();
  if (!done) return unreadable(path, std::move(done).error());
  return {};
}

}  // namespace

Result<Spending> spending(const std::string& path) {
  const auto read = [&path]() -> Result<Spending> {
    CCR_TRY(connection, Connection::open(path, Connection::Mode::kReadOnly, kBusyMs));
    CCR_TRY(version, connection.number("PRAGMA user_version"));
    constexpr std::int64_t kWithSums = 5;
    Spending spending;
    spending.complete = version >= kWithSums;
    if (!spending.complete) return spending;
    CCR_CHECK(connection.run("BEGIN"));
    CCR_TRY(sums, SpendTable::load(connection));
    CCR_TRY(left, connection.number("SELECT until_seq FROM spend_state"));
    spending.sums = std::move(sums);
    spending.complete = left <= 0;
    CCR_TRY(zone, Statement::prepare(connection, "SELECT zone FROM spend_state"));
    CCR_TRY(known, zone.step());
    if (known) spending.zone = zone.text(0);
    return spending;
  };
  Result<Spending> result = read();
  if (!result) return unreadable(path, std::move(result).error());
  return result;
}

Result<std::vector<LearnedCount>> learned_counts(const std::string& path, std::int64_t limit) {
  CCR_TRY(connection, Connection::open(path, Connection::Mode::kReadOnly, kBusyMs));
  const std::string billed(kBilled);
  CCR_TRY(rows, Statement::prepare(connection, "SELECT estimate_key, estimate_tokens, " + billed +
                                                   " FROM (SELECT * FROM requests WHERE seq > (SELECT max(seq) FROM requests) - 4 * ?1"
                                                   " AND estimate_tokens IS NOT NULL AND input_tokens IS NOT NULL AND"
                                                   " usage_estimated = 0 ORDER BY seq DESC LIMIT ?1) ORDER BY seq"));
  rows.bind(1, limit);
  std::vector<LearnedCount> counts;
  for (;;) {
    CCR_TRY(more, rows.step());
    if (!more) return counts;
    counts.push_back({rows.text(0), rows.number(1), rows.number(2)});
  }
}

Result<void> each_decision(const std::string& path, std::int64_t since_us, const std::function<bool(const Record&)>& take) {
  return each_row(path, "WHERE at_us >= ? AND facts IS NOT NULL ORDER BY seq", since_us, take);
}

Result<void> last_decisions(const std::string& path, int most, const std::function<bool(const Record&)>& take) {
  return each_row(path, "WHERE facts IS NOT NULL AND seq > (SELECT max(seq) FROM requests) - 20 * ?1 ORDER BY seq DESC LIMIT ?1", most, take);
}

Result<void> each_comparison(const std::string& path, std::int64_t since_us, const std::function<bool(const Record&)>& take) {
  return each_row(path, "WHERE at_us >= ? AND shadow IS NOT NULL ORDER BY seq", since_us, take);
}

}  // namespace ccrules::ledger
