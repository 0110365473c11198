#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "rules/change.h"
#include "rules/engine.h"
#include "rules/recorded.h"

namespace ccrules::rules {

/// How many recent decisions new rules would make otherwise than those in force: both make each of them again from what the
/// ledger keeps. What neither can judge (rules that read texts, which are not kept) is counted apart.
class Impact {
 public:
  struct Move {
    std::string from, to;
    std::string rule;     ///< of the new rules, for the first one
    std::string example;  ///< request id
    std::int64_t requests = 0;
  };

  /// The engines outlive this.
  Impact(Engine& live, Engine& next) : live_(live), next_(next) {}

  void judge(const RecordedRequest& request, const std::string& request_id);
  [[nodiscard]] std::int64_t judged() const { return judged_; }
  [[nodiscard]] std::int64_t not_judged() const { return not_judged_; }
  /// Of those judged: what would go elsewhere, or be changed on its way.
  [[nodiscard]] std::int64_t changed() const { return changed_; }
  /// 0 when nothing was judged.
  [[nodiscard]] double changed_percent() const;
  /// The most frequent first; what only changes on its way has from == to.
  [[nodiscard]] std::vector<Move> moves() const;

 private:
  Engine& live_;
  Engine& next_;
  std::int64_t judged_ = 0;
  std::int64_t not_judged_ = 0;
  std::int64_t changed_ = 0;
  std::map<std::pair<std::string, std::string>, Move> moves_;
};

}  // namespace ccrules::rules
