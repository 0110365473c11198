#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace ccrules::config {

/// A proxy that upstream connections go through: taken apart from http://user:password@host:port.
struct ForwardProxy {
  bool tls = false;  ///< https: the connection to the proxy itself is encrypted
  std::string host;  ///< name or address, no brackets; empty: no proxy
  std::uint16_t port = 0;
  std::string user, password;  ///< decoded; both empty: none
  [[nodiscard]] bool used() const noexcept { return !host.empty(); }
  bool operator==(const ForwardProxy&) const = default;
};

/// Takes a proxy's URL apart; "host:port" alone means http. @return what is wrong with it, without repeating
/// any of it (it may hold a password): "must start with http:// or https://"; empty: nothing.
std::string read_forward_proxy(std::string_view url, ForwardProxy& into);

/// True when one of the NO_PROXY rules matches: `*`; a name, which is also meant for what ends in it;
/// `.suffix` or
/// `*.suffix`; an address; a network (10.0.0.0/8, fd00::/8); each may end in :port. Names are not looked up:
/// networks match hosts that are written as addresses.
[[nodiscard]] bool bypasses_proxy(std::span<const std::string> rules, std::string_view host,
                                  std::uint16_t port);

/// localhost, 127.0.0.0/8, ::1: never behind a proxy that was meant for the outside.
[[nodiscard]] bool is_loopback_host(std::string_view host);

}  // namespace ccrules::config
