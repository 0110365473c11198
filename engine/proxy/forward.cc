#include "proxy/forward.h"

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/json.h"
#include "core/limits.h"
#include "core/splice.h"
#include "core/text.h"
#include "dialect/members.h"
#include "proxy/attempts.h"
#include "proxy/gate.h"
#include "proxy/identity.h"
#include "proxy/native.h"
#include "proxy/paying.h"
#include "proxy/rate_limit.h"
#include "tokens/counter.h"

namespace ccrules::proxy {
namespace {

using std::chrono::milliseconds;

bool speaks_openai(const config::Provider& provider) {
  return provider.enabled && (provider.dialect == "openai_chat" || provider.dialect == "openai_responses");
}

/// Members that decisions read: sent twice, two readers could see two different requests.
constexpr std::array<std::string_view, 5> kOnlyOnce = {"model", "stream", "max_tokens", "n", "best_of"};

/// What rules and accounting need to know of a body whose text is not read.
Result<chat::Outline> read_outline(std::string_view body) {
  chat::Outline outline;
  dialect::OnlyOnce once(kOnlyOnce);
  CCR_TRY(document, json::Document::open_view(body));
  CCR_TRY(root, document.root_object());
  while (root.next()) {
    json::Value& value = root.value();
    CCR_CHECK(once.check(root.key()));
    if (root.key() == "model") {
      CCR_TRY(model, value.string());
      outline.model = model;
    } else if (root.key() == "stream" && value.is(json::Type::kBool)) {
      CCR_TRY(stream, value.boolean());
      outline.stream = stream;
    } else if (root.key() == "max_tokens" && value.is(json::Type::kNumber)) {
      CCR_TRY(most, value.integer());
      outline.max_tokens = most;
    }
  }
  CCR_CHECK(root.done());
  CCR_CHECK(document.at_end());
  if (outline.model.empty()) return bad_request("model must be set to the name of a model");
  if (outline.model.size() > limits::kModelNameBytes)
    return bad_request("the model's name is longer than " + std::to_string(limits::kModelNameBytes) + " bytes");
  outline.text_bytes = static_cast<std::int64_t>(body.size());
  return outline;
}

Result<rules::Target> target_for(const config::Snapshot& config, const rules::Decision& decision, const std::string& model) {
  const bool names_provider = model.find(',') != std::string::npos;
  for (const rules::Target& target : decision.targets) {
    const config::Provider* provider = config.provider(target.provider);
    if (provider != nullptr && speaks_openai(*provider) && (names_provider || target.model == model)) return target;
  }
  const config::Provider* only = nullptr;
  bool several = false;
  for (const config::Provider& provider : config.providers) {
    if (names_provider || !speaks_openai(provider)) continue;
    for (const std::string& glob : provider.models) {
      if (text::glob_match(glob, model)) return rules::Target{provider.id, model};
    }
    several = only != nullptr;
    only = &provider;
  }
  if (only != nullptr && !several) return rules::Target{only->id, model};
  Error error;
  error.code = ErrorCode::kNotFound;
  error.origin = Origin::kClient;
  error.http_status = 404;
  error.message = "no provider of OpenAI's format is set for the model '" + model +
                  "'; name one as provider,model or list the model in providers.<name>.models";
  return error;
}

/// The usage of an answer that may be a list of vectors.
chat::Usage usage_of(std::string_view body) {
  chat::Usage usage;
  auto document = json::Document::open_view(body);
  if (!document) return usage;
  auto root = document->root_object();
  while (root.ok() && root->next()) {
    if (root->key() != "usage" || !root->value().is(json::Type::kObject)) continue;
    auto counts = root->value().object();
    while (counts.ok() && counts->next()) {
      const bool input = counts->key() == "prompt_tokens";
      if ((!input && counts->key() != "completion_tokens") || !counts->value().is(json::Type::kNumber)) continue;
      const auto tokens = counts->value().integer();
      if (tokens && *tokens >= 0 && *tokens <= limits::kUsageTokens) (input ? usage.input_tokens : usage.output_tokens) = *tokens;
    }
  }
  return usage;
}

/// Neither an answer nor an error: a redirect, which nobody follows here and no client shall, or a status nobody knows.
Error no_answer(const config::Provider& provider, int status) {
  Error error;
  error.code = ErrorCode::kUpstreamProtocol;
  error.origin = Origin::kUpstream;
  error.http_status = 502;
  error.provider = provider.id;
  error.message = "provider '" + provider.id + "' answered " + std::to_string(status) +
                  ", which is no answer; redirects are not followed: set providers." + provider.id + ".base_url to its final address";
  return error;
}

/// Bytes as they come, with an eye on the usage.
Task<Result<void>> relay_bytes(http::ReplyStream& reply, AttemptClock& clock, const config::Provider& provider, Visit& visit,
                               http::Exchange& exchange, http::Headers headers) {
  exchange.start(reply.status(), headers);
  const auto listener = dialect::openai_chat().stream_listener();
  bool listening = true;
  std::vector<chat::Event> events;
  for (;;) {
    auto chunk = co_await reply.read(milliseconds(0), clock.stop.token());
    if (!chunk) {
      visit.row.error = explain_stop(std::move(chunk).error(), clock, provider, "the rest of its answer").message;
      exchange.abort();  // what the client has must not look complete
      co_return Result<void>();
    }
    clock.deadline.set(provider.timeouts.idle);
    events.clear();
    listening = listening && listener->feed(chunk->bytes, events).ok();
    for (const chat::Event& event : events) visit.observe(event);
    if (!chunk->bytes.empty()) CCR_CO_CHECK(co_await exchange.write(chunk->bytes));
    if (chunk->end) break;
  }
  events.clear();
  if (listening && listener->finish(events).ok()) {
    for (const chat::Event& event : events) {
      if (!std::holds_alternative<chat::StreamError>(event)) visit.observe(event);
    }
  }
  if (visit.must_commit()) co_await visit.commit();
  const std::string_view nothing;
  co_return co_await exchange.finish(nothing);
}

}  // namespace

Task<Result<void>> forward(Worker& worker, http::Exchange& exchange, Visit& visit) {
  const http::RequestHead& head = exchange.head();
  const config::Snapshot& config = *visit.policy->config;
  CCR_CO_TRY(body, co_await exchange.read_body(config.limits.body));
  CCR_CO_TRY(outline, read_outline(json::padded(body)));
  visit.asked(outline);
  const rules::Identity who = identify(worker, head, outline);
  visit.belongs_to(who);
  const tokens::Count count = tokens::count(outline);
  visit.estimated_input_tokens = count.tokens;
  visit.row.counted_tokens = count.tokens;

  rules::Facts facts;
  facts.outline = &outline;
  facts.identity = &who;
  facts.dialect = "openai_chat";
  facts.path = head.path();
  facts.tokens = count.tokens;
  facts.wall_us = visit.row.at_us;
  facts.counters = worker.counters;
  facts.header = [&head](std::string_view name) { return head.headers.get(name); };
  rules::Decision decision = visit.policy->rules->decide(facts);
  visit.decided(decision);
  if (decision.deny) co_return denied(*decision.deny);
  if (!decision.bad_request.empty()) co_return bad_request(decision.bad_request);
  CCR_CO_TRY(target, target_for(config, decision, outline.model));
  const config::Provider& provider = *config.provider(target.provider);
  decision.targets = std::vector<rules::Target>{target};
  note_payer(worker, head, decision, visit);
  CCR_CO_CHECK(co_await pass_rate_limits(worker, visit, exchange.stop()));
  CCR_CO_CHECK(co_await reserve_budget(worker, visit, decision, outline, body));
  visit.row.provider = target.provider;
  visit.row.model = target.model;
  visit.row.attempts = 1;
  const bool completes = !head.path().ends_with("/embeddings");
  if (!completes) decision.edits.clear();  // vectors have neither limits nor a temperature
  NativeRequest request;
  request.body = body;
  request.outline = &outline;
  request.spoken = &dialect::openai_chat();
  request.model = target.model;
  request.edits = &decision.edits;
  CCR_CO_TRY(edited, native_body(request));
  if (!edited.empty()) body = std::move(edited);

  auto clock = std::make_unique<AttemptClock>(worker.loop, exchange.stop());
  provider::Attempt attempt;
  attempt.provider = &provider;
  attempt.model = target.model;
  attempt.body = body;
  attempt.path = completes ? "/completions" : "/embeddings";
  attempt.wall_us = visit.row.at_us;
  attempt.headers = forwarded_headers(head.headers);
  const std::string_view authorization = head.headers.get("authorization");
  if (!holds_own_key(authorization, config.listen)) attempt.client_authorization = authorization;
  auto reply = co_await worker.sender.send(attempt, clock->stop.token());
  if (!reply) co_return explain_stop(std::move(reply).error(), *clock, provider, "its answer");
  http::ReplyStream& from = **reply;
  clock->deadline.set(provider.timeouts.idle);
  visit.row.status = from.status();
  const int status = from.status();
  const bool good = status >= 200 && status < 300;
  if (!good && (status < 400 || status > 599)) co_return no_answer(provider, status);
  http::Headers headers;
  forward_reply_headers(from.headers(), provider, config.listen, headers);
  visit.describe(headers);
  if (good && text::starts_with_ignore_case(from.headers().get("content-type"), "text/event-stream"))
    co_return co_await relay_bytes(from, *clock, provider, visit, exchange, std::move(headers));
  auto whole = co_await http::read_all(from, limits::kReplyBytes, clock->stop.token());
  if (!whole) co_return explain_stop(std::move(whole).error(), *clock, provider, "the rest of its answer");
  reply->reset();
  if (good) {
    visit.row.usage.merge(usage_of(*whole));
  } else {
    visit.row.error = "upstream_refused: HTTP " + std::to_string(status);
  }
  if (visit.must_commit()) co_await visit.commit();
  const std::string answer = provider::without_key(*std::move(whole), provider);
  co_return co_await exchange.send(status, headers, answer);
}

}  // namespace ccrules::proxy
