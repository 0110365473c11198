#include "proxy/attempts.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include "core/limits.h"
#include "core/log.h"
#include "core/text.h"
#include "dialect/failure.h"
#include "dialect/refused_field.h"
#include "http/coding.h"
#include "provider/cloud.h"
#include "proxy/caching.h"
#include "proxy/circuit.h"
#include "proxy/gate.h"
#include "proxy/native.h"
#include "proxy/paying.h"
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

/// Who failed, for the dialect that words the error.
dialect::UpstreamFailure failure_at(const FirstReply& attempt, const Visit& visit) {
  dialect::UpstreamFailure failure;
  failure.status = attempt.stream->status();
  failure.provider = attempt.provider->id;
  failure.model = attempt.model;
  failure.estimated_input_tokens = visit.estimated_input_tokens;
  failure.context_tokens = provider::capabilities(*attempt.provider, attempt.model).context_tokens;
  return failure;
}

/// Anthropic's clients recover from its refusals by themselves, by their wording: they get them as they are
/// (claude-code-gateway 5.1). For everybody else we do it.
bool mends_refusals(const Ask& ask, const FirstReply& attempt) {
  return !attempt.native || ask.spoken != &dialect::anthropic();
}

/// The request in the provider's dialect; empty when the original bytes can go out as they are.
Result<std::string> write_body(const Worker& worker, const Ask& ask, FirstReply& attempt, const Visit& visit) {
  OutgoingRequest outgoing;
  outgoing.body = *ask.body;
  if (ask.document->has_value()) outgoing.document = &**ask.document;
  outgoing.outline = ask.outline;
  outgoing.spoken = ask.spoken;
  outgoing.provider = attempt.provider;
  outgoing.model = attempt.model;
  outgoing.edits = &ask.decision->edits;
  outgoing.estimated_input_tokens = visit.estimated_input_tokens;
  outgoing.without_reasoning = visit.without_reasoning;
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
           Visit& visit) {
  const auto field = dialect::refused_field(failure, sent);
  if (field && worker.refused.add(attempt.provider->id, attempt.model, *field)) {
    visit.refused = field->name();
  } else if (!field && !visit.without_reasoning && dialect::refuses_reasoning(failure)) {
    visit.without_reasoning = true;
    visit.refused = "the reasoning of earlier turns";
  }
}

