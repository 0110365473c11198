#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "async/loop.h"
#include "http/message.h"

namespace ccrules {
class Dialer;  // async/dialer.h
}

namespace ccrules::http {

/// A forward proxy on the way to an origin.
struct Proxy {
  bool tls = false;  ///< the connection to the proxy is encrypted, too
  std::string host;  ///< empty: none
  std::uint16_t port = 0;
  std::string authorization;  ///< a proxy-authorization field; empty: none. Never in a message or log.
  [[nodiscard]] bool used() const noexcept { return !host.empty(); }
  bool operator==(const Proxy&) const = default;
};
/// A proxy-authorization field.
std::string basic_authorization(std::string_view user, std::string_view password);

/// Where a connection goes and whom it trusts; the pool's key.
struct Origin {
  bool tls = false;
  std::string host;  ///< name or address, no brackets
  std::uint16_t port = 0;
  std::string ca_file;  ///< PEM with authorities to trust besides the system's; empty: none
  bool http2 = false;   ///< speak HTTP/2 where the server agrees to it (TLS only)
  Proxy proxy;
  bool operator==(const Origin&) const = default;
};

/// A provider's base URL taken apart. `prefix` is its path without a trailing slash ("/v1", "").
struct BaseUrl {
  Origin origin;
  std::string prefix;
  std::string host_header;  ///< as the Host field wants it
};
/// http or https only; no userinfo, no CR/LF, no '#', no query. Message says what to write instead.
Result<BaseUrl> parse_base_url(std::string_view url);

struct ClientTimeouts {
  std::chrono::milliseconds connect{5000};
  std::chrono::milliseconds first_byte{60000};
};

struct ClientRequest {
  std::string_view method = "POST";
  std::string_view target;  ///< path and query
  std::string_view host_header;
  const Headers* headers = nullptr;  ///< without host, content-length, connection: the client writes those
  std::string_view body;             ///< must stay alive until send() returns
  bool* on_its_way = nullptr;        ///< set once there is a connection that the request is written to
};

/// HTTP client of one worker: keep-alive pool per origin, TLS with verification, no redirects; forward proxies
/// (CONNECT for https, absolute targets for http). HTTP/1.1, or HTTP/2 where the origin allows it and the server
/// agrees: then all requests share one connection, as far as it has room. A pooled connection that turns out
/// dead before any reply byte is replaced by a fresh one once, silently. Errors: kConnectFailed,
/// kUpstreamTimeout (connect, first byte), kConnectionLost, kUpstreamProtocol, kCancelled.
class Client {
 public:
  Client(Loop& loop, Dialer& dialer);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  /// Returns when the reply's head (not 1xx) has arrived. Asks for no content coding unless the headers hold
  /// an accept-encoding; a body in a coding that we know is decoded in any case.
  Task<Result<std::unique_ptr<ReplyStream>>> send(const Origin& origin, const ClientRequest& request,
                                                  ClientTimeouts timeouts, StopToken stop);
  void close_idle();
  [[nodiscard]] std::size_t idle_connections() const noexcept;

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;  ///< shared with replies still running
};

}  // namespace ccrules::http
