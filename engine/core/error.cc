#include "core/error.h"

namespace ccrules {

const char* error_code_name(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kBadRequest: return "bad_request";
    case ErrorCode::kUnauthorized: return "unauthorized";
    case ErrorCode::kForbidden: return "forbidden";
    case ErrorCode::kNotFound: return "not_found";
    case ErrorCode::kTooLarge: return "too_large";
    case ErrorCode::kUnsupported: return "unsupported";
    case ErrorCode::kDenied: return "denied";
    case ErrorCode::kBudgetExceeded: return "budget_exceeded";
    case ErrorCode::kLoss: return "loss";
    case ErrorCode::kUpstreamRefused: return "refused";
    case ErrorCode::kContextExceeded: return "context_exceeded";
    case ErrorCode::kUpstreamAuth: return "auth";
    case ErrorCode::kUpstreamRateLimited: return "rate_limited";
    case ErrorCode::kUpstreamOverloaded: return "overloaded";
    case ErrorCode::kUpstreamFailed: return "upstream_failed";
    case ErrorCode::kUpstreamTimeout: return "timeout";
    case ErrorCode::kUpstreamProtocol: return "protocol";
    case ErrorCode::kConnectionLost: return "connection_lost";
    case ErrorCode::kConnectFailed: return "connect_failed";
    case ErrorCode::kCancelled: return "cancelled";
    case ErrorCode::kInternal: return "internal";
  }
  return "internal";
}

Error bad_request(std::string message) {
  Error error;
  error.code = ErrorCode::kBadRequest;
  error.origin = Origin::kClient;
  error.http_status = 400;
  error.message = std::move(message);
  return error;
}

Error internal_error(std::string message) {
  Error error;
  error.message = std::move(message);
  return error;
}

Error cancelled() {
  Error error;
  error.code = ErrorCode::kCancelled;
  error.origin = Origin::kClient;
  error.http_status = 499;
  error.message = "the request was cancelled";
  return error;
}

}  // namespace ccrules
