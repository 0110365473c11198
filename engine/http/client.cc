#include "http/client.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "async/dialer.h"
#include "core/limits.h"
#include "core/text.h"
#include "http/coding.h"
#include "http/h2.h"
#include "http/parser.h"
#include "http/tunnel.h"
#include "http/wait.h"
#include "http/write.h"

namespace ccrules::http {
namespace {

using std::chrono::milliseconds;

Error upstream_error(ErrorCode code, int status, std::string message) {
  Error error;
  error.code = code;
  error.origin = ccrules::Origin::kUpstream;
  error.retry = Retry::kNextTarget;
  error.http_status = status;
  error.message = std::move(message);
  return error;
}

Error protocol_error(std::string_view what) {
  return upstream_error(ErrorCode::kUpstreamProtocol, 502,
                        "the upstream's reply is not valid HTTP: " + std::string(what));
}

struct Pool;

/// A connection to an origin, in use or idle.
struct Upstream {
  Upstream(std::unique_ptr<ByteStream> connected, Pool& home)
      : stream(std::move(connected)), parser(Parser::Kind::kReply), expiry(*this), pool(home) {}

  struct Expiry : Timer {
    explicit Expiry(Upstream& upstream) noexcept;
    Upstream& owner;
  };
  std::unique_ptr<ByteStream> stream;
  Parser parser;
  Headers headers;
  Expiry expiry;
  Pool& pool;
};

/// Somebody who needs a connection that another request is making.
struct Arrival {
  explicit Arrival(Wait& waiting) noexcept : wait(waiting) {}
  Wait& wait;
  std::optional<Error> failed;  ///< it could not be made
  bool woken = false;
};

/// Connections of one origin.
struct Pool {
  explicit Pool(ccrules::http::Origin to) : origin(std::move(to)) {}
  ccrules::http::Origin origin;
  std::vector<std::unique_ptr<Upstream>> idle;  ///< HTTP/1.1, the most recently used last
  std::vector<std::shared_ptr<H2>> shared;      ///< HTTP/2; those that still take requests
  std::vector<Arrival*> arrivals;
  bool dialling = false;        ///< a connection that may become a shared one
  bool only_http11 = false;     ///< the last one did not

  [[nodiscard]] std::shared_ptr<H2> with_room() const {
    for (const auto& one : shared) {
      if (one->has_room()) return one;
    }
    return nullptr;
  }
  void drop(const H2& gone) {
    std::erase_if(shared, [&gone](const auto& one) { return one.get() == &gone; });
  }
  /// Wakes who waited for the connection; each may end the pool's other users, but not the pool.
  void arrived(const Error* failed) {
    dialling = false;
    for (Arrival* arrival : arrivals) {
      if (failed != nullptr && failed->code != ErrorCode::kCancelled) arrival->failed = *failed;
    }
    while (!arrivals.empty()) {
      Arrival& next = *arrivals.back();
      arrivals.pop_back();
      next.woken = true;
      next.wait.wake();
    }
  }

  void discard(const Upstream& upstream) noexcept {
    const auto found =
        std::find_if(idle.begin(), idle.end(), [&](const auto& one) { return one.get() == &upstream; });
    if (found == idle.end()) return;
    // Destroyed after it has left the list: its end may be noticed by others.
    const std::unique_ptr<Upstream> gone = std::move(*found);
    idle.erase(found);
  }
};

Upstream::Expiry::Expiry(Upstream& upstream) noexcept
    : Timer([](Timer& timer) noexcept {
        Upstream& expired = static_cast<Expiry&>(timer).owner;
        expired.pool.discard(expired);
      }),
      owner(upstream) {}

}  // namespace

struct Client::Impl {
  Impl(Loop& on, Dialer& dial) : loop(on), dialer(dial) {}
  Loop& loop;
  Dialer& dialer;
  std::vector<std::unique_ptr<Pool>> pools;  ///< few: one per configured origin
  bool closed = false;                       ///< the Client is gone; nothing is kept any more

