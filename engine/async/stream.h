#pragma once
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "async/loop.h"
#include "async/stop.h"
#include "async/task.h"
#include "core/limits.h"
#include "core/result.h"

/// A two-way byte connection: TCP, TLS over another stream, or memory (tests). One reader and one writer at a
/// time, one thread. Reading stays armed while nobody reads, so that the peer's end is noticed (on_peer_end);
/// bytes that come meanwhile are kept up to limits::kReadAheadBytes, then the peer is not read any more
/// (backpressure).
namespace ccrules {

/// Where a read's bytes are to go.
struct Room {
  char* at = nullptr;  ///< lives until the read is over; null: into the stream's own memory
  std::size_t size = limits::kReadChunkBytes;  ///< asked of the kernel at most; what had come before may be more
};

struct ReadResult {
  /// At the room's place, or elsewhere: not every stream can choose, and what came before the read is kept elsewhere. At most
  /// limits::kReadChunkBytes. Elsewhere they are valid until the caller suspends again, with one exception: they may be
  /// given to write(), which copies what it cannot send at once. That memory is the stream's own and
  /// may be modified by the reader.
  std::string_view bytes;  ///< empty with `end` and `quiet`
  bool end = false;        ///< orderly end of the peer's data
  bool quiet = false;      ///< nothing came within the patience
};

class ByteStream {
 public:
  explicit ByteStream(Loop& loop) noexcept : loop_(loop), read_timer_(*this), write_timer_(*this) {}
  /// Precondition: nobody awaits read() or write().
  virtual ~ByteStream();
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  /// Awaitable of Result<ReadResult>. `patience` zero: no limit. Errors: kConnectionLost, kCancelled.
  class ReadOp;
  [[nodiscard]] ReadOp read(std::chrono::milliseconds patience, StopToken stop, Room room = {}) noexcept;
  /// Awaitable of Result<void>: returns when all pieces are written or queued below limits::kWriteHighBytes.
  /// The pieces need to live until it returns, not longer. `stall`: the peer must take something within this
  /// time; zero: no limit. After any error the connection is only good for closing. Errors: kConnectionLost,
  /// kUpstreamTimeout (stalled), kCancelled.
  class WriteOp;
  [[nodiscard]] WriteOp write(std::span<const std::string_view> pieces, StopToken stop,
                              std::chrono::milliseconds stall = std::chrono::milliseconds(0)) noexcept;
  /// The same for what is queued: returns when the kernel has taken everything.
  [[nodiscard]] WriteOp flush(StopToken stop, std::chrono::milliseconds stall) noexcept;

  /// Puts bytes back in front of what will be read next. Copies.
  void unread(std::string_view bytes);
  /// True when bytes came that nobody has read yet.
  [[nodiscard]] bool has_unread() const noexcept { return given_at_ < given_.size() || !kept_.empty(); }
  /// False when the peer has ended or the connection is broken, as far as it is known.
  [[nodiscard]] bool open() const noexcept { return reading_ == Reading::kOpen && !write_broken_; }

  /// Called once, from the loop, when the peer ends or the connection breaks while nobody reads. Null to
  /// unset.
  void on_peer_end(std::function<void()> ended) { peer_ended_ = std::move(ended); }

  /// Sends an end-of-data to the peer (TLS close_notify, TCP FIN) after what is queued.
  virtual void shut_write() noexcept = 0;
  /// Drops the connection now, with what is queued. Who awaits read() or write() gets kConnectionLost.
  /// Idempotent; the destructor does it too.
  void close() noexcept;
  /// Like close(), but lets the peer see a reset instead of an orderly end.
  virtual void reset() noexcept { close(); }
  [[nodiscard]] virtual std::string_view peer() const noexcept = 0;
  /// What both sides agreed to speak on it when it was made (TLS's ALPN): "h2"; empty when nothing was said.
  [[nodiscard]] virtual std::string_view protocol() const noexcept { return {}; }
  [[nodiscard]] virtual bool peer_is_loopback() const noexcept = 0;
  [[nodiscard]] Loop& loop() noexcept { return loop_; }

  /// Takes the place of the coroutines that read and write: a stream on top of this one (TLS).
  class Upper {
   public:
    virtual ~Upper() = default;
    /// Each may destroy the lower stream.
    virtual void on_bytes(char* bytes, std::size_t size) = 0;
    virtual void on_end() = 0;
    virtual void on_broken() = 0;
    virtual void on_drained() = 0;
  };
  void set_upper(Upper* upper) noexcept { upper_ = upper; }

  // --- for streams on top of this one

