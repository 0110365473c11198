#include "async/memory_stream.h"

#include <algorithm>
#include <deque>

#include "core/limits.h"

namespace ccrules {
namespace {

class MemoryStream;

/// One direction.
struct Pipe : std::enable_shared_from_this<Pipe> {
  struct Piece {
    std::int64_t due_ms = 0;
    std::string bytes;
  };
  struct Arrival : Timer {
    explicit Arrival(Pipe& pipe) noexcept
        : Timer([](Timer& timer) noexcept { static_cast<Arrival&>(timer).owner.deliver(); }), owner(pipe) {}
    Pipe& owner;
  };

  Pipe(Loop& on, Wire how) : loop(on), wire(how), arrival(*this) {}

  /// Something has changed: looks in a later turn whether anything can arrive.
  void schedule() {
    if (scheduled) return;
    scheduled = true;
    loop.post([self = shared_from_this()] {
      self->scheduled = false;
      self->deliver();
    });
  }
  void deliver() noexcept;
  void write(std::string_view bytes) {
    size += bytes.size();
    pieces.push_back(Piece{loop.now_ms() + wire.latency.count(), std::string(bytes)});
    schedule();
  }
  [[nodiscard]] std::size_t over_window() const noexcept {
    return wire.window > 0 && size > wire.window ? size - wire.window : 0;
  }

  Loop& loop;
  Wire wire;
  Arrival arrival;
  MemoryStream* reader = nullptr;  ///< null once that end is closed
  MemoryStream* writer = nullptr;
  std::deque<Piece> pieces;
  std::size_t size = 0;       ///< bytes in `pieces`
  std::size_t delivered = 0;  ///< bytes so far
  bool ended = false;         ///< the writer has ended: after the pieces comes the end
  bool broken = false;        ///< reset: nothing more arrives
  bool told = false;          ///< the reader knows of the end or the break
  bool paused = false;
  bool scheduled = false;
};

class MemoryStream final : public ByteStream {
 public:
  MemoryStream(Loop& loop, std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out, std::string peer,
               std::string protocol)
      : ByteStream(loop),
        in_(std::move(in)),
        out_(std::move(out)),
        peer_(std::move(peer)),
        protocol_(std::move(protocol)) {
    in_->reader = this;
    out_->writer = this;
  }
  ~MemoryStream() override { drop(); }

  std::size_t put(std::span<const std::string_view> pieces, std::size_t offset) noexcept override {
    if (dropped_ || out_->broken || out_->ended || out_->reader == nullptr) {
      mark_broken();
      return 0;
    }
    std::string bytes;
    for (const std::string_view piece : pieces) {
      const std::size_t skip = std::min(offset, piece.size());
      offset -= skip;
      bytes.append(piece.substr(skip));
    }
    if (bytes.size() > limits::kWriteCopyBytes && out_->wire.window > 0) {
      const std::size_t space = out_->wire.window - std::min(out_->size, out_->wire.window);
      bytes.resize(std::min(bytes.size(), out_->size == 0 ? space + limits::kWriteCopyBytes : space));
    }
    if (!bytes.empty()) out_->write(bytes);
    return bytes.size();
  }
  [[nodiscard]] std::size_t queued() const noexcept override { return dropped_ ? 0 : out_->over_window(); }
  void pause_reading() noexcept override { in_->paused = true; }
  void resume_reading() noexcept override {
    in_->paused = false;
    in_->schedule();
  }
  void shut_write() noexcept override {
    out_->ended = true;
    out_->schedule();
  }
  void reset() noexcept override {
    out_->broken = true;
    out_->schedule();
    close();
  }
  [[nodiscard]] std::string_view peer() const noexcept override { return peer_; }
  [[nodiscard]] bool peer_is_loopback() const noexcept override { return peer_.starts_with("127."); }
  [[nodiscard]] std::string_view protocol() const noexcept override { return protocol_; }

  // For Pipe, which is a friend by being in this file only.
  [[nodiscard]] std::size_t asked() const noexcept { return room({nullptr, limits::kReadChunkBytes}).size; }
  void arrive(std::string& bytes) {
    const Room there = room({bytes.data(), bytes.size()});
    if (there.at != bytes.data()) bytes.copy(there.at, bytes.size());
    received(there.at, bytes.size());
  }
  void arrive_end() { received_end(); }
  void arrive_break() { received_error(); }
  void emptied() { drained(); }
  void peer_gone() {
    mark_broken();
    drained();
  }

 protected:
  void drop() noexcept override {
    if (std::exchange(dropped_, true)) return;
    in_->reader = nullptr;
    in_->schedule();  // tells the other end's writer that nobody will read any more
    out_->writer = nullptr;
    out_->ended = true;
    out_->schedule();
  }

 private:
  std::shared_ptr<Pipe> in_;
  std::shared_ptr<Pipe> out_;
  std::string peer_;
  std::string protocol_;
  bool dropped_ = false;
};

void Pipe::deliver() noexcept {
  const std::shared_ptr<Pipe> kept = shared_from_this();
  if (reader == nullptr) {
    pieces.clear();
    size = 0;
    if (writer != nullptr) writer->peer_gone();
    return;
  }
  if (broken && !told) {
    told = true;
    pieces.clear();
    size = 0;
    reader->arrive_break();
    return;
  }
  if (told || paused) return;
  if (pieces.empty()) {
    if (!ended) return;
    told = true;
    reader->arrive_end();
    return;
  }
  Piece& first = pieces.front();
  if (first.due_ms > loop.now_ms()) {
    arrival.start(loop.timers(), std::chrono::milliseconds(first.due_ms - loop.now_ms()));
    return;
  }
  std::size_t most = std::min(wire.break_after - delivered, reader->asked());
  if (wire.cut > 0) most = std::min(most, wire.cut);
  std::string arrived;
  if (most >= first.bytes.size()) {
    arrived = std::move(first.bytes);
    pieces.pop_front();
  } else {
    arrived = first.bytes.substr(0, most);
    first.bytes.erase(0, most);
  }
  const std::size_t queued_before = over_window();
  size -= arrived.size();
  delivered += arrived.size();
  if (delivered >= wire.break_after) {
    pieces.clear();
    size = 0;
    ended = true;
    broken = !wire.break_orderly;
  }
  schedule();
  if (!arrived.empty()) reader->arrive(arrived);
  if (over_window() < queued_before && writer != nullptr) writer->emptied();
}

}  // namespace

MemoryPair memory_pair(Loop& loop, Wire near_to_far, Wire far_to_near, std::string peer,
                       std::string protocol) {
  auto there = std::make_shared<Pipe>(loop, near_to_far);
  auto back = std::make_shared<Pipe>(loop, far_to_near);
  MemoryPair pair;
  pair.near = std::make_unique<MemoryStream>(loop, back, there, peer, protocol);
  pair.far = std::make_unique<MemoryStream>(loop, there, back, std::move(peer), std::move(protocol));
  return pair;
}

}  // namespace ccrules
