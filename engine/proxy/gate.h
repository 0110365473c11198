#pragma once
#include <optional>

#include "config/snapshot.h"
#include "core/error.h"
#include "http/server.h"

namespace ccrules::proxy {

/// The checks before anything else, for every route by construction (security.md 2-7): Host, Origin, then the
/// key. Judged by the socket's address, never by a header.
/// @param needs_key false for the few paths that answer anyone (HEAD /, /health, /ready, /status)
/// @return what to refuse with, or nothing
std::optional<Error> refuse(const http::Exchange& exchange, const config::Snapshot& config, bool needs_key);

}  // namespace ccrules::proxy