http::Headers request_headers(const Ask& ask, const FirstReply& attempt) {
  http::Headers headers;
  if (attempt.native) {
    headers = forwarded_headers(ask.head->headers);
  } else {
    headers.add("content-type", "application/json");
    headers.add("accept", ask.outline->stream ? attempt.upstream->stream_type() : "application/json");
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
bool holds_key(const config::Provider& provider, const http::Headers& headers, std::string_view body) {
  const std::string& key = provider.api_key;
  if (key.empty()) return false;
  bool found = body.find(key) != std::string_view::npos;
  for (std::size_t i = 0; i < headers.size(); ++i)
    found = found || headers.at(i).second.find(key) != std::string_view::npos;
  return found;
}

/// Reads an error answer and says what it means. In the native lane its bytes are kept for the client.
/// @param sent the body that the provider refused
Task<Error> read_failure(Worker& worker, const Ask& ask, FirstReply& attempt, std::string_view sent, Visit& visit) {
  const http::ReplyStream& reply = *attempt.stream;
  const int status = reply.status();
  if (status < 200) {
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
    learn(worker, attempt, failure, sent, visit);
  } else if (readable && attempt.model != ask.outline->model && !visit.without_reasoning && dialect::refuses_reasoning(failure)) {
    // We chose another model than the one that thought, and do not know of it: this proxy was started since (session_models.h).
    visit.without_reasoning = true;
    visit.refused = "the thinking of another model";
  }
  Error error = attempt.upstream->read_error(failure);
  if (reply.headers().get("x-should-retry") == "false") error.should_retry_false = true;
  const bool our_key_refused =
      error.code == ErrorCode::kUpstreamAuth && attempt.provider->auth != "passthrough";
  error.should_retry_false |=
      our_key_refused;  // clients would repeat for minutes what only the operator can mend
  if (attempt.native && readable && !body->empty() && status < 600 && !our_key_refused &&
      !holds_key(*attempt.provider, reply.headers(), *body)) {
    VerbatimFailure verbatim;
    verbatim.status = status;
    forward_reply_headers(reply.headers(), *attempt.provider, visit.policy->config->listen, verbatim.headers);
    verbatim.body = *std::move(body);
    visit.verbatim = std::move(verbatim);
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

/// Reads a reply that does not stream and makes sure that it is one: a page of HTML with status 200 is a
/// failure.
Task<Result<void>> read_whole(const Ask& ask, FirstReply& attempt, const Visit& visit) {
  const bool pass = attempt.native && !ask.outline->stream && ask.exchange->accepts(attempt.stream->coding());
  if (pass) attempt.stream->keep_encoded(attempt.encoded);
  auto body = co_await http::read_all(*attempt.stream, limits::kReplyBytes, attempt.clock->stop.token());
  if (!body)
    co_return explain_stop(std::move(body).error(), *attempt.clock, *attempt.provider,
                           "the rest of its answer");
  attempt.upstream_ended = true;
  if (attempt.native) {
    chat::Reply peeked = attempt.upstream->peek_reply(*body);
    if (!peeked.id.empty() || !peeked.usage.empty()) {
      attempt.reply = std::move(peeked);
      attempt.whole = *std::move(body);
      co_return Result<void>();
    }
  } else {
    auto reply = attempt.upstream->read_reply(*body, attempt.reading);
    if (reply) {
      attempt.reply = *std::move(reply);
      co_return Result<void>();
    }
  }
  const std::string_view text = std::string_view(*body).substr(0, limits::kErrorBodyBytes);
  if (text.find("\"error\"") == std::string_view::npos) {
    co_return upstream_error(ErrorCode::kUpstreamProtocol, 502, Retry::kNextTarget,
                             "provider '" + attempt.provider->id + "' answered " +
                                 std::to_string(attempt.stream->status()) +
                                 " with something that is not a reply; is providers." + attempt.provider->id +
                                 ".base_url the address of its API?",
                             *attempt.provider);
  }
  dialect::UpstreamFailure failure = failure_at(attempt, visit);  // some send their errors with status 200
  failure.body = text;
  co_return attempt.upstream->read_error(failure);
}

/// A good head has arrived: reads up to the first content of a stream, or all of a whole reply.
Task<Result<void>> receive(Worker& worker, const Ask& ask, FirstReply& attempt, Visit& visit) {
  if (!is_stream(attempt)) co_return co_await read_whole(ask, attempt, visit);
  const bool only_listen = attempt.native && ask.outline->stream;
  attempt.reader = only_listen ? attempt.upstream->stream_listener() : attempt.upstream->stream_reader(attempt.reading);
  co_return co_await read_first_content(worker, attempt, visit);
}

/// One target, once.
Task<Result<std::unique_ptr<FirstReply>>> try_target(Worker& worker, const Ask& ask,
                                                     const rules::Target& target, Visit& visit,
                                                     StopToken stop) {
  auto made = std::make_unique<FirstReply>();
  FirstReply& attempt = *made;
  attempt.provider = visit.policy->config->provider(target.provider);
  if (attempt.provider == nullptr)
    co_return internal_error("the rules chose the unknown provider '" + target.provider + "'");
  attempt.model = target.model;
  attempt.upstream = &provider::dialect_of(*attempt.provider);
  attempt.native = attempt.upstream == ask.spoken;
  attempt.clock = std::make_unique<AttemptClock>(worker.loop, stop);
  attempt.reading.provider = target.provider;
  attempt.reading.model = target.model;
  attempt.reading.seed = worker.random.next();
  visit.row.provider = target.provider;
  visit.row.model = target.model;
  visit.verbatim.reset();
  visit.refused.clear();

  provider::Attempt outgoing;
  outgoing.provider = attempt.provider;
  outgoing.model = attempt.model;
  CCR_CO_TRY(written, write_body(worker, ask, attempt, visit));
  if (!attempt.losses.empty()) CCR_CO_CHECK(carried_whole(*visit.policy->config, *ask.decision, *attempt.provider, attempt.losses));
  ask.document->reset();
  outgoing.body = written.empty() ? std::string_view(*ask.body) : std::string_view(written);
  outgoing.stream = ask.outline->stream;
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
  visit.asked_provider = outgoing.on_its_way;
  if (!reply)
    co_return explain_stop(std::move(reply).error(), *attempt.clock, *attempt.provider, "its answer");
  attempt.stream = *std::move(reply);
  attempt.clock->deadline.set(attempt.provider->timeouts.idle);
  if (attempt.stream->status() < 200 || attempt.stream->status() >= 300)
    co_return co_await read_failure(worker, ask, attempt, outgoing.body, visit);
  text::give_back(written);
  if (http::content_coding(attempt.stream->headers()) == http::Coding::kUnknown) {
    const std::string how(attempt.stream->headers().get("content-encoding").substr(0, 40));
    co_return upstream_error(ErrorCode::kUpstreamProtocol, 502, Retry::kNextTarget,
                             "provider '" + attempt.provider->id + "' compressed its answer in a way that was not asked for (" +
                                 how + "); let what stands at providers." + attempt.provider->id +
                                 ".base_url heed accept-encoding",
                             *attempt.provider);
  }
  if (ask.asking != nullptr) attempt.stream = ask.asking->record(std::move(attempt.stream));
  auto received = co_await receive(worker, ask, attempt, visit);
  if (!received) {
    visit.waste(attempt.events);
    co_return std::move(received).error();
  }
  co_return made;
}

/// Exponential, half of it jitter, so that many clients do not come back together.
milliseconds backoff(const config::Retry& retry, int attempt, Random& random) {
  const std::int64_t full =
      std::min<std::int64_t>(retry.at_most.count(), retry.base.count() << std::min(attempt - 1, 16));
  const auto half = static_cast<std::uint64_t>(full / 2 + 1);
  return milliseconds(full / 2 + static_cast<std::int64_t>(random.next() % half));
}

/// What to do after an attempt that failed, or whose reply the client shall not get.
struct Next {
  bool give_up = false;
  bool same_target = false;
  std::optional<rules::Target> to;
  milliseconds wait{0};
  chat::Usage wasted;         ///< of an answer that the client shall not get
  std::optional<Error> deny;  ///< a rule refuses the request now
};

/// What the rules see of an attempt.
rules::Facts facts_of_attempt(const Ask& ask, const Visit& visit, int status) {
  rules::Facts facts = *ask.facts;
  facts.attempt = visit.row.attempts;
  facts.status = status;
  facts.provider = visit.row.provider;
  return facts;
}

/// What the candidate rules would have done about an attempt, for the ledger.
void compare_shadow(rules::api::On on, const rules::Facts& facts, const rules::AttemptDecision& live, Visit& visit) {
  if (visit.policy->shadow) visit.policy->shadow->compare(on, facts, live, visit.row.shadow_json);
}

/// True when rules, those in force or candidates, look at failed attempts or at replies.
bool is_judged(rules::api::On on, const Policy& policy) {
  const bool live = on == rules::api::On::kError ? policy.rules->has_error_rules() : policy.rules->has_response_rules();
  return live || (policy.shadow && policy.shadow->asks(on));
}

Next after_failure(Worker& worker, const Ask& ask, Visit& visit, const Error& error, int tries_here) {
  const config::Snapshot& config = *visit.policy->config;
  Next next;
  rules::AttemptDecision wish;
  if (is_judged(rules::api::On::kError, *visit.policy)) {
    rules::Facts facts = facts_of_attempt(ask, visit, error.http_status);
    facts.error = error_code_name(error.code);
    wish = visit.policy->rules->decide_error(facts);
    compare_shadow(rules::api::On::kError, facts, wish, visit);
    visit.decided(wish);
  }
  if (wish.deny) {
    next.deny = denied(*wish.deny);
    return next;
  }
  if (wish.to) {
    next.to = wish.to;
    return next;
  }
  const config::Provider* provider = config.provider(visit.row.provider);
  const int retries_here = provider == nullptr ? 0 : provider->max_retries;
  const bool by_default =
      error.retry != Retry::kNever && !error.should_retry_false && tries_here <= retries_here;
  next.same_target = wish.retry.value_or(by_default && wish.next_fallback != true);
  if (next.same_target) {
    milliseconds wait = wish.retry_after.count() >= 0 ? wish.retry_after
                        : error.retry_after_ms >= 0   ? milliseconds(error.retry_after_ms)
                                                      : backoff(config.retry, tries_here, worker.random);
    next.wait = std::min(wait, wish.retry ? wish.retry_at_most : config.retry.at_most);
    return next;
  }
  next.give_up = !wish.next_fallback.value_or(error.retry != Retry::kNever);
  return next;
}

/// What response rules make of a reply before any of it goes to the client; give_up: the client gets it.
Next after_reply(const Ask& ask, Visit& visit, const FirstReply& attempt, std::int64_t ttft_ms, chat::Usage& usage) {
  const char* stop_reason = "";
  if (attempt.reply) {
    usage = attempt.reply->usage;
    stop_reason = stop_reason_name(attempt.reply->reason);
  }
  for (const chat::Event& event : attempt.events) {
    if (const auto* start = std::get_if<chat::MessageStart>(&event)) usage.merge(start->usage);
    if (const auto* end = std::get_if<chat::MessageEnd>(&event)) {
      usage.merge(end->usage);
      stop_reason = stop_reason_name(end->reason);
    }
  }
  rules::Facts facts = facts_of_attempt(ask, visit, attempt.stream->status());
  facts.stop_reason = stop_reason;
  facts.usage = &usage;
  facts.ttft_ms = ttft_ms;
  rules::AttemptDecision wish = visit.policy->rules->decide_response(facts);
  compare_shadow(rules::api::On::kResponse, facts, wish, visit);
  visit.decided(wish);
  Next next;
  next.give_up = !wish.moves_on();
  if (wish.deny) next.deny = denied(*wish.deny);
  next.to = std::move(wish.to);
  next.same_target = !next.to && wish.retry == true;
  if (next.same_target) next.wait = std::min(std::max(wish.retry_after, milliseconds(0)), wish.retry_at_most);
  return next;
}

/// The attempts at one request: at which target they are, and what became of them.
class Attempts {
 public:
  Attempts(Worker& worker, const Ask& ask, Visit& visit)
      : worker_(worker), ask_(ask), visit_(visit), targets_(ask.decision->targets) {}

  [[nodiscard]] const rules::Target& target() const { return targets_[at_]; }
  [[nodiscard]] std::int64_t now_ms() const { return worker_.loop.now_ms(); }
  /// To the next target; false when there is none.
  bool move_on();
  void add_next(rules::Target target) { targets_.insert(targets_.begin() + static_cast<std::ptrdiff_t>(at_) + 1, std::move(target)); }
  void begin();
  /// The target is not asked: its provider is left alone.
  void pass_by(std::int64_t wait_ms);
  /// What is known to be wrong when no target is left.
  Error failure() { return *std::move(failure_); }
  void note_answer(CircuitPass& pass, std::int64_t sent_ms);
  /// The client gets this answer: from now on the conversation holds what this model has thought.
  void note_used();
  void note_failure(CircuitPass& pass, Error& error, std::int64_t sent_ms);
  /// The same again without what the provider said it does not take.
  bool goes_again_without_refused();
  Next after_answer(const FirstReply& attempt);
  Next after_error(const Error& error);
  /// What comes next must fit into the budgets.
  Task<Result<void>> afford(const Next& next, bool answered);

 private:
  [[nodiscard]] std::string target_name() const { return target().provider + "," + target().model; }
  [[nodiscard]] bool is_last() const;

  Worker& worker_;
  const Ask& ask_;
  Visit& visit_;
  std::vector<rules::Target> targets_;
  std::size_t at_ = 0;
  int tries_here_ = 0;
  int refusals_ = 0;              ///< of fields; the same request without them is no repetition
  std::optional<Error> failure_;  ///< of the last attempt
};

bool Attempts::is_last() const {
  return visit_.row.attempts >= std::max(visit_.policy->config->retry.max_attempts, 1) + refusals_;
}

bool Attempts::move_on() {
  tries_here_ = 0;
  visit_.without_reasoning = false;
  return ++at_ < targets_.size();
}

void Attempts::begin() {
  ++visit_.row.attempts;
  ++tries_here_;
}

void Attempts::pass_by(std::int64_t wait_ms) {
  log::info(target_name() + " is not asked: its circuit is open", visit_.row.id);
  if (failure_) return;
  visit_.row.provider = target().provider;
  visit_.row.model = target().model;
  failure_ = circuit_open(target().provider, wait_ms);
}

void Attempts::note_answer(CircuitPass& pass, std::int64_t sent_ms) {
  pass.answered(now_ms(), worker_.clock.wall_us(), now_ms() - sent_ms);
}

void Attempts::note_used() {
  if (ask_.spoken != &dialect::anthropic()) return;
  const std::string conversation = SessionModels::conversation(*ask_.facts->identity, *ask_.outline);
  if (visit_.without_reasoning) {
    worker_.tallies.models.moved(conversation, target(), ask_.outline->messages);
  } else {
    worker_.tallies.models.answered(conversation, target(), ask_.outline->messages);
  }
}

void Attempts::note_failure(CircuitPass& pass, Error& error, std::int64_t sent_ms) {
  const config::Snapshot& config = *visit_.policy->config;
  const config::Provider* provider = config.provider(target().provider);
  const bool asked_to_fail = provider != nullptr && provider->dialect == "sim";  // its failures say nothing about it
  if (speaks_against_provider(error) && !asked_to_fail) {
    pass.failed(config.circuit, error.retry_after_ms, now_ms(), worker_.clock.wall_us());
  } else if (error.origin == Origin::kUpstream) {
    pass.answered(now_ms(), worker_.clock.wall_us(), now_ms() - sent_ms);
  }
  if (provider != nullptr) error.message = provider::without_key(std::move(error.message), *provider);
  log::info("attempt " + std::to_string(visit_.row.attempts) + " at " + target_name() + " failed: " + error.message, visit_.row.id);
}

bool Attempts::goes_again_without_refused() {
  if (visit_.refused.empty() || refusals_ >= limits::kRefusedRetries) return false;
  ++refusals_;
  --tries_here_;
  log::info(target_name() + " does not take " + visit_.refused + ": sent again without", visit_.row.id);
  return true;
}

Next Attempts::after_answer(const FirstReply& attempt) {
  Next next;
  next.give_up = true;
  if (!is_judged(rules::api::On::kResponse, *visit_.policy)) return next;
  chat::Usage usage;
  next = after_reply(ask_, visit_, attempt, visit_.elapsed_ms(), usage);
  // An answer that a rule does not like is better than none.
  const bool elsewhere = next.same_target || next.to || at_ + 1 < targets_.size();
  next.give_up = !next.deny && (next.give_up || is_last() || !elsewhere);
  if (next.give_up) return next;
  next.wasted = usage;
  if (next.deny) visit_.waste(usage);
  return next;
}

Next Attempts::after_error(const Error& error) {
  Next next;
  next.give_up = true;
  if (is_last()) return next;
  next = after_failure(worker_, ask_, visit_, error, tries_here_);
  failure_ = error;
  return next;
}

Task<Result<void>> Attempts::afford(const Next& next, bool answered) {
  if (!answered) {
    if (!next.to) co_return Result<void>();
    co_return co_await reserve_more(worker_, visit_, *next.to, *ask_.decision, *ask_.outline);
  }
  const std::int64_t wasted_before = visit_.wasted_nanousd;
  visit_.waste(next.wasted);
  const rules::Target& then = next.to ? *next.to : targets_[next.same_target ? at_ : at_ + 1];
  Result<void> affordable = co_await reserve_more(worker_, visit_, then, *ask_.decision, *ask_.outline);
  if (affordable.ok()) {
    log::info("attempt " + std::to_string(visit_.row.attempts) + " at " + target_name() + " answered, and a rule goes on", visit_.row.id);
  } else {
    visit_.wasted_nanousd = wasted_before;
  }
  co_return affordable;
}

}  // namespace

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
  return upstream_error(ErrorCode::kUpstreamTimeout, 504, Retry::kNextTarget,
                        "provider '" + provider.id + "' sent nothing for too long while waiting for " +
                            waiting_for + "; raise providers." + provider.id + ".timeouts if it is slow",
                        provider);
}

Task<Result<std::unique_ptr<FirstReply>>> first_reply(Worker& worker, const Ask& ask, Visit& visit,
                                                      StopToken stop) {
  Attempts attempts(worker, ask, visit);
  for (;;) {
    const Circuits::Admission admission = worker.tallies.circuits.admit(attempts.target().provider, attempts.now_ms());
    if (admission.pass == Circuits::Pass::kClosed) {
      attempts.pass_by(admission.wait_ms);
      if (!attempts.move_on()) co_return attempts.failure();
      continue;
    }
    CircuitPass pass(worker.tallies.circuits, attempts.target().provider, admission.pass);
    if (visit.wasted_nanousd > 0) CCR_CO_CHECK(co_await reserve_more(worker, visit, attempts.target(), *ask.decision, *ask.outline));
    const std::int64_t sent_ms = attempts.now_ms();
    attempts.begin();
    auto attempt = co_await try_target(worker, ask, attempts.target(), visit, stop);
    if (stop.stopped()) {
      if (!attempt.ok()) visit.abandon();
      co_return attempt;
    }

    Next next;
    if (attempt.ok()) {
      attempts.note_answer(pass, sent_ms);
      next = attempts.after_answer(**attempt);
    } else {
      attempts.note_failure(pass, attempt.error(), sent_ms);
      if (attempts.goes_again_without_refused()) continue;
      next = attempts.after_error(attempt.error());
    }
    if (next.deny) co_return *std::move(next.deny);
    if (next.give_up && attempt.ok()) attempts.note_used();
    if (next.give_up) co_return attempt;

    const Result<void> affordable = co_await attempts.afford(next, attempt.ok());
    if (!affordable.ok() && attempt.ok()) {
      attempts.note_used();  // after all
      co_return attempt;
    }
    CCR_CO_CHECK(affordable);
    if (next.same_target) {
      CCR_CO_CHECK(co_await sleep_for(worker.loop, next.wait, stop));
      continue;
    }
    if (next.to) attempts.add_next(*std::move(next.to));
    if (!attempts.move_on()) co_return attempt;
  }
}

Task<Result<std::unique_ptr<FirstReply>>> reread(Worker& worker, const Ask& ask, Replayed from, Visit& visit, StopToken stop) {
  auto made = std::make_unique<FirstReply>();
  FirstReply& attempt = *made;
  const cache::Source& source = *from.source;
  attempt.provider = visit.policy->config->provider(source.provider);
  attempt.model = source.model;
  attempt.upstream = dialect::by_name(source.dialect);
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
