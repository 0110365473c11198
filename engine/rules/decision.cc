#include "rules/decision.h"

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
  }
  return "set";
}

void write_decision(json::Writer& out, const Decision& decision) {
  out.member("rule", decision.rule).member("reason", decision.reason);
  if (decision.deny) {
    out.key("deny").begin_object().member("status", decision.deny->status).member("message", decision.deny->message);
    if (!decision.deny->type.empty()) out.member("type", decision.deny->type);
    out.end_object();
  }
  if (!decision.no_target.empty()) out.member("no_target", decision.no_target);
  if (!decision.bad_request.empty()) out.member("bad_request", decision.bad_request);
  out.key("targets").begin_array();
  for (const Target& target : decision.targets) {
    out.begin_object().member("provider", target.provider).member("model", target.model).end_object();
  }
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
  out.key("tags").begin_object();
  for (const auto& [name, value] : decision.tags) out.member(name, value);
  out.end_object();
  out.key("failed_rules").begin_array();
  for (const std::string& rule : decision.failed_rules) out.string(rule);
  out.end_array();
}

void write_trace(json::Writer& out, const Trace& trace) {
  out.key("claims").begin_array();
  for (const Claim& claim : trace.claims) {
    out.begin_object().member("slot", claim.slot).member("value", claim.value).member("rule", claim.rule);
    out.member("where", claim.where).member("shadowed", claim.shadowed).end_object();
  }
  out.end_array();
  out.key("rules").begin_array();
  for (const RuleTrace& rule : trace.rules) {
    out.begin_object().member("rule", rule.rule).member("where", rule.where).member("matched", rule.matched);
    if (!rule.failed_condition.empty()) out.member("failed_condition", rule.failed_condition).member("actual", rule.actual);
    if (!rule.error.empty()) out.member("error", rule.error);
    out.end_object();
  }
  out.end_array();
  out.key("facts_read").begin_object();
  for (const auto& [name, value_json] : trace.facts_read) out.member_raw(name, value_json);
  out.end_object();
  out.member("time_ns", trace.time_ns);
}

}  // namespace

std::string to_json(const Decision& decision, const Trace& trace, std::string_view decision_id) {
  std::string text;
  json::Writer out(text);
  out.begin_object().member("v", 1).member("id", decision_id).member("ruleset", trace.ruleset);
  write_decision(out, decision);
  write_trace(out, trace);
  out.end_object();
  return text;
}

}  // namespace ccrules::rules
