#include "proxy/endpoints.h"

#include <algorithm>
#include <coroutine>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/limits.h"
#include "core/text.h"
#include "dialect/discovery.h"
#include "provider/provider.h"
#include "proxy/board.h"
#include "proxy/query.h"
#include "tokens/counter.h"

namespace ccrules::proxy {
namespace {

/// What a client can ask for: what providers list without a wildcard, and the direct routes; in order, each once, with the limits of
/// the first that has it.
std::vector<dialect::ListedModel> listed_models(const config::Snapshot& config) {
  std::vector<dialect::ListedModel> models;
  const auto add = [&](const std::string& id, const config::Provider& provider, std::string_view model) {
    const dialect::Capabilities known = provider::capabilities(provider, model, config.models());
    models.push_back({id, known.context_tokens, known.max_output_tokens});
  };
  for (const config::Provider& provider : config.providers) {
    if (!provider.enabled) continue;
    for (const std::string& model : provider.models) {
      if (!text::is_glob(model)) {
        add(model, provider, model);
        continue;
      }
      for (const config::Model& known : config.models().all()) {
        if (known.provider == provider.id && text::glob_match(model, known.id)) add(known.id, provider, known.id);
      }
    }
  }
  for (const auto& [name, route] : config.routes) {
    if (name == "default" || name == "longContext" || name == "background" || name == "think") continue;
    const config::Provider* provider = config.provider(route.provider);
    if (provider != nullptr) add(name, *provider, route.model);
  }
  const auto before = [](const dialect::ListedModel& one, const dialect::ListedModel& other) { return one.id < other.id; };
  const auto same = [](const dialect::ListedModel& one, const dialect::ListedModel& other) { return one.id == other.id; };
  std::stable_sort(models.begin(), models.end(), before);
  models.erase(std::unique(models.begin(), models.end(), same), models.end());
  return models;
}

/// As Claude Code's list of models must have them.
void name_for_discovery(std::vector<dialect::ListedModel>& models) {
  for (dialect::ListedModel& model : models) {
    if (text::contains_ignore_case(model.id, "claude") || text::contains_ignore_case(model.id, "anthropic")) continue;
    model.id.insert(0, dialect::kDiscoveryPrefix);
  }
}

/// The part of the list that the query asks for: Anthropic's `limit`, `after_id` and `before_id`, Gemini's `pageSize` and `pageToken`
/// (the last id of the page before). Without a number, or with one that is none, it is all of it.
dialect::ModelPage page_of(std::vector<dialect::ListedModel> models, std::string_view query) {
  const auto place = [&models](std::string_view id) {
    return std::find_if(models.begin(), models.end(), [id](const dialect::ListedModel& model) { return model.id == id; });
  };
  auto first = models.begin();
  auto end = models.end();
  for (const std::string_view name : {"after_id", "pageToken"}) {
    const auto after = query_parameter(query, name);
    if (!after) continue;
    if (const auto found = place(*after); found != models.end()) first = found + 1;
  }
  bool backwards = false;
  if (const auto before = query_parameter(query, "before_id")) {
    const auto found = place(*before);
    backwards = found != models.end() && found >= first;
    if (backwards) end = found;
  }
  dialect::ModelPage page;
  for (const std::string_view name : {"limit", "pageSize"}) {
    const auto asked = query_parameter(query, name);
    const auto most = asked ? text::to_int(*asked) : std::nullopt;
    if (!most || *most < 1 || *most >= end - first) continue;
    page.has_more = true;
    (backwards ? first : end) = backwards ? end - *most : first + *most;
  }
  page.models.assign(std::make_move_iterator(first), std::make_move_iterator(end));
  if (page.has_more) page.next_token = page.models.back().id;
  return page;
}

/// The `model` (older clients: `name`) of a request about one model.
Result<std::string> model_named_in(std::string_view body) {
  CCR_TRY(document, json::Document::open(body));
  CCR_TRY(root, document.root_object());
  std::string name;
  while (root.next()) {
    if (root.key() != "model" && root.key() != "name") continue;
    CCR_TRY(text, root.value().string());
    name = text;
  }
  CCR_CHECK(root.done());
  if (name.empty()) return bad_request("model is missing: send the name of a model");
  return name;
}

Task<Result<void>> send_json(http::Exchange& exchange, std::string_view body) {
  http::Headers headers;
  headers.add("content-type", "application/json");
  co_return co_await exchange.send(200, headers, body);
}

}  // namespace

Task<Result<void>> list_models(Worker& worker, http::Exchange& exchange, const dialect::Route& route) {
  const bool anthropic = exchange.head().headers.has("anthropic-version");
  const dialect::Dialect& spoken = route.spoken != nullptr ? *route.spoken
                                   : anthropic             ? dialect::anthropic()
                                                           : dialect::openai_chat();
  const auto policy = worker.policy;
  std::vector<dialect::ListedModel> models = listed_models(*policy->config);
  const std::string_view agent = exchange.head().headers.get("user-agent");
  if (anthropic && agent.starts_with("claude-code/")) name_for_discovery(models);
  if (route.endpoint == dialect::Endpoint::kModels) {
    const bool by_pages = &spoken == &dialect::anthropic() || &spoken == &dialect::gemini_dialect();
    const dialect::ModelPage page = page_of(std::move(models), by_pages ? exchange.head().query() : std::string_view());
    const std::string body = spoken.write_models(page);
    co_return co_await send_json(exchange, body);
  }
  const std::string id = dialect::decoded_segment(route.model);
  const auto found = std::find_if(models.begin(), models.end(), [&id](const dialect::ListedModel& model) { return model.id == id; });
  if (found == models.end()) {
    Error error;
    error.code = ErrorCode::kNotFound;
    error.origin = Origin::kClient;
    error.http_status = 404;
    error.message = "no model '" + id + "' here; GET /v1/models lists what there is";
    const http::Headers none;
    co_await tell_error(exchange, spoken, error, none, std::string_view());
    co_return Result<void>();
  }
  const std::string body = spoken.write_model(*found);
  co_return co_await send_json(exchange, body);
}

Task<Result<void>> show_model(Worker& worker, http::Exchange& exchange) {
  const auto policy = worker.policy;
  CCR_CO_TRY(body, co_await exchange.read_body(policy->config->limits.body));
  CCR_CO_TRY(name, model_named_in(body));
  const config::Model* known = policy->config->models().find(name);
  std::string answer;
  json::Writer writer(answer);
  writer.begin_object().member("modified_at", "1970-01-01T00:00:00Z").key("details").begin_object();
  writer.member("format", "").member("family", "ccrules").key("families").begin_array().string("ccrules").end_array();
  writer.member("parameter_size", "").member("quantization_level", "").end_object();
  writer.key("model_info").begin_object().member("general.architecture", "ccrules");
  if (known != nullptr && known->context_tokens) writer.member("ccrules.context_length", *known->context_tokens);
  writer.end_object().key("capabilities").begin_array().string("completion").string("tools");
  if (known == nullptr || known->vision.value_or(true)) writer.string("vision");
  if (known == nullptr || known->reasoning.value_or(true)) writer.string("thinking");
  writer.end_array().end_object();
  co_return co_await send_json(exchange, answer);
}

Task<Result<void>> tell_version(http::Exchange& exchange) {
  co_return co_await send_json(exchange, "{\"version\":\"" CCR_VERSION "\"}");
}

namespace {

/// Resumes on the loop's thread with the report of a reload.
class Reloaded {
 public:
  Reloaded(Loop& loop, Control& control, std::string accept)
      : loop_(loop), control_(control), accept_(std::move(accept)) {}
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    control_.reload(std::move(accept_), [this, waiter](std::string report) {
      loop_.post([this, waiter, report = std::move(report)]() mutable {
        report_ = std::move(report);
        waiter.resume();
      });
    });
  }
  std::string await_resume() noexcept { return std::move(report_); }

