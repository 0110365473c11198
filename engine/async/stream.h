#pragma once
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "async/loop.h"
#include "async/stop.h"
#include "async/task.h"
#include "core/result.h"

/// A two-way byte connection: TCP, TLS over another stream, or memory (tests). One reader and one writer at a time, one thread.
/// Reading stays armed while nobody reads, so that the peer's end is noticed (on_peer_end); bytes that come meanwhile are kept up to
/// limits::kReadAheadBytes, then the peer is not read any more (backpressure).
namespace ccrules {

struct ReadResult {
  std::string_view bytes;  ///< valid until the caller suspends again; empty with end
  bool end = false;        ///< orderly end of the peer's data
  bool quiet = false;      ///< nothing came within the patience
};

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  ByteStream() = default;
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  /// Awaitable of Result<ReadResult>. `patience` zero: no limit. Errors: kConnectionLost, kCancelled.
  class ReadOp;
  [[nodiscard]] ReadOp read(std::chrono::milliseconds patience, StopToken stop);
  /// Awaitable of Result<void>: returns when all pieces are written or queued below limits::kWriteHighBytes. The pieces need to live
  /// until it returns, not longer. Errors: kConnectionLost, kCancelled.
  class WriteOp;
  [[nodiscard]] WriteOp write(std::span<const std::string_view> pieces, StopToken stop);

  /// Called once, from the loop, when the peer ends or the connection breaks while nobody reads. Null to unset.
  virtual void on_peer_end(std::function<void()> ended) = 0;
  /// Sends an end-of-data to the peer (TLS close_notify, TCP FIN) after what is queued.
  virtual void shut_write() noexcept = 0;
  /// Drops the connection now. Idempotent; the destructor does it too.
  virtual void close() noexcept = 0;
  [[nodiscard]] virtual std::string_view peer() const noexcept = 0;
  [[nodiscard]] virtual bool peer_is_loopback() const noexcept = 0;
  [[nodiscard]] virtual Loop& loop() noexcept = 0;
};

}  // namespace ccrules
