#pragma once
#include <optional>
#include <string>
#include <vector>

#include "async/frame_pool.h"
#include "async/task.h"
#include "chat/outline.h"
#include "chat/request.h"
#include "core/json.h"
#include "core/result.h"
#include "dialect/dialect.h"
#include "http/message.h"
#include "proxy/visit.h"
#include "proxy/worker.h"
#include "rules/decision.h"
#include "rules/facts.h"
#include "rules/recorded.h"

namespace ccrules::proxy {

/// What is known of a request before it is sent, and what was decided from it; given back once a provider has answered.
/// Stays where it is: the facts point into it.
struct Plan : Pooled {
  std::optional<json::Document> document;  ///< over the body, until the first attempt has been written
  chat::Outline outline;
  bool may_name_ttl = true;  ///< false: no member of the body is called `ttl`
  rules::Identity who;
  rules::Facts facts;
  rules::FactRecorder recorder;
  rules::TokensUse tokens_use;
  rules::Decision decision;
  std::vector<ledger::Spend::Name> forgotten;  ///< whose spending the rules asked for, in vain
  const dialect::Dialect* spoken = nullptr;
  const std::string* body = nullptr;  ///< with json::kPadding spare bytes behind it
  std::optional<chat::Request> whole;  ///< once a rule asked for the messages

  /// The whole request; null when it cannot be read.
  const chat::Request* request();
};

/// Steps 4 to 6 of docs/life-of-a-request.md: outline, identity, a cheap count, the rules' decision. Reads no more than agent
/// files. `body` must live as long as the plan. Error: the client's mistake.
Result<void> decide(Worker& worker, const http::RequestHead& head, const dialect::Route& route, std::string& body,
                    Visit& visit, Plan& plan);

/// Reads from the ledger what rules asked for and memory has forgotten, and decides again.
Task<void> decide_knowing(Worker& worker, Visit& visit, Plan& plan);

/// Counts block by block and decides again where the decision could be another one within what the cheap count leaves open.
/// A body that cannot be counted so is for the provider to judge.
Task<void> decide_closely(Worker& worker, std::string_view body, Visit& visit, Plan& plan);

/// The decision stands: notes it in the row. Error: what it refuses.
Result<void> settle(Visit& visit, Plan& plan);

/// What the rules would say to a request that is not one yet (a count of tokens, a request of a batch): nothing is counted or
/// recorded. Fills in `who`.
rules::Decision would_decide(Worker& worker, const Policy& policy, const http::RequestHead& head, const dialect::Dialect& spoken,
                             const chat::Outline& outline, rules::Identity& who);

}  // namespace ccrules::proxy
