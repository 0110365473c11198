#pragma once
#include <chrono>
#include <memory>
#include <string>

#include "async/dialer.h"
#include "async/stream.h"

namespace ccrules {

/// Keys, trust and sessions of one side; shared by its connections. One thread.
class TlsContext {
 public:
  /// For outgoing connections: verification on, TLS >= 1.2, the system's authorities and those in `ca_file`
  /// (PEM; empty: none), sessions remembered per origin. Error: the file cannot be read or holds no
  /// certificate.
  static Result<std::shared_ptr<TlsContext>> client(const std::string& ca_file);
  /// For the listener: certificate chain and key as PEM files. Error names the file. To reload, make a new
  /// one: connections keep theirs.
  static Result<std::shared_ptr<TlsContext>> server(const std::string& certificate_file,
                                                    const std::string& key_file);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  struct Impl;
  [[nodiscard]] Impl& impl() noexcept { return *impl_; }

 private:
  explicit TlsContext(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Speaks TLS over `lower` as the client of `endpoint`. Errors: kConnectFailed (the certificate does not fit
/// the name, is not trusted, has expired, …; the message says which), kUpstreamTimeout, kCancelled.
Task<Result<std::unique_ptr<ByteStream>>> tls_connect(std::unique_ptr<ByteStream> lower,
                                                      std::shared_ptr<TlsContext> context, Endpoint endpoint,
                                                      std::chrono::milliseconds timeout, StopToken stop);

/// The server's side of the same.
Task<Result<std::unique_ptr<ByteStream>>> tls_accept(std::unique_ptr<ByteStream> lower,
                                                     std::shared_ptr<TlsContext> context,
                                                     std::chrono::milliseconds timeout, StopToken stop);

/// True when `stream` came from tls_connect() and its handshake was shortened by an earlier session. For
/// tests and statistics.
[[nodiscard]] bool tls_resumed(const ByteStream& stream) noexcept;

}  // namespace ccrules
