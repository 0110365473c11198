#include "ledger/analytics.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/utc.h"
#include "ledger/days.h"
#include "ledger/sqlite.h"
#include "ledger/unknown_costs.h"

namespace ccrules::ledger {
namespace {

constexpr int kBusyMs = 2000;
constexpr double kNanoPerUsd = 1e9;
constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kDayUs = 86'400 * kSecondUs;
constexpr std::int64_t kRecent = 20;
constexpr std::int64_t kRecentOverrides = 10;
constexpr std::int64_t kListed = 1000;    ///< Projects or models of one list, before those that are one entry together.
constexpr std::int64_t kChartDays = 30;

constexpr char kTokens[] =
    "(coalesce(input_tokens, 0) + coalesce(output_tokens, 0) + coalesce(cache_read_tokens, 0) +"
    " coalesce(cache_write_5m_tokens, 0) + coalesce(cache_write_1h_tokens, 0))";
constexpr char kInput[] =
    "(coalesce(input_tokens, 0) + coalesce(cache_read_tokens, 0) + coalesce(cache_write_5m_tokens, 0) +"
    " coalesce(cache_write_1h_tokens, 0))";

double usd(std::int64_t nanousd) { return static_cast<double>(nanousd) / kNanoPerUsd; }

using Take = std::function<void(const Statement& row)>;

/// Runs a query whose parameters are `numbers`, then `text` (when it has one more).
Result<void> each(Connection& connection, const std::string& sql, const std::vector<std::int64_t>& numbers, const std::string* text,
                  const Take& take) {
  CCR_TRY(rows, Statement::prepare(connection, sql));
  int at = 0;
  for (const std::int64_t number : numbers) rows.bind(++at, number);
  if (text != nullptr) rows.bind_always(++at, *text);
  for (;;) {
    CCR_TRY(more, rows.step());
    if (!more) return {};
    take(rows);
  }
}

/// Whether a reading goes on; SQLite asks every so many steps of its machine, some times a millisecond.
class Patience {
 public:
  explicit Patience(const Source& from) : from_(from), began_(std::chrono::steady_clock::now()) {}
  void watch(const Connection& connection) {
    constexpr int kSteps = 20'000;
    sqlite3_progress_handler(
        connection.get(), kSteps, [](void* self) { return static_cast<Patience*>(self)->is_over() ? 1 : 0; }, this);
  }
  [[nodiscard]] bool given_up() const { return from_.given_up != nullptr && from_.given_up->load(std::memory_order_relaxed); }
  [[nodiscard]] bool too_long() const {
    return from_.most_time.count() > 0 && std::chrono::steady_clock::now() - began_ > from_.most_time;
  }

