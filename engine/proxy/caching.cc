#include "proxy/caching.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "cache/key.h"
#include "core/digest.h"
#include "core/hmac.h"
#include "core/json.h"
#include "core/limits.h"
#include "core/text.h"
#include "http/wait.h"
#include "ledger/cost.h"
#include "proxy/native.h"
#include "proxy/relay.h"

namespace ccrules::proxy {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kLeastBody = 64;  ///< Shorter ones move their bytes when they are moved; no request is so short.
constexpr int kJoins = 3;  ///< Answers on their way that may break under a request before it asks for itself alone.

rules::CachePolicy policy_of(const Visit& visit, const rules::Decision& decision) {
  rules::CachePolicy policy = decision.cache.value_or(rules::CachePolicy());
  if (policy.ttl.count() < 0) policy.ttl = visit.policy->config->cache.ttl;
  if (policy.scope.empty()) policy.scope = "user";
  return policy;
}

cache::Store::Age age_of(const Worker& worker, const rules::CachePolicy& policy) { return {worker.loop.now_ms(), policy.ttl}; }

/// Texts one behind the other, each with its length.
void add(std::string& out, std::string_view text) {
  out += std::to_string(text.size());
  out += ':';
  out += text;
}

void add_hash(std::string& out, const digest::Hash128& hash) { add(out, std::to_string(hash.high) + "," + std::to_string(hash.low)); }

/// Who shares the answer. False when that cannot be told: then nobody does.
bool add_scope(std::string& out, const std::string& scope, const http::Headers& headers, const Visit& visit, std::uint64_t seed) {
  add(out, scope);
  if (scope == "all") return true;
  if (scope == "project") {
    add(out, visit.row.project);
    return !visit.row.project.empty();
  }
  std::string credentials;
  for (const std::string_view name : {"x-api-key", "authorization", "x-goog-api-key", "api-key"}) add(credentials, headers.get(name));
  add_hash(out, digest::hash128(credentials, seed));
  add(out, visit.row.user);
  if (scope == "user") return true;
  add(out, visit.row.session);
  return !visit.row.session.empty();
}

void add_edits(std::string& out, const rules::Decision& decision) {
  for (const rules::FieldEdit& edit : decision.edits) {
    add(out, edit.field);
    add(out, std::to_string(static_cast<int>(edit.kind)));
    add(out, edit.value_json);
  }
  out += '|';
  for (const rules::HeaderEdit& edit : decision.headers) {
    add(out, edit.name);
    add(out, edit.value ? "=" + *edit.value : std::string());
  }
  out += '|';
}

/// What may change an answer besides the body; nothing when that cannot be told or must not be shared.
std::optional<std::string> context_of(const Worker& worker, const http::RequestHead& head, const dialect::Dialect& spoken,
                                      const Visit& visit, const rules::Decision& decision, const rules::CachePolicy& policy) {
  std::string context;
  if (!add_scope(context, policy.scope, head.headers, visit, worker.tallies.answers.seed())) return std::nullopt;
  const rules::Target& target = decision.targets.front();
  const config::Provider* provider = visit.policy->config->provider(target.provider);
  if (provider == nullptr) return std::nullopt;
  add(context, target.provider);
  add(context, provider->base_url);
  add(context, target.model);
  add_edits(context, decision);
  for (const std::string_view name : {"anthropic-beta", "openai-beta"}) add(context, head.headers.get(name));
  const std::string_view version = head.headers.get("anthropic-version");
  add(context, version == "2023-06-01" ? std::string_view() : version);  // the one there is
  add(context, spoken.model_in_path() ? std::string() : forwarded_query(head.query()));
  // Who does not want such answers does not get those that another rule keeps.
  for (const std::string& reason : policy.keep) add(context, reason);
  return context;
}

/// A conversation or a machine that the provider keeps: what is asked is not all in the request.
bool hangs_on_kept_state(Plan& plan) {
  const std::string_view name = plan.spoken == &dialect::openai_responses() ? "conversation"
                                : plan.spoken == &dialect::anthropic()      ? "container"
                                                                            : "";
  if (name.empty()) return false;
  if (!plan.document) return true;
  plan.document->rewind(json::Escapes::kUnchecked);
  auto root = plan.document->root_object();
  while (root.ok() && root->next()) {
    if (root->key() == name && !root->value().is_null()) return true;
  }
  return false;
}

/// The start of a JSON string that is the same however the client escapes the rest.
std::string_view plain_start(std::string_view literal) {
  constexpr std::size_t kMost = 1024;
  if (literal.starts_with('"')) literal.remove_prefix(1);
  std::size_t size = 0;
  while (size < std::min(kMost, literal.size()) && literal[size] >= ' ' && literal[size] <= '~' && literal[size] != '\\' &&
         literal[size] != '"' && literal[size] != '/') {
    ++size;
  }
  return literal.substr(0, size);
}

std::uint64_t family_of(const std::string& context, const chat::Outline& outline, std::uint64_t seed) {
  std::string parts;
  add(parts, context);
  add(parts, plain_start(outline.first_user_json));
  add(parts, plain_start(outline.last_user_json));
  const std::int64_t most = outline.max_tokens.value_or(-1);
  for (const std::int64_t count : {outline.images, outline.documents, outline.tools, outline.tool_results, most}) {
    add(parts, std::to_string(count));
  }
  return digest::hash64(parts, seed);
}

/// The body is hashed by itself: it is long, and lies where it lies.
digest::Hash128 letter_of(const std::string& context, std::string_view dialect, std::string_view body, std::uint64_t seed) {
  std::string parts;
  add(parts, context);
  add(parts, dialect);
  add_hash(parts, digest::hash128(body, seed));
  return digest::hash128(parts, seed);
}

/// One request as the cache sees it.
struct Asked {
  cache::Question question;  ///< without its body
  std::string_view body;
  Plan* plan = nullptr;
  std::string meaning;         ///< worked out when needed
  std::string sealed_context;  ///< likewise

