#include "proxy/one_attempt.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>
#include <variant>

#include "core/limits.h"
#include "core/text.h"
#include "dialect/broken.h"
#include "dialect/failure.h"
#include "dialect/refused_field.h"
#include "http/coding.h"
#include "http/rate_limit_reset.h"
#include "provider/cloud.h"
#include "proxy/asking.h"
#include "proxy/gate.h"
#include "proxy/lost_reply.h"
#include "proxy/native.h"
#include "proxy/plan.h"
#include "proxy/strict.h"

namespace ccrules::proxy {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kUserAgent = "ccrules/" CCR_VERSION;

bool is_content(const std::vector<chat::Event>& events) {
  return std::any_of(events.begin(), events.end(),
                     [](const chat::Event& event) { return chat::is_content(event); });
}

const chat::StreamError* stream_error(const std::vector<chat::Event>& events) {
  for (const chat::Event& event : events) {
    if (const auto* failed = std::get_if<chat::StreamError>(&event)) return failed;
  }
  return nullptr;
}

Error upstream_error(ErrorCode code, int status, Retry retry, std::string message,
                     const config::Provider& provider) {
  Error error;
  error.code = code;
  error.origin = Origin::kUpstream;
  error.retry = retry;
  error.http_status = status;
  error.message = std::move(message);
  error.provider = provider.id;
  return error;
}

/// A rule or a fallback chose a provider that cannot be asked for what is passed on as it is.
Error lacks_endpoint(const config::Provider& provider, const dialect::Dialect& spoken) {
  return upstream_error(ErrorCode::kUnsupported, 400, Retry::kNextTarget,
                        "provider '" + provider.id + "' speaks " + provider.dialect + " and has no " +
                            std::string(spoken.upstream_path()) + "; route such requests to a provider of OpenAI's format",
                        provider);
}

/// Who failed, for the dialect that words the error.
dialect::UpstreamFailure failure_at(const FirstReply& attempt, const Visit& visit) {
  dialect::UpstreamFailure failure;
  failure.status = attempt.stream->status();
  failure.provider = attempt.provider->id;
  failure.model = attempt.model;
  failure.estimated_input_tokens = visit.estimated_input_tokens;
  failure.context_tokens = provider::capabilities(*attempt.provider, attempt.model, visit.policy->config->models()).context_tokens;
  return failure;
}

/// Anthropic's clients recover from its refusals by themselves, by their wording: they get them as they are
/// (claude-code-gateway 5.1). For everybody else we do it, but for what is passed on as it is: other vectors than those that
/// were asked for would do harm.
bool mends_refusals(const Ask& ask, const FirstReply& attempt) {
  if (ask.spoken->passes_on()) return false;
  return !attempt.native || ask.spoken != &dialect::anthropic();
}

/// Some providers stream long answers only, and what stands before others cuts connections that say nothing for a minute: there
/// a whole answer is asked for as a stream, and the relay puts it together. In the client's own dialect its bytes stay as they
/// are, and of several answers a stream reader follows only the first.
bool asks_for_stream(const Ask& ask, const FirstReply& attempt) {
  if (ask.outline->stream) return true;
  if (attempt.native || ask.outline->choices != 1) return false;
  const auto& switches = attempt.provider->switches;
  const auto found = switches.find("whole_by_stream");
  return found != switches.end() && found->second;
}

/// The request in the provider's dialect; empty when the original bytes can go out as they are.
Result<std::string> write_body(const Worker& worker, const Ask& ask, FirstReply& attempt, const Visit& visit, bool without_reasoning) {
  OutgoingRequest outgoing;
  outgoing.body = *ask.body;
  if (ask.document->has_value()) outgoing.document = &**ask.document;
  outgoing.outline = ask.outline;
  outgoing.spoken = ask.spoken;
  outgoing.provider = attempt.provider;
  outgoing.model = attempt.model;
  outgoing.models = &visit.policy->config->models();
  outgoing.edits = &ask.decision->edits;
  outgoing.estimated_input_tokens = visit.estimated_input_tokens;
  outgoing.stream = asks_for_stream(ask, attempt);
  outgoing.without_reasoning = without_reasoning;
  if (attempt.native && ask.spoken == &dialect::anthropic()) {
    const rules::Target target{attempt.provider->id, attempt.model};
    const std::string conversation = SessionModels::conversation(*ask.facts->identity, *ask.outline);
    outgoing.foreign_messages = worker.tallies.models.foreign_messages(conversation, target, ask.outline->messages);
  }
  CCR_TRY(written, outgoing_body(outgoing, attempt.reading.renamed_tools, attempt.losses));
  const auto* refused = worker.refused.find(attempt.provider->id, attempt.model);
  if (refused != nullptr && mends_refusals(ask, attempt)) {
    CCR_TRY(taken, without_refused(written.empty() ? std::string_view(*ask.body) : written, *refused, attempt.losses));
    if (!taken.empty()) written = std::move(taken);
  }
  if (attempt.provider->cloud.empty()) return written;
  return provider::cloud_body(*attempt.provider, written.empty() ? std::string_view(*ask.body) : written,
                              attempt.native ? ask.head->headers.get("anthropic-beta") : std::string_view());
}

/// Takes note of what the provider says it does not take, so that the same target is worth another try.
void learn(Worker& worker, const FirstReply& attempt, const dialect::UpstreamFailure& failure, std::string_view sent,
           Tried& tried) {
  const auto field = dialect::refused_field(failure, sent);
  if (field && worker.refused.add(attempt.provider->id, attempt.model, *field)) {
    tried.refused = field->name();
  } else if (!field && !tried.without_reasoning && dialect::refuses_reasoning(failure)) {
    tried.without_reasoning = true;
    tried.refused = "the reasoning of earlier turns";
  }
}

http::Headers request_headers(const Ask& ask, const FirstReply& attempt) {
  http::Headers headers;
  if (attempt.native) {
    headers = forwarded_headers(ask.head->headers);
  } else {
    headers.add("content-type", "application/json");
    headers.add("accept", asks_for_stream(ask, attempt) ? attempt.upstream->stream_type() : "application/json");
    headers.add("user-agent", kUserAgent);
  }
  for (const rules::HeaderEdit& edit : ask.decision->headers) {
    if (edit.value) {
      headers.set(edit.name, *edit.value);
    } else {
      headers.remove(edit.name);
    }
  }
  return headers;
}

/// Some providers repeat the key they refuse. What they say then goes out without it, not verbatim.
bool repeats_key(const config::Provider& provider, const http::Headers& headers, std::string_view body) {
  bool found = provider::holds_key(body, provider);
  for (std::size_t i = 0; i < headers.size(); ++i) found = found || provider::holds_key(headers.at(i).second, provider);
  return found;
}

/// Reads an error answer and says what it means. In the native lane its bytes are kept for the client.
/// @param sent the body that the provider refused
Task<Error> read_failure(Worker& worker, const Ask& ask, FirstReply& attempt, std::string_view sent, const Visit& visit,
                         Tried& tried) {
  const http::ReplyStream& reply = *attempt.stream;
  const int status = reply.status();
  if (status < 200 || status > 599) {
    co_return upstream_error(ErrorCode::kUpstreamProtocol, 502, Retry::kNextTarget,
                             "provider '" + attempt.provider->id + "' answered with the status " + std::to_string(status) +
                                 ", which HTTP does not know; is providers." + attempt.provider->id + ".base_url the address of its API?",
                             *attempt.provider);
  }
  if (status < 400) {
    co_return upstream_error(ErrorCode::kUpstreamProtocol, 502, Retry::kNextTarget,
                             "provider '" + attempt.provider->id + "' answered " + std::to_string(status) +
                                 "; redirects are not followed: set providers." + attempt.provider->id +
                                 ".base_url to its final address",
                             *attempt.provider);
  }
  auto body = co_await http::read_all(*attempt.stream, limits::kErrorBodyBytes, attempt.clock->stop.token());
  const bool readable = body.ok() && http::content_coding(reply.headers()) == http::Coding::kIdentity;
  dialect::UpstreamFailure failure = failure_at(attempt, visit);
  if (readable) failure.body = *body;
  failure.retry_after_ms = http::retry_after_ms(reply.headers(), worker.clock.wall_us());
  if (readable && mends_refusals(ask, attempt)) {
    learn(worker, attempt, failure, sent, tried);
  } else if (readable && attempt.model != ask.outline->model && !tried.without_reasoning && dialect::refuses_reasoning(failure)) {
    // We chose another model than the one that thought, and do not know of it: this proxy was started since (session_models.h).
    tried.without_reasoning = true;
    tried.refused = "the thinking of another model";
  }
  Error error = attempt.upstream->read_error(failure);
  if (reply.headers().get("x-should-retry") == "false") error.should_retry_false = true;
  if (error.code == ErrorCode::kUpstreamRateLimited && error.retry_after_ms < 0 && !error.should_retry_false) {
    constexpr std::int64_t kLeastMs = 1000;  // less says nothing of the limit that was hit
    const std::int64_t ms = http::rate_limit_reset_ms(reply.headers(), worker.clock.wall_us());
    if (ms >= kLeastMs) error.retry_after_ms = ms;
  }
  const bool our_key_refused =
      error.code == ErrorCode::kUpstreamAuth && attempt.provider->auth != "passthrough";
  error.should_retry_false |=
      our_key_refused;  // clients would repeat for minutes what only the operator can mend
  if (attempt.native && readable && !body->empty() && !our_key_refused &&
      !repeats_key(*attempt.provider, reply.headers(), *body)) {
    VerbatimFailure verbatim;
    verbatim.status = status;
    forward_reply_headers(reply.headers(), *attempt.provider, visit.policy->config->listen, verbatim.headers);
    verbatim.body = *std::move(body);
    tried.verbatim = std::move(verbatim);
  }
  co_return error;
}

bool is_stream(const FirstReply& attempt) {
  return text::starts_with_ignore_case(attempt.stream->headers().get("content-type"), attempt.upstream->stream_type());
}

/// Reads a stream until it says something, fails, or has been silent long enough to commit to it.
Task<Result<void>> read_first_content(Worker& worker, FirstReply& attempt, const Visit& visit) {
  const std::int64_t commit_at_ms = worker.loop.now_ms() + milliseconds(limits::kCommitTime).count();
  std::size_t bytes = 0;
  while (!is_content(attempt.events) && !attempt.reader->ended()) {
    if (bytes > limits::kSseEventBytes) co_return Result<void>();  // all this is held: let it flow
    const std::int64_t patience_ms = commit_at_ms - worker.loop.now_ms();
    if (patience_ms <= 0) co_return Result<void>();
    auto chunk = co_await attempt.stream->read(milliseconds(patience_ms), attempt.clock->stop.token());
    if (!chunk)
      co_return explain_stop(std::move(chunk).error(), *attempt.clock, *attempt.provider,
                             "its first content");
    if (chunk->quiet) co_return Result<void>();
    attempt.clock->deadline.set(attempt.provider->timeouts.idle);
    bytes += chunk->bytes.size();
    if (auto fed = attempt.reader->feed(chunk->bytes, attempt.events); !fed)
      co_return name_provider(std::move(fed).error(), *attempt.provider);
    if (attempt.native) attempt.held += chunk->bytes;
    if (chunk->end) {
      attempt.upstream_ended = true;
      // The relay finds what is missing: its error follows what is there.
      if (is_content(attempt.events)) break;
      if (auto finished = attempt.reader->finish(attempt.events); !finished)
        co_return name_provider(std::move(finished).error(), *attempt.provider);
    }
    if (const chat::StreamError* failed = stream_error(attempt.events)) {
      // Its beginning is worth something: relay it, then the error. Not so what only finish() could find.
      if (is_content(attempt.events) && !failed->cut) break;
      Error error = dialect::error_of(*failed, failure_at(attempt, visit));
      if (failed->cut) error = name_provider(std::move(error), *attempt.provider);
      co_return error;
    }
  }
  co_return Result<void>();
}

/// What a reply that goes out as it came says of itself; nullopt when it is none. One without an id whose counts are no counts
/// is a reply all the same: it is read as it would be for a translation.
std::optional<chat::Reply> look_at(std::string_view body, const Ask& ask, const FirstReply& attempt) {
  chat::Reply peeked = attempt.upstream->peek_reply(body);
  if (!peeked.id.empty() || !peeked.usage.empty()) return peeked;
  if (ask.spoken->passes_on()) return std::nullopt;
  auto read = attempt.upstream->read_reply(body, attempt.reading);
  if (!read) return std::nullopt;
  return *std::move(read);
}

/// Reads what is left of a reply; what came before an error stays in `body`.
Task<Result<void>> read_body(http::ReplyStream& reply, StopToken stop, std::string& body) {
  if (const auto length = text::to_int(reply.headers().get("content-length")); length && *length > 0)
    body.reserve(std::min(static_cast<std::size_t>(*length), limits::kReadAheadBytes) + 64);
  for (;;) {
    CCR_CO_TRY(chunk, co_await reply.read(milliseconds(0), stop));
    body.append(chunk.bytes.substr(0, limits::kReplyBytes + 1 - body.size()));
    if (body.size() > limits::kReplyBytes) {
      Error error;
      error.code = ErrorCode::kTooLarge;
      error.origin = Origin::kUpstream;
      error.retry = Retry::kNextTarget;
      error.http_status = 502;
      error.message = "the upstream's reply is larger than " + std::to_string(limits::kReplyBytes) + " bytes";
      co_return error;
    }
    if (chunk.end) co_return Result<void>();
  }
}

/// Reads a reply that does not stream and makes sure that it is one: a page of HTML with status 200 is a
/// failure.
Task<Result<void>> read_whole(const Ask& ask, FirstReply& attempt, const Visit& visit) {
  const bool pass = attempt.native && !ask.outline->stream && ask.exchange->accepts(attempt.stream->coding());
  if (pass) attempt.stream->keep_encoded(attempt.encoded);
  std::string& body = attempt.whole;
  auto read = co_await read_body(*attempt.stream, attempt.clock->stop.token(), body);
  if (!read)
    co_return explain_stop(std::move(read).error(), *attempt.clock, *attempt.provider,
                           "the rest of its answer");
  attempt.upstream_ended = true;
  if (attempt.native) {
    if (auto looked_at = look_at(body, ask, attempt)) {
      attempt.reply = *std::move(looked_at);
      co_return Result<void>();
    }
  } else {
    auto reply = attempt.upstream->read_reply(body, attempt.reading);
    if (reply) {
      attempt.reply = *std::move(reply);
      text::give_back(body);
      co_return Result<void>();
    }
    if (reply.error().code == ErrorCode::kContextExceeded && !dialect::tells_error(body)) {  // told by what is missing (G-1)
      const chat::StreamError overflow{"invalid_request_error", reply.error().message};
      co_return dialect::error_of(overflow, failure_at(attempt, visit));
    }
  }
  if (!dialect::tells_error(body)) {
    co_return upstream_error(ErrorCode::kUpstreamProtocol, 502, Retry::kNextTarget,
                             "provider '" + attempt.provider->id + "' answered " + std::to_string(attempt.stream->status()) + " with " +
                                 dialect::described(body) + ", which is no reply; is providers." + attempt.provider->id +
                                 ".base_url the address of its API?",
                             *attempt.provider);
  }
  dialect::UpstreamFailure failure = failure_at(attempt, visit);  // some send their errors with status 200
  failure.body = body;
  co_return attempt.upstream->read_error(failure);
}

/// A good head has arrived: reads up to the first content of a stream, or all of a whole reply.
Task<Result<void>> receive(Worker& worker, const Ask& ask, FirstReply& attempt, const Visit& visit) {
  if (!is_stream(attempt)) co_return co_await read_whole(ask, attempt, visit);
  const bool only_listen = attempt.native && ask.outline->stream;
  attempt.reader = only_listen ? attempt.upstream->stream_listener() : attempt.upstream->stream_reader(attempt.reading);
  co_return co_await read_first_content(worker, attempt, visit);
}

}  // namespace