 private:
  [[nodiscard]] bool is_over() const { return given_up() || too_long(); }
  const Source& from_;
  std::chrono::steady_clock::time_point began_;
};

Error too_long() {
  Error error;
  error.code = ErrorCode::kUnsupported;
  error.http_status = 503;
  error.message = "reading the ledger took too long; ask for fewer days or for one project, or use `ccrules export` on the machine itself";
  return error;
}

/// Opens the ledger, so that all queries of `work` see the same state, and explains what fails.
Result<std::string> read(const Source& from, const std::function<Result<void>(Connection&, std::string& out)>& work) {
  std::string out;
  Patience patience(from);
  const auto all = [&]() -> Result<void> {
    CCR_TRY(connection, Connection::open(from.path, Connection::Mode::kReadOnly, kBusyMs));
    patience.watch(connection);
    CCR_CHECK(connection.run("BEGIN"));
    return work(connection, out);
  };
  Result<void> done = all();
  if (done) return out;
  if (patience.given_up()) return cancelled();
  if (patience.too_long()) return too_long();
  Error error = std::move(done).error();
  error.message = "cannot read the ledger " + from.path + ": " + error.message;
  return error;
}

struct Sums {
  std::int64_t calls = 0, tokens = 0, cost_nanousd = 0, duration_us = 0, hits = 0, savings_nanousd = 0, unknown_calls = 0;
};
std::string sums_sql() {
  return std::string("count(*), total(") + kTokens +
         "), total(cost_nanousd), total(duration_us), total(cache = 'hit'), total(requested_cost_nanousd - cost_nanousd), total(" +
         kCostIsUnknown + ")";
}

Sums sums_at(const Statement& row, int column = 0) {
  Sums sums;
  for (std::int64_t* sum :
       {&sums.calls, &sums.tokens, &sums.cost_nanousd, &sums.duration_us, &sums.hits, &sums.savings_nanousd, &sums.unknown_calls}) {
    *sum = row.number(column++);
  }
  return sums;
}

void write_trend(json::Writer& writer, const char* name, double now, double before) {
  writer.key(name).begin_object().key("value");
  if (before > 0) {
    writer.number(100 * (now - before) / before);
  } else {
    writer.null();
  }
  writer.member("period", "24h").end_object();
}

double mean_ms(const Sums& sums) {
  return sums.calls == 0 ? 0 : static_cast<double>(sums.duration_us) / 1000 / static_cast<double>(sums.calls);
}

/// Requests of one project or of one model.
struct Group {
  std::string name;
  std::int64_t calls = 0, input = 0, output = 0, nanousd = 0, last_us = 0;
  std::int64_t unknown_calls = 0;  ///< whose cost is not known: `nanousd` is the least that all of them cost
  [[nodiscard]] std::int64_t tokens() const { return input + output; }
  void add(const Group& other) {
    calls += other.calls;
    input += other.input;
    output += other.output;
    nanousd += other.nanousd;
    last_us = std::max(last_us, other.last_us);
    unknown_calls += other.unknown_calls;
  }
};

/// The dearest first. Behind the first kListed all others are one, so that lists add up to their totals.
class Groups {
 public:
  void take(Group group) {
    const bool is_rest = listed_.size() == static_cast<std::size_t>(kListed) || group.name == kRest;
    if (is_rest) {
      rest_.add(group);
    } else {
      listed_.push_back(std::move(group));
    }
  }
  std::vector<Group> all() && {
    if (rest_.calls > 0) listed_.push_back(std::move(rest_));
    return std::move(listed_);
  }

