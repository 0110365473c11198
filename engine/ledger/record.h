#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "chat/usage.h"

namespace ccrules::ledger {

/// One row of the table `requests`: what product.md, chapter 5, promises. Strings empty and optionals unset
/// become NULL.
struct Record {
  std::string id;          ///< "req_..."; unique
  std::int64_t at_us = 0;  ///< wall clock at arrival
  std::string client, dialect, path, session, user, project, agent, request_class;
  std::string key;       ///< fingerprint of the credential that the client came with, never the credential
  std::string subagent;  ///< the subagent run, or the outermost one of several nested ones
  std::string nested_run;  ///< the run itself, where `subagent` is another one that started it; no column of its own
  std::string payer;     ///< whose budget pays in place of the request's own: "project:web"
  std::string requested_model;
  /// Whose budgets of scope `model` pay, config::model_name() of the target's; empty: `requested_model` is called so.
  std::string billed_model;
  std::string decision_id, rule, reason;
  std::string provider, model;  ///< the target that answered (or failed last)
  int attempts = 0;
  int status = 0;  ///< as the client saw it; 499: the client left first
  std::string stop_reason;
  bool stream = false;
  chat::Usage usage;
  bool usage_estimated = false;                        ///< cut before the provider said: output counted by us
  std::optional<std::int64_t> cost_nanousd;            ///< unset: the price is unknown
  std::optional<std::int64_t> budget_nanousd;          ///< what budgets count in place of a cost that is unset
  std::string unpriced_tier;                           ///< that the provider served it at: the cost is the standard tier's
  std::string unpriced_fees;                           ///< ledger::unpriced_fees(): not in the cost
  std::optional<std::int64_t> requested_cost_nanousd;  ///< what the requested model would have cost
  std::string cache = "bypass";
  /// Why the provider wrote to its prompt cache what the session had there before (proxy/cache_breaks.h); empty: it did not.
  std::string cache_break;
  std::optional<std::int64_t> cache_break_tokens;
  std::optional<std::int64_t> cache_break_nanousd;  ///< what writing them cost more than reading
  std::int64_t ttft_us = -1;  ///< to the first content byte; -1: none was sent
  std::int64_t duration_us = 0;
  /// The prompt's size as the decision knew it ("exact", "anchored", "estimated"), to be compared with the usage.
  std::optional<std::int64_t> counted_tokens;
  std::string counted_grade;
  /// What ratios are learned from (tokens/calibration.h): an estimate without corrections, and whose it is.
  std::optional<std::int64_t> estimate_tokens;
  std::string estimate_key;
  std::string error;  ///< error_code_name(): message
  std::string tags_json;
  std::string ruleset;     ///< hash of the rules that decided
  std::string facts_json;  ///< what they decided from, rules/recorded.h
  bool held = false;        ///< Ledger::hold() has set money aside for it
  std::uint32_t held_slot = 0;  ///< so has Ledger::hold_at_once(), which gave this; 0: it has not
  std::string shadow_json;  ///< what candidate rules would have done, rules/shadow.h

  /// What it adds to what was spent; 0 and less: nothing.
  [[nodiscard]] std::int64_t counted_nanousd() const noexcept { return cost_nanousd.value_or(budget_nanousd.value_or(0)); }
};

}  // namespace ccrules::ledger
