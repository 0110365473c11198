#include "rules/shadow.h"

#include <chrono>

#include "core/json.h"
#include "rules/watchdog.h"

namespace ccrules::rules {
namespace {

std::int64_t steady_ns() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

Result<std::string> text_of(json::Value& value) {
  CCR_TRY(text, value.string());
  return std::string(text);
}

Result<Change> read_change(json::Value& value) {
  CCR_TRY(members, value.object());
  Change change;
  while (members.next()) {
    std::string* slot = members.key() == "slot"     ? &change.slot
                        : members.key() == "before" ? &change.before
                        : members.key() == "after"  ? &change.after
                        : members.key() == "rule"   ? &change.rule
                                                    : nullptr;
    if (slot == nullptr) continue;
    CCR_TRY(text, text_of(members.value()));
    *slot = std::move(text);
  }
  CCR_CHECK(members.done());
  return change;
}

}  // namespace

std::string to_json(const Comparison& comparison) {
  std::string out;
  json::Writer writer(out);
  writer.begin_object().member("ruleset", comparison.ruleset);
  if (!comparison.rule.empty()) writer.member("rule", comparison.rule);
  if (!comparison.changes.empty()) {
    writer.key("changes").begin_array();
    for (const Change& change : comparison.changes) {
      writer.begin_object().member("slot", change.slot);
      if (!change.before.empty()) writer.member("before", change.before);
      if (!change.after.empty()) writer.member("after", change.after);
      if (!change.rule.empty()) writer.member("rule", change.rule);
      writer.end_object();
    }
    writer.end_array();
  }
  if (!comparison.failed_rules.empty()) {
    writer.key("failed").begin_array();
    for (const std::string& rule : comparison.failed_rules) writer.string(rule);
    writer.end_array();
  }
  writer.end_object();
  return out;
}

Result<Comparison> read_comparison(std::string_view text) {
  CCR_TRY(document, json::Document::open_view(text));
  CCR_TRY(root, document.root_object());
  Comparison comparison;
  while (root.next()) {
    if (root.key() == "ruleset") {
      CCR_TRY(value, text_of(root.value()));
      comparison.ruleset = std::move(value);
    } else if (root.key() == "rule") {
      CCR_TRY(value, text_of(root.value()));
      comparison.rule = std::move(value);
    } else if (root.key() == "changes") {
      CCR_TRY(items, root.value().array());
      while (items.next()) {
        CCR_TRY(change, read_change(items.value()));
        comparison.changes.push_back(std::move(change));
      }
      CCR_CHECK(items.done());
    } else if (root.key() == "failed") {
      CCR_TRY(items, root.value().array());
      while (items.next()) {
        CCR_TRY(rule, text_of(items.value()));
        comparison.failed_rules.push_back(std::move(rule));
      }
      CCR_CHECK(items.done());
    }
  }
  CCR_CHECK(root.done());
  return comparison;
}

std::string Shadow::compare(const Facts& facts, const Decision& live) {
  const std::chrono::nanoseconds began = thread_cpu_time();
  if (!share_.may_begin(steady_ns())) return {};
  Decision decision = candidate_->decide(facts);
  Comparison comparison;
  comparison.ruleset = candidate_->hash();
  comparison.changes = changes_between(live, decision);
  comparison.rule = std::move(decision.rule);
  comparison.failed_rules = std::move(decision.failed_rules);
  std::string told = to_json(comparison);
  share_.took((thread_cpu_time() - began).count());
  return told;
}

void Shadow::compare(api::On on, const Facts& facts, const AttemptDecision& live, std::string& told) {
  if (told.empty()) return;  // its request was left out
  const std::chrono::nanoseconds began = thread_cpu_time();
  if (!share_.may_begin(steady_ns())) return;
  AttemptDecision decision = on == api::On::kError ? candidate_->decide_error(facts) : candidate_->decide_response(facts);
  std::vector<Change> changes = changes_between(live, decision);
  if (!changes.empty() || !decision.failed_rules.empty()) {
    Result<Comparison> comparison = read_comparison(told);
    if (comparison.ok()) {
      for (Change& change : changes) {
        change.slot.insert(0, std::string(api::on_name(on)) + ".");
        comparison->changes.push_back(std::move(change));
      }
      for (std::string& rule : decision.failed_rules) comparison->failed_rules.push_back(std::move(rule));
      told = to_json(*comparison);
    }
  }
  share_.took((thread_cpu_time() - began).count());
}

}  // namespace ccrules::rules
