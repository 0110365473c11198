#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "async/stop.h"
#include "async/task.h"
#include "cache/answer.h"
#include "http/server.h"
#include "proxy/one_attempt.h"
#include "proxy/visit.h"
#include "proxy/worker.h"
#include "rules/decision.h"

namespace ccrules::proxy {

class Asking;

/// Passes a reply's bytes on and keeps them for those who read along.
class Recording final : public http::ReplyStream {
 public:
  /// @param waits until it is chosen()
  Recording(Asking& asking, std::unique_ptr<http::ReplyStream> from, bool waits)
      : asking_(asking), from_(std::move(from)), waits_(waits) {}
  /// This reply is the one: the others get what was read so far.
  void chosen();
  [[nodiscard]] int status() const noexcept override { return from_->status(); }
  [[nodiscard]] const http::Headers& headers() const noexcept override { return from_->headers(); }
  [[nodiscard]] http::Coding coding() const noexcept override { return from_->coding(); }
  void keep_encoded(std::string& copy) noexcept override { from_->keep_encoded(copy); }
  Task<Result<http::Chunk>> read(std::chrono::milliseconds patience, StopToken stop) override;

 private:
  Asking& asking_;
  std::unique_ptr<http::ReplyStream> from_;
  bool waits_;
  std::string early_;  ///< what was read while it waited
  bool ended_ = false;
};

/// A request that asks its provider what others may be asking, too: they read along, and later ones find the answer in the
/// cache. It goes on when its own client leaves and somebody still reads. Lives in the request's frame; the loop's thread.
class Asking {
 public:
  /// What is kept, and for how long. An answer of a fallback is for those who wait, not for later ones.
  struct Terms {
    rules::CachePolicy policy;
    rules::Target target;
  };
  Asking(Worker& worker, const http::Exchange& exchange, std::shared_ptr<cache::Answer> answer, Terms terms);
  /// Whoever still waits asks for himself.
  ~Asking();
  Asking(const Asking&) = delete;
  Asking& operator=(const Asking&) = delete;

  [[nodiscard]] const std::string& body() const noexcept { return answer_->question().body; }
  /// Stops when nobody wants the answer any more.
  [[nodiscard]] StopToken stop() noexcept { return stop_.token(); }
  /// An attempt's reply: what is read of it is kept. Every attempt's goes through here.
  /// @param one_of_two another attempt may be recorded at the same time: others see nothing of it before arrives()
  std::unique_ptr<Recording> record(std::unique_ptr<http::ReplyStream> reply, bool one_of_two);
  /// This reply is the one.
  void arrives(const FirstReply& reply, const dialect::Dialect& spoken);
  /// The own client has been served, as far as it let us. Reads what others still wait for, and keeps what is worth it.
  Task<void> finish(FirstReply& reply, Visit& visit);
  /// The provider did not answer.
  void failed(const Error& error);

 private:
  friend class Recording;
  struct Client : StopCallback {
    explicit Client(Asking& asking);
    Asking& asking;
    StopToken token;
  };
  void client_stopped(StopReason why);
  void restart();
  void take(std::string_view bytes, bool last);
  /// Reads what is left, for those who wait. True when it has come to its proper end.
  Task<bool> read_on(FirstReply& reply, Visit& visit);
  [[nodiscard]] bool worth_keeping(const Visit& visit) const;

  Worker& worker_;
  const http::Exchange& exchange_;
  std::shared_ptr<cache::Answer> answer_;
  Terms terms_;
  StopSource stop_;
  Client client_;
  std::shared_ptr<Asking*> self_;  ///< for calls that come after the client has left: null once this is gone
  std::size_t held_bytes_ = 0;
  bool ended_ = false;  ///< the provider has sent everything
  bool recording_ = true;
  bool kept_ = true;  ///< there was room so far
};

}  // namespace ccrules::proxy
