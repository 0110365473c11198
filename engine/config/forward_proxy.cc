#include "config/forward_proxy.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <optional>

#include "core/text.h"

namespace ccrules::config {
namespace {

std::optional<std::string> decoded(std::string_view text) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      out += text[at];
      continue;
    }
    if (at + 2 >= text.size() || digit(text[at + 1]) < 0 || digit(text[at + 2]) < 0) return std::nullopt;
    out += static_cast<char>(digit(text[at + 1]) * 16 + digit(text[at + 2]));
    at += 2;
  }
  return out;
}

/// "host", "host:port", "[v6]:port", "v6" taken apart; false when the port is none.
struct HostPort {
  std::string_view host;
  std::optional<std::uint16_t> port;
};
std::optional<HostPort> split_port(std::string_view text) {
  HostPort parts;
  std::string_view port;
  if (text.starts_with("[")) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    parts.host = text.substr(1, close - 1);
    port = text.substr(close + 1);
    if (port.empty()) return parts;
    if (port.front() != ':') return std::nullopt;
    port.remove_prefix(1);
  } else {
    const auto colon = text.find(':');
    const bool one_colon =
        colon != std::string_view::npos && text.find(':', colon + 1) == std::string_view::npos;
    parts.host = one_colon ? text.substr(0, colon) : text;
    if (!one_colon) return parts;
    port = text.substr(colon + 1);
  }
  const auto number = text::to_int(port);
  if (!number || *number < 1 || *number > 65535) return std::nullopt;
  parts.port = static_cast<std::uint16_t>(*number);
  return parts;
}

struct Address {
  std::array<unsigned char, 16> bytes{};
  std::size_t size = 0;  ///< 4 or 16
};
std::optional<Address> address_of(std::string_view text) {
  const std::string copy(text);
  Address address;
  if (inet_pton(AF_INET, copy.c_str(), address.bytes.data()) == 1) {
    address.size = 4;
  } else if (inet_pton(AF_INET6, copy.c_str(), address.bytes.data()) == 1) {
    address.size = 16;
  } else {
    return std::nullopt;
  }
  return address;
}

bool in_network(const Address& address, std::string_view network) {
  const auto slash = network.find('/');
  const auto base = address_of(network.substr(0, slash));
  const auto bits = text::to_int(network.substr(slash + 1));
  if (!base || base->size != address.size || !bits || *bits < 0 ||
      *bits > static_cast<std::int64_t>(address.size * 8))
    return false;
  for (std::size_t bit = 0; bit < static_cast<std::size_t>(*bits); ++bit) {
    const auto mask = static_cast<unsigned char>(0x80u >> (bit % 8));
    if ((address.bytes[bit / 8] & mask) != (base->bytes[bit / 8] & mask)) return false;
  }
  return true;
}

bool matches(std::string_view rule, std::string_view host, std::uint16_t port) {
  rule = text::trim(rule);
  if (rule == "*") return true;
  const auto address = address_of(host);
  if (rule.find('/') != std::string_view::npos) return address && in_network(*address, rule);
  const auto parts = split_port(rule);
  if (!parts || (parts->port && *parts->port != port)) return false;
  std::string_view name = parts->host;
  if (const auto meant = address_of(name))
    return address && address->size == meant->size && address->bytes == meant->bytes;
  if (name.starts_with("*.")) name.remove_prefix(1);
  const bool only_below = name.starts_with(".");
  if (only_below) name.remove_prefix(1);
  if (name.ends_with(".")) name.remove_suffix(1);
  if (name.empty() || host.size() < name.size() || address) return false;
  const std::string_view tail = host.substr(host.size() - name.size());
  if (!text::equals_ignore_case(tail, name)) return false;
  return host.size() == name.size() || host[host.size() - name.size() - 1] == '.';
}

}  // namespace

std::string read_forward_proxy(std::string_view url, ForwardProxy& into) {
  std::string_view rest = text::trim(url);
  ForwardProxy proxy;
  if (text::starts_with_ignore_case(rest, "https://")) {
    proxy.tls = true;
    rest.remove_prefix(8);
  } else if (text::starts_with_ignore_case(rest, "http://")) {
    rest.remove_prefix(7);
  } else if (rest.find("://") != std::string_view::npos) {
    return "must start with http:// or https:// (other kinds of proxies are not spoken)";
  }
  if (const auto slash = rest.find('/'); slash != std::string_view::npos) {
    if (slash + 1 != rest.size()) return "must end behind the port";
    rest = rest.substr(0, slash);
  }
  if (const auto at = rest.rfind('@'); at != std::string_view::npos) {
    const std::string_view who = rest.substr(0, at);
    rest = rest.substr(at + 1);
    const auto colon = who.find(':');
    const auto user = decoded(who.substr(0, colon));
    const auto password = colon == std::string_view::npos ? std::string() : decoded(who.substr(colon + 1));
    if (!user || !password || user->find(':') != std::string::npos)
      return "has a user name or password that is not percent-encoded";
    proxy.user = *user;
    proxy.password = *password;
  }
  const bool odd = std::any_of(rest.begin(), rest.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= 0x20 || byte >= 0x7f || c == '?' || c == '#' || c == '\\';
  });
  const auto parts = split_port(rest);
  if (odd || !parts || parts->host.empty()) return "must be http://host:port";
  proxy.host = text::lower(parts->host);
  proxy.port = parts->port.value_or(proxy.tls ? 443 : 80);
  into = std::move(proxy);
  return {};
}

bool bypasses_proxy(std::span<const std::string> rules, std::string_view host, std::uint16_t port) {
  return std::any_of(rules.begin(), rules.end(),
                     [&](const std::string& rule) { return matches(rule, host, port); });
}

bool is_loopback_host(std::string_view host) {
  if (text::equals_ignore_case(host, "localhost")) return true;
  const auto address = address_of(host);
  return address && (address->size == 4 ? address->bytes[0] == 127 : in_network(*address, "::1/128"));
}

}  // namespace ccrules::config
