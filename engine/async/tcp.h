#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "async/stream.h"
#include "async/uv_loop.h"

namespace ccrules {

/// Takes over a connected TCP socket (non-blocking, close-on-exec) for the loop; on error the descriptor is
/// closed.
Result<std::unique_ptr<ByteStream>> adopt_tcp(UvLoop& loop, int descriptor);

/// A socket address as text and bytes.
struct Address {
  std::string text;      ///< "127.0.0.1:80", "[::1]:80"
  std::string sockaddr;  ///< a struct sockaddr_in or sockaddr_in6
};

/// Addresses of a host: an IP literal directly, a name by the system's resolver on libuv's threads. Never
/// empty. Errors: kConnectFailed (message names the host), kUpstreamTimeout, kCancelled.
Task<Result<std::vector<Address>>> resolve(UvLoop& loop, std::string host, std::uint16_t port,
                                           std::chrono::milliseconds timeout, StopToken stop);

/// Connects to one address. Errors: kConnectFailed (message names the address and reason), kUpstreamTimeout,
/// kCancelled.
Task<Result<std::unique_ptr<ByteStream>>> connect_tcp(UvLoop& loop, const Address& address,
                                                      std::chrono::milliseconds timeout, StopToken stop);

}  // namespace ccrules
