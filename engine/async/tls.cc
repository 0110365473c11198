#include "async/tls.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstring>
#include <map>
#include <netinet/in.h>
#include <vector>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "core/limits.h"

namespace ccrules {
namespace {

struct FreeContext {
  void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
};
struct FreeSession {
  void operator()(SSL_SESSION* session) const noexcept { SSL_SESSION_free(session); }
};
struct FreeSsl {
  void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
};
using ContextPointer = std::unique_ptr<SSL_CTX, FreeContext>;
using SessionPointer = std::unique_ptr<SSL_SESSION, FreeSession>;
using SslPointer = std::unique_ptr<SSL, FreeSsl>;

/// The last thing OpenSSL complained about, in its own words.
std::string openssl_reason() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "unknown reason" : reason;
}

Error tls_file_error(const std::string& what, const std::string& file) {
  Error error = internal_error("cannot use " + what + " '" + file + "': " + openssl_reason());
  error.code = ErrorCode::kConnectFailed;
  return error;
}

bool is_address(const std::string& host) noexcept {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  return inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 ||
         inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

/// Records are collected up to this size before they are sent: with one more record they still fit into one
/// copied write.
constexpr std::size_t kRecordsAtOnce = 128 * 1024;
static_assert(kRecordsAtOnce + 2 * 16 * 1024 <= limits::kWriteCopyBytes);

constexpr std::array<unsigned char, 12> kHttp2Or11 = {2,   'h', '2', 8,   'h', 't',
                                                      't', 'p', '/', '1', '.', '1'};
constexpr std::array<unsigned char, 9> kHttp11 = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

}  // namespace

struct TlsContext::Impl {
  ContextPointer context;
  std::map<std::string, SessionPointer> sessions;  ///< by "host:port"; clients only
};

TlsContext::TlsContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsContext::~TlsContext() = default;

namespace {

/// A connection's place in OpenSSL's callbacks.
struct Home {
  TlsContext::Impl* context = nullptr;
  std::string origin;
};

int keep_session(SSL* ssl, SSL_SESSION* session) {
  const auto* home = static_cast<const Home*>(SSL_get_app_data(ssl));
  if (home == nullptr || home->origin.empty()) return 0;
  home->context->sessions[home->origin] = SessionPointer(session);
  return 1;  // the reference is ours now
}

int choose_http11(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                  unsigned in_size, void*) {
  for (unsigned at = 0; at + in[at] < in_size; at += 1u + in[at]) {
    if (in[at] == kHttp11[0] && std::memcmp(in + at, kHttp11.data(), kHttp11.size()) == 0) {
      *out = in + at + 1;
      *out_size = in[at];
      return SSL_TLSEXT_ERR_OK;
    }
    if (at + 1u + in[at] >= in_size) break;
  }
  return SSL_TLSEXT_ERR_NOACK;
}

ContextPointer new_context(const SSL_METHOD* method) {
  ERR_clear_error();
  ContextPointer context(SSL_CTX_new(method));
  if (context == nullptr) return nullptr;
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // Idle connections give their 32 KB of record buffers back.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  return context;
}

}  // namespace

Result<std::shared_ptr<TlsContext>> TlsContext::client(const std::string& ca_file) {
  auto impl = std::make_unique<Impl>();
  impl->context = new_context(TLS_client_method());
  if (impl->context == nullptr) return internal_error("TLS cannot be set up: " + openssl_reason());
  SSL_CTX* context = impl->context.get();
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_default_verify_paths(context);
  if (!ca_file.empty() && SSL_CTX_load_verify_locations(context, ca_file.c_str(), nullptr) != 1) {
    return tls_file_error("the file of certificate authorities", ca_file);
  }
  SSL_CTX_set_alpn_protos(context, kHttp11.data(), static_cast<unsigned>(kHttp11.size()));
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, keep_session);
  ERR_clear_error();
  return std::shared_ptr<TlsContext>(new TlsContext(std::move(impl)));
}

Result<std::shared_ptr<TlsContext>> TlsContext::server(const std::string& certificate_file,
                                                       const std::string& key_file) {
  auto impl = std::make_unique<Impl>();
  impl->context = new_context(TLS_server_method());
  if (impl->context == nullptr) return internal_error("TLS cannot be set up: " + openssl_reason());
  SSL_CTX* context = impl->context.get();
  if (SSL_CTX_use_certificate_chain_file(context, certificate_file.c_str()) != 1) {
    return tls_file_error("the certificate", certificate_file);
  }
  if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    return tls_file_error("the private key", key_file);
  }
  constexpr std::string_view kName = "ccrules";
  SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(kName.data()),
                                 static_cast<unsigned>(kName.size()));
  SSL_CTX_set_alpn_select_cb(context, choose_http11, nullptr);
  return std::shared_ptr<TlsContext>(new TlsContext(std::move(impl)));
}

