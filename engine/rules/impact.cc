#include "rules/impact.h"

#include <algorithm>

namespace ccrules::rules {

void Impact::judge(const RecordedRequest& request, const std::string& request_id) {
  const Result<Redecision> before = decide_again(live_, request);
  const Result<Redecision> after = decide_again(next_, request);
  if (!before.ok() || !after.ok() || !before->not_kept.empty() || !after->not_kept.empty()) {
    ++not_judged_;
    return;
  }
  ++judged_;
  const std::vector<Change> changes = changes_between(before->decision, after->decision);
  if (std::none_of(changes.begin(), changes.end(), [](const Change& change) { return change.outside(); })) return;
  ++changed_;
  std::string from = destination(before->decision);
  std::string to = destination(after->decision);
  Move& move = moves_[{from, to}];
  if (move.requests++ > 0) return;
  move.from = std::move(from);
  move.to = std::move(to);
  move.rule = after->decision.rule;
  move.example = request_id;
}

double Impact::changed_percent() const {
  return judged_ == 0 ? 0 : 100.0 * static_cast<double>(changed_) / static_cast<double>(judged_);
}

std::vector<Impact::Move> Impact::moves() const {
  std::vector<Move> moves;
  for (const auto& [key, move] : moves_) moves.push_back(move);
  std::stable_sort(moves.begin(), moves.end(), [](const Move& a, const Move& b) { return a.requests > b.requests; });
  return moves;
}

}  // namespace ccrules::rules
