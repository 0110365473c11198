#include "async/tls.h"

namespace ccrules {
struct TlsContext::Impl {};
TlsContext::TlsContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsContext::~TlsContext() = default;
Result<std::shared_ptr<TlsContext>> TlsContext::client(const std::string&) {
  return internal_error("TLS is not available yet");
}
Result<std::shared_ptr<TlsContext>> TlsContext::server(const std::string&, const std::string&) {
  return internal_error("TLS is not available yet");
}
Task<Result<std::unique_ptr<ByteStream>>> tls_connect(std::unique_ptr<ByteStream>,
                                                      std::shared_ptr<TlsContext>, Endpoint,
                                                      std::chrono::milliseconds, StopToken) {
  co_return internal_error("TLS is not available yet");
}
Task<Result<std::unique_ptr<ByteStream>>> tls_accept(std::unique_ptr<ByteStream>, std::shared_ptr<TlsContext>,
                                                     std::chrono::milliseconds, StopToken) {
  co_return internal_error("TLS is not available yet");
}
}  // namespace ccrules
