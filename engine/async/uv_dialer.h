#pragma once
#include <map>
#include <memory>
#include <string>

#include "async/dialer.h"
#include "async/uv_loop.h"

namespace ccrules {

class TlsContext;  // async/tls.h

/// Real connections: resolves, tries every address in turn within the time limit, and speaks TLS when asked
/// to. One per worker; must outlive its connections.
class UvDialer final : public Dialer {
 public:
  explicit UvDialer(UvLoop& loop);
  ~UvDialer() override;

  /// An Endpoint::ca_file that cannot be read makes the connection fail with that reason.
  Task<Result<std::unique_ptr<ByteStream>>> dial(Endpoint endpoint, std::chrono::milliseconds timeout,
                                                 StopToken stop) override;
  Task<Result<std::unique_ptr<ByteStream>>> secure(std::unique_ptr<ByteStream> lower, Endpoint endpoint,
                                                   std::chrono::milliseconds timeout, StopToken stop) override;
  /// Connections from now on read the certificate files anew. Open ones stay.
  void reload_trust() noexcept { trust_.clear(); }

 private:
  UvLoop& loop_;
  /// By ca_file; made by the first TLS connection: loading the trust store takes milliseconds and memory.
  std::map<std::string, std::shared_ptr<TlsContext>> trust_;
};

}  // namespace ccrules
