#include "proxy/session_models.h"

#include <algorithm>

#include "core/limits.h"

namespace ccrules::proxy {

std::string SessionModels::conversation(const rules::Identity& who, const chat::Outline& outline) {
  if (who.session.empty()) return {};
  return who.session + "\n" + who.agent_id + "\n" + std::string(outline.first_user_json.substr(0, limits::kConversationBytes));
}

std::int64_t SessionModels::foreign_messages(const std::string& conversation, const rules::Target& target,
                                             std::int64_t messages) const {
  if (conversation.empty()) return 0;
  const std::lock_guard lock(mutex_);
  const auto state = states_.find(conversation);
  if (state == states_.end()) return 0;
  return state->second.target == target ? std::min(state->second.foreign, messages) : messages;
}

void SessionModels::answered(const std::string& conversation, const rules::Target& target, std::int64_t messages) {
  if (conversation.empty()) return;
  const std::lock_guard lock(mutex_);
  const auto known = states_.find(conversation);
  if (known != states_.end()) {
    State& state = known->second;
    state.foreign = state.target == target ? std::min(state.foreign, messages) : messages;
    state.target = target;
    return;
  }
  if (states_.size() >= limits::kWarmKeys) states_.clear();
  State state;
  state.target = target;
  states_.emplace(conversation, std::move(state));
}

void SessionModels::moved(const std::string& conversation, const rules::Target& target, std::int64_t messages) {
  if (conversation.empty()) return;
  const std::lock_guard lock(mutex_);
  if (states_.size() >= limits::kWarmKeys && !states_.contains(conversation)) states_.clear();
  State& state = states_[conversation];
  state.target = target;
  state.foreign = messages;
}

}  // namespace ccrules::proxy