  [[nodiscard]] bool same_words(const cache::Question& other, const cache::Store& store) {
    return other.body == body && other.dialect == question.dialect && same_context(other, store);
  }
  bool same_context(const cache::Question& other, const cache::Store& store) {
    if (!other.sealed) return other.context == question.context;
    if (sealed_context.empty()) sealed_context = digest::hmac_sha256(store.secret(), question.context);
    return other.context == sealed_context;
  }
  /// Reads both requests: only for those that may well be the same.
  bool same_meaning(const cache::Question& other, const cache::Store& store) {
    if (!same_context(other, store)) return false;
    const std::int64_t apart = std::abs(other.text_bytes - question.text_bytes);
    if (other.dialect == question.dialect && apart > limits::kCacheStrangerBytes) return false;
    const dialect::Dialect* spoken = dialect::by_name(other.dialect);
    if (spoken == nullptr) return false;
    if (meaning.empty()) {
      const chat::Request* request = plan->request();
      if (request == nullptr) return false;
      meaning = cache::meaning(*request);
    }
    const Result<chat::Request> theirs = spoken->read_request(std::string_view(other.body));
    return theirs.ok() && cache::meaning(*theirs) == meaning;
  }
};

std::shared_ptr<cache::Answer> find_similar(cache::Store& store, Asked& asked, cache::Store::Age age) {
  std::size_t bytes = 0;
  bool compared = false;
  for (std::shared_ptr<cache::Answer>& similar : store.similar(asked.question.family, age)) {
    if (!similar || bytes > limits::kCacheComparedBytes) break;
    bytes += similar->question().body.size();
    const bool is_same = asked.same_meaning(similar->question(), store);
    compared = compared || !asked.meaning.empty();
    if (!is_same) continue;
    store.compared(asked.question.family, true);
    return std::move(similar);
  }
  if (compared) store.compared(asked.question.family, false);
  return nullptr;
}

std::shared_ptr<cache::Answer> find(cache::Store& store, Asked& asked, cache::Store::Age age) {
  std::shared_ptr<cache::Answer> same = store.same(asked.question.letter, age);
  if (same && asked.same_words(same->question(), store)) return same;
  if (asked.question.family == 0) asked.question.family = family_of(asked.question.context, asked.plan->outline, store.seed());
  return find_similar(store, asked, age);
}

/// Wakes what waits on this loop, from any thread.
class Bell {
 public:
  explicit Bell(Loop& loop) : loop_(loop), state_(std::make_shared<State>()) {
    ring_ = [&loop, state = state_] {
      loop.post([state] {
        if (http::Wait* waiting = std::exchange(state->waiting, nullptr)) waiting->wake();
      });
    };
  }
  ~Bell() { state_->waiting = nullptr; }
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  [[nodiscard]] const std::function<void()>& ring() const { return ring_; }
  Task<http::Wait::Outcome> wait(milliseconds patience, StopToken stop) {
    http::Wait wait(loop_, patience, stop);
    state_->waiting = &wait;
    const http::Wait::Outcome outcome = co_await wait;
    state_->waiting = nullptr;
    co_return outcome;
  }

 private:
  struct State {
    http::Wait* waiting = nullptr;  ///< only touched on the loop's thread
  };
  Loop& loop_;
  std::shared_ptr<State> state_;
  std::function<void()> ring_;
};

/// An answer of the cache as the reply of a provider, whether all of it is there or it is still arriving.
class Replay final : public http::ReplyStream {
 public:
  Replay(Loop& loop, std::shared_ptr<cache::Answer> answer) : bell_(loop), reader_(std::move(answer)) {}

