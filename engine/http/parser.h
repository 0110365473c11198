#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/limits.h"
#include "http/message.h"

/// llhttp in strict mode with our limits on top; private to http/. Works on any cut of the bytes.
namespace ccrules::http {

/// Parses one message after another. The head goes into `headers` (and `target`); body bytes are moved
/// together at the front of the buffer they came in, so a piece of body is one view without a copy.
class Parser {
 public:
  enum class Kind : std::uint8_t { kRequest, kReply };
  enum class State : std::uint8_t {
    kHead,      ///< the head is not complete yet
    kBody,      ///< the head is complete, body bytes follow
    kComplete,  ///< the message is complete; what was not consumed belongs to the next one
    kFailed     ///< malformed; see error_status() and error_text()
  };

  /// `most_head_bytes`: the start line and all header fields together.
  explicit Parser(Kind kind, std::size_t most_head_bytes = limits::kHeaderBytes) noexcept;
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;

  /// Prepares for the next message on the connection. `headers` and `target` (null for replies) receive the
  /// head. `no_body`: the reply to a HEAD request.
  void begin(Headers& headers, std::string* target, bool no_body) noexcept;

  struct Fed {
    std::size_t consumed = 0;
    std::string_view body;  ///< body bytes found, inside `bytes`
  };
  /// `bytes` must be modifiable memory. Reads up to the end of the message. With `stop_after_head` it returns
  /// when the head is complete.
  Fed feed(std::string_view bytes, bool stop_after_head);
  /// The connection has ended: completes a reply whose length is "until the end". False when the message was
  /// cut.
  bool finish() noexcept;

  [[nodiscard]] State state() const noexcept { return state_; }
  /// True when bytes of this message have come.
  [[nodiscard]] bool begun() const noexcept { return begun_; }
  // Valid once the head is complete:
  [[nodiscard]] int status() const noexcept;
  [[nodiscard]] std::string_view method() const noexcept;
  [[nodiscard]] bool http_1_1() const noexcept;
  /// The connection may carry another message after this one.
  [[nodiscard]] bool keep_alive() const noexcept { return keep_alive_; }
  [[nodiscard]] bool chunked() const noexcept { return chunked_; }
  /// Body bytes announced by Content-Length; 0 without.
  [[nodiscard]] std::uint64_t content_length() const noexcept { return content_length_; }
  [[nodiscard]] int error_status() const noexcept { return error_status_; }
  [[nodiscard]] std::string_view error_text() const noexcept { return error_text_; }
  void fail(int status, std::string_view text) noexcept;

 private:
  struct Callbacks;
  friend struct Callbacks;
  /// Refuses line ends that are not CR LF and heads beyond the limit.
  void check_head(std::string_view bytes) noexcept;
  void check_complete_head() noexcept;
  /// llhttp takes a bare LF as the end of a chunked body.
  void check_last_line(std::string_view bytes) noexcept;
  void fail_with_parser_error() noexcept;
  /// Counts bytes of chunk extensions and trailers. Zero, or llhttp's error code.
  int extra(std::size_t size) noexcept;

  alignas(8) std::byte parser_[128];  ///< llhttp_t; its header stays out of ours
  Headers* headers_ = nullptr;
  std::string* target_ = nullptr;
  char* body_begin_ = nullptr;
  char* body_end_ = nullptr;
  std::size_t most_head_bytes_;
  std::size_t head_bytes_ = 0;
  std::size_t extra_bytes_ = 0;  ///< chunk extensions and trailers
  std::uint64_t content_length_ = 0;
  std::string_view error_text_;
  int error_status_ = 0;
  Kind kind_;
  State state_ = State::kHead;
  bool begun_ = false;
  bool no_body_ = false;
  bool in_name_ = false;
  bool after_cr_ = false;
  bool after_lf_ = false;
  bool keep_alive_ = false;
  bool chunked_ = false;
};

}  // namespace ccrules::http
