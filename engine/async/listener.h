#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "async/uv_loop.h"

namespace ccrules {

/// A listening TCP socket on one loop. Accepted descriptors are handed out raw (non-blocking, close-on-exec),
/// so that any worker's loop can adopt_tcp() them. When descriptors run out, connections are shed and
/// accepting pauses for a moment: no busy loop.
class Listener {
 public:
  using Accepted = std::function<void(int descriptor)>;  ///< takes ownership of the descriptor

  /// Binds and listens; `host` is an address or "localhost"; port 0 takes a free one. Error: one sentence
  /// that says what to change when the port is in use, not allowed, or the address is not ours (code
  /// kConnectFailed).
  static Result<std::unique_ptr<Listener>> open(UvLoop& loop, const std::string& host, std::uint16_t port,
                                                Accepted accepted);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept;
  /// Stops accepting and closes the socket; later connections are refused.
  void close() noexcept;

  struct Impl;

 private:
  explicit Listener(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ccrules
