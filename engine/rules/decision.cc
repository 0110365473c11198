#include "rules/decision.h"

#include <array>

#include "core/json.h"

namespace ccrules::rules {
namespace {

const char* kind_name(FieldEdit::Kind kind) {
  switch (kind) {
    case FieldEdit::Kind::kSet: return "set";
    case FieldEdit::Kind::kAtMost: return "max";
    case FieldEdit::Kind::kAtLeast: return "min";
    case FieldEdit::Kind::kDefault: return "default";
    case FieldEdit::Kind::kRemove: return "remove";
    case FieldEdit::Kind::kOneOf: return "values";
  }
  return "set";
}

void write_texts(json::Writer& out, const std::vector<std::string>& texts) {
  out.begin_array();
  for (const std::string& text : texts) out.string(text);
  out.end_array();
}

void write_deny(json::Writer& out, const std::optional<Deny>& deny) {
  if (!deny) return;
  out.key("deny").begin_object().member("status", deny->status).member("message", deny->message);
  if (!deny->type.empty()) out.member("type", deny->type);
  out.end_object();
}

void write_target(json::Writer& out, const Target& target) {
  out.begin_object().member("provider", target.provider).member("model", target.model).end_object();
}

void write_tags(json::Writer& out, const std::map<std::string, std::string>& tags) {
  out.key("tags").begin_object();
  for (const auto& [name, value] : tags) out.member(name, value);
  out.end_object();
}

void write_failed(json::Writer& out, const std::vector<std::string>& failed_rules) {
  write_texts(out.key("failed_rules"), failed_rules);
}

void write_decision(json::Writer& out, const Decision& decision) {
  out.member("rule", decision.rule).member("reason", decision.reason);
  write_deny(out, decision.deny);
  if (!decision.no_target.empty()) out.member("no_target", decision.no_target);
  if (!decision.bad_request.empty()) out.member("bad_request", decision.bad_request);
  out.key("targets").begin_array();
  for (const Target& target : decision.targets) write_target(out, target);
  out.end_array();
  out.key("set").begin_array();
  for (const FieldEdit& edit : decision.edits) {
    out.begin_object().member("field", edit.field).member("kind", kind_name(edit.kind));
    if (!edit.value_json.empty()) out.member_raw("value", edit.value_json);
    out.end_object();
  }
  out.end_array();
  out.key("headers").begin_object();
  for (const HeaderEdit& edit : decision.headers) {
    out.key(edit.name);
    if (edit.value) {
      out.string(*edit.value);
    } else {
      out.null();
    }
  }
  out.end_object();
  write_tags(out, decision.tags);
  if (decision.cache) {
    out.key("cache").begin_object().member("use", decision.cache->use);
    if (decision.cache->ttl.count() >= 0) out.member("ttl_ms", decision.cache->ttl.count());
    if (!decision.cache->scope.empty()) out.member("scope", decision.cache->scope);
    if (!decision.cache->keep.empty()) write_texts(out.key("keep"), decision.cache->keep);
    out.end_object();
  }
  if (!decision.budget.empty()) out.member("budget", decision.budget);
  if (decision.strict) {
    write_texts(out.key("strict"), *decision.strict);
  }
  write_failed(out, decision.failed_rules);
}

void write_decision(json::Writer& out, const AttemptDecision& decision) {
  out.member("rule", decision.rule);
  write_deny(out, decision.deny);
  if (decision.retry) {
    out.member("retry", *decision.retry);
    if (decision.retry_after.count() >= 0) {
      out.member("retry_after_ms", decision.retry_after.count());
    }
    out.member("retry_at_most_ms", decision.retry_at_most.count());
  }
  if (decision.next_fallback) out.member("next_fallback", *decision.next_fallback);
  if (decision.to) {
    out.key("to");
    write_target(out, *decision.to);
  }
  write_tags(out, decision.tags);
  write_failed(out, decision.failed_rules);
}

void write_rule_set(json::Writer& out, const Trace& trace) {
  const RuleSetRef none;
  const RuleSetRef& set = trace.rule_set != nullptr ? *trace.rule_set : none;
  out.key("packs").begin_array();
  for (const PackRef& pack : set.packs) {
    out.begin_object().member("name", pack.name).member("version", pack.version).member("layer", pack.layer).end_object();
  }
  out.end_array();
  out.key("overrides").begin_array();
  for (const OverrideRef& override : set.overrides) {
    out.begin_object().member("rule", override.rule).member("where", override.where).end_object();
  }
  out.end_array();
}

void write_rule(json::Writer& out, const RuleTrace& rule) {
  out.begin_object().member("rule", rule.rule).member("where", rule.where).member("layer", rule.layer);
  if (!rule.pack.empty()) out.member("pack", rule.pack);
  out.member("matched", rule.matched);
  if (!rule.failed_condition.empty()) out.member("failed_condition", rule.failed_condition).member("actual", rule.actual);
  if (!rule.error.empty()) out.member("error", rule.error);
  if (rule.quarantined) out.member("quarantined", true);
  out.member("time_ns", rule.time_ns).end_object();
}

void write_trace(json::Writer& out, const Trace& trace) {
  out.key("claims").begin_array();
  for (const Claim& claim : trace.claims) {
    out.begin_object().member("slot", claim.slot).member("value", claim.value).member("rule", claim.rule);
    out.member("where", claim.where);
    if (!claim.pack.empty()) out.member("pack", claim.pack);
    out.member("shadowed", claim.shadowed).end_object();
  }
  out.end_array();
  out.key("rules").begin_array();
  for (const RuleTrace& rule : trace.rules) write_rule(out, rule);
  out.end_array();
  out.key("facts_read").begin_object();
  for (const auto& [name, value_json] : trace.facts_read) out.member_raw(name, value_json);
  out.end_object();
  out.member("time_ns", trace.time_ns);
}

template <class AnyDecision>
std::string write_json(const AnyDecision& decision, const Trace& trace, std::string_view decision_id) {
  std::string text;
  json::Writer out(text);
  out.begin_object().member("v", 1).member("id", decision_id).member("on", trace.on).member("ruleset", trace.ruleset);
  write_rule_set(out, trace);
  write_decision(out, decision);
  write_trace(out, trace);
  out.end_object();
  return text;
}

}  // namespace

std::string target_text(const Target& target) { return target.provider + "," + target.model; }

bool same_effect(Decision one, const Decision& other) {
  one.reason = other.reason;
  one.failed_rules = other.failed_rules;
  return one == other;
}

std::span<const std::string_view> kept_on_request() noexcept {
  static constexpr std::array<std::string_view, 4> kReasons = {"tool_use", "max_tokens", "model_context_window_exceeded", "refusal"};
  return kReasons;
}

std::string listed(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += ", ";
    out += word;
  }
  return out;
}

std::string trace_json(const Decision& decision, const Trace& trace, std::string_view decision_id) {
  return write_json(decision, trace, decision_id);
}

std::string trace_json(const AttemptDecision& decision, const Trace& trace, std::string_view decision_id) {
  return write_json(decision, trace, decision_id);
}

}  // namespace ccrules::rules
