#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "async/dialer.h"
#include "async/memory_stream.h"

namespace ccrules {

/// A network for tests: host:port -> what happens to a connection made there. Everything else refuses.
class SimDialer final : public Dialer {
 public:
  /// Gets the far end of each new connection.
  using Accept = std::function<void(std::unique_ptr<ByteStream>)>;
  struct Site {
    Accept accept;
    std::chrono::milliseconds connect_time{0};
    bool silent = false;  ///< never answers the connection attempt
    Wire to_site;
    Wire from_site;
    std::string protocol;  ///< what the site agrees to when HTTP/2 is offered to it
  };

  explicit SimDialer(Loop& loop) noexcept : loop_(loop) {}
  /// Opens or replaces a site; without `accept` the address refuses again.
  void set(const std::string& host, std::uint16_t port, Site site);
  /// Connections made so far, to any site.
  [[nodiscard]] std::size_t dialled() const noexcept { return dialled_; }

  Task<Result<std::unique_ptr<ByteStream>>> dial(Endpoint endpoint, std::chrono::milliseconds timeout,
                                                 StopToken stop) override;
  /// Nothing is encrypted here: the same stream.
  Task<Result<std::unique_ptr<ByteStream>>> secure(std::unique_ptr<ByteStream> lower, Endpoint endpoint,
                                                   std::chrono::milliseconds timeout, StopToken stop) override;

 private:
  Loop& loop_;
  std::map<std::string, Site> sites_;
  std::size_t dialled_ = 0;
};

}  // namespace ccrules
