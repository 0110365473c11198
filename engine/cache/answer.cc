#include "cache/answer.h"

namespace ccrules::cache {

void Answer::restart() {
  const std::lock_guard lock(mutex_);
  if (state() != State::kAsked) return;
  bytes_.clear();
  last_ = false;
}

void Answer::arrives(Source source) {
  {
    const std::lock_guard lock(mutex_);
    if (state() != State::kAsked) return;
    source_ = std::move(source);
    state_.store(State::kArriving, std::memory_order_release);
  }
  wake_readers();
}

std::size_t Answer::append(std::string_view bytes, bool last) {
  std::size_t held = 0;
  {
    const std::lock_guard lock(mutex_);
    bytes_ += bytes;
    last_ = last_ || last;
    held = bytes_.capacity();
    if (waiting_.empty()) return held;
  }
  wake_readers();
  return held;
}

void Answer::complete() {
  {
    const std::lock_guard lock(mutex_);
    if (state() != State::kArriving) return;
    last_ = true;
    bytes_.shrink_to_fit();
    state_.store(State::kComplete, std::memory_order_release);
  }
  wake_readers();
}

void Answer::fail(Error why) {
  {
    const std::lock_guard lock(mutex_);
    if (state() == State::kComplete || state() == State::kFailed) return;
    failure_ = std::move(why);
    state_.store(State::kFailed, std::memory_order_release);
  }
  wake_readers();
}

bool Answer::asker_left(std::function<void()> on_alone) {
  const std::lock_guard lock(mutex_);
  if (readers_ == 0) return true;
  on_alone_ = std::move(on_alone);
  return false;
}

bool Answer::give_up(Error why) {
  const std::lock_guard lock(mutex_);
  if (readers_ > 0) return false;
  bytes_ = std::string();
  failure_ = std::move(why);
  state_.store(State::kFailed, std::memory_order_release);
  return true;
}

std::size_t Answer::held_bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_.capacity();
}

void Answer::wake_readers() {
  std::vector<std::function<void()>> woken;
  {
    const std::lock_guard lock(mutex_);
    woken.swap(waiting_);
  }
  for (const auto& wake : woken) wake();
}

Reader::Reader(std::shared_ptr<Answer> answer) : answer_(std::move(answer)) {
  if (answer_->state() == Answer::State::kComplete) return;
  const std::lock_guard lock(answer_->mutex_);
  ++answer_->readers_;
  counted_ = true;
}

Reader::~Reader() {
  if (!counted_) return;
  std::function<void()> on_alone;
  {
    const std::lock_guard lock(answer_->mutex_);
    if (--answer_->readers_ == 0) on_alone.swap(answer_->on_alone_);
  }
  if (on_alone) on_alone();
}

Reader::Progress Reader::read(std::size_t most, std::string& out, const std::function<void()>& wake) {
  Progress progress;
  const std::lock_guard lock(answer_->mutex_);
  progress.state = answer_->state();
  const std::string_view rest = std::string_view(answer_->bytes_).substr(at_);
  const std::string_view now = rest.substr(0, most);
  out += now;
  at_ += now.size();
  if (now.size() < rest.size()) return progress;
  if (answer_->last_) {
    progress.end = true;
  } else if (progress.state == Answer::State::kFailed) {
    progress.failure = answer_->failure_;
  } else if (now.empty()) {
    answer_->waiting_.push_back(wake);
  }
  return progress;
}

bool Reader::wait_for_arrival(const std::function<void()>& wake) {
  const std::lock_guard lock(answer_->mutex_);
  if (answer_->state() != Answer::State::kAsked) return false;
  answer_->waiting_.push_back(wake);
  return true;
}

Error Reader::failure() const {
  const std::lock_guard lock(answer_->mutex_);
  return answer_->failure_;
}

}  // namespace ccrules::cache
