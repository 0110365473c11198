#include "async/stream.h"

#include <algorithm>

#include "core/limits.h"
#include "core/text.h"

namespace ccrules {

Error connection_lost() {
  Error error;
  error.code = ErrorCode::kConnectionLost;
  error.origin = Origin::kUpstream;
  error.retry = Retry::kNextTarget;
  error.http_status = 502;
  error.message = "the connection was closed by the peer before the message was complete";
  return error;
}

ByteStream::ReadTimer::ReadTimer(ByteStream& stream) noexcept
    : Timer([](Timer& timer) noexcept {
        ReadOp* reader = static_cast<ReadTimer&>(timer).owner.reader_;
        if (reader != nullptr) reader->wake(ReadOp::Outcome::kQuiet);
      }),
      owner(stream) {}

ByteStream::WriteTimer::WriteTimer(ByteStream& stream) noexcept
    : Timer([](Timer& timer) noexcept {
        auto& self = static_cast<WriteTimer&>(timer);
        WriteOp* writer = self.owner.writer_;
        if (writer == nullptr) return;
        if (self.owner.queued() < writer->seen_queued_) {
          writer->seen_queued_ = self.owner.queued();
          self.start(self.owner.loop_.timers(), writer->stall_);
        } else {
          writer->wake(WriteOp::Outcome::kStalled);
        }
      }),
      owner(stream) {}

ByteStream::~ByteStream() {
  CCR_ASSERT(reader_ == nullptr && writer_ == nullptr);
  if (destroyed_ != nullptr) *destroyed_ = true;
}

ByteStream::ReadOp ByteStream::read(std::chrono::milliseconds patience, StopToken stop, Room room) noexcept {
  return ReadOp(*this, patience, stop, room);
}

ByteStream::WriteOp ByteStream::write(std::span<const std::string_view> pieces, StopToken stop,
                                      std::chrono::milliseconds stall) noexcept {
  return WriteOp(*this, pieces, limits::kWriteHighBytes, stop, stall);
}

ByteStream::WriteOp ByteStream::flush(StopToken stop, std::chrono::milliseconds stall) noexcept {
  return WriteOp(*this, {}, 0, stop, stall);
}

void ByteStream::unread(std::string_view bytes) {
  if (bytes.empty()) return;
  if (given_at_ >= bytes.size() && bytes.data() + bytes.size() == given_.data() + given_at_) {
    // They were the last ones handed out from here: many small requests in one read must not copy the rest
    // each time.
    given_at_ -= bytes.size();
    return;
  }
  std::string joined;
  joined.reserve(bytes.size() + given_.size() - given_at_);
  joined.append(bytes).append(given_, given_at_);
  given_ = std::move(joined);
  given_at_ = 0;
}

bool ByteStream::take_kept(std::string_view& bytes) noexcept {
  if (given_at_ == given_.size()) {
    text::give_back(given_);
    given_.swap(kept_);
    given_at_ = 0;
    if (given_.empty()) return false;
  }
  bytes = std::string_view(given_).substr(given_at_, limits::kReadChunkBytes);
  given_at_ += bytes.size();
  return true;
}

Room ByteStream::room(Room own) const noexcept {
  if (reader_ == nullptr) return own;
  const Room& wanted = reader_->room_;
  return wanted.at != nullptr ? wanted : Room{own.at, std::min(own.size, wanted.size)};
}

void ByteStream::received(char* bytes, std::size_t size) {
  if (upper_ != nullptr) {
    upper_->on_bytes(bytes, size);
  } else if (reader_ != nullptr) {
    reader_->bytes_ = std::string_view(bytes, size);
    reader_->wake(ReadOp::Outcome::kBytes);
  } else {
    kept_.append(bytes, size);
    if (!paused_ && kept_.size() >= limits::kReadAheadBytes) {
      paused_ = true;
      pause_reading();
    }
  }
}

bool ByteStream::wake_all_lost() noexcept {
  bool destroyed = false;
  bool* const outer = std::exchange(destroyed_, &destroyed);
  if (writer_ != nullptr) writer_->wake(WriteOp::Outcome::kLost);
  if (!destroyed && reader_ != nullptr) reader_->wake(ReadOp::Outcome::kLost);
  if (!destroyed) {
    destroyed_ = outer;
  } else if (outer != nullptr) {
    *outer = true;
  }
  return !destroyed;
}

void ByteStream::finished(Reading how) {
  if (reading_ != Reading::kOpen) return;
  reading_ = how;
  if (how == Reading::kBroken) write_broken_ = true;
  if (upper_ != nullptr) {
    if (how == Reading::kEnded) {
      upper_->on_end();
    } else {
      upper_->on_broken();
    }
    return;
  }
  const bool was_read = reader_ != nullptr;
  if (how == Reading::kBroken) {
    if (!wake_all_lost()) return;
  } else if (was_read) {
    reader_->wake(ReadOp::Outcome::kEnd);
    return;
  }
  if (!was_read && peer_ended_) {
    const std::function<void()> tell = std::exchange(peer_ended_, nullptr);
    tell();
  }
}

void ByteStream::received_end() {
  finished(Reading::kEnded);
}
void ByteStream::received_error() {
  finished(Reading::kBroken);
}

void ByteStream::drained() {
  if (upper_ != nullptr) {
    upper_->on_drained();
  } else if (writer_ != nullptr) {
    if (writer_->advance()) {
      writer_->wake(writer_->outcome_);
    } else if (writer_->stall_.count() > 0) {
      writer_->seen_queued_ = queued();
      write_timer_.start(loop_.timers(), writer_->stall_);
    }
  }
}

void ByteStream::close() noexcept {
  reading_ = Reading::kBroken;
  write_broken_ = true;
  upper_ = nullptr;
  peer_ended_ = nullptr;
  drop();
  (void)wake_all_lost();  // nothing is touched afterwards, whether the stream still exists or not
}

ByteStream::ReadOp::ReadOp(ByteStream& stream, std::chrono::milliseconds patience, StopToken stop, Room room) noexcept
    : StopCallback(
          [](StopCallback& callback) noexcept { static_cast<ReadOp&>(callback).wake(Outcome::kCancelled); }),
      stream_(stream),
      patience_(patience),
      stop_(stop),
      room_(room) {}

bool ByteStream::ReadOp::await_ready() noexcept {
  if (stop_.stopped()) {
    outcome_ = Outcome::kCancelled;
  } else if (stream_.take_kept(bytes_)) {
    outcome_ = Outcome::kBytes;
  } else if (stream_.reading_ == Reading::kEnded) {
    outcome_ = Outcome::kEnd;
  } else if (stream_.reading_ == Reading::kBroken) {
    outcome_ = Outcome::kLost;
  } else {
    return false;
  }
  return true;
}

void ByteStream::ReadOp::await_suspend(std::coroutine_handle<> waiter) noexcept {
  CCR_ASSERT(stream_.reader_ == nullptr);
  waiter_ = waiter;
  stream_.reader_ = this;
  if (patience_.count() > 0) stream_.read_timer_.start(stream_.loop_.timers(), patience_);
  stop_.subscribe(*this);
  if (stream_.paused_) {
    stream_.paused_ = false;
    stream_.resume_reading();
  }
}

void ByteStream::ReadOp::wake(Outcome outcome) noexcept {
  outcome_ = outcome;
  stream_.reader_ = nullptr;
  stream_.read_timer_.stop();
  unlink();
  waiter_.resume();
}

Result<ReadResult> ByteStream::ReadOp::await_resume() const {
  ReadResult result;
  switch (outcome_) {
    case Outcome::kBytes:
      result.bytes = bytes_;
      break;
    case Outcome::kEnd:
      result.end = true;
      break;
    case Outcome::kQuiet:
      result.quiet = true;
      break;
    case Outcome::kLost:
      return connection_lost();
    case Outcome::kCancelled:
      return cancelled();
  }
  return result;
}

ByteStream::WriteOp::WriteOp(ByteStream& stream, std::span<const std::string_view> pieces,
                             std::size_t most_queued, StopToken stop,
                             std::chrono::milliseconds stall) noexcept
    : StopCallback(
          [](StopCallback& callback) noexcept { static_cast<WriteOp&>(callback).wake(Outcome::kCancelled); }),
      stream_(stream),
      pieces_(pieces),
      most_queued_(most_queued),
      stall_(stall),
      stop_(stop) {
  for (const std::string_view piece : pieces) total_ += piece.size();
}

bool ByteStream::WriteOp::advance() noexcept {
  if (offset_ < total_ && stream_.writable()) offset_ += stream_.put(pieces_, offset_);
  if (!stream_.writable()) {
    outcome_ = Outcome::kLost;
    return true;
  }
  return offset_ == total_ && stream_.queued() <= most_queued_;
}

bool ByteStream::WriteOp::await_ready() noexcept {
  if (stop_.stopped()) {
    outcome_ = Outcome::kCancelled;
    return true;
  }
  return advance();
}

void ByteStream::WriteOp::await_suspend(std::coroutine_handle<> waiter) noexcept {
  CCR_ASSERT(stream_.writer_ == nullptr);
  waiter_ = waiter;
  stream_.writer_ = this;
  if (stall_.count() > 0) {
    seen_queued_ = stream_.queued();
    stream_.write_timer_.start(stream_.loop_.timers(), stall_);
  }
  stop_.subscribe(*this);
}

void ByteStream::WriteOp::wake(Outcome outcome) noexcept {
  outcome_ = outcome;
  stream_.writer_ = nullptr;
  stream_.write_timer_.stop();
  unlink();
  waiter_.resume();
}

Result<void> ByteStream::WriteOp::await_resume() const {
  switch (outcome_) {
    case Outcome::kDone:
      break;
    case Outcome::kLost:
      return connection_lost();
    case Outcome::kCancelled:
      return cancelled();
    case Outcome::kStalled: {
      Error error = connection_lost();
      error.code = ErrorCode::kUpstreamTimeout;
      error.http_status = 504;
      error.message = "the peer took no byte for " + std::to_string(stall_.count()) + " ms";
      return error;
    }
  }
  return {};
}

}  // namespace ccrules