Ask ask_of(const http::Exchange& exchange, Plan& plan) {
  Ask ask;
  ask.head = &exchange.head();
  ask.exchange = &exchange;
  ask.body = plan.body;
  ask.document = &plan.document;
  ask.outline = &plan.outline;
  ask.spoken = plan.spoken;
  ask.decision = &plan.decision;
  ask.facts = &plan.facts;
  return ask;
}

Error name_provider(Error error, const config::Provider& provider) {
  error.provider = provider.id;
  error.message = "provider '" + provider.id + "': " + error.message;
  return error;
}

Error explain_stop(Error error, const AttemptClock& clock, const config::Provider& provider,
                   const char* waiting_for) {
  error.provider = provider.id;
  if (error.code != ErrorCode::kCancelled) return name_provider(std::move(error), provider);
  if (clock.stop.reason() != StopReason::kDeadline) return error;
  const std::string waiting = std::string(" while waiting for ") + waiting_for + " from provider '" + provider.id + "'";
  if (clock.request.stopped()) {
    return upstream_error(ErrorCode::kUpstreamTimeout, 504, Retry::kNever,
                          "the request took longer than `timeouts.total` of ccrules.json allows" + waiting, provider);
  }
  if (clock.ends_ms >= 0 && clock.loop.now_ms() >= clock.ends_ms) {
    return upstream_error(ErrorCode::kUpstreamTimeout, 504, Retry::kNextTarget,
                          "the attempt took longer than providers." + provider.id + ".timeouts.total allows" + waiting, provider);
  }
  return upstream_error(ErrorCode::kUpstreamTimeout, 504, Retry::kNextTarget,
                        "provider '" + provider.id + "' sent nothing for too long while waiting for " +
                            waiting_for + "; raise providers." + provider.id + ".timeouts if it is slow",
                        provider);
}

