#pragma once
#include <cstddef>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace ccrules::proxy {

/// Which outermost subagent run a nested one belongs to, so that a whole tree of them has one budget. Bounded: who was silent longest
/// is forgotten first, and found again in the ledger (ledger/subagent_table.h). Any thread.
class Subagents {
 public:
  static constexpr std::size_t kMost = 10000;

  /// @param parent empty: `agent` was started by the main loop
  /// @return nothing: `parent` is not remembered. Look it up and remember() it
  std::optional<std::string> root(std::string_view agent, std::string_view parent) {
    const std::lock_guard lock(mutex_);
    if (parent.empty()) {
      if (!heard_of(agent)) put(agent, agent);
      return std::string(agent);
    }
    const auto known = heard_of(parent);
    if (!known) return std::nullopt;
    put(agent, *known);
    return known;
  }
  /// What the ledger says of a run; its own root, when it says nothing.
  void remember(std::string_view run, std::string_view root) {
    const std::lock_guard lock(mutex_);
    put(run, root);
  }

 private:
  using Order = std::list<std::pair<std::string, std::string>>;  ///< a run and its root; who was heard of last is last

  /// The root of a run.
  std::optional<std::string> heard_of(std::string_view run) {
    const auto known = runs_.find(run);
    if (known == runs_.end()) return std::nullopt;
    order_.splice(order_.end(), order_, known->second);
    return known->second->second;
  }
  void put(std::string_view run, std::string_view root) {
    if (heard_of(run)) {
      runs_.find(run)->second->second = root;
      return;
    }
    if (runs_.size() >= kMost) {
      runs_.erase(order_.front().first);
      order_.pop_front();
    }
    order_.emplace_back(run, root);
    const auto last = std::prev(order_.end());
    runs_.emplace(last->first, last);
  }

  std::mutex mutex_;
  Order order_;
  std::map<std::string_view, Order::iterator, std::less<>> runs_;  ///< views of the runs in `order_`
};

}  // namespace ccrules::proxy
