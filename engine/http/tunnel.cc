#include "http/tunnel.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "core/limits.h"
#include "http/parser.h"
#include "http/write.h"

namespace ccrules::http {
namespace {

using std::chrono::milliseconds;

std::string with_port(std::string_view host, std::uint16_t port) {
  const bool six = host.find(':') != std::string_view::npos;
  return (six ? "[" + std::string(host) + "]" : std::string(host)) + ":" + std::to_string(port);
}

std::string name_of(const Proxy& proxy) {
  return "the proxy " + with_port(proxy.host, proxy.port);
}

Error proxy_error(std::string message, ErrorCode code = ErrorCode::kConnectFailed) {
  Error error;
  error.code = code;
  error.origin = ccrules::Origin::kUpstream;
  error.retry = Retry::kNextTarget;
  error.http_status = code == ErrorCode::kUpstreamTimeout ? 504 : 502;
  error.message = std::move(message);
  return error;
}

/// What a proxy that does not open the tunnel means by its status.
Error refused(const Proxy& proxy, const std::string& where, int status) {
  if (status == 407) return proxy_wants_password(proxy);
  std::string message =
      name_of(proxy) + " does not connect to " + where + ": it answered " + std::to_string(status);
  if (status == 403) {
    message += "; it must allow this address, or no_proxy must name it";
  } else if (status == 502 || status == 503 || status == 504) {
    message += ", so it cannot reach it itself";
  } else {
    message += "; is it an HTTP proxy?";
  }
  return proxy_error(std::move(message));
}

/// Asks for the tunnel and reads the answer's head. What comes behind it belongs to the tunnel.
Task<Result<void>> open_tunnel(ByteStream& stream, const Proxy& proxy, const std::string& where,
                               milliseconds timeout, StopToken stop) {
  std::string head = "CONNECT " + where + " HTTP/1.1\r\n";
  append_field(head, "host", where);
  if (!proxy.authorization.empty()) append_field(head, "proxy-authorization", proxy.authorization);
  head += "\r\n";
  const std::int64_t give_up_ms = stream.loop().now_ms() + timeout.count();
  const std::array<std::string_view, 1> pieces = {head};
  CCR_CO_CHECK(co_await stream.write(pieces, stop, timeout));
  Headers headers;
  Parser parser(Parser::Kind::kReply);
  parser.begin(headers, nullptr, true);
  for (std::size_t interim = 0;;) {
    const std::int64_t left_ms = give_up_ms - stream.loop().now_ms();
    Result<ReadResult> got = ReadResult{};
    got->quiet = true;
    if (left_ms > 0) got = co_await stream.read(milliseconds(left_ms), stop);
    if (!got.ok()) co_return std::move(got).error();
    if (got->quiet) {
      co_return proxy_error(name_of(proxy) + " did not connect to " + where + " within " +
                                std::to_string(timeout.count()) + " ms",
                            ErrorCode::kUpstreamTimeout);
    }
    if (got->end) co_return connection_lost();
    std::string_view bytes = got->bytes;
    while (!bytes.empty()) {
      const Parser::Fed fed = parser.feed(bytes, true);
      bytes.remove_prefix(fed.consumed);
      if (parser.state() == Parser::State::kFailed)
        co_return proxy_error(name_of(proxy) +
                              " does not answer in HTTP: " + std::string(parser.error_text()));
      if (parser.state() == Parser::State::kHead) break;
      const int status = parser.status();
      if (status / 100 == 2) {
        if (!bytes.empty())  // inside of the tunnel we speak first
          co_return proxy_error(name_of(proxy) + " sends something of its own instead of what " + where +
                                " sends");
        co_return Result<void>();
      }
      if (status / 100 != 1) co_return refused(proxy, where, status);
      if (++interim > limits::kInterimReplies)
        co_return proxy_error(name_of(proxy) + " sends interim replies without end");
      parser.begin(headers, nullptr, true);
    }
  }
}

}  // namespace

std::string basic_authorization(std::string_view user, std::string_view password) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string plain(user);
  plain.append(":").append(password);
  std::string field = "Basic ";
  for (std::size_t at = 0; at < plain.size(); at += 3) {
    std::uint32_t group = 0;
    const std::size_t size = std::min<std::size_t>(3, plain.size() - at);
    for (std::size_t i = 0; i < 3; ++i)
      group = (group << 8) | (i < size ? static_cast<unsigned char>(plain[at + i]) : 0u);
    for (std::size_t i = 0; i < 4; ++i) field += i <= size ? kDigits[(group >> (18 - 6 * i)) & 63u] : '=';
  }
  return field;
}

Error proxy_wants_password(const Proxy& proxy) {
  const bool tried = !proxy.authorization.empty();
  return proxy_error(name_of(proxy) + (tried ? " does not accept the user name and password in its URL (407)"
                                             : " asks for a user name and password (407): write its URL as "
                                               "http://user:password@host:port"));
}

Task<Result<std::unique_ptr<ByteStream>>> connect_through(Loop& loop, Dialer& dialer, const Proxy& proxy,
                                                          Endpoint target, milliseconds timeout,
                                                          StopToken stop) {
  const std::int64_t give_up_ms = loop.now_ms() + timeout.count();
  const auto left = [&loop, give_up_ms] {
    return milliseconds(std::max<std::int64_t>(give_up_ms - loop.now_ms(), 1));
  };
  Endpoint first;
  first.tls = proxy.tls;
  first.host = proxy.host;
  first.port = proxy.port;
  first.ca_file = target.ca_file;
  auto dialled = co_await dialer.dial(std::move(first), timeout, stop);
  if (!dialled.ok()) {
    Error& error = dialled.error();
    if (error.code != ErrorCode::kCancelled)
      error.message = "through " + name_of(proxy) + ": " + error.message;
    co_return dialled;
  }
  if (!target.tls) co_return dialled;
  const std::string where = with_port(target.host, target.port);
  auto opened = co_await open_tunnel(**dialled, proxy, where, left(), stop);
  if (!opened.ok()) {
    Error& error = opened.error();
    if (error.code == ErrorCode::kConnectionLost)
      error.message = name_of(proxy) + " closed the connection instead of connecting to " + where;
    co_return std::move(opened).error();
  }
  std::unique_ptr<ByteStream> lower = *std::move(dialled);
  co_return co_await dialer.secure(std::move(lower), std::move(target), left(), stop);
}

}  // namespace ccrules::http