  Pool& pool_of(const ccrules::http::Origin& origin) {
    for (const auto& pool : pools) {
      if (pool->origin == origin) return *pool;
    }
    pools.push_back(std::make_unique<Pool>(origin));
    return *pools.back();
  }

  /// The most recently used idle connection that is still good, or null.
  static std::unique_ptr<Upstream> take(Pool& pool) {
    while (!pool.idle.empty()) {
      std::unique_ptr<Upstream> upstream = std::move(pool.idle.back());
      pool.idle.pop_back();
      upstream->expiry.stop();
      upstream->stream->on_peer_end(nullptr);
      // Bytes that nobody asked for would be taken for the next answer.
      if (upstream->stream->open() && !upstream->stream->has_unread()) return upstream;
    }
    return nullptr;
  }

  void keep(std::unique_ptr<Upstream> upstream) {
    Pool& pool = upstream->pool;
    if (closed || pool.idle.size() >= limits::kPoolIdlePerOrigin || !upstream->stream->open() ||
        upstream->stream->has_unread())
      return;
    Upstream* kept = upstream.get();
    kept->headers.shrink();
    kept->stream->on_peer_end([kept] { kept->pool.discard(*kept); });
    kept->expiry.start(loop.timers(), limits::kPoolIdleTime);
    pool.idle.push_back(std::move(upstream));
  }

  void close_idle() noexcept {
    for (const auto& pool : pools) {
      const auto gone = std::exchange(pool->idle, {});
      for (const auto& shared : std::exchange(pool->shared, {})) shared->retire();
    }
  }
};

namespace {

class Reply final : public ReplyStream, public Pooled {
 public:
  Reply(std::shared_ptr<Client::Impl> client, std::unique_ptr<Upstream> upstream)
      : client_(std::move(client)), upstream_(std::move(upstream)) {}
  ~Reply() override {
    // Only a reply that was read to its end leaves a connection on which the next one begins where we look
    // for it.
    if (reusable_ && upstream_->parser.state() == Parser::State::kComplete &&
        upstream_->parser.keep_alive()) {
      client_->keep(std::move(upstream_));
    }
  }
  Reply(const Reply&) = delete;
  Reply& operator=(const Reply&) = delete;

  [[nodiscard]] int status() const noexcept override { return upstream_->parser.status(); }
  [[nodiscard]] const Headers& headers() const noexcept override { return upstream_->headers; }
  Task<Result<Chunk>> read(milliseconds patience, StopToken stop) override;

