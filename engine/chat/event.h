#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "chat/loss.h"
#include "chat/request.h"
#include "chat/usage.h"

/// A streamed reply as neutral events. Order guaranteed by every StreamReader, whatever the provider sends:
/// MessageStart (BlockStart BlockDelta* BlockEnd)* MessageEnd, Ping anywhere, StreamError at most once and
/// last. Blocks never interleave; indexes are contiguous from 0.
namespace ccrules::chat {

enum class StopReason : std::uint8_t {
  kEndTurn,
  kMaxTokens,
  kToolUse,
  kStopSequence,
  kRefusal,
  kPauseTurn,
  kContextExceeded,
  kOther
};

struct MessageStart {
  std::string id;
  std::string model;
  Usage usage;
};

/// Opens a block. Text, Thinking and ToolCall start empty (ToolCall with id and name) and grow by deltas;
/// redacted Thinking and Opaque are complete and get no delta.
struct BlockStart {
  std::uint32_t index = 0;
  Block block;
};

enum class DeltaKind : std::uint8_t { kText, kThinking, kSignature, kArguments, kOpaque };
struct BlockDelta {
  std::uint32_t index = 0;
  DeltaKind kind = DeltaKind::kText;
  std::string
      text;  ///< kOpaque: the delta object, verbatim JSON of the reader's own dialect (citations_delta)
};

struct BlockEnd {
  std::uint32_t index = 0;
};

struct MessageEnd {
  StopReason reason = StopReason::kEndTurn;
  std::string stop_sequence;      ///< which one, when reason is kStopSequence and the provider says
  std::string stop_details_json;  ///< Anthropic stop_details, verbatim
  Usage usage;                    ///< cumulative, final
  LossNotes losses;               ///< parts of the answer that no event carries
};

/// The provider failed after it had started to answer. The reply is incomplete and must not look complete.
struct StreamError {
  std::string type;  ///< an Anthropic error type: overloaded_error, api_error, rate_limit_error ...
  std::string message;
  bool cut = false;  ///< the provider said nothing: its stream ended before its answer did
  std::int64_t retry_after_ms = -1;  ///< what the provider said of it in the stream; -1: nothing
};

struct Ping {};

using Event = std::variant<MessageStart, BlockStart, BlockDelta, BlockEnd, MessageEnd, StreamError, Ping>;

/// True for the events that count as the first real content of an attempt (a block opened or text arrived).
[[nodiscard]] bool is_content(const Event& event);

/// A whole reply that did not stream (or was collected).
struct Reply {
  std::string id;
  std::string model;
  std::vector<Block> blocks;
  StopReason reason = StopReason::kEndTurn;
  std::string stop_sequence;
  std::string stop_details_json;
  Usage usage;
  LossNotes losses;  ///< parts of the provider's answer that have no place here
};

/// events -> whole message. Feed every event in order; take() after MessageEnd.
class Collector {
 public:
  void add(const Event& event);
  /// True once MessageEnd arrived and no StreamError did.
  [[nodiscard]] bool complete() const { return complete_; }
  [[nodiscard]] const std::optional<StreamError>& error() const { return error_; }
  [[nodiscard]] Reply take() { return std::move(reply_); }

 private:
  Reply reply_;
  bool complete_ = false;
  std::optional<StreamError> error_;
};

/// whole message -> the events a stream of it would have had.
std::vector<Event> unroll(const Reply& reply);

}  // namespace ccrules::chat
