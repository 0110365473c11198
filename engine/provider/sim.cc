#include "provider/sim.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "chat/event.h"
#include "core/digest.h"
#include "core/json.h"
#include "dialect/dialect.h"
#include "dialect/failure.h"
#include "provider/sim_scene.h"

namespace ccrules::provider {
namespace {

using sim::Part;
using sim::Scene;
using std::chrono::milliseconds;

constexpr std::size_t kPieceBytes = 12;         ///< longest text of one delta: a long word is cut
constexpr std::size_t kBytesPerToken = 4;       ///< of the request's body, for the input count
constexpr std::size_t kBatchBytes = 16 * 1024;  ///< handed out by one read
constexpr milliseconds kForever{24 * 3600 * 1000};

struct Step {
  milliseconds pause{0};  ///< since the step before
  chat::Event event;
};

std::string hex(std::uint64_t number) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out(16, '0');
  for (std::size_t i = out.size(); i > 0; --i, number >>= 4) out[i - 1] = kDigits[number & 15];
  return out;
}

/// Words with the blank behind them, long ones cut at character boundaries: what one delta carries.
std::vector<std::string_view> pieces_of(std::string_view text) {
  std::vector<std::string_view> pieces;
  while (!text.empty()) {
    std::size_t end = text.find(' ');
    end = end == std::string_view::npos ? text.size() : end + 1;
    if (end > kPieceBytes) {
      end = kPieceBytes;
      while (end > 1 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    }
    pieces.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return pieces;
}

/// Turns a scene into the events of its reply and counts what they cost.
class Performance {
 public:
  Performance(const Scene& scene, const chat::Request& request, std::string_view body)
      : scene_(scene),
        request_(request),
        seed_(digest::hash64(body)),
        input_tokens_(count_input(scene, body)) {}

  std::vector<Step> steps() {
    start();
    for (const Part& part : scene_.parts) {
      if (!play(part)) break;
    }
    end();
    return std::move(steps_);
  }

 private:
  static std::int64_t count_input(const Scene& scene, std::string_view body) {
    return scene.input_tokens.value_or(
        static_cast<std::int64_t>((body.size() + kBytesPerToken - 1) / kBytesPerToken));
  }

  void add(chat::Event event) {
    const milliseconds pause = steps_.empty() ? scene_.wait : scene_.pause;
    steps_.push_back(Step{pause, std::move(event)});
  }

  chat::Usage usage() const {
    chat::Usage usage;
    usage.input_tokens = input_tokens_;
    usage.output_tokens = output_tokens_;
    usage.cache_read_tokens = scene_.cache_read_tokens.value_or(0);
    usage.cache_write_tokens = scene_.cache_write_tokens.value_or(0);
    if (reasoning_tokens_ > 0) usage.reasoning_tokens = reasoning_tokens_;
    return usage;
  }

  void start() {
    chat::MessageStart event;
    event.id = "msg_sim_" + hex(seed_);
    event.model = request_.model;
    event.usage = usage();
    add(std::move(event));
  }

  void open(chat::Block block) {
    chat::BlockStart event;
    event.index = next_index_;
    event.block = std::move(block);
    add(std::move(event));
  }
  void grow(chat::DeltaKind kind, std::string_view text) {
    chat::BlockDelta event;
    event.index = next_index_;
    event.kind = kind;
    event.text = text;
    add(std::move(event));
  }
  void close() {
    chat::BlockEnd event;
    event.index = next_index_++;
    add(event);
  }

  bool out_of_tokens() const { return request_.max_tokens && output_tokens_ >= *request_.max_tokens; }

  /// False when the reply ends here: max_tokens or a stop sequence.
  bool play(const Part& part) {
    if (out_of_tokens()) {
      reason_ = chat::StopReason::kMaxTokens;
      return false;
    }
    switch (part.kind) {
      case Part::Kind::kText:
        return speak(part.text);
      case Part::Kind::kThinking:
        return reason(part.text);
      case Part::Kind::kRedacted:
        return redacted(part.text);
      case Part::Kind::kTool:
        return call(part);
    }
    return false;
  }

  bool speak(std::string_view text) {
    const std::string_view said = until_stop_sequence(text);
    open(chat::Block{chat::Text{}});
    const bool whole = write_pieces(chat::DeltaKind::kText, said);
    close();
    if (!whole) {
      reason_ = chat::StopReason::kMaxTokens;
      stop_sequence_.clear();
    }
    return whole && stop_sequence_.empty();
  }

  std::string_view until_stop_sequence(std::string_view text) {
    if (!scene_.heeds_stop_sequences) return text;
    std::size_t first = std::string_view::npos;
    for (const std::string& one : request_.stop_sequences) {
      const std::size_t at = one.empty() ? std::string_view::npos : text.find(one);
      if (at >= first) continue;
      first = at;
      stop_sequence_ = one;
      reason_ = chat::StopReason::kStopSequence;
    }
    return text.substr(0, first);
  }

  bool write_pieces(chat::DeltaKind kind, std::string_view text) {
    for (const std::string_view piece : pieces_of(text)) {
      if (out_of_tokens()) return false;
      grow(kind, piece);
      ++output_tokens_;
    }
    return true;
  }

  bool reason(std::string_view text) {
    open(chat::Block{chat::Thinking{}});
    const std::int64_t before = output_tokens_;
    const bool whole = write_pieces(chat::DeltaKind::kThinking, text);
    reasoning_tokens_ += output_tokens_ - before;
    grow(chat::DeltaKind::kSignature, "sim" + hex(digest::hash64(text, seed_)));
    close();
    if (!whole) reason_ = chat::StopReason::kMaxTokens;
    return whole;
  }

  bool redacted(const std::string& text) {
    chat::Thinking thinking;
    thinking.text = text;
    thinking.redacted = true;
    open(chat::Block{std::move(thinking)});
    close();
    ++output_tokens_;
    return true;
  }

  bool call(const Part& part) {
    chat::ToolCall call;
    call.id = "toolu_sim_" + hex(digest::hash64(part.tools.front(), seed_ + next_index_));
    call.name = part.tools.front();
    open(chat::Block{std::move(call)});
    for (const std::string_view piece : pieces_of(part.text)) {
      grow(chat::DeltaKind::kArguments, piece);
      ++output_tokens_;
    }
    close();
    reason_ = chat::StopReason::kToolUse;
    return true;
  }

  void end() {
    chat::MessageEnd event;
    event.reason = scene_.reason.value_or(reason_);
    if (event.reason == chat::StopReason::kStopSequence) event.stop_sequence = stop_sequence_;
    event.stop_details_json = scene_.stop_details_json;
    event.usage = usage();
    add(std::move(event));
  }

  const Scene& scene_;
  const chat::Request& request_;
  std::uint64_t seed_;
  std::int64_t input_tokens_;
  std::int64_t output_tokens_ = 0;
  std::int64_t reasoning_tokens_ = 0;
  std::uint32_t next_index_ = 0;
  chat::StopReason reason_ = chat::StopReason::kEndTurn;
  std::string stop_sequence_;
  std::vector<Step> steps_;
};

/// How the body ends.
enum class Ending { kClean, kBreak, kNever };

Error broken() {
  Error error;
  error.code = ErrorCode::kConnectionLost;
  error.origin = Origin::kUpstream;
  error.retry = Retry::kSameTarget;
  error.http_status = 502;
  error.message = "The simulated connection broke in the middle of the answer, as the marker asked.";
  return error;
}

/// The common part of all simulated replies: a head, and bytes that become due at their time on the loop.
class SimReply : public http::ReplyStream {
 public:
  SimReply(Loop& loop, int status, std::string_view content_type, std::uint64_t seed)
      : loop_(loop), status_(status), due_ms_(loop.now_ms()) {
    headers_.add("content-type", content_type);
    headers_.add("request-id", "req_sim_" + hex(seed));
  }
  [[nodiscard]] int status() const noexcept override { return status_; }
  [[nodiscard]] const http::Headers& headers() const noexcept override { return headers_; }
  http::Headers& headers() noexcept { return headers_; }

 protected:
  /// Waits until `due_ms_`. True when it has come, false when the reader's patience ended first.
  Task<Result<bool>> due(milliseconds patience, StopToken stop) {
    const milliseconds left{due_ms_ - loop_.now_ms()};
    if (left.count() <= 0) co_return true;
    const bool impatient = patience.count() > 0 && patience < left;
    CCR_CO_CHECK(co_await sleep_for(loop_, impatient ? patience : left, stop));
    co_return !impatient;
  }
  void postpone(milliseconds pause) { due_ms_ += pause.count(); }

 private:
  Loop& loop_;
  int status_;
  std::int64_t due_ms_;
  http::Headers headers_;
};

/// A body known beforehand: an error, a web page, or a reply that does not stream.
class WholeReply final : public SimReply {
 public:
  WholeReply(Loop& loop, int status, std::string_view content_type, std::uint64_t seed, std::string body)
      : SimReply(loop, status, content_type, seed), body_(std::move(body)) {}

  void deliver(milliseconds after, Ending ending) {
    postpone(ending == Ending::kNever ? kForever : after);
    ending_ = ending;
  }

  Task<Result<http::Chunk>> read(milliseconds patience, StopToken stop) override {
    http::Chunk chunk;
    CCR_CO_TRY(ready, co_await due(patience, stop));
    if (!ready) {
      chunk.quiet = true;
      co_return chunk;
    }
    if (ending_ == Ending::kBreak) {
      if (handed_out_) co_return broken();
      chunk.bytes = std::string_view(body_).substr(0, body_.size() / 2);
      handed_out_ = true;
      co_return chunk;
    }
    if (!handed_out_) chunk.bytes = body_;
    handed_out_ = true;
    chunk.end = true;
    co_return chunk;
  }

 private:
  std::string body_;
  Ending ending_ = Ending::kClean;
  bool handed_out_ = false;
};

/// Server-sent events on their schedule.
class StreamedReply final : public SimReply {
 public:
  StreamedReply(Loop& loop, std::uint64_t seed, std::vector<Step> steps, Ending ending,
                const dialect::StreamWriterOptions& options)
      : SimReply(loop, 200, "text/event-stream; charset=utf-8", seed),
        steps_(std::move(steps)),
        ending_(ending),
        writer_(dialect::anthropic().stream_writer(options)) {
    headers().add("cache-control", "no-cache");
    schedule();
  }

  Task<Result<http::Chunk>> read(milliseconds patience, StopToken stop) override {
    http::Chunk chunk;
    CCR_CO_TRY(ready, co_await due(patience, stop));
    if (!ready) {
      chunk.quiet = true;
      co_return chunk;
    }
    if (next_ == steps_.size() && ending_ == Ending::kBreak) co_return broken();
    bytes_.clear();
    while (next_ < steps_.size() && bytes_.size() < kBatchBytes) {
      writer_->write(steps_[next_++].event, bytes_);
      schedule();
      if (next_ < steps_.size() && steps_[next_].pause.count() > 0) break;
    }
    chunk.bytes = bytes_;
    chunk.end = next_ == steps_.size() && ending_ == Ending::kClean;
    co_return chunk;
  }

 private:
  void schedule() {
    if (next_ < steps_.size()) postpone(steps_[next_].pause);
    if (next_ == steps_.size() && ending_ == Ending::kNever) postpone(kForever);
  }

  std::vector<Step> steps_;
  std::size_t next_ = 0;
  Ending ending_;
  std::unique_ptr<dialect::StreamWriter> writer_;
  std::string bytes_;
};

std::string error_body(std::string_view type, std::string_view message, std::uint64_t seed) {
  std::string body;
  json::Writer writer(body);
  writer.begin_object().member("type", "error").key("error").begin_object();
  writer.member("type", type).member("message", message).end_object();
  writer.member("request_id", "req_sim_" + hex(seed)).end_object();
  return body;
}

std::unique_ptr<http::ReplyStream> refuse(Loop& loop, std::uint64_t seed, const Scene::Failure& failure) {
  std::string body = failure.html ? "<html><body><h1>" + std::to_string(failure.status) + "</h1><p>" +
                                        failure.message + "</p></body></html>"
                                  : error_body(failure.type, failure.message, seed);
  auto reply = std::make_unique<WholeReply>(
      loop, failure.status, failure.html ? "text/html" : "application/json", seed, std::move(body));
  if (failure.retry_after_s >= 0) reply->headers().add("retry-after", std::to_string(failure.retry_after_s));
  if (failure.should_retry) reply->headers().add("x-should-retry", *failure.should_retry ? "true" : "false");
  return reply;
}

std::unique_ptr<http::ReplyStream> refuse(Loop& loop, std::uint64_t seed, const Error& error) {
  Scene::Failure failure;
  failure.status = error.http_status;
  failure.type = dialect::error_type_of(error.http_status);
  failure.message = error.message;
  return refuse(loop, seed, failure);
}

std::size_t within(std::int64_t events, std::size_t all) {
  return std::min(static_cast<std::size_t>(events), all);
}

std::unique_ptr<http::ReplyStream> stream(Loop& loop, const Scene& scene, std::uint64_t seed,
                                          std::vector<Step> steps,
                                          const dialect::StreamWriterOptions& options) {
  Ending ending = Ending::kClean;
  if (scene.hangs) {
    steps.clear();
    ending = Ending::kNever;
  } else if (scene.cut_after) {
    steps.resize(within(*scene.cut_after, steps.size()));
    ending = Ending::kBreak;
  } else if (scene.fail_after) {
    steps.resize(within(*scene.fail_after, steps.size() - 1));
    chat::StreamError error;
    error.type = "overloaded_error";
    error.message = "The simulator was asked to fail in the middle of the answer.";
    steps.push_back(Step{steps.empty() ? scene.wait : scene.pause, std::move(error)});
  }
  return std::make_unique<StreamedReply>(loop, seed, std::move(steps), ending, options);
}

std::unique_ptr<http::ReplyStream> whole(Loop& loop, const Scene& scene, std::uint64_t seed,
                                         const std::vector<Step>& steps,
                                         const dialect::StreamWriterOptions& options) {
  if (scene.fail_after) {
    Scene::Failure failure;
    failure.type = "overloaded_error";
    failure.message = "The simulator was asked to fail in the middle of the answer.";
    return refuse(loop, seed, failure);
  }
  chat::Collector collector;
  milliseconds duration{0};
  for (const Step& step : steps) {
    collector.add(step.event);
    duration += step.pause;
  }
  chat::LossNotes losses;
  std::string body = dialect::anthropic().write_reply(collector.take(), options, losses);
  auto reply = std::make_unique<WholeReply>(loop, 200, "application/json", seed, std::move(body));
  Ending ending = scene.cut_after ? Ending::kBreak : Ending::kClean;
  if (scene.hangs) ending = Ending::kNever;
  reply->deliver(duration, ending);
  return reply;
}

}  // namespace

std::unique_ptr<http::ReplyStream> simulate(Loop& loop, std::string_view body) {
  const std::uint64_t seed = digest::hash64(body);
  std::string copy(body);
  auto request = dialect::anthropic().read_request(json::padded(copy));
  if (!request) return refuse(loop, seed, request.error());
  auto scene = sim::direct(*request);
  if (!scene) return refuse(loop, seed, scene.error());
  if (scene->failure) return refuse(loop, seed, *scene->failure);
  if (scene->garbage) {
    return std::make_unique<WholeReply>(loop, 200, "text/html", seed,
                                        "<html><body>This is not an answer.</body></html>");
  }
  std::vector<Step> steps = Performance(*scene, *request, body).steps();
  dialect::StreamWriterOptions options;
  options.model = request->model;
  if (request->stream) return stream(loop, *scene, seed, std::move(steps), options);
  return whole(loop, *scene, seed, steps, options);
}

}  // namespace ccrules::provider