  /// Sends what the peer takes at once and queues the rest as far as it is small (limits::kWriteCopyBytes).
  /// Skips `offset` bytes of the pieces. Never waits, never calls back.
  /// @return bytes taken; fewer when the connection breaks (writable() is then false).
  virtual std::size_t put(std::span<const std::string_view> pieces, std::size_t offset) noexcept = 0;
  [[nodiscard]] bool writable() const noexcept { return !write_broken_; }
  /// Bytes taken by put() that the peer has not got yet.
  [[nodiscard]] virtual std::size_t queued() const noexcept = 0;
  virtual void pause_reading() noexcept = 0;
  virtual void resume_reading() noexcept = 0;

 protected:
  // --- for implementations. Everything below may destroy the stream: touch nothing of it afterwards.

  /// Where the next bytes are to be read to, who has `own` memory for them.
  [[nodiscard]] Room room(Room own) const noexcept;
  void received(char* bytes, std::size_t size);
  void received_end();
  void received_error();
  /// Some of what was queued has left.
  void drained();
  /// Notes, without calling anybody, that the connection can no longer be written.
  void mark_broken() noexcept { write_broken_ = true; }
  /// The implementation's part of close(). Calls nobody.
  virtual void drop() noexcept = 0;

 private:
  enum class Reading : std::uint8_t { kOpen, kEnded, kBroken };
  struct ReadTimer : Timer {
    explicit ReadTimer(ByteStream& stream) noexcept;
    ByteStream& owner;
  };
  struct WriteTimer : Timer {
    explicit WriteTimer(ByteStream& stream) noexcept;
    ByteStream& owner;
  };
  /// The next kept bytes; false when there are none.
  bool take_kept(std::string_view& bytes) noexcept;
  void finished(Reading how);
  /// Wakes reader and writer; false when one of them destroyed the stream.
  bool wake_all_lost() noexcept;

  Loop& loop_;
  ReadOp* reader_ = nullptr;
  WriteOp* writer_ = nullptr;
  Upper* upper_ = nullptr;
  bool* destroyed_ = nullptr;  ///< Set while callers are being woken: tells that the stream is gone.
  Reading reading_ = Reading::kOpen;
  bool write_broken_ = false;
  bool paused_ = false;
  std::size_t given_at_ = 0;
  std::string given_;  ///< kept bytes that are being handed out; not modified while a reader looks at them
  std::string kept_;   ///< came while nobody read
  std::function<void()> peer_ended_;
  ReadTimer read_timer_;
  WriteTimer write_timer_;
};

class ByteStream::ReadOp : private StopCallback {
 public:
  ReadOp(ByteStream& stream, std::chrono::milliseconds patience, StopToken stop, Room room) noexcept;
  bool await_ready() noexcept;
  void await_suspend(std::coroutine_handle<> waiter) noexcept;
  [[nodiscard]] Result<ReadResult> await_resume() const;

 private:
  friend class ByteStream;
  enum class Outcome : std::uint8_t { kBytes, kEnd, kQuiet, kLost, kCancelled };
  void wake(Outcome outcome) noexcept;

  ByteStream& stream_;
  std::chrono::milliseconds patience_;
  StopToken stop_;
  Room room_;
  std::coroutine_handle<> waiter_;
  std::string_view bytes_;
  Outcome outcome_ = Outcome::kBytes;
};

class ByteStream::WriteOp : private StopCallback {
 public:
  WriteOp(ByteStream& stream, std::span<const std::string_view> pieces, std::size_t most_queued,
          StopToken stop, std::chrono::milliseconds stall) noexcept;
  bool await_ready() noexcept;
  void await_suspend(std::coroutine_handle<> waiter) noexcept;
  [[nodiscard]] Result<void> await_resume() const;

 private:
  friend class ByteStream;
  enum class Outcome : std::uint8_t { kDone, kLost, kStalled, kCancelled };
  /// Gives the stream what it takes; true when nothing needs to be waited for any more.
  bool advance() noexcept;
  void wake(Outcome outcome) noexcept;

  ByteStream& stream_;
  std::span<const std::string_view> pieces_;
  std::size_t offset_ = 0;
  std::size_t total_ = 0;
  std::size_t most_queued_;
  std::size_t seen_queued_ = 0;  ///< when the stall timer was last started
  std::chrono::milliseconds stall_;
  StopToken stop_;
  std::coroutine_handle<> waiter_;
  Outcome outcome_ = Outcome::kDone;
};

/// What a read or write returns when the peer is gone.
Error connection_lost();

}  // namespace ccrules