namespace {

class TlsStream final : public ByteStream, private ByteStream::Upper {
 public:
  TlsStream(std::unique_ptr<ByteStream> lower, std::shared_ptr<TlsContext> context)
      : ByteStream(lower->loop()),
        context_(std::move(context)),
        lower_(std::move(lower)),
        ssl_(SSL_new(context_->impl().context.get())),
        in_(BIO_new(BIO_s_mem())),
        out_(BIO_new(BIO_s_mem())) {
    CCR_ASSERT(ssl_ != nullptr && in_ != nullptr && out_ != nullptr);
    SSL_set_bio(ssl_.get(), in_, out_);
    home_.context = &context_->impl();
    SSL_set_app_data(ssl_.get(), &home_);
    lower_->set_upper(this);
  }
  ~TlsStream() override {
    drop();
    if (gone_ != nullptr) *gone_ = true;
  }

  /// Names the peer whose certificate must be shown, and offers the session it gave last time.
  void be_client_of(const Endpoint& endpoint);
  void be_server() { SSL_set_accept_state(ssl_.get()); }

  /// Awaitable of bool: false when the handshake failed; failure() tells why.
  class Handshake;
  [[nodiscard]] const Error& failure() const noexcept { return failure_; }

  [[nodiscard]] bool resumed() const noexcept { return SSL_session_reused(ssl_.get()) == 1; }

  std::size_t put(std::span<const std::string_view> pieces, std::size_t offset) noexcept override;
  [[nodiscard]] std::size_t queued() const noexcept override { return lower_->queued(); }
  void pause_reading() noexcept override { lower_->pause_reading(); }
  void resume_reading() noexcept override { lower_->resume_reading(); }
  void shut_write() noexcept override {
    if (!ready_ || dropped_) return;
    SSL_shutdown(ssl_.get());
    send_records();
    lower_->shut_write();
  }
  void reset() noexcept override {
    lower_->reset();
    close();
  }
  [[nodiscard]] std::string_view peer() const noexcept override { return lower_->peer(); }
  [[nodiscard]] bool peer_is_loopback() const noexcept override { return lower_->peer_is_loopback(); }
  [[nodiscard]] std::string_view protocol() const noexcept override {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return size == 0 ? std::string_view() : std::string_view(reinterpret_cast<const char*>(name), size);
  }

 protected:
  void drop() noexcept override {
    if (std::exchange(dropped_, true)) return;
    if (ready_ && lower_->writable()) {
      SSL_shutdown(ssl_.get());
      send_records();
    }
    lower_->close();
  }

 private:
  enum class Step : std::uint8_t { kDone, kMore, kFailed };

  void on_bytes(char* bytes, std::size_t size) override;
  void on_end() override;
  void on_broken() override { on_end_of_lower(false); }
  void on_drained() override;
  void on_end_of_lower(bool orderly);
  Step step_handshake();
  void explain_failure();
  void decrypt();
  /// Gives what OpenSSL has written to the lower stream; false when that is broken.
  bool send_records() noexcept;

  std::shared_ptr<TlsContext> context_;
  std::unique_ptr<ByteStream> lower_;
  SslPointer ssl_;
  BIO* in_;   ///< owned by ssl_
  BIO* out_;  ///< owned by ssl_
  Home home_;
  Handshake* handshake_ = nullptr;
  bool* gone_ = nullptr;  ///< set while plain text is handed out: tells that the stream is gone
  bool ready_ = false;    ///< the handshake is over
  bool dropped_ = false;
  Error failure_;
};

class TlsStream::Handshake : private Timer, private StopCallback {
 public:
  Handshake(TlsStream& stream, std::chrono::milliseconds timeout, StopToken stop) noexcept
      : Timer([](Timer& timer) noexcept {
          auto& self = static_cast<Handshake&>(timer);
          self.stream_.failure_.code = ErrorCode::kUpstreamTimeout;
          self.stream_.failure_.http_status = 504;
          self.stream_.failure_.message = "the TLS handshake with " + self.stream_.home_.origin +
                                          " did not end within " + std::to_string(self.timeout_.count()) +
                                          " ms";
          self.wake(false);
        }),
        StopCallback([](StopCallback& callback) noexcept {
          auto& self = static_cast<Handshake&>(callback);
          self.stream_.failure_ = cancelled();
          self.wake(false);
        }),
        stream_(stream),
        timeout_(timeout),
        stop_(stop) {}
  bool await_ready() {
    if (stop_.stopped()) {
      stream_.failure_ = cancelled();
      return true;
    }
    const Step step = stream_.step_handshake();
    done_ = step == Step::kDone;
    return step != Step::kMore;
  }
  void await_suspend(std::coroutine_handle<> waiter) noexcept {
    waiter_ = waiter;
    stream_.handshake_ = this;
    if (timeout_.count() > 0) start(stream_.loop().timers(), timeout_);
    stop_.subscribe(*this);
  }
  [[nodiscard]] bool await_resume() const noexcept { return done_; }
  void wake(bool done) noexcept {
    done_ = done;
    stream_.handshake_ = nullptr;
    Timer::stop();
    unlink();
    waiter_.resume();
  }

