#pragma once
#include <functional>
#include <memory>
#include <string>

#include "config/load.h"
#include "config/snapshot.h"
#include "core/result.h"

namespace ccrules::proxy {

struct ServiceOptions {
  config::Options config;                                         ///< read again on SIGHUP
  std::shared_ptr<const config::Snapshot> snapshot;               ///< already loaded
  std::function<void(const std::string& base_url)> on_listening;  ///< called once, on the calling thread
};

/// Runs the proxy on the calling thread (acceptor, signals, reload) and one thread per worker, until SIGTERM
/// or SIGINT and everything running has finished (a second signal ends it at once). SIGHUP reloads
/// configuration and rules, all or nothing.
/// @return an error when it cannot start: rules that do not load, a port in use (type "port_in_use"), an
/// unreadable certificate
Result<void> run_service(const ServiceOptions& options);

}  // namespace ccrules::proxy
