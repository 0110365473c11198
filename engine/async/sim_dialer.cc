#include "async/sim_dialer.h"

namespace ccrules {
namespace {

Error no_connection(const std::string& where, ErrorCode code, std::string_view reason) {
  Error error;
  error.code = code;
  error.origin = Origin::kUpstream;
  error.retry = Retry::kNextTarget;
  error.http_status = code == ErrorCode::kUpstreamTimeout ? 504 : 502;
  error.message = "cannot connect to " + where + ": " + std::string(reason);
  return error;
}

}  // namespace

void SimDialer::set(const std::string& host, std::uint16_t port, Site site) {
  sites_[host + ":" + std::to_string(port)] = std::move(site);
}

Task<Result<std::unique_ptr<ByteStream>>> SimDialer::dial(Endpoint endpoint,
                                                          std::chrono::milliseconds timeout, StopToken stop) {
  const std::string where = endpoint.host + ":" + std::to_string(endpoint.port);
  const auto before = sites_.find(where);
  const bool silent =
      before != sites_.end() && (before->second.silent || before->second.connect_time > timeout);
  const std::chrono::milliseconds wait = silent                   ? timeout
                                         : before != sites_.end() ? before->second.connect_time
                                                                  : std::chrono::milliseconds(0);
  CCR_CO_CHECK(co_await sleep_for(loop_, wait, stop));
  if (silent) co_return no_connection(where, ErrorCode::kUpstreamTimeout, "no answer in time");
  const auto found = sites_.find(where);
  if (found == sites_.end() || !found->second.accept) {
    co_return no_connection(where, ErrorCode::kConnectFailed, "connection refused");
  }
  ++dialled_;
  const SimDialer::Site& site = found->second;
  const std::string protocol = endpoint.tls && endpoint.http2 ? site.protocol : std::string();
  MemoryPair pair = memory_pair(loop_, site.to_site, site.from_site, where, protocol);
  site.accept(std::move(pair.far));
  co_return std::move(pair.near);
}

Task<Result<std::unique_ptr<ByteStream>>> SimDialer::secure(std::unique_ptr<ByteStream> lower, Endpoint,
                                                            std::chrono::milliseconds, StopToken stop) {
  if (stop.stopped()) co_return cancelled();
  co_return std::move(lower);
}

}  // namespace ccrules
