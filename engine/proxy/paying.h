#pragma once
#include <string_view>

#include <span>
#include <string>

#include "async/task.h"
#include "chat/outline.h"
#include "core/result.h"
#include "http/message.h"
#include "proxy/plan.h"
#include "proxy/visit.h"
#include "proxy/worker.h"
#include "rules/decision.h"

/// Hard budgets along a request's way: set aside before it is sent, kept on the disk, settled when it is over.
namespace ccrules::proxy {

/// A dozen digits that tell the credential of a request from others; empty when it came without.
std::string fingerprint(const http::RequestHead& head, const config::Listen& listen);

/// Notes who pays: the decision's `budget`, the fingerprint of the client's credential, the tree of subagents.
/// @return false: to which tree it belongs is not remembered; recall_tree() first
[[nodiscard]] bool note_payer(Worker& worker, const http::RequestHead& head, const rules::Decision& decision, Visit& visit);

/// Reads from the ledger which tree of subagents the request belongs to.
Task<void> recall_tree(Worker& worker, const http::RequestHead& head, Visit& visit);

/// Reads from the ledger what someone has spent who was forgotten for the sake of others. Error: it cannot be read.
Task<Result<void>> recall(Worker& worker, const ledger::Spend::Name& whose);

/// Sets aside what the request may cost, where a hard budget applies to it, and waits until that is on the disk. Error: 429 when
/// it does not fit, 503 when what is left cannot be known.
Task<Result<void>> reserve_budget(Worker& worker, Visit& visit, Plan& plan);

/// True when the next attempt is at another model than the last one, and budgets go by models: reserve_more() first.
[[nodiscard]] bool asks_another_model(const Visit& visit, const rules::Target& target);

/// Before an attempt at a target that the decision does not name or whose model has budgets of its own, and after an answer that was
/// paid for and is not used: sets more aside where it takes more.
Task<Result<void>> reserve_more(Worker& worker, Visit& visit, const rules::Target& target, const rules::Decision& decision,
                                const chat::Outline& outline);

/// The same before an attempt at `second` beside the one at `first` that is under way: both may be billed. False when budgets have no
/// room for it, or that cannot be kept.
Task<bool> reserve_beside(Worker& worker, Visit& visit, const rules::Target& first, const rules::Target& second,
                          const rules::Decision& decision, const chat::Outline& outline);

/// The attempt at the row's target is over and no other one is under way: no other model's budgets pay.
void settle_model(Visit& visit);

/// True when a stream has cost more than is set aside for it, and its budgets have no room for more.
bool overspends(Visit& visit);
/// What the client is told then.
Error overspent();

/// The budget headers of an answer.
void describe_budgets(const Worker& worker, const Visit& visit, http::Headers& headers);

}  // namespace ccrules::proxy
