#pragma once
#include <array>
#include <optional>
#include <string_view>

#include "config/snapshot.h"
#include "core/error.h"
#include "http/server.h"
#include "rules/decision.h"

namespace ccrules::proxy {

/// The checks before anything else, for every route by construction (security.md 2-7): Host, Origin, then the
/// key. Judged by the socket's address, never by a header.
/// @param needs_key false for the few paths that answer anyone (HEAD /, /health, /ready, /status)
/// @return what to refuse with, or nothing
std::optional<Error> refuse(const http::Exchange& exchange, const config::Snapshot& config, bool needs_key);

/// The same for what changes the proxy (POST /reload) or tells of everybody's requests (/api/), which a client may not do: it takes
/// listen.admin_key; where there is none, a caller on this machine, with listen.api_key when there is one. An admin may do all that a
/// client may.
std::optional<Error> refuse_unless_admin(const http::Exchange& exchange, const config::Snapshot& config);

/// True when a credential holds a key of this proxy: no provider may see it.
bool holds_own_key(std::string_view credential, const config::Listen& listen);

/// Wherever a client may put a key, as it stands there: authorization with its scheme, x-api-key, x-goog-api-key, api-key, and
/// the query's key, still percent-encoded. Empty where it has none.
std::array<std::string_view, 5> credentials(const http::RequestHead& head);

/// The credential that let a request in, which has passed refuse(): the proxy's key, whatever else the request holds. Where
/// none is asked for, the first that the client brings; empty: none.
std::string_view credential_of(const http::RequestHead& head, const config::Listen& listen);

/// What a rule refuses, as the error the client sees.
Error denied(const rules::Deny& deny);

}  // namespace ccrules::proxy
