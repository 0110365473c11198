#include "proxy/past_request.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "core/json.h"

namespace ccrules::proxy {
namespace {

constexpr double kNanoPerUsd = 1e9;

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

}  // namespace

rules::RecordedRequest recorded(const ledger::Record& row) {
  rules::RecordedRequest request;
  request.identity.client = row.client;
  request.identity.session = row.session;
  request.identity.user = row.user;
  request.identity.project = row.project;
  request.identity.agent = row.agent;
  request.identity.request_class = row.request_class;
  request.model = row.requested_model;
  request.dialect = row.dialect;
  request.path = row.path;
  request.stream = row.stream;
  request.wall_us = row.at_us;
  request.facts_json = row.facts_json;
  return request;
}

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

}  // namespace ccrules::proxy
