#pragma once
#include <cstdint>
#include <string>
#include <utility>

namespace ccrules {

/// What went wrong, in the vocabulary of a proxy. Sorted by who can fix it.
enum class ErrorCode : std::uint8_t {
  kBadRequest, kUnauthorized, kForbidden, kNotFound, kTooLarge, kUnsupported,  // the caller
  kDenied, kBudgetExceeded,                                                    // the operator's rules
  kLoss,                 ///< strict mode: the request cannot be carried whole to this target
  kUpstreamRefused,      ///< 4xx that only another request would cure
  kContextExceeded,      ///< the prompt is larger than the model's window
  kUpstreamAuth,         ///< our key was not accepted
  kUpstreamRateLimited,  ///< 429
  kUpstreamOverloaded,   ///< 503, 529
  kUpstreamFailed,       ///< other 5xx
  kUpstreamTimeout, kUpstreamProtocol, kConnectionLost, kConnectFailed,        // the network
  kCancelled,            ///< a StopToken fired; see the token for the reason
  kInternal              // us
};

/// Whose fault it is: decides the log level and which metric moves.
enum class Origin : std::uint8_t { kClient, kUpstream, kInternal };

/// Whether another attempt can help, and where. Obeyed in one place: proxy/verdict.cc.
enum class Retry : std::uint8_t { kNever, kSameTarget, kNextTarget };

struct [[nodiscard]] Error {
  ErrorCode code = ErrorCode::kInternal;
  Origin origin = Origin::kInternal;
  Retry retry = Retry::kNever;
  int http_status = 500;  ///< Status to show the client, 400..599 (499: nobody is left to see it).
  std::string message;    ///< One sentence that tells the reader what to do; never a key, never prompt text.
  std::string type;       ///< The upstream's own error type or code, when it gave one ("insufficient_quota").
  std::string provider;   ///< Provider id, empty when none was involved.
  std::int64_t retry_after_ms = -1;  ///< What the upstream asked for; -1: nothing.
  bool should_retry_false = false;   ///< Tell the client not to retry (x-should-retry: false).
};

/// Stable snake_case name of a code, as rules (`error = "context_exceeded"`), logs and the ledger show it.
const char* error_code_name(ErrorCode code) noexcept;

/// 400 invalid request, the client's fault, no retry.
Error bad_request(std::string message);
/// An Error of our own making: code kInternal, 500.
Error internal_error(std::string message);
/// What an awaited call returns when its StopToken fired.
Error cancelled();

}  // namespace ccrules
