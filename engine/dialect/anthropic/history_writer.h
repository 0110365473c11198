#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "chat/loss.h"
#include "chat/request.h"
#include "core/json.h"
#include "dialect/dialect.h"

namespace ccrules::dialect::anthropic_messages {

/// Brings a conversation of any dialect into the order Anthropic insists on and writes it: neighbours of one
/// role merged, every tool call answered at the start of the next user message, no empty texts, no foreign
/// reasoning (translation gotchas 5, 8, 13-16, 23).
class HistoryWriter {
 public:
  /// @param dialect that the request came in
  HistoryWriter(std::string_view dialect, std::vector<chat::Message> messages, const Capabilities& target, chat::LossNotes& losses);
  /// Nothing is left to send.
  [[nodiscard]] bool empty() const { return turns_.empty(); }
  /// The last user turn answers a tool call whose assistant turn does not begin with thinking: `thinking:
  /// enabled` would be refused.
  [[nodiscard]] bool continues_unthought_call() const;
  /// Writes the `messages` array's elements.
  void write(json::Writer& writer);

 private:
  struct Turn {
    chat::Role role = chat::Role::kUser;
    bool plain_string = false;
    std::vector<chat::Block> blocks;
    std::string extra_json;
  };
  void add(chat::Message message);
  /// The block as the target takes it; false drops it.
  bool carry(chat::Block& block);
  Turn& turn_of(chat::Role role);
  void answer_every_call();
  void trim_prefill();
  /// Gives a call an id that the target accepts and that no earlier call has (G-23).
  std::string id_of_call(const std::string& id);
  /// The id that the last call of this name got.
  std::string id_of_result(const std::string& id);
  static void write(json::Writer& writer, const Turn& turn);

  bool own_;  ///< the request came in Anthropic's dialect
  const Capabilities& target_;
  chat::LossNotes& losses_;
  std::vector<Turn> turns_;
  std::unordered_map<std::string, std::string>
      ids_;  ///< the client's id -> the one its latest call was given, where that is not the first choice
  std::unordered_set<std::string> used_ids_;
  std::unordered_map<std::string, std::uint64_t> comes_again_;  ///< first choice -> how many calls were given another
};

}  // namespace ccrules::dialect::anthropic_messages
