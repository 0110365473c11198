#include "async/uv_dialer.h"

#include <algorithm>

#include "async/tcp.h"
#include "async/tls.h"

namespace ccrules {

UvDialer::UvDialer(UvLoop& loop) : loop_(loop) {}
UvDialer::~UvDialer() = default;

Task<Result<std::unique_ptr<ByteStream>>> UvDialer::dial(Endpoint endpoint, std::chrono::milliseconds timeout,
                                                         StopToken stop) {
  using std::chrono::milliseconds;
  const std::int64_t give_up_ms = loop_.now_ms() + timeout.count();
  CCR_CO_TRY(addresses, co_await resolve(loop_, endpoint.host, endpoint.port, timeout, stop));
  std::unique_ptr<ByteStream> stream;
  for (std::size_t at = 0; at < addresses.size() && stream == nullptr; ++at) {
    // An address that swallows packets must leave the next ones their share of the time.
    const std::int64_t left_ms = std::max<std::int64_t>(give_up_ms - loop_.now_ms(), 1);
    const milliseconds share(
        std::max<std::int64_t>(left_ms / static_cast<std::int64_t>(addresses.size() - at), 1));
    auto connected = co_await connect_tcp(loop_, addresses[at], share, stop);
    if (connected.ok()) {
      stream = *std::move(connected);
    } else if (connected.error().code == ErrorCode::kCancelled || at + 1 == addresses.size()) {
      co_return std::move(connected).error();
    }
  }
  if (!endpoint.tls) co_return stream;
  const milliseconds left(std::max<std::int64_t>(give_up_ms - loop_.now_ms(), 1));
  co_return co_await secure(std::move(stream), std::move(endpoint), left, stop);
}

Task<Result<std::unique_ptr<ByteStream>>> UvDialer::secure(std::unique_ptr<ByteStream> lower, Endpoint endpoint,
                                                           std::chrono::milliseconds timeout, StopToken stop) {
  std::shared_ptr<TlsContext> trust = trust_[endpoint.ca_file];
  if (trust == nullptr) {
    CCR_CO_TRY(context, TlsContext::client(endpoint.ca_file));
    trust = trust_[endpoint.ca_file] = std::move(context);
  }
  co_return co_await tls_connect(std::move(lower), std::move(trust), std::move(endpoint), timeout, stop);
}

}  // namespace ccrules
