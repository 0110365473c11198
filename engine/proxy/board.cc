#include "proxy/board.h"

#include <algorithm>
#include <utility>

#include "core/json.h"

namespace ccrules::proxy {
namespace {

/// One rule's troubles on all workers together.
std::vector<rules::RuleStatus> sum_up(const std::map<const void*, rules::EngineStatus>& workers, std::string_view ruleset) {
  std::vector<rules::RuleStatus> sums;
  for (const auto& [worker, status] : workers) {
    if (status.rule_set->hash != ruleset) continue;  // of rules that are no longer in force
    for (const rules::RuleStatus& row : status.troubled) {
      const auto same = [&row](const rules::RuleStatus& other) { return other.rule == row.rule && other.where == row.where; };
      const auto found = std::find_if(sums.begin(), sums.end(), same);
      if (found == sums.end()) {
        sums.push_back(row);
        continue;
      }
      found->failures += row.failures;
      found->stops += row.stops;
      found->quarantined = found->quarantined || row.quarantined;
      found->quarantined_since_us = std::max(found->quarantined_since_us, row.quarantined_since_us);
    }
  }
  return sums;
}

void write_troubled(json::Writer& out, const std::vector<rules::RuleStatus>& troubled) {
  out.key("troubled").begin_array();
  for (const rules::RuleStatus& row : troubled) {
    out.begin_object().member("rule", row.rule);
    if (!row.pack.empty()) out.member("pack", row.pack);
    out.member("where", row.where).member("layer", row.layer).member("may_deny", row.may_deny);
    out.member("quarantined", row.quarantined);
    if (row.quarantined) out.member("quarantined_since_us", row.quarantined_since_us);
    out.member("failures", static_cast<std::int64_t>(row.failures)).member("stops", static_cast<std::int64_t>(row.stops));
    out.member("last_error", row.last_error).end_object();
  }
  out.end_array();
}

}  // namespace

const char* outcome_name(ReloadReport::Outcome outcome) noexcept {
  switch (outcome) {
    case ReloadReport::Outcome::kLive: return "live";
    case ReloadReport::Outcome::kRefused: return "refused";
    case ReloadReport::Outcome::kHeld: return "held";
  }
  return "refused";
}

std::string to_json(const ReloadReport& report) {
  std::string text;
  json::Writer out(text);
  out.begin_object().member("schema", "ccrules.reload/1").member("outcome", outcome_name(report.outcome));
  out.member("at_us", report.at_us).member("ruleset", report.ruleset);
  out.key("why").begin_array();
  for (const std::string& line : report.why) out.string(line);
  out.end_array().member("tests", report.tests).member("failed_tests", report.failed_tests);
  out.key("impact").begin_object().member("judged", report.judged).member("not_judged", report.not_judged);
  out.member("changed", report.changed).key("moves").begin_array();
  for (const rules::Impact::Move& move : report.moves) {
    out.begin_object().member("from", move.from).member("to", move.to).member("rule", move.rule);
    out.member("example", move.example).member("requests", move.requests).end_object();
  }
  out.end_array().end_object().end_object();
  return text;
}

void Board::in_force(InForce rules) {
  const std::lock_guard lock(mutex_);
  in_force_ = std::move(rules);
}

void Board::tried(ReloadReport report) {
  const std::lock_guard lock(mutex_);
  last_ = std::make_unique<ReloadReport>(std::move(report));
}

void Board::troubled(const void* worker, const rules::EngineStatus& status) {
  const std::lock_guard lock(mutex_);
  workers_[worker] = status;
}

void Board::write(json::Writer& out) const {
  const std::lock_guard lock(mutex_);
  if (in_force_.rule_set == nullptr) return;
  out.member("since_us", in_force_.since_us).key("packs").begin_array();
  for (const rules::PackRef& pack : in_force_.rule_set->packs) {
    out.begin_object().member("name", pack.name).member("version", pack.version).member("layer", pack.layer).end_object();
  }
  out.end_array();
  if (!in_force_.candidate.empty()) out.member("candidate", in_force_.candidate);
  write_troubled(out, sum_up(workers_, in_force_.rule_set->hash));
  if (last_ != nullptr) out.member_raw("last_reload", to_json(*last_));
}

}  // namespace ccrules::proxy
