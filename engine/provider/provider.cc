#include "provider/provider.h"

#include <algorithm>
#include <utility>

#include "core/limits.h"
#include "core/text.h"
#include "http/coding.h"
#include "provider/cloud.h"
#include "provider/event_stream.h"
#include "provider/sigv4.h"
#include "provider/sim.h"

namespace ccrules::provider {
namespace {

constexpr std::string_view kAnthropicVersion = "2023-06-01";
constexpr std::string_view kVersionWithoutSampling = "2026-10-21";

bool is_secret(std::string_view key) { return key.size() >= limits::kSecretBytes; }

/// A switch of the provider's own row beats what the model table says.
void apply(const std::map<std::string, bool, std::less<>>& switches, std::string_view name, bool& capability) {
  if (const auto found = switches.find(name); found != switches.end())
    capability = found->second;
}

void apply_model(const config::Model& model, dialect::Capabilities& target) {
  target.context_tokens = model.context_tokens;
  target.max_output_tokens = model.max_output_tokens;
  target.vision = model.vision.value_or(target.vision);
  target.sampling = model.sampling.value_or(target.sampling);
  target.forced_tool_choice = model.forced_tool_choice.value_or(target.forced_tool_choice);
  target.thinking_enabled = model.thinking_enabled.value_or(target.thinking_enabled);
  target.thinking_adaptive = model.thinking_adaptive.value_or(target.thinking_adaptive);
  target.thinking_disabled = model.thinking_disabled.value_or(target.thinking_disabled);
  target.thinking_between_tools = model.thinking_between_tools.value_or(target.thinking_between_tools);
  target.effort_when_disabled = model.effort_when_disabled;
  target.reasoning_effort = model.reasoning.value_or(target.reasoning_effort);
  target.tools_need_no_effort = model.chat_tools_need_no_effort;
  target.efforts = model.efforts;
}

void apply_switches(const config::Provider& provider, dialect::Capabilities& target) {
  const auto& switches = provider.switches;
  if (switches.empty()) return;
  apply(switches, "vision", target.vision);
  apply(switches, "documents", target.documents);
  apply(switches, "tool_message_images", target.tool_message_images);
  apply(switches, "developer_role", target.developer_role);
  apply(switches, "mid_system", target.mid_system);
  apply(switches, "max_completion_tokens", target.max_completion_tokens);
  apply(switches, "stream_usage", target.stream_usage);
  apply(switches, "sampling", target.sampling);
  apply(switches, "forced_tool_choice", target.forced_tool_choice);
  apply(switches, "reasoning_effort", target.reasoning_effort);
  apply(switches, "prefill", target.prefill);
  apply(switches, "parallel_tool_calls", target.parallel_tool_calls);
  apply(switches, "nine_character_tool_ids", target.nine_character_tool_ids);
  apply(switches, "json_schema", target.json_schema);
  apply(switches, "cache_control", target.cache_control);
  apply(switches, "user_identifiers", target.user_identifiers);
  apply(switches, "encrypted_reasoning", target.encrypted_reasoning);
  apply(switches, "tools_need_no_effort", target.tools_need_no_effort);
  apply(switches, "thinking_enabled", target.thinking_enabled);
  apply(switches, "thinking_adaptive", target.thinking_adaptive);
  apply(switches, "thinking_disabled", target.thinking_disabled);
  apply(switches, "thinking_between_tools", target.thinking_between_tools);
  if (const auto effort = switches.find("effort_when_disabled"); effort != switches.end())
    target.effort_when_disabled = effort->second ? "" : "none";
}

/// Anthropic's second API version has no temperature, top_p and top_k any more.
bool version_refuses_sampling(const config::Provider& provider) {
  if (provider.headers.empty() || dialect_of(provider).name() != "anthropic") return false;
  return std::any_of(provider.headers.begin(), provider.headers.end(), [](const auto& header) {
    return text::equals_ignore_case(header.first, "anthropic-version") && header.second >= kVersionWithoutSampling;
  });
}

dialect::Capabilities make_capabilities(const config::Provider& provider, std::string_view model, const config::Model* known) {
  dialect::Capabilities target;
  target.provider = provider.id;
  target.model = model;
  target.mid_system = dialect_of(provider).name() != "openai_chat";
  if (known != nullptr) apply_model(*known, target);
  if (version_refuses_sampling(provider)) target.sampling = false;
  apply_switches(provider, target);
  target.reasoning_replay = provider.reasoning_replay;
  target.reasoning_style = provider.reasoning_style;
  return target;
}

/// Puts in the provider's own credential. The client's key is only passed on when the provider says
/// "passthrough".
void authorize(const Attempt& attempt, const dialect::Dialect& spoken, http::Headers& headers) {
  const config::Provider& provider = *attempt.provider;
  if (provider.auth == "none" || provider.auth == "sigv4") return;
  const bool google = spoken.name() == "gemini";
  if (provider.auth == "passthrough") {
    if (!attempt.client_authorization.empty()) headers.set("authorization", attempt.client_authorization);
    if (!attempt.client_api_key.empty()) headers.set(google ? "x-goog-api-key" : "x-api-key", attempt.client_api_key);
    return;
  }
  const std::string& key = attempt.lane != nullptr ? attempt.lane->api_key : provider.api_key;
  if (key.empty()) return;
  const bool as_x_api_key =
      provider.auth == "x-api-key" || (provider.auth == "default" && spoken.name() == "anthropic");
  if (provider.auth == "x-goog-api-key" || (provider.auth == "default" && google)) {
    headers.set("x-goog-api-key", key);
  } else if (provider.auth == "api-key") {
    headers.set("api-key", key);
  } else if (as_x_api_key) {
    headers.set("x-api-key", key);
  } else {
    headers.set("authorization", "Bearer " + key);
  }
}

/// Base prefix and endpoint path without doubling a version that is already there ("/v1" + "/v1/messages",
/// Vertex's "/v1/projects/.../publishers/google" + "/v1beta/models/...").
std::string target_path(const http::BaseUrl& base, const Attempt& attempt, const dialect::Dialect& spoken) {
  const config::Provider& provider = *attempt.provider;
  if (!provider.cloud.empty() && attempt.path.empty()) return base.prefix + cloud_path(provider, attempt.model, attempt.stream);
  const std::string made =
      attempt.path.empty() ? spoken.upstream_target(attempt.model, attempt.stream) : std::string(attempt.path);
  std::string_view path = made;
  constexpr std::string_view kVersion = "/v1";
  constexpr std::string_view kBeta = "/v1beta";
  if (base.prefix.ends_with(kVersion) && path.starts_with("/v1/")) path.remove_prefix(kVersion.size());
  if (path.starts_with(kBeta) && base.prefix.find(kVersion) != std::string::npos) path.remove_prefix(kBeta.size());
  std::string target = base.prefix;
  target += path;
  target += attempt.below;
  if (!attempt.query.empty()) {
    target += path.find('?') == std::string_view::npos ? '?' : '&';
    target += attempt.query;
  }
  return target;
}

/// auth "sigv4": what goes out is signed, so nothing of it may change afterwards.
Result<void> sign(Attempt& attempt, std::string_view target, std::string_view host) {
  const config::Provider& provider = *attempt.provider;
  CCR_TRY(key, parse_aws_key(attempt.lane != nullptr ? attempt.lane->api_key : provider.api_key));
  AwsRequest request;
  request.method = attempt.method;
  request.target = target;
  request.host = host;
  request.body = attempt.body;
  request.scope = provider.aws_scope;
  request.wall_us = attempt.wall_us;
  sign_aws(request, key, attempt.headers);
  return {};
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

/// Whether a compressed answer is worth asking for: over a network, a whole one. A stream's events are small,
/// and what stands between might hold them back until it has enough to compress.
bool asks_compressed(const Attempt& attempt, const http::BaseUrl& base) {
  const config::Provider& provider = *attempt.provider;
  if (provider.compression != "auto") return provider.compression == "on";
  return !attempt.stream && !provider.local && !is_loopback(base.origin.host);
}

}  // namespace

const dialect::Dialect& dialect_of(const config::Provider& provider) {
  const dialect::Dialect* spoken = dialect::by_name(provider.dialect);
  return spoken != nullptr ? *spoken : dialect::anthropic();  // "sim" speaks Anthropic's
}

const dialect::Dialect& dialect_for(const config::Provider& provider, const dialect::Dialect& spoken) {
  const dialect::Dialect& own = dialect_of(provider);
  const bool has_endpoints = &own == &dialect::openai_chat() || &own == &dialect::openai_responses();
  return spoken.passes_on() && has_endpoints ? spoken : own;
}

dialect::Capabilities capabilities(const config::Provider& provider, std::string_view model, const config::ModelTable& models) {
  return make_capabilities(provider, model, models.find(model, provider.id));
}

bool has_own_capabilities(const config::Provider& provider) {
  return !provider.switches.empty() || version_refuses_sampling(provider);
}

dialect::Capabilities own_capabilities(const config::Provider& provider, std::string_view model) {
  dialect::Capabilities target = make_capabilities(provider, model, nullptr);
  const auto& switches = provider.switches;
  target.thinking_between_tools = !switches.contains("thinking_between_tools") || target.thinking_between_tools;
  return target;
}

std::string without_key(std::string text, const config::Provider& provider) {
  if (!holds_key(text, provider)) return text;
  const auto take_out = [&text](std::string_view key) {
    if (!is_secret(key)) return;
    constexpr std::string_view kInstead = "[key]";
    // From behind what was put in: a key may begin in it.
    for (auto at = text.find(key); at != std::string::npos; at = text.find(key, at + kInstead.size()))
      text.replace(at, key.size(), kInstead);
  };
  std::vector<std::string_view> keys = {provider.api_key};
  keys.insert(keys.end(), provider.api_keys.begin(), provider.api_keys.end());
  // One key may begin with another.
  std::sort(keys.begin(), keys.end(), [](std::string_view a, std::string_view b) { return a.size() > b.size(); });
  for (const std::string_view key : keys) take_out(key);
  return text;
}

bool holds_key(std::string_view text, const config::Provider& provider) {
  const auto holds = [text](const std::string& key) { return is_secret(key) && text.find(key) != std::string_view::npos; };
  return holds(provider.api_key) || std::any_of(provider.api_keys.begin(), provider.api_keys.end(), holds);
}

bool Sender::Base::fits(const config::Provider& provider, const std::string& wanted_url) const {
  return url == wanted_url && ca_file == provider.ca_file && http2 == provider.http2 && via == provider.via;
}

Result<const http::BaseUrl*> Sender::base_of(const config::Provider& provider, const std::string& url) {
  for (const Base& known : bases_) {
    if (known.fits(provider, url)) return &known.base;
  }
  auto base = http::parse_base_url(url);
  if (!base) {
    base.error().provider = provider.id;
    return std::move(base).error();
  }
  base->origin.ca_file = provider.ca_file;
  base->origin.http2 = provider.http2 == "auto";
  http::Proxy& proxy = base->origin.proxy;
  proxy.tls = provider.via.tls;
  proxy.host = provider.via.host;
  proxy.port = provider.via.port;
  if (!provider.via.user.empty() || !provider.via.password.empty())
    proxy.authorization = http::basic_authorization(provider.via.user, provider.via.password);
  bases_.push_back(Base{url, provider.ca_file, provider.http2, provider.via, *std::move(base)});
  return &bases_.back().base;
}

Task<Result<std::unique_ptr<http::ReplyStream>>> Sender::send(Attempt& attempt, StopToken stop) {
  const config::Provider& provider = *attempt.provider;
  if (provider.dialect == "sim") co_return simulate(loop_, attempt.body);

  CCR_CO_TRY(found, base_of(provider, attempt.lane != nullptr ? attempt.lane->base_url : provider.base_url));
  const http::BaseUrl& base = *found;
  const dialect::Dialect& spoken = dialect_of(provider);
  http::Headers& headers = attempt.headers;
  if (!provider.cloud.empty()) {
    headers.remove("anthropic-version");  // it stands in the body
    if (provider.cloud == "bedrock") {
      headers.remove("anthropic-beta");
      headers.set("accept", attempt.stream ? kEventStreamType : "application/json");
    }
  } else if (spoken.name() == "anthropic" && !headers.has("anthropic-version")) {
    headers.add("anthropic-version", kAnthropicVersion);
  }
  for (const auto& [name, value] : provider.headers) headers.set(name, value);
  authorize(attempt, spoken, headers);
  if (asks_compressed(attempt, base) && !headers.has("accept-encoding"))
    headers.add("accept-encoding", http::kDecodable);

  const std::string target = target_path(base, attempt, spoken);
  if (provider.auth == "sigv4") CCR_CO_CHECK(sign(attempt, target, base.host_header));
  http::ClientRequest request;
  request.method = attempt.method;
  request.target = target;
  request.host_header = base.host_header;
  request.headers = &headers;
  request.body = attempt.body;
  request.on_its_way = &attempt.on_its_way;
  http::ClientTimeouts timeouts;
  timeouts.connect = provider.timeouts.connect;
  // What does not stream begins when it is all there: a long answer takes its minutes.
  timeouts.first_byte = attempt.stream || provider.timeouts.first_byte.count() == 0 || provider.timeouts.idle.count() == 0
                            ? provider.timeouts.first_byte
                            : std::max(provider.timeouts.first_byte, provider.timeouts.idle);
  auto reply = co_await client_.send(base.origin, request, timeouts, stop);
  if (!reply) reply.error().provider = provider.id;
  if (reply.ok() && provider.cloud == "bedrock" && text::starts_with_ignore_case((*reply)->headers().get("content-type"), kEventStreamType))
    co_return as_server_sent(*std::move(reply));
  co_return reply;
}

}  // namespace ccrules::provider