 private:
  Loop& loop_;
  Control& control_;
  std::string accept_;
  std::string report_;
};

/// The `accept` of {"accept": "<hash>"}; an empty body accepts nothing.
Result<std::string> accepted_hash(std::string& body) {
  std::string hash;
  if (body.empty()) return hash;
  CCR_TRY(document, json::Document::open_view(json::padded(body)));
  CCR_TRY(root, document.root_object());
  while (root.next()) {
    if (root.key() != "accept") continue;
    CCR_TRY(value, root.value().string());
    hash = value;
  }
  CCR_CHECK(root.done());
  return hash;
}

}  // namespace

Task<Result<void>> reload(Worker& worker, http::Exchange& exchange) {
  CCR_CO_TRY(body, co_await exchange.read_body(limits::kReloadBodyBytes));
  CCR_CO_TRY(accept, accepted_hash(body));
  if (worker.control == nullptr) co_return bad_request("this proxy cannot reload");
  Reloaded reloaded(worker.loop, *worker.control, std::move(accept));
  const std::string report = co_await reloaded;
  co_return co_await send_json(exchange, report);
}

Task<Result<void>> greet(http::Exchange& exchange) {
  co_return co_await send_json(exchange, "{\"status\":\"ok\",\"version\":\"" CCR_VERSION "\"}");
}

Task<void> tell_error(http::Exchange& exchange, const dialect::Dialect& spoken, const Error& error,
                      const http::Headers& extra, std::string_view request_id) {
  if (exchange.stop().stopped()) co_return;
  if (exchange.head_sent()) {
    exchange.abort();  // the answer has begun and cannot be completed: it must not look complete
    co_return;
  }
  http::Headers headers = extra;
  headers.set("content-type", "application/json");
  if (!request_id.empty()) headers.set("request-id", request_id);
  if (error.retry_after_ms >= 0)
    headers.set("retry-after", std::to_string((error.retry_after_ms + 999) / 1000));
  if (error.should_retry_false) headers.set("x-should-retry", "false");
  const std::string body = spoken.write_error(error, request_id);
  auto sent = co_await exchange.send(spoken.error_status(error), headers, body);
  (void)sent;  // a client that left meanwhile cannot be told
}

}  // namespace ccrules::proxy