  [[nodiscard]] const cache::Answer& answer() const { return reader_.answer(); }
  /// Returns once somebody has answered, or has failed to.
  Task<Result<void>> arrival(StopToken stop) {
    while (reader_.wait_for_arrival(bell_.ring())) {
      const http::Wait::Outcome outcome = co_await bell_.wait(milliseconds(0), stop);
      if (outcome == http::Wait::Outcome::kStopped) co_return cancelled();
    }
    if (answer().state() == cache::Answer::State::kFailed) co_return reader_.failure();
    co_return Result<void>();
  }
  void describe(const std::string& request_id) {
    headers_.add("content-type", answer().source().content_type);
    headers_.add("request-id", request_id);
  }

  [[nodiscard]] int status() const noexcept override { return 200; }
  [[nodiscard]] const http::Headers& headers() const noexcept override { return headers_; }
  Task<Result<http::Chunk>> read(milliseconds patience, StopToken stop) override {
    for (;;) {
      bytes_.clear();
      cache::Reader::Progress progress = reader_.read(limits::kReadChunkBytes, bytes_, bell_.ring());
      http::Chunk chunk;
      chunk.bytes = bytes_;
      chunk.end = progress.end;
      if (progress.failure && bytes_.empty()) co_return *std::move(progress.failure);
      if (chunk.end || !bytes_.empty()) co_return chunk;
      const http::Wait::Outcome outcome = co_await bell_.wait(patience, stop);
      if (outcome == http::Wait::Outcome::kStopped) co_return cancelled();
      chunk.quiet = true;
      if (outcome == http::Wait::Outcome::kQuiet) co_return chunk;
    }
  }

 private:
  Bell bell_;
  cache::Reader reader_;
  http::Headers headers_;
  std::string bytes_;
};

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

Ask ask_of(const http::Exchange& exchange, const dialect::Dialect& spoken, Plan& plan) {
  Ask ask;
  ask.head = &exchange.head();
  ask.exchange = &exchange;
  ask.document = &plan.document;
  ask.outline = &plan.outline;
  ask.spoken = &spoken;
  ask.decision = &plan.decision;
  ask.facts = &plan.facts;
  return ask;
}

enum class Served : std::uint8_t { kYes, kAskAgain };

/// What it would have cost, in nano-USD.
std::int64_t saving(const Visit& visit) {
  return ledger::cost_nanousd(visit.row.usage, visit.row.provider, visit.row.model, *visit.policy->config).value_or(0);
}

Task<Result<Served>> replay(Worker& worker, http::Exchange& exchange, const dialect::Dialect& spoken, Visit& visit, Plan& plan,
                            std::shared_ptr<cache::Answer> answer) {
  auto stream = std::make_unique<Replay>(worker.loop, answer);
  auto arrived = co_await stream->arrival(exchange.stop());
  if (!arrived.ok()) {
    if (!exchange.stop().stopped() && arrived.error().origin != Origin::kUpstream) co_return Served::kAskAgain;
    visit.row.cache = "miss";
    co_return std::move(arrived).error();
  }
  const cache::Source& source = answer->source();
  if (visit.policy->config->provider(source.provider) == nullptr) co_return Served::kAskAgain;
  stream->describe(visit.row.id);
  visit.row.cache = "hit";
  visit.row.cost_nanousd = 0;
  const Ask ask = ask_of(exchange, spoken, plan);
  StopSource within(exchange.stop());
  Replayed replayed;
  replayed.stream = std::move(stream);
  replayed.source = &source;
  if (answer->question().dialect == spoken.name()) replayed.loss = source.loss;
  auto reply = co_await reread(worker, ask, std::move(replayed), visit, within.token());
  Result<void> relayed;
  if (reply.ok()) {
    relayed = co_await relay(worker, **reply, spoken, visit, exchange);
  } else {
    relayed = std::move(reply).error();
  }
  const bool told = exchange.head_sent() || exchange.stop().stopped();
  if (!relayed.ok() && !told) {
    if (answer->state() == cache::Answer::State::kComplete) worker.tallies.answers.drop(*answer);
    visit.row.cache = "miss";
    visit.row.cost_nanousd.reset();
    visit.row.error.clear();
    co_return Served::kAskAgain;
  }
  worker.tallies.answers.hit(*answer, saving(visit));
  if (!relayed.ok()) co_return std::move(relayed).error();
  co_return Served::kYes;
}

}  // namespace