Task<Result<std::unique_ptr<FirstReply>>> try_target(Worker& worker, const Ask& ask, const Visit& visit, LaneLease lane, Tried& tried,
                                                     StopToken stop) {
  const rules::Target& target = tried.target;
  auto made = std::make_unique<FirstReply>();
  FirstReply& attempt = *made;
  attempt.lane = std::move(lane);
  attempt.provider = visit.policy->config->provider(target.provider);
  if (attempt.provider == nullptr)
    co_return internal_error("the rules chose the unknown provider '" + target.provider + "'");
  attempt.model = target.model;
  attempt.upstream = &provider::dialect_for(*attempt.provider, *ask.spoken);
  attempt.native = attempt.upstream == ask.spoken;
  if (ask.spoken->passes_on() && !attempt.native) co_return lacks_endpoint(*attempt.provider, *ask.spoken);
  attempt.clock = std::make_unique<AttemptClock>(worker.loop, stop, attempt.provider->timeouts.total);
  attempt.reading.provider = target.provider;
  attempt.reading.model = target.model;
  attempt.reading.seed = worker.random.next();

  provider::Attempt outgoing;
  outgoing.provider = attempt.provider;
  outgoing.lane = attempt.lane.lane();
  outgoing.model = attempt.model;
  if (ask.spoken->passes_on()) outgoing.path = ask.spoken->upstream_path();
  CCR_CO_TRY(written, write_body(worker, ask, attempt, visit, tried.without_reasoning));
  if (!attempt.losses.empty()) CCR_CO_CHECK(carried_whole(*visit.policy->config, *ask.decision, *attempt.provider, attempt.losses));
  ask.document->reset();
  outgoing.body = written.empty() ? std::string_view(*ask.body) : std::string_view(written);
  outgoing.stream = asks_for_stream(ask, attempt);
  outgoing.wall_us = worker.clock.wall_us();
  // A Gemini client's query says how to stream and may hold its key: both are ours to say.
  std::string query;
  if (attempt.native && !attempt.upstream->model_in_path() && attempt.provider->cloud.empty()) query = forwarded_query(ask.head->query());
  outgoing.query = query;
  outgoing.headers = request_headers(ask, attempt);
  const config::Listen& listen = visit.policy->config->listen;
  const auto for_provider = [&listen](std::string_view credential) {
    return holds_own_key(credential, listen) ? std::string_view() : credential;
  };
  outgoing.client_authorization = for_provider(ask.head->headers.get("authorization"));
  outgoing.client_api_key = for_provider(ask.head->headers.get(attempt.upstream->model_in_path() ? "x-goog-api-key" : "x-api-key"));

  auto reply = co_await worker.sender.send(outgoing, attempt.clock->stop.token());
  tried.asked_provider = outgoing.on_its_way;
  if (!reply)
    co_return explain_stop(std::move(reply).error(), *attempt.clock, *attempt.provider, "its answer");
  attempt.stream = *std::move(reply);
  tried.answered = attempt.stream->status();
  attempt.clock->deadline.set(attempt.provider->timeouts.idle);
  if (attempt.stream->status() < 200 || attempt.stream->status() >= 300)
    co_return co_await read_failure(worker, ask, attempt, outgoing.body, visit, tried);
  text::give_back(written);
  if (http::content_coding(attempt.stream->headers()) == http::Coding::kUnknown) {
    tried.lost = true;
    const std::string how(attempt.stream->headers().get("content-encoding").substr(0, 40));
    co_return upstream_error(ErrorCode::kUpstreamProtocol, 502, Retry::kNextTarget,
                             "provider '" + attempt.provider->id + "' compressed its answer in a way that was not asked for (" +
                                 how + "); let what stands at providers." + attempt.provider->id +
                                 ".base_url heed accept-encoding",
                             *attempt.provider);
  }
  if (ask.asking != nullptr) {
    auto recording = ask.asking->record(std::move(attempt.stream), tried.may_be_beside);
    attempt.recording = recording.get();
    attempt.stream = std::move(recording);
  }
  auto received = co_await receive(worker, ask, attempt, visit);
  if (!received) {
    note_lost(attempt, received.error(), tried);
    co_return std::move(received).error();
  }
  co_return made;
}

