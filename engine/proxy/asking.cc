#include "proxy/asking.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "chat/event.h"
#include "core/assert.h"
#include "core/limits.h"
#include "core/text.h"
#include "dialect/endings.h"

namespace ccrules::proxy {
namespace {

using std::chrono::milliseconds;

/// The answer did not come because of the request that asked for it; others may ask again.
Error asker_gave_up() {
  Error error;
  error.code = ErrorCode::kConnectionLost;
  error.origin = Origin::kInternal;
  error.retry = Retry::kSameTarget;
  error.http_status = 502;
  error.message = "the answer that was shared with another request broke off; send the request again";
  return error;
}

/// Reads a recorded answer for its usage and its end.
Result<chat::Reply> read_back(const FirstReply& reply, std::string_view bytes) {
  if (!reply.reader) return reply.upstream->read_reply(bytes, reply.reading);
  const auto reader = reply.upstream->stream_reader(reply.reading);
  std::vector<chat::Event> events;
  CCR_CHECK(reader->feed(bytes, events));
  CCR_CHECK(reader->finish(events));
  chat::Collector collector;
  for (const chat::Event& event : events) collector.add(event);
  if (!collector.complete()) return asker_gave_up();
  return collector.take();
}

}  // namespace

Asking::Client::Client(Asking& whose)
    : StopCallback([](StopCallback& callback) noexcept {
        auto& self = static_cast<Client&>(callback);
        self.asking.client_stopped(self.token.reason());
      }),
      asking(whose),
      token(whose.exchange_.stop()) {}

Asking::Asking(Worker& worker, const http::Exchange& exchange, std::shared_ptr<cache::Answer> answer, Terms terms)
    : worker_(worker),
      exchange_(exchange),
      answer_(std::move(answer)),
      terms_(std::move(terms)),
      client_(*this) {
  if (client_.token.stopped()) {
    stop_.request_stop(client_.token.reason());
  } else {
    client_.token.subscribe(client_);
  }
}

Asking::~Asking() {
  if (self_) *self_ = nullptr;
  if (answer_->state() == cache::Answer::State::kComplete) return;
  answer_->fail(asker_gave_up());
  if (answer_->state() == cache::Answer::State::kFailed) worker_.tallies.answers.drop(*answer_);
}

void Asking::client_stopped(StopReason why) {
  if (!self_) self_ = std::make_shared<Asking*>(this);
  const auto when_alone = [&loop = worker_.loop, self = self_] {
    loop.post([self] {
      if (*self != nullptr) (*self)->stop_.request_stop(StopReason::kClientGone);
    });
  };
  if (why != StopReason::kClientGone || answer_->asker_left(when_alone)) stop_.request_stop(why);
}

void Asking::take(std::string_view bytes, bool last) {
  ended_ = ended_ || last;
  if (!recording_) return;
  const std::size_t held = answer_->append(bytes, last);
  if (held == held_bytes_) return;
  held_bytes_ = held;
  kept_ = kept_ && worker_.tallies.answers.grow(*answer_);
  if (!kept_) recording_ = !answer_->give_up(asker_gave_up());
}

void Recording::chosen() {
  if (!waits_) return;
  waits_ = false;
  asking_.restart();
  asking_.take(early_, ended_);
  text::give_back(early_);
}

Task<Result<http::Chunk>> Recording::read(milliseconds patience, StopToken stop) {
  auto chunk = co_await from_->read(patience, stop);
  if (!chunk.ok() || chunk->quiet) co_return chunk;
  if (waits_) {
    early_ += chunk->bytes;
    ended_ = chunk->end;
  } else {
    asking_.take(chunk->bytes, chunk->end);
  }
  co_return chunk;
}

void Asking::restart() {
  answer_->restart();
  ended_ = false;
}

std::unique_ptr<Recording> Asking::record(std::unique_ptr<http::ReplyStream> reply, bool one_of_two) {
  if (!one_of_two) restart();
  return std::make_unique<Recording>(*this, std::move(reply), one_of_two);
}

void Asking::arrives(const FirstReply& reply, const dialect::Dialect& spoken) {
  CCR_ASSERT(reply.recording != nullptr);  // every attempt of this request was given to record()
  reply.recording->chosen();
  cache::Source source;
  source.provider = reply.provider->id;
  source.model = reply.model;
  source.dialect = reply.upstream->name();
  source.content_type = reply.stream->headers().get("content-type");
  source.seed = reply.reading.seed;
  for (const dialect::RenamedTool& tool : reply.reading.renamed_tools) source.renamed_tools.emplace_back(tool.sent, tool.original);
  if (answer_->question().dialect == spoken.name()) source.loss = reply.losses.header_value();
  answer_->arrives(std::move(source));
}

void Asking::failed(const Error& error) { answer_->fail(error); }

bool Asking::worth_keeping(const Visit& visit) const {
  if (!ended_ || !kept_ || !recording_) return false;
  if (rules::Target{visit.row.provider, visit.row.model} != terms_.target) return false;
  const auto is_wanted = [&wanted = terms_.policy.keep](std::string_view reason) {
    return reason == "end_turn" || reason == "stop_sequence" || std::find(wanted.begin(), wanted.end(), reason) != wanted.end();
  };
  if (!is_wanted(visit.row.stop_reason) || answer_->state() != cache::Answer::State::kComplete) return false;
  // The row tells of the first choice only, and by its last word. What is given out again has to be good as a whole.
  const std::vector<chat::StopReason> endings = dialect::endings(answer_->source().dialect, answer_->bytes());
  return std::all_of(endings.begin(), endings.end(), [&is_wanted](chat::StopReason end) { return is_wanted(stop_reason_name(end)); });
}

Task<bool> Asking::read_on(FirstReply& reply, Visit& visit) {
  if (stop_.stopped() || !reply.stream || !recording_) co_return false;
  while (!ended_) {
    reply.clock->deadline.set(reply.provider->timeouts.idle);
    auto chunk = co_await reply.stream->read(milliseconds(0), reply.clock->stop.token());
    if (!chunk.ok()) co_return false;
  }
  std::string all;
  cache::Reader reader(answer_);
  while (!reader.read(limits::kReadChunkBytes, all, [] {}).end) {
  }
  auto whole = read_back(reply, all);
  if (!whole.ok()) co_return false;
  visit.observe(*whole);
  co_return true;
}

Task<void> Asking::finish(FirstReply& reply, Visit& visit) {
  bool whole = visit.row.error.empty() && !visit.row.stop_reason.empty();
  if (exchange_.stop().stopped() && !ended_) whole = co_await read_on(reply, visit);
  if (!whole || !recording_) co_return;
  answer_->complete();
  if (worth_keeping(visit)) {
    worker_.tallies.answers.keep(answer_, {worker_.loop.now_ms(), terms_.policy.ttl});
  } else {
    worker_.tallies.answers.drop(*answer_);
  }
}

}  // namespace ccrules::proxy