Task<Result<bool>> serve_cached(Worker& worker, http::Exchange& exchange, const dialect::Dialect& spoken, Visit& visit, Plan& plan,
                                std::string& body, std::unique_ptr<Asking>& asking) {
  const rules::CachePolicy policy = policy_of(visit, plan.decision);
  const std::string_view wish = exchange.head().headers.get("cache-control");
  const auto context = context_of(worker, exchange.head(), spoken, visit, plan.decision, policy);
  const bool unwanted = wish.find("no-store") != std::string_view::npos || body.size() < kLeastBody;
  if (!context || unwanted) co_return false;
  cache::Store& store = worker.tallies.answers;
  store.resize(visit.policy->config->cache.max_bytes);

  Asked asked;
  asked.question.context = *context;
  asked.question.dialect = spoken.name();
  asked.question.letter = letter_of(*context, spoken.name(), body, store.seed());
  asked.question.text_bytes = plan.outline.text_bytes;
  asked.body = body;
  asked.plan = &plan;

  cache::Store::Age age = age_of(worker, policy);
  if (wish.find("no-cache") != std::string_view::npos) age.ttl = milliseconds(0);  // a new answer, for the others too
  for (int joins = 0; joins < kJoins; ++joins) {
    std::shared_ptr<cache::Answer> answer = find(store, asked, age);
    if (answer) {
      CCR_CO_TRY(served, co_await replay(worker, exchange, spoken, visit, plan, std::move(answer)));
      if (served == Served::kYes) co_return true;
      continue;
    }
    if (hangs_on_kept_state(plan)) co_return false;
    cache::Question question = asked.question;
    question.body = std::move(body);  // its bytes stay where they are: the plan has views into them
    std::shared_ptr<cache::Answer> mine = store.ask(question, age);
    if (!mine) {
      body = std::move(question.body);
      continue;
    }
    plan.body = &mine->question().body;
    asking = std::make_unique<Asking>(worker, exchange, std::move(mine), Asking::Terms{policy, plan.decision.targets.front()});
    break;
  }
  store.missed();
  visit.row.cache = "miss";
  co_return false;
}

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
      client_(*this),
      self_(std::make_shared<Asking*>(this)) {
  if (client_.token.stopped()) {
    stop_.request_stop(client_.token.reason());
  } else {
    client_.token.subscribe(client_);
  }
}

Asking::~Asking() {
  *self_ = nullptr;
  answer_->fail(asker_gave_up());
  if (answer_->state() == cache::Answer::State::kFailed) worker_.tallies.answers.drop(*answer_);
}

void Asking::client_stopped(StopReason why) {
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

/// Passes a reply's bytes on and keeps them.
class Asking::Recording final : public http::ReplyStream {
 public:
  /// @param waits until it is chosen()
  Recording(Asking& asking, std::unique_ptr<http::ReplyStream> from, bool waits)
      : asking_(asking), from_(std::move(from)), waits_(waits) {}
  void chosen() {
    if (!waits_) return;
    waits_ = false;
    asking_.restart();
    asking_.take(early_, ended_);
    text::give_back(early_);
  }
  [[nodiscard]] int status() const noexcept override { return from_->status(); }
  [[nodiscard]] const http::Headers& headers() const noexcept override { return from_->headers(); }
  [[nodiscard]] http::Coding coding() const noexcept override { return from_->coding(); }
  void keep_encoded(std::string& copy) noexcept override { from_->keep_encoded(copy); }
  Task<Result<http::Chunk>> read(milliseconds patience, StopToken stop) override {
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

 private:
  Asking& asking_;
  std::unique_ptr<http::ReplyStream> from_;
  bool waits_;
  std::string early_;  ///< what was read while it waited
  bool ended_ = false;
};

void Asking::restart() {
  answer_->restart();
  ended_ = false;
}

std::unique_ptr<http::ReplyStream> Asking::record(std::unique_ptr<http::ReplyStream> reply, bool one_of_two) {
  if (!one_of_two) restart();
  return std::make_unique<Recording>(*this, std::move(reply), one_of_two);
}

void Asking::arrives(const FirstReply& reply, const dialect::Dialect& spoken) {
  static_cast<Recording&>(*reply.stream).chosen();  // record() was given it
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

namespace {

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

bool Asking::worth_keeping(const Visit& visit) const {
  if (!ended_ || !kept_ || !recording_) return false;
  if (rules::Target{visit.row.provider, visit.row.model} != terms_.target) return false;
  const std::string& reason = visit.row.stop_reason;
  const std::vector<std::string>& wanted = terms_.policy.keep;
  return reason == "end_turn" || reason == "stop_sequence" || std::find(wanted.begin(), wanted.end(), reason) != wanted.end();
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
    worker_.tallies.answers.keep(answer_, age_of(worker_, terms_.policy));
  } else {
    worker_.tallies.answers.drop(*answer_);
  }
}

}  // namespace ccrules::proxy
