#pragma once
#include <chrono>
#include <functional>
#include <memory>

#include "async/stream.h"
#include "http/client.h"

/// HTTP/2 towards an upstream (RFC 9113); private to http/. h2.cc is the only file that knows nghttp2.
namespace ccrules::http {

/// One connection that carries many requests. Lives as long as its pool or one of its replies holds it. A
/// client that reads slowly stops the upstream for its own reply only: windows are given back as each reply
/// is read.
class H2 : public std::enable_shared_from_this<H2> {
 public:
  /// Takes over a connection whose protocol() is "h2" and says hello. `over` is called once, when no further
  /// request can begin on it; it may drop its pointer.
  static std::shared_ptr<H2> start(std::unique_ptr<ByteStream> stream, std::function<void(H2&)> over);
  virtual ~H2() = default;

  /// True when a further request may begin now: as far as known, the connection lives and has room.
  [[nodiscard]] virtual bool has_room() const noexcept = 0;
  /// Requests whose replies are not complete.
  [[nodiscard]] virtual std::size_t streams() const noexcept = 0;
  /// No further requests; running ones finish.
  virtual void retire() noexcept = 0;

  struct Sent {
    Result<std::unique_ptr<ReplyStream>> reply;
    bool untouched = false;  ///< failed, and the upstream has not acted on the request: safe to send again
  };
  /// As Client::send. A stop, or dropping the reply, cancels only this request.
  virtual Task<Sent> send(const ClientRequest& request, std::chrono::milliseconds first_byte,
                          StopToken stop) = 0;

 protected:
  H2() = default;
};

}  // namespace ccrules::http
