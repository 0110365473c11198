#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Strict judges of what we send: byte streams, whole replies, errors and requests in both dialects. Stricter
/// than any client: whatever passes here is understood by every SDK of docs/dialects. They share no code with
/// the product.
namespace ccrules::test {

/// One block of the answer as the validator saw it; of an OpenAI stream, reasoning, text and tool calls in
/// that order.
struct SeenBlock {
  std::string type;       ///< "text", "thinking", "tool_use", or the wire's own name
  std::string text;       ///< text or thinking
  std::string signature;  ///< thinking only
  std::string id;         ///< tool_use only
  std::string name;       ///< tool_use only
  std::string arguments;  ///< tool_use only: JSON text, "{}" when the wire said nothing
  bool operator==(const SeenBlock&) const = default;
};

enum class Ending {
  kCut,    ///< the bytes stopped before the answer did
  kClean,  ///< message_stop, [DONE]
  kError   ///< an error event, and nothing after it
};

/// What a client would have understood, and everything that is wrong with it.
struct Seen {
  std::vector<std::string> faults;  ///< one sentence each; empty: valid
  Ending ending = Ending::kCut;
  std::string id;
  std::string model;
  std::vector<SeenBlock> blocks;
  std::string stop;  ///< stop_reason or finish_reason
  std::string stop_sequence;
  std::optional<std::int64_t> input_tokens;  ///< as the wire counts them (OpenAI: cached ones included)
  std::optional<std::int64_t> output_tokens;
  std::optional<std::int64_t> cache_read_tokens;
  std::string error_type;
  std::string error_message;
  int pings = 0;

  [[nodiscard]] bool ok() const { return faults.empty(); }
  /// The faults, one a line: what a failed test prints.
  [[nodiscard]] std::string report() const;
  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::string thinking() const;
  [[nodiscard]] std::vector<SeenBlock> tools() const;
};

/// A whole Anthropic SSE body. A cut stream is a fault unless `may_be_cut`.
Seen check_anthropic_stream(std::string_view sse, bool may_be_cut = false);
/// A whole OpenAI Chat SSE body. `include_usage`: the client asked for the usage chunk; without it there must
/// be none.
Seen check_openai_chat_stream(std::string_view sse, bool include_usage = true, bool may_be_cut = false);

Seen check_anthropic_reply(std::string_view json);
Seen check_openai_chat_reply(std::string_view json);

/// Error bodies; type and message land in error_type and error_message.
Seen check_anthropic_error(std::string_view json);
Seen check_openai_chat_error(std::string_view json);

/// Requests as a strict provider takes them: tool results adjacent, no empty texts, no foreign members.
/// Faults only.
std::vector<std::string> check_anthropic_request(std::string_view json);
std::vector<std::string> check_openai_chat_request(std::string_view json);

/// A server-sent event as a standard parser dispatches it.
struct SseEvent {
  std::string name;
  std::string data;
};
/// Events of a body (LF, CRLF or CR); an unfinished last event is not dispatched and sets `unfinished`.
std::vector<SseEvent> split_sse(std::string_view bytes, bool* unfinished = nullptr);

}  // namespace ccrules::test
