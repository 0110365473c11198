#include "cli/talk.h"

#include <chrono>
#include <memory>
#include <optional>

#include "async/uv_dialer.h"
#include "async/uv_loop.h"
#include "core/json.h"
#include "core/limits.h"
#include "http/client.h"

namespace ccrules::cli {
namespace {

http::Origin origin_of(const config::Listen& listen) {
  http::Origin origin;
  origin.tls = !listen.tls_cert.empty();
  origin.host = listen.host == "0.0.0.0" || listen.host.empty() ? "127.0.0.1" : listen.host == "::" ? "::1" : listen.host;
  origin.port = static_cast<std::uint16_t>(listen.port);
  return origin;
}

/// What a problem (RFC 9457) says in words, else all of it.
std::string detail_of(const std::string& body) {
  auto document = json::Document::open(body);
  if (!document.ok()) return body;
  auto problem = document->root_object();
  while (problem.ok() && problem->next()) {
    if (problem->key() != "detail") continue;
    const auto detail = problem->value().string();
    if (detail.ok()) return std::string(*detail);
  }
  return body;
}

struct Conversation {
  const config::Listen* listen = nullptr;
  const Call* call = nullptr;
  std::optional<Result<std::string>> answer;
};

Task<Result<std::string>> ask(http::Client& client, Conversation& conversation) {
  http::Origin origin = origin_of(*conversation.listen);
  if (!conversation.call->url.empty()) {
    CCR_CO_TRY(base, http::parse_base_url(conversation.call->url));
    origin = base.origin;
  }
  origin.ca_file = conversation.listen->tls_cert;
  http::Headers headers;
  headers.add("content-type", "application/json");
  const config::Listen& listen = *conversation.listen;
  const std::string& key = conversation.call->changes && !listen.admin_key.empty() ? listen.admin_key : listen.api_key;
  if (!key.empty()) headers.add("x-api-key", key);
  http::ClientRequest request;
  request.method = conversation.call->method;
  request.target = conversation.call->path;
  request.host_header = "localhost";
  request.headers = &headers;
  request.body = conversation.call->body;
  http::ClientTimeouts timeouts;
  timeouts.first_byte = limits::kReloadTime;
  CCR_CO_TRY(reply, co_await client.send(origin, request, timeouts, StopToken()));
  CCR_CO_TRY(body, co_await http::read_all(*reply, limits::kReplyBytes, StopToken()));
  if (reply->status() == 200) co_return std::move(body);
  Error error;
  error.code = reply->status() == 401 ? ErrorCode::kUnauthorized : ErrorCode::kBadRequest;
  error.message = "the proxy answered " + std::to_string(reply->status()) + ": " + detail_of(body);
  co_return error;
}

Task<void> converse(UvLoop& loop, http::Client& client, Conversation& conversation) {
  conversation.answer.emplace(co_await ask(client, conversation));
  loop.stop();
}

}  // namespace

Result<std::string> talk(const config::Snapshot& config, const Call& call) {
  UvLoop loop;
  UvDialer dialer(loop);
  http::Client client(loop, dialer);
  Conversation conversation;
  conversation.listen = &config.listen;
  conversation.call = &call;
  spawn(converse(loop, client, conversation));
  if (!conversation.answer) loop.run();
  client.close_idle();
  return *std::move(conversation.answer);
}

}  // namespace ccrules::cli
