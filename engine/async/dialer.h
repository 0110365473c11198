#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "async/stream.h"

namespace ccrules {

/// Where to connect.
struct Endpoint {
  bool tls = false;
  std::string host;
  std::uint16_t port = 0;
  std::string ca_file;  ///< PEM with authorities to trust besides the system's; empty: none
  bool http2 = false;   ///< offer HTTP/2 when TLS begins; the stream's protocol() tells what it became
};

/// Opens upstream connections: resolver, TCP and TLS in production, scripted memory streams in tests.
class Dialer {
 public:
  virtual ~Dialer() = default;
  /// Connected, TLS verified. Errors: kConnectFailed (message names host and reason), kUpstreamTimeout,
  /// kCancelled.
  virtual Task<Result<std::unique_ptr<ByteStream>>> dial(Endpoint endpoint, std::chrono::milliseconds timeout,
                                                         StopToken stop) = 0;
  /// TLS with `endpoint` over a connection that was made some other way (through a proxy). The same errors.
  virtual Task<Result<std::unique_ptr<ByteStream>>> secure(std::unique_ptr<ByteStream> lower, Endpoint endpoint,
                                                           std::chrono::milliseconds timeout, StopToken stop) = 0;
};

}  // namespace ccrules