 private:
  TlsStream& stream_;
  std::chrono::milliseconds timeout_;
  StopToken stop_;
  std::coroutine_handle<> waiter_;
  bool done_ = false;
};

void TlsStream::be_client_of(const Endpoint& endpoint) {
  SSL* ssl = ssl_.get();
  home_.origin = endpoint.host + ":" + std::to_string(endpoint.port);
  if (is_address(endpoint.host)) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), endpoint.host.c_str());
  } else {
    SSL_set_tlsext_host_name(ssl, endpoint.host.c_str());
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_set1_host(ssl, endpoint.host.c_str());
  }
  if (endpoint.http2) SSL_set_alpn_protos(ssl, kHttp2Or11.data(), static_cast<unsigned>(kHttp2Or11.size()));
  const auto known = home_.context->sessions.find(home_.origin);
  if (known != home_.context->sessions.end()) SSL_set_session(ssl, known->second.get());
  SSL_set_connect_state(ssl);
}

bool TlsStream::send_records() noexcept {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out_, &bytes);
  if (size <= 0) return true;
  const std::array<std::string_view, 1> pieces = {std::string_view(bytes, static_cast<std::size_t>(size))};
  const bool all = lower_->put(pieces, 0) == static_cast<std::size_t>(size) && lower_->writable();
  BIO_reset(out_);
  return all;
}

void TlsStream::explain_failure() {
  const std::string who = home_.origin.empty() ? std::string("the client") : home_.origin;
  const long verdict = SSL_get_verify_result(ssl_.get());
  const std::string reason = openssl_reason();
  failure_.code = ErrorCode::kConnectFailed;
  failure_.origin = Origin::kUpstream;
  failure_.retry = Retry::kNextTarget;
  failure_.http_status = 502;
  switch (verdict) {
    case X509_V_OK:
      failure_.message = "the TLS handshake with " + who + " failed: " + reason;
      break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      failure_.message = "the certificate of " + who + " is made for another name; check the base_url";
      break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
      failure_.message = "the certificate of " + who +
                         " has expired; it must be renewed there (or this machine's clock is wrong)";
      break;
    default:
      failure_.message = "the certificate of " + who + " is not trusted (" +
                         X509_verify_cert_error_string(verdict) +
                         "); add its authority to the trusted certificates";
      break;
  }
}

TlsStream::Step TlsStream::step_handshake() {
  ERR_clear_error();
  const int status = SSL_do_handshake(ssl_.get());
  const int wants = status == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), status);
  if (wants != SSL_ERROR_NONE && wants != SSL_ERROR_WANT_READ) explain_failure();
  const bool sent = send_records();  // an alert, too
  if (wants == SSL_ERROR_NONE) {
    ready_ = true;
    return Step::kDone;
  }
  if (wants != SSL_ERROR_WANT_READ) return Step::kFailed;
  if (!sent || !lower_->open()) {
    failure_ = connection_lost();
    failure_.message = "the connection was closed during the TLS handshake" +
                       (home_.origin.empty() ? "" : " with " + home_.origin);
    return Step::kFailed;
  }
  return Step::kMore;
}

void TlsStream::on_bytes(char* bytes, std::size_t size) {
  BIO_write(in_, bytes, static_cast<int>(size));
  if (!ready_) {
    if (handshake_ == nullptr) return;
    const Step step = step_handshake();
    if (step == Step::kMore) return;
    bool gone = false;
    gone_ = &gone;
    handshake_->wake(step == Step::kDone);
    if (gone) return;
    gone_ = nullptr;
    if (!ready_ || dropped_) return;
  }
  decrypt();
}

