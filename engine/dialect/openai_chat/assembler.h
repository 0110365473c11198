#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chat/event.h"
#include "dialect/dialect.h"
#include "dialect/openai_chat/chunk.h"
#include "dialect/unstreamed.h"

/// Flat chunks -> events with block boundaries.
namespace ccrules::dialect::openai {

/// Follows a JSON text that arrives in pieces, only far enough to know when its outermost object or array has
/// closed.
class JsonScan {
 public:
  /// Takes `piece` up to and including the byte that closes the value. @return how many bytes that were.
  std::size_t take(std::string_view piece) noexcept;
  [[nodiscard]] bool complete() const noexcept { return complete_; }

 private:
  std::uint32_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
  bool complete_ = false;
};

/// The state machine of one reply. Blocks never interleave: what belongs to a later block waits until the
/// open one is over.
class Assembler {
 public:
  explicit Assembler(const ReaderOptions& options) : options_(options) {}

  /// Appends what the chunk makes certain. @return an error when the provider sends more than may be held
  /// back.
  Result<void> apply(const Chunk& chunk, std::vector<chat::Event>& out);
  /// The provider said that it failed. Nothing may follow.
  void fail(chat::StreamError error, std::vector<chat::Event>& out);
  /// The answer is over as the provider said ([DONE], or the end of a whole reply).
  void end(std::vector<chat::Event>& out);
  /// The bytes ended without [DONE]: ends the message when nothing is missing, else hands out a StreamError.
  void cut(const UnstreamedBody& start, std::vector<chat::Event>& out);

  [[nodiscard]] bool started() const { return started_; }
  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] bool finish_seen() const { return !finish_reason_.empty(); }
  /// A block was opened: what the client would see.
  [[nodiscard]] bool content_seen() const { return next_index_ > 0; }

 private:
  struct Tool {
    std::optional<std::int64_t> index;
    std::string wire_id;
    std::string name;
    std::string thought_signature;  ///< Google's, not handed out yet
    std::string waiting;            ///< arguments not handed out yet
    JsonScan scan;
    bool has_arguments = false;
    bool passing = false;  ///< the arguments are a JSON object: fragments go out as they come
    bool listed = false;   ///< waits in waiting_
    bool opened = false;
    bool closed = false;
  };
  /// Something that must wait for the open tool call to end.
  struct Waiting {
    enum class Kind : std::uint8_t { kText, kThinking, kTool } kind;
    std::string text;
    std::size_t tool = 0;
  };
  struct Detail {
    std::string type, id, format, text, summary, signature, data;
    std::optional<std::int64_t> index;
    std::string raw;  ///< a type this build does not know, verbatim
  };
  enum class Open : std::uint8_t { kNothing, kText, kThinking, kTool };

  void start(const Chunk& chunk, std::vector<chat::Event>& out);
  void take_text(std::string_view text, bool reasoning, std::vector<chat::Event>& out);
  void show_text(std::string_view text, std::vector<chat::Event>& out);
  void show_thinking(std::string_view text, std::vector<chat::Event>& out);
  void take_tool(ToolDelta delta, std::size_t position, std::vector<chat::Event>& out);
  std::size_t find_tool(const ToolDelta& delta, std::size_t position);
  std::size_t new_tool(const ToolDelta& delta);
  std::string_view take_arguments(std::size_t number, std::string_view fragment,
                                  std::vector<chat::Event>& out);
  void take_detail(std::string_view json);
  [[nodiscard]] bool must_wait() const;
  void open_waiting(bool everything, std::vector<chat::Event>& out);
  void open_tool(std::size_t number, std::vector<chat::Event>& out);
  void pass_arguments(Tool& tool, std::vector<chat::Event>& out);
  void close_block(std::vector<chat::Event>& out);
  void show_details(std::vector<chat::Event>& out);
  void sign(std::string thought_signature, std::vector<chat::Event>& out);
  [[nodiscard]] std::string signature();
  [[nodiscard]] std::string client_id(const Tool& tool) const;
  [[nodiscard]] std::string client_name(std::string_view sent) const;
  void note(const Extras& extras);
  void add_losses(chat::LossNotes& losses) const;
  void delta(chat::DeltaKind kind, std::string_view text, std::vector<chat::Event>& out) const;

  ReaderOptions options_;
  std::string message_id_;
  bool started_ = false;
  bool ended_ = false;
  Open open_ = Open::kNothing;
  std::size_t open_tool_ = 0;
  std::uint32_t next_index_ = 0;
  std::string blank_;  ///< white space that may come before a text, or before nothing
  std::vector<Tool> tools_;
  std::vector<Waiting> waiting_;  ///< in the order to open
  std::size_t held_bytes_ =
      0;  ///< all that was ever held back, so that a hostile provider cannot fill our memory
  std::vector<Detail> details_;  ///< reasoning_details not handed out yet
  std::string thought_signature_;  ///< of the call behind the open thinking block
  std::string finish_reason_;
  std::string stop_sequence_;
  Extras extras_;  ///< of all chunks
  bool final_usage_seen_ = false;
  chat::Usage usage_;
};

}  // namespace ccrules::dialect::openai
