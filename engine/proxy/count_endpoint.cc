#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/ids.h"
#include "core/json.h"
#include "core/limits.h"
#include "dialect/discovery.h"
#include "http/client.h"
#include "proxy/endpoints.h"
#include "proxy/gate.h"
#include "proxy/native.h"
#include "proxy/plan.h"
#include "proxy/token_count.h"

namespace ccrules::proxy {
namespace {

/// Anthropic's own servers count for free; others of its dialect only when their switch says so.
bool counts_tokens(const config::Provider& provider) {
  if (provider.dialect != "anthropic" || !provider.cloud.empty()) return false;
  const auto found = provider.switches.find("count_tokens");
  if (found != provider.switches.end()) return found->second;
  return provider.base_url.starts_with("https://api.anthropic.com");
}

/// What one question needs; lives in count_tokens()'s frame.
struct Question {
  const http::RequestHead* head = nullptr;
  const dialect::Dialect* spoken = nullptr;
  std::string* body = nullptr;
  const chat::Outline* outline = nullptr;
  std::shared_ptr<Policy> policy;
};

/// The target that the rules would send the request to, when it counts by itself.
std::optional<rules::Target> counting_target(Worker& worker, const Question& question) {
  rules::Identity who;
  const rules::Decision decision =
      would_decide(worker, *question.policy, *question.head, *question.spoken, *question.outline, who);
  if (decision.deny || decision.targets.empty()) return std::nullopt;
  const config::Provider* provider = question.policy->config->provider(decision.targets.front().provider);
  if (provider == nullptr || !counts_tokens(*provider)) return std::nullopt;
  return decision.targets.front();
}

/// The provider's answer when it is a count; nothing when it cannot or may not say (its limits, its refusals
/// of server tools and URLs): then we count.
Task<std::optional<std::string>> ask_provider(Worker& worker, const Question& question, rules::Target target,
                                              StopToken stop) {
  const config::Provider* provider = question.policy->config->provider(target.provider);
  const std::vector<rules::FieldEdit> no_edits;
  NativeRequest native;
  native.body = *question.body;
  native.outline = question.outline;
  native.spoken = question.spoken;
  native.model = target.model;
  native.edits = &no_edits;
  auto written = native_body(native);
  if (!written) co_return std::nullopt;

  StopSource within(stop);
  Deadline deadline(worker.loop, within);
  deadline.set(limits::kCountTokensTime);
  provider::Attempt attempt;
  attempt.provider = provider;
  std::optional<LaneLease> lane = LaneLease();
  if (!provider->lanes.empty()) lane = LaneChoice(worker.tallies.lanes, *provider, {}).next(worker.loop.now_ms());
  if (!lane) co_return std::nullopt;
  attempt.lane = lane->lane();
  attempt.model = target.model;
  attempt.body = written->empty() ? std::string_view(*question.body) : std::string_view(*written);
  attempt.below = "/count_tokens";
  attempt.wall_us = worker.clock.wall_us();
  attempt.headers = forwarded_headers(question.head->headers);
  const config::Listen& listen = question.policy->config->listen;
  const auto for_provider = [&listen](std::string_view credential) {
    return holds_own_key(credential, listen) ? std::string_view() : credential;
  };
  attempt.client_authorization = for_provider(question.head->headers.get("authorization"));
  attempt.client_api_key = for_provider(question.head->headers.get("x-api-key"));
  auto reply = co_await worker.sender.send(attempt, within.token());
  if (!reply || (*reply)->status() != 200) co_return std::nullopt;
  auto body = co_await http::read_all(**reply, limits::kErrorBodyBytes, within.token());
  if (!body) co_return std::nullopt;
  auto document = json::Document::open_view(*body);
  if (!document) co_return std::nullopt;
  auto root = document->root_object();
  while (root.ok() && root->next()) {
    if (root->key() != "input_tokens") continue;
    const auto tokens = root->value().integer();
    if (!tokens || *tokens < 0 || *tokens > limits::kUsageTokens) break;
    co_return std::optional<std::string>(*std::move(body));
  }
  co_return std::nullopt;
}

}  // namespace

Task<Result<void>> count_tokens(Worker& worker, http::Exchange& exchange, const dialect::Route& route) {
  const dialect::Dialect& spoken = *route.spoken;
  Question question;
  question.policy = worker.policy;
  CCR_CO_TRY(body, co_await exchange.read_body(question.policy->config->limits.body));
  CCR_CO_TRY(outline, spoken.outline(json::padded(body)));
  if (spoken.model_in_path()) outline.model = dialect::decoded_segment(route.model);
  outline.model = std::string(dialect::meant_model(outline.model));
  question.head = &exchange.head();
  question.spoken = &spoken;
  question.body = &body;
  question.outline = &outline;
  http::Headers headers;
  headers.add("content-type", "application/json");
  std::string answer;
  // No provider knows reasoning that we signed.
  if (auto target = outline.own_reasoning ? std::nullopt : counting_target(worker, question)) {
    rules::Target chosen = *std::move(target);
    if (auto counted = co_await ask_provider(worker, question, std::move(chosen), exchange.stop())) {
      answer = *std::move(counted);
      headers.add("x-ccrules-tokens", "provider");
    }
  }
  if (answer.empty()) {
    Countable request;  // of no conversation: a question must not change what its next request is taken for
    request.spoken = &spoken;
    request.body = body;
    request.model = outline.model;
    CCR_CO_TRY(close, co_await close_count(worker, request));
    answer = spoken.write_token_count(close.count.tokens);
    headers.add("x-ccrules-tokens", tokens::grade_name(close.count.grade));
  }
  co_return co_await exchange.send(200, headers, answer);
}

}  // namespace ccrules::proxy
