#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "chat/event.h"
#include "core/json.h"
#include "dialect/dialect.h"
#include "dialect/unstreamed.h"

/// Answers and chunks of answers (they look alike) -> events with block boundaries.
namespace ccrules::dialect::gemini {

/// One part of a candidate's content. Views live as long as the document it was read from.
struct Part {
  enum class Kind : std::uint8_t { kText, kThought, kCall, kOther } kind = Kind::kText;
  std::string_view text;
  std::string_view signature;
  std::string_view id;         ///< kCall; Gemini 2.5 sends none
  std::string_view name;       ///< kCall
  std::string_view args_json;  ///< kCall; empty when there were none
  std::string_view type;       ///< kOther: the part's own member
  std::string_view json;       ///< kOther: the whole part
};

/// One GenerateContentResponse; of its candidates the first, and how much there is of the others.
struct Chunk {
  std::string_view id;
  std::string_view model;
  std::vector<Part> parts;
  std::string_view finish_reason;
  std::string_view finish_message;
  std::string_view block_reason;
  std::string_view block_message;
  chat::Usage usage;
  std::int64_t searches = 0;  ///< queries of the web
  std::int64_t other_text_bytes = 0;  ///< of the other candidates' parts, as JSON
  bool grounded = false;         ///< says what Google found
  bool cites = false;            ///< says what it cites
  bool other_candidate = false;  ///< holds another candidate than the first
  bool is_error = false;   ///< it has an `error` instead
  bool is_answer = false;  ///< it has candidates or says why not
};

/// Reads the document's root into `chunk`, which is emptied first.
Result<void> read_chunk(json::Document& document, Chunk& chunk);

/// The state machine of one reply.
class Assembler {
 public:
  explicit Assembler(const ReaderOptions& options) : options_(options) {}

  /// @return an error when the provider sends more calls than may be
  Result<void> apply(const Chunk& chunk, std::vector<chat::Event>& out);
  /// The provider said that it failed. Nothing may follow.
  void fail(chat::StreamError error, std::vector<chat::Event>& out);
  /// The bytes ended: ends the message when its finish reason has come, else hands out a StreamError.
  void end(const UnstreamedBody& start, std::vector<chat::Event>& out);

  [[nodiscard]] bool started() const { return started_; }
  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] bool finish_seen() const { return !finish_reason_.empty() || !block_reason_.empty(); }

 private:
  enum class Open : std::uint8_t { kNothing, kText, kThinking };

  void take(const Part& part, std::vector<chat::Event>& out);
  void take_text(const Part& part, std::vector<chat::Event>& out);
  void take_thought(const Part& part, std::vector<chat::Event>& out);
  void take_call(const Part& part, std::vector<chat::Event>& out);
  void take_other(const Part& part, std::vector<chat::Event>& out);
  void sign(std::string_view signature, std::vector<chat::Event>& out);
  void open_thinking(std::vector<chat::Event>& out);
  void close_block(std::vector<chat::Event>& out);
  void add_losses(chat::LossNotes& losses) const;
  void delta(chat::DeltaKind kind, std::string_view text, std::vector<chat::Event>& out) const;
  [[nodiscard]] std::string client_id(std::string_view id);
  [[nodiscard]] std::string client_name(std::string_view sent) const;

  ReaderOptions options_;
  bool started_ = false;
  bool ended_ = false;
  bool called_ = false;
  Open open_ = Open::kNothing;
  std::uint32_t next_index_ = 0;
  std::string blank_;      ///< white space that may come before a text, or before nothing
  std::string signature_;  ///< of the open thinking block
  std::set<std::string> ids_;
  std::string finish_reason_;
  std::string finish_message_;
  std::string block_reason_;
  std::string block_message_;
  chat::Usage usage_;
  bool grounded_ = false, cites_ = false, other_candidate_ = false;  ///< of all chunks
};

}  // namespace ccrules::dialect::gemini
