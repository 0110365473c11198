#pragma once
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace ccrules::proxy {

/// Which outermost subagent run a nested one belongs to, so that a whole tree of them has one budget. Bounded; any thread.
class Subagents {
 public:
  /// @param parent empty: `agent` was started by the main loop
  std::string root(std::string_view agent, std::string_view parent) {
    const std::lock_guard lock(mutex_);
    if (parent.empty()) return std::string(agent);
    const auto known = roots_.find(parent);
    std::string root(known == roots_.end() ? parent : std::string_view(known->second));
    if (roots_.size() >= kMost) roots_.clear();  // runs are short: those under way come again with their next request
    roots_.insert_or_assign(std::string(agent), root);
    return root;
  }

 private:
  static constexpr std::size_t kMost = 10000;
  std::mutex mutex_;
  std::map<std::string, std::string, std::less<>> roots_;  ///< of nested runs only
};

}  // namespace ccrules::proxy
