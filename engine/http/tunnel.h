#pragma once
#include <chrono>
#include <memory>

#include "async/dialer.h"
#include "http/client.h"

/// Connections through a forward proxy; private to http/.
namespace ccrules::http {

/// Connects to `target` through `proxy`: for https by CONNECT and TLS inside of it, else to the proxy itself,
/// which then wants absolute targets. All within `timeout`. Errors as Dialer::dial(), each naming the proxy,
/// never its credentials.
Task<Result<std::unique_ptr<ByteStream>>> connect_through(Loop& loop, Dialer& dialer, const Proxy& proxy,
                                                          Endpoint target, std::chrono::milliseconds timeout,
                                                          StopToken stop);

/// What a 407 means.
Error proxy_wants_password(const Proxy& proxy);

}  // namespace ccrules::http