 private:
  static constexpr std::string_view kRest = "(other)";
  std::vector<Group> listed_;
  Group rest_{.name = std::string(kRest)};
};

/// Every group of the rows that `where` says (a clause whose parameters are as in each()), the dearest first.
Result<void> each_group(Connection& connection, const std::string& column, const std::string& where,
                        const std::vector<std::int64_t>& numbers, const std::string* text, const std::function<void(Group)>& take) {
  return each(connection,
              "SELECT coalesce(" + column + ", ''), count(*), total(" + kInput +
                  "), total(output_tokens), total(cost_nanousd), max(at_us), total(" + kCostIsUnknown + ") FROM requests" + where +
                  " GROUP BY 1 ORDER BY 5 DESC, 2 DESC, 1",
              numbers, text, [&take](const Statement& row) {
                take({row.text(0), row.number(1), row.number(2), row.number(3), row.number(4), row.number(5), row.number(6)});
              });
}

/// {name: {calls, tokens, cost, unknownCostCalls}}
Result<void> write_groups(Connection& connection, json::Writer& writer, const std::string& column, const std::string& where,
                          std::int64_t since_us, const std::string* project) {
  Groups groups;
  const auto take = [&groups](Group group) { groups.take(std::move(group)); };
  CCR_CHECK(each_group(connection, column, " WHERE " + where, {since_us}, project, take));
  writer.begin_object();
  for (const Group& group : std::move(groups).all()) {
    writer.key(group.name).begin_object().member("calls", group.calls).member("tokens", group.tokens());
    writer.member("cost", usd(group.nanousd)).member("unknownCostCalls", group.unknown_calls).end_object();
  }
  writer.end_object();
  return {};
}

std::string csv_cell(std::string text) {
  if (!text.empty() && std::string_view("=+-@\t\r").find(text.front()) != std::string_view::npos) text.insert(text.begin(), '\'');
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string where_of(const Export& what) {
  return what.one_project ? "at_us >= ? AND coalesce(project, '') = ?" : "at_us >= ?";
}

}  // namespace

Result<std::string> project_stats_json(const Source& from, const std::string& project, std::int64_t now_us) {
  return read(from, [&](Connection& connection, std::string& out) -> Result<void> {
    const std::string* const only = project.empty() ? nullptr : &project;
    const std::string where = only == nullptr ? "at_us >= ? AND at_us < ?" : "at_us >= ? AND at_us < ? AND project = ?";
    Sums all, today, yesterday;
    const auto sum_up = [&](std::int64_t from_us, std::int64_t to_us, Sums& into) {
      return each(connection, "SELECT " + sums_sql() + " FROM requests WHERE " + where, {from_us, to_us}, only,
                  [&into](const Statement& row) { into = sums_at(row); });
    };
    CCR_CHECK(sum_up(0, now_us + kDayUs, all));
    CCR_CHECK(sum_up(now_us - kDayUs, now_us + kDayUs, today));
    CCR_CHECK(sum_up(now_us - 2 * kDayUs, now_us - kDayUs, yesterday));
    json::Writer writer(out);
    writer.begin_object().member("cost", usd(all.cost_nanousd)).member("unknownCostCalls", all.unknown_calls);
    write_trend(writer, "costTrend", usd(today.cost_nanousd), usd(yesterday.cost_nanousd));
    writer.member("tokens", all.tokens);
    write_trend(writer, "tokensTrend", static_cast<double>(today.tokens), static_cast<double>(yesterday.tokens));
    writer.member("calls", all.calls);
    write_trend(writer, "callsTrend", static_cast<double>(today.calls), static_cast<double>(yesterday.calls));
    writer.member("avgTime", mean_ms(all));
    write_trend(writer, "timeTrend", mean_ms(today), mean_ms(yesterday));
    writer.member("cacheHitRate", all.calls == 0 ? 0.0 : static_cast<double>(all.hits) / static_cast<double>(all.calls));
    writer.member("savings", usd(all.savings_nanousd)).key("recent").begin_array();
    CCR_CHECK(each(connection,
                   std::string("SELECT id, at_us, provider, model, requested_model, ") + kInput +
                       ", coalesce(output_tokens, 0), cost_nanousd, duration_us, status, cache, agent FROM requests WHERE " + where +
                       " ORDER BY at_us DESC LIMIT " + std::to_string(kRecent),
                   {0, now_us + kDayUs}, only, [&](const Statement& row) {
                     writer.begin_object().member("id", row.text(0)).member("timestamp", rfc3339(row.number(1)));
                     writer.member("provider", row.text(2)).member("model", row.text(3)).member("requestedModel", row.text(4));
                     writer.member("inputTokens", row.number(5)).member("outputTokens", row.number(6)).key("cost");
                     if (row.is_null(7)) {
                       writer.null();
                     } else {
                       writer.number(usd(row.number(7)));
                     }
                     writer.member("time", static_cast<double>(row.number(8)) / 1000).member("status", row.number(9));
                     writer.member("cache", row.text(10)).member("agent", row.text(11)).end_object();
                   }));
    writer.end_array().end_object();
    return {};
  });
}

Result<std::string> machine_stats_json(const Source& from, const Calendar& calendar, std::int64_t now_us) {
  return read(from, [&](Connection& connection, std::string& out) -> Result<void> {
    CCR_CHECK(add_local_day(connection, calendar));
    Groups listed_projects, listed_models;
    Group total;
    std::int64_t active = 0;
    CCR_CHECK(each_group(connection, "project", "", {}, nullptr, [&](Group group) {
      total.add(group);
      active += group.name.empty() || group.last_us < now_us - kDayUs ? 0 : 1;
      listed_projects.take(std::move(group));
    }));
    CCR_CHECK(each_group(connection, "model", "", {}, nullptr, [&](Group group) { listed_models.take(std::move(group)); }));
    const std::vector<Group> projects = std::move(listed_projects).all();
    const std::vector<Group> models = std::move(listed_models).all();
    json::Writer writer(out);
    writer.begin_object().member("totalCost", usd(total.nanousd)).member("totalUnknownCostCalls", total.unknown_calls);
    writer.member("activeProjects", active);
    writer.member("totalCalls", total.calls).member("totalTokens", total.tokens()).key("projects").begin_array();
    for (const Group& group : projects) {
      writer.begin_object().member("name", std::string_view(group.name)).member("calls", group.calls);
      writer.member("inputTokens", group.input).member("outputTokens", group.output).member("cost", usd(group.nanousd));
      writer.member("unknownCostCalls", group.unknown_calls).member("lastActivity", rfc3339(group.last_us)).end_object();
    }
    writer.end_array().key("models").begin_array();
    for (const Group& group : models) {
      writer.begin_object().member("name", std::string_view(group.name)).member("calls", group.calls);
      writer.member("inputTokens", group.input).member("outputTokens", group.output).member("cost", usd(group.nanousd));
      writer.member("unknownCostCalls", group.unknown_calls).end_object();
    }
    writer.end_array().key("chartData").begin_object().key("costOverTime").begin_array();
    CCR_CHECK(each(connection,
                   std::string("SELECT local_day(at_us), total(cost_nanousd), total(") + kCostIsUnknown +
                       ") FROM requests WHERE at_us >= ? GROUP BY 1 ORDER BY 1",
                   {now_us - kChartDays * kDayUs}, nullptr, [&](const Statement& row) {
                     writer.begin_object().member("date", row.text(0)).member("cost", usd(row.number(1)));
                     writer.member("unknownCostCalls", row.number(2)).end_object();
                   }));
    writer.end_array().key("costByProject").begin_array();
    for (const Group& group : projects) {
      writer.begin_object().member("name", std::string_view(group.name)).member("cost", usd(group.nanousd));
      writer.member("unknownCostCalls", group.unknown_calls).end_object();
    }
    writer.end_array().key("modelDistribution").begin_array();
    for (const Group& group : models)
      writer.begin_object().member("name", std::string_view(group.name)).member("calls", group.calls).end_object();
    writer.end_array().end_object().end_object();
    return {};
  });
}

Result<std::string> override_stats_json(const Source& from) {
  return read(from, [&](Connection& connection, std::string& out) -> Result<void> {
    const std::string which = " FROM requests WHERE reason = 'agent override'";
    std::int64_t total = 0;
    std::int64_t savings = 0;
    CCR_CHECK(each(connection, "SELECT count(*), total(requested_cost_nanousd - cost_nanousd)" + which, {}, nullptr,
                   [&](const Statement& row) {
                     total = row.number(0);
                     savings = row.number(1);
                   }));
    json::Writer writer(out);
    writer.begin_object().member("total_overrides", total).key("overrides_by_model").begin_object();
    std::string last;
    bool any = false;
    CCR_CHECK(each(connection,
                   "SELECT coalesce(requested_model, ''), coalesce(provider || ',' || model, ''), count(*)" + which +
                       " GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2",
                   {}, nullptr, [&](const Statement& row) {
                     const std::string asked = row.text(0);
                     if (any && asked == last) return;
                     any = true;
                     last = asked;
                     writer.key(asked).begin_array().string(row.text(1)).integer(row.number(2)).end_array();
                   }));
    writer.end_object().member("savings", usd(savings)).key("recent_overrides").begin_array();
    CCR_CHECK(each(connection,
                   "SELECT requested_model, provider || ',' || model, agent, at_us" + which + " ORDER BY seq DESC LIMIT " +
                       std::to_string(kRecentOverrides),
                   {}, nullptr, [&](const Statement& row) {
                     writer.begin_object().member("original_model", row.text(0)).member("override_to", row.text(1));
                     writer.member("agent", row.text(2)).member("timestamp", rfc3339(row.number(3))).end_object();
                   }));
    writer.end_array().end_object();
    return {};
  });
}

Result<std::string> export_json(const Source& from, const Export& what, std::int64_t now_us) {
  return read(from, [&](Connection& connection, std::string& out) -> Result<void> {
    const std::int64_t since_us = now_us - what.days * kDayUs;
    const std::string where = where_of(what);
    const std::string* const only = what.one_project ? &what.project : nullptr;
    Sums sums;
    std::int64_t cache_savings = 0;
    CCR_CHECK(each(connection,
                   "SELECT " + sums_sql() +
                       ", total(CASE WHEN cache = 'hit' THEN requested_cost_nanousd - cost_nanousd END) FROM requests WHERE " + where,
                   {since_us}, only, [&](const Statement& row) {
                     sums = sums_at(row);
                     cache_savings = row.number(7);
                   }));
    json::Writer writer(out);
    writer.begin_object().member("exportDate", rfc3339(now_us)).member("period", std::to_string(what.days) + " days").key("summary");
    writer.begin_object().member("totalCost", usd(sums.cost_nanousd)).member("totalUnknownCostCalls", sums.unknown_calls);
    writer.member("totalCalls", sums.calls).member("totalTokens", sums.tokens).member("cacheSavings", usd(cache_savings)).end_object();
    writer.key("byModel");
    CCR_CHECK(write_groups(connection, writer, "model", where, since_us, only));
    writer.key("byProject");
    CCR_CHECK(write_groups(connection, writer, "project", where, since_us, only));
    writer.key("hourlyTrend").begin_array();
    CCR_CHECK(each(connection,
                   std::string("SELECT at_us / 3600000000, count(*), total(") + kTokens + "), total(cost_nanousd), total(" +
                       kCostIsUnknown + ") FROM requests WHERE " + where + " GROUP BY 1 ORDER BY 1",
                   {since_us}, only, [&](const Statement& row) {
                     writer.begin_object().member("hour", rfc3339(row.number(0) * 3600 * kSecondUs)).member("calls", row.number(1));
                     writer.member("tokens", row.number(2)).member("cost", usd(row.number(3)));
                     writer.member("unknownCostCalls", row.number(4)).end_object();
                   }));
    writer.end_array().end_object();
    return {};
  });
}

namespace {

constexpr char kCsvNames[] =
    "timestamp,id,project,session,user,agent,client,requested_model,provider,model,status,stop_reason,input_tokens,output_tokens,"
    "cache_read_tokens,cache_write_tokens,cost_usd,cache,duration_ms,rule,error\r\n";

/// A row of CsvExport's query.
void append_csv(std::string& out, const Statement& row) {
  out.append(rfc3339(row.number(0)));
  for (int column = 1; column <= 14; ++column) out.append(",").append(csv_cell(row.text(column)));
  out.append(",");
  if (!row.is_null(15) || !row.is_null(16)) out.append(std::to_string(row.number(15) + row.number(16)));
  out.append(",");
  if (!row.is_null(17)) {
    std::array<char, 48> cost{};
    std::snprintf(cost.data(), cost.size(), "%.9f", usd(row.number(17)));
    out.append(cost.data());
  }
  out.append(",").append(csv_cell(row.text(18))).append(",").append(std::to_string(row.number(19) / 1000));
  out.append(",").append(csv_cell(row.text(20))).append(",").append(csv_cell(row.text(21))).append("\r\n");
}

constexpr char kRequest[] =
    "seq, id, at_us, project, session, user, agent, client, provider, model, requested_model, I, coalesce(output_tokens, 0), cost_nanousd,"
    " duration_us, status, stop_reason, cache, rule, reason, error";

std::string request_columns() {
  std::string sql = kRequest;
  return sql.replace(sql.find(" I,") + 1, 1, kInput);
}

/// A row of request_columns().
void write_request(json::Writer& writer, const Statement& row) {
  writer.begin_object().member("seq", row.number(0)).member("id", row.text(1)).member("timestamp", rfc3339(row.number(2)));
  int column = 3;
  for (const char* name : {"project", "session", "user", "agent", "client", "provider", "model", "requestedModel"}) {
    writer.member(name, row.text(column++));
  }
  writer.member("inputTokens", row.number(11)).member("outputTokens", row.number(12)).key("cost");
  if (row.is_null(13)) {
    writer.null();
  } else {
    writer.number(usd(row.number(13)));
  }
  writer.member("time", static_cast<double>(row.number(14)) / 1000).member("status", row.number(15));
  column = 16;
  for (const char* name : {"stopReason", "cache", "rule", "reason", "error"}) writer.member(name, row.text(column++));
  writer.end_object();
}

}  // namespace

CsvExport::CsvExport(Export what, std::int64_t now_us)
    : what_(std::move(what)), after_us_(now_us - what_.days * kDayUs - 1) {}

Result<std::string> CsvExport::next(const Source& from) {
  if (over_) return std::string();
  constexpr std::int64_t kPortionRows = 1000;
  std::int64_t rows = 0;
  CCR_TRY(lines, read(from, [&](Connection& connection, std::string& out) -> Result<void> {
            if (!begun_) {
              out = kCsvNames;
              CCR_TRY(newest, connection.number("SELECT max(seq) FROM requests"));
              until_seq_ = newest;
            }
            const std::string* const only = what_.one_project ? &what_.project : nullptr;
            return each(connection,
                        std::string("SELECT at_us, id, project, session, user, agent, client, requested_model, provider, model, status,"
                                    " stop_reason, input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens,"
                                    " cache_write_1h_tokens, cost_nanousd, cache, duration_us, rule, error, seq FROM requests"
                                    " WHERE (at_us, seq) > (?, ?) AND seq <= ?") +
                            (only == nullptr ? "" : " AND coalesce(project, '') = ?") + " ORDER BY at_us, seq LIMIT " +
                            std::to_string(kPortionRows),
                        {after_us_, after_seq_, until_seq_}, only, [&](const Statement& row) {
                          append_csv(out, row);
                          after_us_ = row.number(0);
                          after_seq_ = row.number(22);
                          ++rows;
                        });
          }));
  begun_ = true;
  over_ = rows < kPortionRows;
  return lines;
}

Result<std::string> requests_json(const Source& from, const RequestQuery& query) {
  return read(from, [&](Connection& connection, std::string& out) -> Result<void> {
    std::string where = "seq < ?";
    for (const auto& [column, text] :
         {std::pair("project", &query.project), {"session", &query.session}, {"requested_model", &query.model}}) {
      if (!text->empty()) where.append(" AND ").append(column).append(" = ?");
    }
    if (query.errors) where.append(" AND (status >= 400 OR error IS NOT NULL)");
    CCR_TRY(rows, Statement::prepare(connection, "SELECT " + request_columns() + " FROM requests WHERE " + where +
                                                     " ORDER BY seq DESC LIMIT " + std::to_string(query.limit)));
    int at = 0;
    rows.bind(++at, query.before > 0 ? query.before : std::numeric_limits<std::int64_t>::max());
    for (const std::string* text : {&query.project, &query.session, &query.model}) {
      if (!text->empty()) rows.bind_always(++at, *text);
    }
    json::Writer writer(out);
    writer.begin_object().key("requests").begin_array();
    std::int64_t count = 0;
    std::int64_t last = 0;
    for (;;) {
      CCR_TRY(more, rows.step());
      if (!more) break;
      write_request(writer, rows);
      last = rows.number(0);
      ++count;
    }
    writer.end_array().key("next");
    if (count < query.limit) {
      writer.null();
    } else {
      writer.integer(last);
    }
    writer.end_object();
    return {};
  });
}

Result<News> news(const Source& from, std::int64_t after_seq, std::int64_t most) {
  News found;
  CCR_TRY(unused, read(from, [&](Connection& connection, std::string&) -> Result<void> {
            if (after_seq < 0) {
              CCR_TRY(last, connection.number("SELECT max(seq) FROM requests"));
              found.last_seq = last;
              return {};
            }
            found.last_seq = after_seq;
            return each(connection,
                        "SELECT " + request_columns() + " FROM requests WHERE seq > ? ORDER BY seq LIMIT " + std::to_string(most),
                        {after_seq}, nullptr, [&](const Statement& row) {
                          News::Request& request = found.requests.emplace_back();
                          json::Writer writer(request.json);
                          write_request(writer, row);
                          found.last_seq = request.seq = row.number(0);
                        });
          }));
  (void)unused;  // it writes nothing
  return found;
}

}  // namespace ccrules::ledger