 private:
  std::shared_ptr<Client::Impl> client_;
  std::unique_ptr<Upstream> upstream_;
  bool reusable_ = true;
};

Task<Result<Chunk>> Reply::read(milliseconds patience, StopToken stop) {
  Parser& parser = upstream_->parser;
  Chunk chunk;
  while (parser.state() == Parser::State::kBody) {
    auto got = co_await upstream_->stream->read(patience, stop);
    if (!got.ok()) {
      reusable_ = false;
      co_return std::move(got).error();
    }
    if (got->quiet) {
      chunk.quiet = true;
      co_return chunk;
    }
    if (got->end) {
      reusable_ = false;
      if (!parser.finish()) co_return connection_lost();
      break;
    }
    const Parser::Fed fed = parser.feed(got->bytes, false);
    if (parser.state() == Parser::State::kFailed) break;
    if (fed.consumed < got->bytes.size()) reusable_ = false;  // more than the reply: not to be trusted
    if (fed.body.empty() && parser.state() == Parser::State::kBody) continue;
    chunk.bytes = fed.body;
    break;
  }
  if (parser.state() == Parser::State::kFailed) {
    reusable_ = false;
    co_return protocol_error(parser.error_text());
  }
  chunk.end = parser.state() == Parser::State::kComplete;
  co_return chunk;
}

std::string write_head(const ccrules::http::Origin& origin, const ClientRequest& request) {
  std::string head;
  head.reserve(768);
  head.append(request.method).append(" ");
  const bool to_proxy = origin.proxy.used() && !origin.tls;  // which needs to be told where it goes
  if (to_proxy) head.append("http://").append(request.host_header);
  head.append(request.target).append(" HTTP/1.1\r\n");
  append_field(head, "host", request.host_header);
  if (to_proxy && !origin.proxy.authorization.empty())
    append_field(head, "proxy-authorization", origin.proxy.authorization);
  if (request.headers != nullptr) append_fields(head, *request.headers, true);
  if (request.headers == nullptr || !request.headers->has("accept-encoding"))
    append_field(head, "accept-encoding", "identity");  // without it an upstream may compress
  const bool expects_body = request.method != "GET" && request.method != "HEAD" && request.method != "DELETE";
  if (expects_body || !request.body.empty()) {
    head.append("content-length: ");
    append_number(head, request.body.size());
    head.append("\r\n");
  }
  head.append("\r\n");
  return head;
}

/// Sends on one connection and reads up to the end of the reply's head.
Task<Result<void>> exchange_heads(Upstream& upstream, std::string_view head, const ClientRequest& request,
                                  milliseconds first_byte, StopToken stop) {
  ByteStream& stream = *upstream.stream;
  Loop& loop = stream.loop();
  upstream.parser.begin(upstream.headers, nullptr, request.method == "HEAD");
  const std::array<std::string_view, 2> pieces = {head, request.body};
  auto written = co_await stream.write(pieces, stop, first_byte);
  // An upstream may refuse early, answer and close: then the answer is worth more than the failed write.
  const bool sent_all = written.ok();
  if (!sent_all && written.error().code != ErrorCode::kConnectionLost) co_return std::move(written).error();
  if (!sent_all) first_byte = limits::kEarlyReplyTime;

  const std::int64_t give_up_ms = first_byte.count() > 0 ? loop.now_ms() + first_byte.count() : 0;
  milliseconds patience = first_byte;
  for (std::size_t interim = 0;;) {
    auto got = co_await stream.read(patience, stop);
    if (!got.ok()) co_return std::move(got).error();
    if (got->quiet) {
      co_return upstream_error(
          ErrorCode::kUpstreamTimeout, 504,
          "the upstream did not answer within " + std::to_string(first_byte.count()) + " ms");
    }
    if (got->end) co_return connection_lost();
    std::string_view bytes = got->bytes;
    while (!bytes.empty()) {
      const Parser::Fed fed = upstream.parser.feed(bytes, true);
      bytes.remove_prefix(fed.consumed);
      if (upstream.parser.state() == Parser::State::kFailed)
        co_return protocol_error(upstream.parser.error_text());
      if (upstream.parser.state() == Parser::State::kHead) break;
      if (upstream.parser.status() / 100 != 1) {
        stream.unread(bytes);
        co_return Result<void>();
      }
      if (++interim > limits::kInterimReplies)
        co_return protocol_error("it sends interim replies without end");
      upstream.parser.begin(upstream.headers, nullptr, request.method == "HEAD");
    }
    if (give_up_ms > 0) patience = milliseconds(std::max<std::int64_t>(give_up_ms - loop.now_ms(), 1));
  }
}

Task<Result<std::unique_ptr<ByteStream>>> connect(Client::Impl& client, const ccrules::http::Origin& origin,
                                                  milliseconds timeout, StopToken stop) {
  Endpoint endpoint;
  endpoint.tls = origin.tls;
  endpoint.host = origin.host;
  endpoint.port = origin.port;
  endpoint.ca_file = origin.ca_file;
  endpoint.http2 = origin.http2;
  if (origin.proxy.used())
    co_return co_await connect_through(client.loop, client.dialer, origin.proxy, std::move(endpoint), timeout, stop);
  co_return co_await client.dialer.dial(std::move(endpoint), timeout, stop);
}

/// Waits for the connection that another request is making; an error when that was not possible either.
Task<Result<void>> wait_for_connection(Loop& loop, Pool& pool, milliseconds timeout, StopToken stop) {
  Wait wait(loop, timeout, stop);
  Arrival arrival(wait);
  pool.arrivals.push_back(&arrival);
  const Wait::Outcome outcome = co_await wait;
  if (!arrival.woken) std::erase(pool.arrivals, &arrival);
  if (outcome == Wait::Outcome::kStopped) co_return cancelled();
  if (arrival.failed) co_return *std::move(arrival.failed);
  if (outcome == Wait::Outcome::kQuiet) {
    co_return upstream_error(ErrorCode::kUpstreamTimeout, 504,
                             "no connection to " + pool.origin.host + " within " + std::to_string(timeout.count()) + " ms");
  }
  co_return Result<void>();
}

/// A new connection, into `upstream` or, when it speaks HTTP/2, into the pool.
Task<Result<void>> add_connection(Client::Impl& client, Pool& pool, std::unique_ptr<Upstream>& upstream,
                                  milliseconds timeout, StopToken stop) {
  const bool may_share = pool.origin.tls && pool.origin.http2;
  if (may_share) pool.dialling = true;
  auto stream = co_await connect(client, pool.origin, timeout, stop);
  if (!stream.ok()) {
    if (may_share) pool.arrived(&stream.error());
    co_return std::move(stream).error();
  }
  if (!may_share) {
    upstream = std::make_unique<Upstream>(*std::move(stream), pool);
    co_return Result<void>();
  }
  pool.only_http11 = (*stream)->protocol() != "h2";
  if (pool.only_http11) {
    upstream = std::make_unique<Upstream>(*std::move(stream), pool);
  } else {
    Pool* home = &pool;
    std::shared_ptr<H2> shared = H2::start(*std::move(stream), [home](H2& over) { home->drop(over); });
    if (!shared->has_room()) {
      const Error refused = upstream_error(ErrorCode::kConnectionLost, 502,
                                           "the upstream takes no request on a new HTTP/2 connection");
      pool.arrived(&refused);
      co_return refused;
    }
    pool.shared.push_back(std::move(shared));
  }
  pool.arrived(nullptr);
  co_return Result<void>();
}

Task<Result<std::unique_ptr<ReplyStream>>> send_request(std::shared_ptr<Client::Impl> client,
                                                        const ccrules::http::Origin& origin,
                                                        const ClientRequest& request, ClientTimeouts timeouts,
                                                        StopToken stop) {
  if (!is_plain_token(request.method) || !is_plain_token(request.target) ||
      !is_plain_token(request.host_header)) {
    co_return internal_error("a request line must not hold blanks or control characters");
  }
  Pool& pool = client->pool_of(origin);
  const bool may_share = origin.tls && origin.http2;
  std::unique_ptr<Upstream> upstream;
  std::string head;  // HTTP/1.1's
  for (int refusals = 0;;) {
    if (may_share) {
      if (const std::shared_ptr<H2> shared = pool.with_room()) {
        if (request.on_its_way != nullptr) *request.on_its_way = true;
        H2::Sent sent = co_await shared->send(request, timeouts.first_byte, stop);
        if (sent.reply.ok()) co_return decoded(*std::move(sent.reply));
        if (!sent.untouched || ++refusals > limits::kH2Retries) co_return std::move(sent.reply).error();
        continue;
      }
    }
    upstream = Client::Impl::take(pool);
    if (upstream != nullptr) {
      if (head.empty()) head = write_head(origin, request);
      const std::int64_t sent_ms = client->loop.now_ms();
      if (request.on_its_way != nullptr) *request.on_its_way = true;
      auto answered = co_await exchange_heads(*upstream, head, request, timeouts.first_byte, stop);
      if (answered.ok()) break;
      // A kept connection that the upstream closed meanwhile never saw the request: asking again, once, on a
      // fresh one is safe. One that is lost later may have been at work on it.
      const bool stale = answered.error().code == ErrorCode::kConnectionLost && !upstream->parser.begun() &&
                         client->loop.now_ms() - sent_ms <= milliseconds(limits::kStaleTime).count();
      upstream.reset();
      if (!stale) co_return std::move(answered).error();
    }
    if (may_share && pool.dialling && !pool.only_http11) {
      CCR_CO_CHECK(co_await wait_for_connection(client->loop, pool, timeouts.connect, stop));
      continue;
    }
    CCR_CO_CHECK(co_await add_connection(*client, pool, upstream, timeouts.connect, stop));
    if (upstream == nullptr) continue;
    if (head.empty()) head = write_head(origin, request);
    if (request.on_its_way != nullptr) *request.on_its_way = true;
    CCR_CO_CHECK(co_await exchange_heads(*upstream, head, request, timeouts.first_byte, stop));
    break;
  }
  const bool from_proxy = origin.proxy.used() && !origin.tls && upstream->parser.status() == 407;
  if (from_proxy) co_return proxy_wants_password(origin.proxy);
  co_return decoded(std::make_unique<Reply>(std::move(client), std::move(upstream)));
}

}  // namespace

Client::Client(Loop& loop, Dialer& dialer) : impl_(std::make_shared<Impl>(loop, dialer)) {}

Client::~Client() {
  impl_->closed = true;
  impl_->close_idle();
}

Task<Result<std::unique_ptr<ReplyStream>>> Client::send(const Origin& origin, const ClientRequest& request,
                                                        ClientTimeouts timeouts, StopToken stop) {
  return send_request(impl_, origin, request, timeouts, stop);
}

void Client::close_idle() {
  impl_->close_idle();
}

std::size_t Client::idle_connections() const noexcept {
  std::size_t count = 0;
  for (const auto& pool : impl_->pools) {
    count += pool->idle.size();
    for (const auto& shared : pool->shared) count += shared->streams() == 0 ? 1u : 0u;
  }
  return count;
}

Result<BaseUrl> parse_base_url(std::string_view url) {
  const auto wrong = [&](std::string_view what) {
    return bad_request("base_url " + std::string(what) + "; write it as https://host/path (got '" +
                       text::to_valid_utf8(url.substr(0, 200)) + "')");
  };
  BaseUrl base;
  std::string_view rest = url;
  if (text::starts_with_ignore_case(rest, "https://")) {
    base.origin.tls = true;
    rest.remove_prefix(8);
  } else if (text::starts_with_ignore_case(rest, "http://")) {
    rest.remove_prefix(7);
  } else {
    return wrong("must start with https:// or http://");
  }
  for (const char byte : rest) {
    const auto code = static_cast<unsigned char>(byte);
    if (code <= 0x20 || code >= 0x7F)
      return wrong("must not hold blanks, control characters or non-ASCII characters");
    if (byte == '#') return wrong("must not hold a fragment (#…)");
    if (byte == '?') return wrong("must not hold a query (?…)");
    if (byte == '\\') return wrong("must not hold a backslash");
  }
  const std::size_t slash = rest.find('/');
  const std::string_view authority = rest.substr(0, slash);
  std::string_view path = slash == std::string_view::npos ? std::string_view() : rest.substr(slash);
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  if (authority.find('@') != std::string_view::npos) {
    return bad_request("base_url must not hold a user name or password; put the key into api_key");
  }
  std::string_view host = authority;
  std::string_view port;
  bool has_port = false;
  if (!host.empty() && host.front() == '[') {
    const std::size_t close = host.find(']');
    if (close == std::string_view::npos) return wrong("has a '[' without ']'");
    const std::string_view after = host.substr(close + 1);
    host = host.substr(1, close - 1);
    if (!after.empty() && after.front() != ':') return wrong("has something between ']' and the port");
    has_port = !after.empty();
    if (has_port) port = after.substr(1);
  } else if (const std::size_t colon = host.find(':'); colon != std::string_view::npos) {
    port = host.substr(colon + 1);
    host = host.substr(0, colon);
    has_port = true;
  }
  if (host.empty()) return wrong("names no host");
  base.origin.port = base.origin.tls ? 443 : 80;
  if (has_port) {
    const auto number = text::to_int(port);
    if (!number.has_value() || *number < 1 || *number > 65535)
      return wrong("has a port that is not a number from 1 to 65535");
    base.origin.port = static_cast<std::uint16_t>(*number);
  }
  base.origin.host = text::lower(host);
  base.prefix = std::string(path);
  base.host_header = std::string(authority);
  return base;
}

}  // namespace ccrules::http
