#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "async/loop.h"
#include "http/message.h"

namespace ccrules {
class ByteStream;  // async/stream.h
}

namespace ccrules::http {

/// One request and its answer on a client connection. Lives inside Connection::run, for one request.
class Exchange {
 public:
  virtual ~Exchange() = default;
  [[nodiscard]] virtual const RequestHead& head() const noexcept = 0;
  /// Fires kClientGone when the client closes, kShutdown when the drain time is over.
  [[nodiscard]] virtual StopToken stop() const noexcept = 0;
  /// Judged by the socket's address, never by a header.
  [[nodiscard]] virtual bool peer_is_loopback() const noexcept = 0;
  [[nodiscard]] virtual std::string_view peer() const noexcept = 0;

  /// Reads the request body into a string with json::kPadding spare bytes behind it (sends 100-continue when
  /// asked), decoded: the head has no content-encoding any more. kTooLarge (413) beyond the limit, encoded or
  /// decoded; the rest is then read and dropped for a while, so that the client sees the answer. kUnsupported
  /// (415) for a coding that we do not know.
  virtual Task<Result<std::string>> read_body(std::size_t most_bytes) = 0;

  /// True when an answer that has this coding already may go to the client as it is.
  [[nodiscard]] virtual bool accepts(Coding coding) const noexcept = 0;
  [[nodiscard]] virtual bool head_sent() const noexcept = 0;
  /// A whole answer: status, headers, content-length, body. HEAD requests get no body. Compressed where that is
  /// allowed and worth it, unless the headers say that it is already.
  virtual Task<Result<void>> send(int status, const Headers& headers, std::string_view body) = 0;
  /// Begins a chunked answer. The head goes out with the first write. What is compressed can be read by the
  /// client after each write.
  virtual void start(int status, const Headers& headers) = 0;
  /// Writes bytes of the answer; awaiting it is the backpressure. Empty bytes flush the head.
  virtual Task<Result<void>> write(std::string_view bytes) = 0;
  /// Ends a chunked answer properly, with `last` as its last bytes (one system call instead of two).
  virtual Task<Result<void>> finish(std::string_view last = {}) = 0;
  /// Gives up the connection without a proper end: the client must see that the answer is incomplete.
  virtual void abort() noexcept = 0;
};

using Handler = std::function<Task<void>(Exchange&)>;

/// Whose answers are compressed, if they accept it.
enum class Compression : std::uint8_t {
  kOff,
  kRemote,  ///< clients on other machines: over loopback it only costs time
  kAll
};

struct ServerLimits {
  std::size_t header_bytes = 64 * 1024;
  std::chrono::milliseconds idle{120000};
  std::chrono::milliseconds header{30000};
  std::chrono::milliseconds body_stall{60000};
  std::chrono::milliseconds write_stall{120000};
  Compression compression = Compression::kOff;
};

/// All client connections of one worker. Malformed HTTP is answered (400, 413, 414, 431, 501, 505) and the
/// connection closed.
class Server {
 public:
  Server(Loop& loop, Handler handler, ServerLimits limits);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  /// Takes over an accepted connection and serves it until it ends.
  void serve(std::unique_ptr<ByteStream> stream);
  /// No further requests; idle connections close now, busy ones after their answer.
  void drain() noexcept;
  /// Ends what still runs: every Exchange's token fires kShutdown.
  void shutdown() noexcept;
  [[nodiscard]] std::size_t connections() const noexcept;
  /// Called once when the last connection has ended after drain().
  void on_drained(std::function<void()> done);
  /// Called after every connection's end.
  void on_closed(std::function<void()> closed);

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace ccrules::http