/// Hands out what can be decrypted, in pieces of one read.
void TlsStream::decrypt() {
  // Nobody keeps a view into it across a turn of the loop.
  static thread_local const std::unique_ptr<char[]> plain(new char[limits::kReadChunkBytes]);
  for (bool more = true; more && !dropped_;) {
    std::size_t filled = 0;
    int wants = SSL_ERROR_NONE;
    while (filled < limits::kReadChunkBytes) {
      ERR_clear_error();
      const int got =
          SSL_read(ssl_.get(), plain.get() + filled, static_cast<int>(limits::kReadChunkBytes - filled));
      if (got <= 0) {
        wants = SSL_get_error(ssl_.get(), got);
        break;
      }
      filled += static_cast<std::size_t>(got);
    }
    more = wants == SSL_ERROR_NONE;
    if (!send_records() && wants == SSL_ERROR_WANT_READ && filled == 0) return on_end_of_lower(false);
    if (filled > 0) {
      bool gone = false;
      gone_ = &gone;
      received(plain.get(), filled);
      if (gone) return;
      gone_ = nullptr;
    }
    if (dropped_) return;
    if (wants == SSL_ERROR_ZERO_RETURN) return received_end();
    if (wants != SSL_ERROR_NONE && wants != SSL_ERROR_WANT_READ) return received_error();
  }
}

// An end without close_notify may have been made by anybody on the way: what came is not known to be all.
void TlsStream::on_end() {
  on_end_of_lower(false);
}

void TlsStream::on_end_of_lower(bool) {
  if (handshake_ != nullptr) {
    failure_ = connection_lost();
    failure_.message = "the connection was closed during the TLS handshake" +
                       (home_.origin.empty() ? "" : " with " + home_.origin);
    handshake_->wake(false);
    return;
  }
  received_error();
}

void TlsStream::on_drained() {
  if (!lower_->writable()) mark_broken();
  drained();
}

std::size_t TlsStream::put(std::span<const std::string_view> pieces, std::size_t offset) noexcept {
  if (!ready_ || dropped_ || !lower_->writable()) {
    mark_broken();
    return 0;
  }
  // Head, chunk framing and small bodies go out as one record.
  std::array<char, 16 * 1024> joined;
  std::size_t total = 0;
  for (const std::string_view piece : pieces) total += piece.size();
  total -= std::min(offset, total);
  if (total > limits::kWriteCopyBytes && lower_->queued() > 0) return 0;
  std::size_t taken = 0;
  std::size_t filled = 0;
  const auto seal = [&](const char* bytes, std::size_t size) {
    if (size == 0) return true;
    ERR_clear_error();
    if (SSL_write(ssl_.get(), bytes, static_cast<int>(size)) != static_cast<int>(size)) return false;
    return BIO_ctrl_pending(out_) < kRecordsAtOnce || send_records();
  };
  bool good = true;
  for (std::string_view piece : pieces) {
    const std::size_t skip = std::min(offset, piece.size());
    offset -= skip;
    piece.remove_prefix(skip);
    while (!piece.empty() && good) {
      // Enough is under way; the rest is asked for again when there is room.
      if (total > limits::kWriteCopyBytes && lower_->queued() > 0 && filled == 0) {
        if (!send_records()) mark_broken();
        return taken;
      }
      const std::size_t part = std::min(piece.size(), joined.size() - filled);
      if (filled == 0 && part == joined.size()) {
        good = seal(piece.data(), part);
      } else {
        std::memcpy(joined.data() + filled, piece.data(), part);
        filled += part;
        if (filled == joined.size()) {
          good = seal(joined.data(), filled);
          filled = 0;
        }
      }
      taken += part;
      piece.remove_prefix(part);
    }
  }
  if (good) good = seal(joined.data(), filled) && send_records();
  if (!good) mark_broken();
  return taken;
}

}  // namespace

bool tls_resumed(const ByteStream& stream) noexcept {
  const auto* tls = dynamic_cast<const TlsStream*>(&stream);
  return tls != nullptr && tls->resumed();
}

Task<Result<std::unique_ptr<ByteStream>>> tls_connect(std::unique_ptr<ByteStream> lower,
                                                      std::shared_ptr<TlsContext> context, Endpoint endpoint,
                                                      std::chrono::milliseconds timeout, StopToken stop) {
  auto stream = std::make_unique<TlsStream>(std::move(lower), std::move(context));
  stream->be_client_of(endpoint);
  TlsStream::Handshake handshake(*stream, timeout, stop);
  const bool done = co_await handshake;
  if (!done) co_return stream->failure();
  co_return std::unique_ptr<ByteStream>(std::move(stream));
}

Task<Result<std::unique_ptr<ByteStream>>> tls_accept(std::unique_ptr<ByteStream> lower,
                                                     std::shared_ptr<TlsContext> context,
                                                     std::chrono::milliseconds timeout, StopToken stop) {
  auto stream = std::make_unique<TlsStream>(std::move(lower), std::move(context));
  stream->be_server();
  TlsStream::Handshake handshake(*stream, timeout, stop);
  const bool done = co_await handshake;
  if (!done) co_return stream->failure();
  co_return std::unique_ptr<ByteStream>(std::move(stream));
}

}  // namespace ccrules
