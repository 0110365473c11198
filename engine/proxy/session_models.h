#pragma once
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "chat/outline.h"
#include "rules/decision.h"
#include "rules/facts.h"

namespace ccrules::proxy {

/// Which models have thought in which conversation. Anthropic's newer models refuse thinking that another model signed (G-9), so what
/// came before a conversation changed its model must not go to the new one. Bounded memory, any thread; forgotten with the
/// process: what a provider refuses afterwards is sent again without that thinking, and noted by moved().
class SessionModels {
 public:
  /// A session's conversations differ by their first words: titles and subagents come between those of its main one.
  static std::string conversation(const rules::Identity& who, const chat::Outline& outline);
  /// How many messages at the conversation's start hold the thinking of other models than this one.
  [[nodiscard]] std::int64_t foreign_messages(const std::string& conversation, const rules::Target& target,
                                              std::int64_t messages) const;
  /// The target has answered a request with so many messages.
  void answered(const std::string& conversation, const rules::Target& target, std::int64_t messages);
  /// The same, and what was thought in them was another model's.
  void moved(const std::string& conversation, const rules::Target& target, std::int64_t messages);

 private:
  struct State {
    rules::Target target;
    std::int64_t foreign = 0;
  };
  mutable std::mutex mutex_;
  std::unordered_map<std::string, State> states_;
};

}  // namespace ccrules::proxy
