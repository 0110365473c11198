#pragma once
#include <string_view>

#include "async/task.h"
#include "core/error.h"
#include "http/server.h"

namespace ccrules::proxy {

/// Answers with an error as the API for operators tells it: application/problem+json with type, title, status, detail and instance (RFC
/// 9457). Nothing when the head is already out, which must not look complete then, or nobody is left.
Task<void> tell_problem(http::Exchange& exchange, const Error& error);

}  // namespace ccrules::proxy
