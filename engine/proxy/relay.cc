#include "proxy/relay.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include "core/limits.h"
#include "core/log.h"
#include "core/text.h"
#include "http/coding.h"
#include "proxy/circuit.h"
#include "proxy/native.h"
#include "proxy/paying.h"
#include "proxy/stream_bytes.h"

namespace ccrules::proxy {
namespace {

using std::chrono::milliseconds;

dialect::StreamWriterOptions writer_options(const Worker& worker, const Visit& visit) {
  dialect::StreamWriterOptions options;
  options.model = visit.row.requested_model;
  options.include_usage = visit.include_usage;
  options.estimated_input_tokens = visit.estimated_input_tokens;
  options.created_s = worker.clock.wall_us() / 1'000'000;
  options.id = visit.row.id;
  options.custom_tools = visit.custom_tools;
  return options;
}

/// The provider's headers. Where they do not show its id of the request, the log does.
void pass_headers(const FirstReply& from, const Visit& visit, http::Headers& headers) {
  const config::Listen& listen = visit.policy->config->listen;
  forward_reply_headers(from.stream->headers(), *from.provider, listen, headers);
  if (!listen.shared) return;
  headers.set("request-id", visit.row.id);
  const std::string theirs(from.stream->headers().get("request-id"));
  if (!theirs.empty()) log::info("provider '" + from.provider->id + "' calls this request " + theirs, visit.row.id);
}

http::Headers stream_headers(const Worker& worker, const FirstReply& from, const dialect::Dialect& spoken, const Visit& visit) {
  http::Headers headers;
  if (from.native && from.reader) {
    pass_headers(from, visit, headers);
  } else {
    headers.add("content-type", std::string(spoken.stream_type()) + "; charset=utf-8");
    headers.add("request-id", visit.row.id);
  }
  if (visit.as_array) headers.set("content-type", "application/json; charset=utf-8");
  headers.set("cache-control", "no-cache");
  headers.set("x-accel-buffering", "no");
  visit.describe(headers);
  describe_budgets(worker, visit, headers);
  return headers;
}

Task<Result<void>> relay_stream(Worker& worker, FirstReply& from, const dialect::Dialect& spoken,
                                Visit& visit, http::Exchange& to) {
  StreamBytes::Lane lane;
  lane.native = from.native;
  lane.as_array = visit.as_array;
  lane.drop_usage_chunk = from.native && !visit.include_usage;
  lane.provider = from.provider;
  lane.spoken = &spoken;
  lane.options = writer_options(worker, visit);
  StreamBytes bytes(std::move(lane), *from.reader, visit);

  to.start(200, stream_headers(worker, from, spoken, visit));
  std::string_view out = bytes.begin(from.held, from.events);
  std::vector<chat::Event>().swap(from.events);
  std::int64_t sent_ms = worker.loop.now_ms();
  std::string kept;
  for (;;) {
    const bool over = from.upstream_ended || bytes.broken() || (bytes.complete() && !from.native);
    if (bytes.complete() && visit.must_commit()) {
      out = kept.assign(out);  // what was read lives until the next wait
      co_await visit.commit();
    }
    if (over && bytes.nothing_left()) {
      CCR_CO_CHECK(co_await to.finish(out));
      break;
    }
    if (!out.empty()) {
      sent_ms = worker.loop.now_ms();
      CCR_CO_CHECK(co_await to.write(out));
    }
    if (over) {
      const std::string_view last = bytes.end(nullptr);
      if (visit.must_commit()) co_await visit.commit();
      CCR_CO_CHECK(co_await to.finish(last));
      break;
    }
    text::give_back(from.held);  // sent; the stream may be open for an hour
    // The reader follows the first answer: where several were asked for, its end is not the others'.
    const bool only_usage_left = bytes.complete() || (visit.choices == 1 && from.reader->awaiting_usage());
    const std::int64_t quiet_ms = milliseconds(limits::kPingTime).count() - (worker.loop.now_ms() - sent_ms);
    const milliseconds patience = only_usage_left ? milliseconds(limits::kUsageTime)
                                                  : milliseconds(std::max<std::int64_t>(quiet_ms, 1));
    auto chunk = co_await from.stream->read(patience, from.clock->stop.token());
    if (!chunk) {
      if (to.stop().stopped()) co_return std::move(chunk).error();
      const Error failure =
          explain_stop(std::move(chunk).error(), *from.clock, *from.provider, "the rest of its answer");
      const std::string_view last = bytes.end(&failure);
      if (visit.must_commit()) co_await visit.commit();
      CCR_CO_CHECK(co_await to.finish(last));
      from.stream.reset();
      co_return Result<void>();
    }
    if (!chunk->quiet) {
      from.clock->deadline.set(from.provider->timeouts.idle);
      out = bytes.take(chunk->bytes);
      from.upstream_ended = chunk->end;
      if (!bytes.complete() && !bytes.broken() && overspends(visit)) {
        CCR_CO_CHECK(co_await to.write(out));
        const Error failure = overspent();
        const std::string_view last = bytes.end(&failure);
        if (visit.must_commit()) co_await visit.commit();
        from.stream.reset();
        co_return co_await to.finish(last);
      }
    } else if (only_usage_left) {
      from.upstream_ended = true;  // all but the usage is there, and it does not come
      from.stream.reset();
      out = {};
    } else {
      out = bytes.ping();
    }
  }

  if (bytes.broken()) from.stream.reset();
  // The client has everything. Reading the few bytes that end the upstream's body keeps its connection
  // usable.
  if (!from.upstream_ended && from.stream) {
    auto rest = co_await from.stream->read(milliseconds(limits::kUsageTime), from.clock->stop.token());
    (void)rest;  // whatever it is, the request is over
  }
  co_return Result<void>();
}

/// What of the provider's answer did not fit into the neutral one is lost, too.
void add_losses(const chat::Reply& reply, chat::LossNotes& losses) {
  for (const chat::Loss& loss : reply.losses.all()) losses.add(loss.what, loss.why);
}

/// A reply that came whole for a client that asked for a stream.
Task<Result<void>> relay_unrolled(Worker& worker, FirstReply& from, const dialect::Dialect& spoken,
                                  Visit& visit, http::Exchange& to) {
  chat::Reply reply = *std::move(from.reply);
  if (from.native) {
    auto read = from.upstream->read_reply(from.whole, from.reading);
    if (!read) visit.row.usage.merge(reply.usage);  // it is billed, read or not
    if (!read) co_return std::move(read).error();
    reply = *std::move(read);
  }
  add_losses(reply, from.losses);
  visit.loss = from.losses.header_value();
  auto writer = spoken.stream_writer(writer_options(worker, visit));
  std::string bytes;
  for (const chat::Event& event : chat::unroll(reply)) {
    visit.observe(event);
    writer->write(event, bytes);
  }
  EventArray array;
  const std::string_view out = visit.as_array ? array.end(bytes) : std::string_view(bytes);
  to.start(200, stream_headers(worker, from, spoken, visit));
  if (visit.must_commit()) co_await visit.commit();
  co_return co_await to.finish(out);
}

Task<Result<void>> send_whole(const Worker& worker, FirstReply& from, Visit& visit, http::Exchange& to, std::string_view body) {
  http::Headers headers;
  if (from.native && !from.reader) {
    pass_headers(from, visit, headers);
  } else {
    headers.add("content-type", "application/json");
    headers.add("request-id", visit.row.id);
  }
  visit.describe(headers);
  describe_budgets(worker, visit, headers);
  if (const auto cost = visit.cost_nanousd()) {
    const std::string nano = std::to_string(*cost % 1'000'000'000);
    const std::string usd =
        std::to_string(*cost / 1'000'000'000) + "." + std::string(9 - nano.size(), '0') + nano;
    headers.set("x-ccrules-cost-usd", usd);
  }
  if (!from.encoded.empty()) {  // as the provider has compressed it
    headers.set("content-encoding", http::coding_name(from.stream->coding()));
    body = from.encoded;
  }
  from.stream.reset();  // its connection can serve others while this client takes its time
  if (visit.must_commit()) co_await visit.commit();
  co_return co_await to.send(200, headers, body);
}

Error too_large(const config::Provider& provider) {
  Error error;
  error.code = ErrorCode::kTooLarge;
  error.origin = Origin::kUpstream;
  error.http_status = 502;
  error.provider = provider.id;
  error.message = "provider '" + provider.id + "' answered more than " + std::to_string(limits::kReplyBytes) +
                  " bytes; ask for a stream to have so much";
  return error;
}

/// Reads a stream to its end for a client that asked for a whole reply. What it says of its usage counts even when it breaks.
Task<Result<chat::Reply>> collect(FirstReply& from, Visit& visit) {
  chat::Collector collector;
  const auto take = [&collector, &visit](const std::vector<chat::Event>& some) {
    for (const chat::Event& event : some) {
      collector.add(event);
      if (!std::holds_alternative<chat::StreamError>(event)) visit.observe(event);
    }
  };
  take(from.events);
  std::vector<chat::Event> events;
  std::size_t bytes = 0;
  while (!from.upstream_ended && !from.reader->ended()) {
    const milliseconds patience =
        visit.choices == 1 && from.reader->awaiting_usage() ? milliseconds(limits::kUsageTime) : milliseconds(0);
    auto chunk = co_await from.stream->read(patience, from.clock->stop.token());
    if (!chunk)
      co_return explain_stop(std::move(chunk).error(), *from.clock, *from.provider, "the rest of its answer");
    if (chunk->quiet) break;
    from.clock->deadline.set(from.provider->timeouts.idle);
    bytes += chunk->bytes.size();
    if (bytes > limits::kReplyBytes) co_return too_large(*from.provider);
    events.clear();
    if (auto fed = from.reader->feed(chunk->bytes, events); !fed)
      co_return name_provider(std::move(fed).error(), *from.provider);
    from.upstream_ended = chunk->end;
    take(events);
    if (overspends(visit)) co_return overspent();
  }
  if (!from.reader->ended()) {
    events.clear();
    if (auto finished = from.reader->finish(events); !finished)
      co_return name_provider(std::move(finished).error(), *from.provider);
    take(events);
  }
  if (collector.complete()) co_return collector.take();
  Error error;
  error.code = ErrorCode::kConnectionLost;
  error.origin = Origin::kUpstream;
  error.http_status = 502;
  error.message = collector.error() ? collector.error()->message : "it ended its answer too early";
  error.message = provider::without_key(std::move(error.message), *from.provider);
  co_return name_provider(std::move(error), *from.provider);
}

/// What an answer is counted by whose provider does not say what it cost: by the texts that a stream of it would have had. It is
/// never nothing, for its prompt has been read.
std::int64_t unbilled_bytes(const FirstReply& from, const dialect::Dialect& spoken, const Visit& visit) {
  const bool only_looked_at = from.native && !from.reader;
  const bool not_all_is_read = spoken.passes_on() || visit.choices != 1;
  if (only_looked_at && not_all_is_read) return static_cast<std::int64_t>(from.whole.size());
  Result<chat::Reply> reply = only_looked_at ? from.upstream->read_reply(from.whole, from.reading) : *from.reply;
  if (!reply) return static_cast<std::int64_t>(from.whole.size());
  std::int64_t bytes = 0;
  for (const chat::Event& event : chat::unroll(*reply)) {
    if (const auto* delta = std::get_if<chat::BlockDelta>(&event)) bytes += static_cast<std::int64_t>(delta->text.size());
  }
  return std::max<std::int64_t>(bytes, 1);
}

Task<Result<void>> relay_whole(Worker& worker, FirstReply& from, const dialect::Dialect& spoken, Visit& visit,
                               http::Exchange& to) {
  if (from.reader) {
    CCR_CO_TRY(collected, co_await collect(from, visit));
    from.reply = std::move(collected);
  }
  visit.observe(*from.reply);
  if (!from.reply->usage.output_tokens) visit.output_text_bytes = unbilled_bytes(from, spoken, visit);
  if (from.native && !from.reader) co_return co_await send_whole(worker, from, visit, to, from.whole);
  add_losses(*from.reply, from.losses);
  const std::string body = spoken.write_reply(*from.reply, writer_options(worker, visit), from.losses);
  visit.loss = from.losses.header_value();
  co_return co_await send_whole(worker, from, visit, to, body);
}

}  // namespace

Task<Result<void>> relay(Worker& worker, FirstReply& from, const dialect::Dialect& spoken, Visit& visit,
                         http::Exchange& to) {
  visit.loss = from.losses.header_value();
  const bool as_it_came = spoken.passes_on() && !from.reader;  // whatever the client had asked for
  if (!visit.row.stream || as_it_came) co_return co_await relay_whole(worker, from, spoken, visit, to);
  if (from.reader) co_return co_await relay_stream(worker, from, spoken, visit, to);
  co_return co_await relay_unrolled(worker, from, spoken, visit, to);
}

void note_end(Worker& worker, const FirstReply& from, const Visit& visit, const http::Exchange& to) {
  const bool ours = visit.row.attempts == 0 || from.provider->dialect == "sim";  // replayed, or told to break
  if (!from.reader || ours) return;
  Circuits& circuits = worker.tallies.circuits;
  if (visit.message_over) {
    circuits.finished(from.provider->id);
  } else if (!to.stop().stopped() && !from.clock->request.stopped() && !visit.cut) {
    circuits.broke(from.provider->id, visit.policy->config->circuit, worker.loop.now_ms(), worker.clock.wall_us());
  }
}

}  // namespace ccrules::proxy
