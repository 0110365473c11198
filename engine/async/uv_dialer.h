#pragma once
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
  /// `ca_file`: PEM with certificate authorities to trust besides the system's; empty: none. A file that
  /// cannot be read makes every TLS connection fail with that reason.
  explicit UvDialer(UvLoop& loop, const std::string& ca_file = {});
  ~UvDialer() override;

  Task<Result<std::unique_ptr<ByteStream>>> dial(Endpoint endpoint, std::chrono::milliseconds timeout,
                                                 StopToken stop) override;

 private:
  UvLoop& loop_;
  std::string ca_file_;
  std::shared_ptr<TlsContext>
      tls_;  ///< made by the first TLS connection: loading the trust store takes milliseconds and memory
};

}  // namespace ccrules
