#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "chat/event.h"
#include "dialect/dialect.h"

/// What an upstream's failure means, the same for every dialect: vendors answer in each other's formats.
namespace ccrules::dialect {

/// What an error body says, whatever its shape: OpenAI, Anthropic, vLLM, OpenRouter, Mistral/FastAPI, Gemini
/// (also as an array), Ollama, Z.ai, plain text, HTML or nothing.
struct FailureText {
  std::string
      message;  ///< the upstream's own words, keys removed, at most limits::kErrorMessageBytes; may be empty
  std::string type;                  ///< its error type or code as text: "insufficient_quota", "1261"
  int inner_status = 0;              ///< an HTTP status inside the body (OpenRouter, Gemini); 0: none
  std::int64_t retry_after_ms = -1;  ///< Gemini RetryInfo; -1: none
};
FailureText parse_failure(std::string_view body);
/// Whether a body that is no reply is an error, whatever status it came with: JSON that says so by a member
/// `error` or by its `type` or `object`. Not so an answer of which only the beginning came, with `"error":
/// null` in it.
[[nodiscard]] bool tells_error(std::string_view body);

/// A whole error answer -> Error. Every dialect's read_error().
Error read_failure(const UpstreamFailure& failure);
/// The same with the body parsed already; `failure.body` is not looked at.
Error classify_failure(const UpstreamFailure& failure, FailureText text);

/// An error inside a stream or inside a 200 answer, as the event that tells the client.
chat::StreamError stream_error(std::string_view error_json, std::string_view provider);
/// The Error for a StreamError that came before anything was sent to the client: status and retry verdict as
/// if it had been an answer; 502 for a stream that was cut. Of `whose`, status and body are not looked at.
Error error_of(const chat::StreamError& event, const UpstreamFailure& whose);

/// Anthropic's name for the kind of error: invalid_request_error, authentication_error, billing_error,
/// permission_error, not_found_error, request_too_large, rate_limit_error, timeout_error, overloaded_error,
/// api_error.
std::string_view error_type(const Error& error);
/// The same for a status alone.
std::string_view error_type_of(int http_status);

/// Numbers an overflow message gives away.
struct Overflow {
  std::optional<std::int64_t> input_tokens;
  std::optional<std::int64_t> output_tokens;  ///< when the text splits input and completion (vLLM)
  std::optional<std::int64_t> limit_tokens;
};
/// Does this text say that the prompt is larger than the model's window (G-1)?
std::optional<Overflow> find_overflow(std::string_view message, std::string_view type);

}  // namespace ccrules::dialect
