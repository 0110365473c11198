#include "proxy/gate.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "core/digest.h"
#include "core/percent.h"
#include "core/text.h"

namespace ccrules::proxy {
namespace {

Error forbidden(std::string message) {
  Error error;
  error.code = ErrorCode::kForbidden;
  error.origin = Origin::kClient;
  error.http_status = 403;
  error.message = std::move(message);
  error.should_retry_false = true;
  return error;
}

Error unauthorized(std::string message) {
  Error error;
  error.code = ErrorCode::kUnauthorized;
  error.origin = Origin::kClient;
  error.http_status = 401;
  error.message = std::move(message);
  error.should_retry_false = true;
  return error;
}

bool is_port(std::string_view port) {
  return std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// "localhost:3456" -> "localhost", "[::1]:3456" -> "::1"; empty when it is none of the two.
std::string_view host_name(std::string_view host) {
  const bool bracketed = host.starts_with('[');
  const auto end = host.find(bracketed ? ']' : ':');
  if (end == std::string_view::npos) return bracketed ? std::string_view() : host;
  const std::string_view port = host.substr(bracketed ? end + 1 : end);
  if (!port.empty() && (port.front() != ':' || !is_port(port.substr(1)))) return {};
  return bracketed ? host.substr(1, end - 1) : host.substr(0, end);
}

bool is_loopback_name(std::string_view name) {
  return text::equals_ignore_case(name, "localhost") || name == "127.0.0.1" || name == "::1";
}

bool host_allowed(std::string_view name, const config::Listen& listen) {
  if (is_loopback_name(name) || text::equals_ignore_case(name, listen.host)) return true;
  for (const std::string& allowed : listen.allowed_hosts) {
    if (text::equals_ignore_case(name, allowed)) return true;
  }
  return false;
}

/// A page may only call us when it came from us: its origin's authority is our Host.
bool same_origin(std::string_view origin, std::string_view host) {
  for (const std::string_view scheme : {std::string_view("http://"), std::string_view("https://")}) {
    if (origin.starts_with(scheme)) return text::equals_ignore_case(origin.substr(scheme.size()), host);
  }
  return false;
}

/// Any Origin field that is not our own, and any Sec-Fetch-Site of another site, however often and however empty the field is
/// repeated.
bool is_foreign(const http::Headers& headers, std::string_view host) {
  if (!headers.has("origin") && !headers.has("sec-fetch-site")) return false;
  for (std::size_t i = 0; i < headers.size(); ++i) {
    const auto [name, value] = headers.at(i);
    if (text::equals_ignore_case(name, "origin") && !same_origin(value, host)) return true;
    if (text::equals_ignore_case(name, "sec-fetch-site") && text::equals_ignore_case(value, "cross-site")) return true;
  }
  return false;
}

/// Google's clients may send their key in the query, "?key=KEY".
std::string_view key_in_query(std::string_view query) {
  if (query.empty()) return {};
  for (const std::string_view part : text::split(query, '&')) {
    if (part.starts_with("key=")) return part.substr(4);
  }
  return {};
}

/// The token of "Bearer TOKEN"; empty for other schemes.
std::string_view bearer_token(std::string_view authorization) {
  constexpr std::string_view kBearer = "Bearer ";
  const bool bearer = text::starts_with_ignore_case(authorization, kBearer);
  return bearer ? text::trim(authorization.substr(kBearer.size())) : std::string_view();
}

/// The keys in credentials(), where one of them may be this proxy's.
std::array<std::string_view, 5> keys(const http::RequestHead& head) {
  std::array<std::string_view, 5> all = credentials(head);
  all.front() = bearer_token(all.front());
  return all;
}

bool key_matches(const http::RequestHead& head, const std::string& key) {
  if (key.empty()) return false;
  const auto all = keys(head);
  const auto matches = [&key](std::string_view credential) {
    return !credential.empty() && digest::equal_constant_time(credential, key);
  };
  // What stands in a query is encoded where it holds more than letters and digits, as base64 does.
  return std::any_of(all.begin(), all.end(), matches) || matches(percent_decoded(all.back()));
}

/// Who asks, whatever for: Host and Origin.
std::optional<Error> refuse_stranger(const http::Exchange& exchange, const config::Snapshot& config) {
  const http::Headers& headers = exchange.head().headers;
  const std::string_view host = headers.get("host");
  if (!host_allowed(host_name(host), config.listen)) {
    return forbidden("this Host is not served here; add it to listen.allowed_hosts if it is yours");
  }
  if (is_foreign(headers, host)) {
    return forbidden("web pages of another origin may not use this proxy");
  }
  return std::nullopt;
}

std::optional<Error> refuse_without_key(const http::Exchange& exchange, const config::Listen& listen) {
  if (key_matches(exchange.head(), listen.admin_key)) return std::nullopt;
  if (listen.api_key.empty()) {
    if (exchange.peer_is_loopback()) return std::nullopt;
    return forbidden("without listen.api_key only this machine may use the proxy");
  }
  if (key_matches(exchange.head(), listen.api_key)) return std::nullopt;
  return unauthorized(
      "the proxy's key is missing or wrong; send listen.api_key as 'Authorization: Bearer KEY', "
      "'x-api-key: KEY' or 'x-goog-api-key: KEY'");
}

}  // namespace

std::optional<Error> refuse(const http::Exchange& exchange, const config::Snapshot& config, bool needs_key) {
  if (auto refused = refuse_stranger(exchange, config)) return refused;
  return needs_key ? refuse_without_key(exchange, config.listen) : std::nullopt;
}

std::optional<Error> refuse_unless_admin(const http::Exchange& exchange, const config::Snapshot& config) {
  if (auto refused = refuse(exchange, config, true)) return refused;
  const config::Listen& listen = config.listen;
  if (listen.admin_key.empty()) {
    if (exchange.peer_is_loopback()) return std::nullopt;
    return forbidden("without listen.admin_key only this machine may change the proxy or see what it has recorded");
  }
  if (key_matches(exchange.head(), listen.admin_key)) return std::nullopt;
  return unauthorized("this takes the operator's key; send listen.admin_key as 'Authorization: Bearer KEY' or 'x-api-key: KEY'");
}

bool holds_own_key(std::string_view credential, const config::Listen& listen) {
  const auto holds = [credential](const std::string& key) { return !key.empty() && credential.find(key) != std::string_view::npos; };
  return holds(listen.api_key) || holds(listen.admin_key);
}

std::array<std::string_view, 5> credentials(const http::RequestHead& head) {
  const http::Headers& headers = head.headers;
  return {headers.get("authorization"), headers.get("x-api-key"), headers.get("x-goog-api-key"), headers.get("api-key"),
          key_in_query(head.query())};
}

std::string_view credential_of(const http::RequestHead& head, const config::Listen& listen) {
  if (!listen.api_key.empty()) return key_matches(head, listen.api_key) ? listen.api_key : listen.admin_key;
  const auto all = keys(head);
  const auto first = std::find_if(all.begin(), all.end(), [](std::string_view credential) { return !credential.empty(); });
  return first == all.end() ? std::string_view() : *first;
}

Error denied(const rules::Deny& deny) {
  Error error;
  error.code = ErrorCode::kDenied;
  error.origin = Origin::kClient;
  error.http_status = deny.status;
  error.type = deny.type;
  error.message = deny.message;
  error.should_retry_false = true;
  return error;
}

}  // namespace ccrules::proxy
