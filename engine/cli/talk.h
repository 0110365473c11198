#pragma once
#include <string>

#include "config/snapshot.h"
#include "core/result.h"

/// Asking the running proxy something.
namespace ccrules::cli {

struct Call {
  const char* method = "GET";
  const char* path = "/status";
  std::string body;
  bool changes = false;  ///< the proxy: takes the operator's key
  std::string url;  ///< where the proxy is; empty: where the configuration says
};

/// Sends the call to the proxy that the configuration describes, and waits. The answer's body when its status is 200; else an
/// error: kUnauthorized, kConnectFailed ...
Result<std::string> talk(const config::Snapshot& config, const Call& call);

}  // namespace ccrules::cli