Task<Result<std::unique_ptr<FirstReply>>> reread(Worker& worker, const Ask& ask, Replayed from, Visit& visit, StopToken stop) {
  auto made = std::make_unique<FirstReply>();
  FirstReply& attempt = *made;
  const cache::Source& source = *from.source;
  attempt.provider = visit.policy->config->provider(source.provider);
  attempt.model = source.model;
  attempt.upstream = dialect::by_name(source.dialect);
  if (attempt.upstream == nullptr) co_return internal_error("the cache holds an answer in a dialect that is not known here: " + source.dialect);
  attempt.native = attempt.upstream == ask.spoken && source.renamed_tools.empty();
  attempt.clock = std::make_unique<AttemptClock>(worker.loop, stop);
  attempt.clock->deadline.set(attempt.provider->timeouts.idle);
  attempt.reading.provider = source.provider;
  attempt.reading.model = source.model;
  attempt.reading.seed = source.seed;
  for (const auto& [sent, original] : source.renamed_tools) attempt.reading.renamed_tools.push_back({sent, original});
  for (const std::string_view slug : text::split(from.loss, ',')) {
    if (const std::string_view what = text::trim(slug); !what.empty()) attempt.losses.add(std::string(what), "as it was first asked");
  }
  visit.row.provider = source.provider;
  visit.row.model = source.model;
  attempt.stream = std::move(from.stream);
  CCR_CO_CHECK(co_await receive(worker, ask, attempt, visit));
  co_return made;
}

}  // namespace ccrules::proxy
