#include <algorithm>
#include <string_view>

#include "core/json.h"
#include "core/percent.h"
#include "dialect/dialect.h"

namespace ccrules::dialect {
namespace {

/// The path below "/v1". Clients join base URLs and paths in their own ways: "//v1/messages",
/// "/v1/v1/messages", "/v1//messages",
/// "/messages", "/v1/messages/" (G-29). Nothing else is forgiven: no percent-encoding, no dots.
std::string_view below_version(std::string_view path) {
  const auto drop_slashes = [&path] {
    while (path.starts_with("//")) path.remove_prefix(1);
  };
  drop_slashes();
  for (int i = 0; i < 2 && path.starts_with("/v1/"); ++i) {
    path.remove_prefix(3);
    drop_slashes();
  }
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return path;
}

/// "/models/{model}:{method}" below "/v1beta" or "/v1"; nothing else names its model in the path.
Route gemini_route(std::string_view below) {
  constexpr std::string_view kModels = "/models/";
  Route found;
  const std::size_t colon = below.rfind(':');
  if (!below.starts_with(kModels) || colon == std::string_view::npos || colon <= kModels.size()) return found;
  const std::string_view method = below.substr(colon + 1);
  found.stream = method == "streamGenerateContent";
  if (found.stream || method == "generateContent") found.endpoint = Endpoint::kGenerate;
  if (method == "countTokens") found.endpoint = Endpoint::kCountTokens;
  if (found.endpoint == Endpoint::kNone) return found;
  found.spoken = &gemini_dialect();
  found.model = below.substr(kModels.size(), colon - kModels.size());
  return found;
}

Route route(Endpoint endpoint, const Dialect* spoken = nullptr, std::string_view model = {}) {
  Route found;
  found.endpoint = endpoint;
  found.spoken = spoken;
  found.model = model;
  return found;
}

}  // namespace

Result<chat::Outline> Dialect::outline(std::string_view body) const {
  CCR_TRY(document, json::Document::open_view(body));
  return outline(document);
}

Result<chat::Request> Dialect::read_request(std::string_view body) const {
  CCR_TRY(document, json::Document::open_view(body));
  return read_request(document);
}

Result<chat::Request> Dialect::read_lent_request(json::Document& body) const {
  body.lend_texts();
  return read_request(body);
}

Result<chat::Request> Dialect::read_lent_request(std::string_view body) const {
  CCR_TRY(document, json::Document::open_view(body));
  return read_lent_request(document);
}

const Dialect* by_name(std::string_view name) {
  for (const Dialect* dialect : {&anthropic(), &openai_chat(), &openai_responses(), &ollama_chat(), &gemini_dialect(),
                                 &openai_completions(), &openai_embeddings()}) {
    if (dialect->name() == name) return dialect;
  }
  return nullptr;
}

std::string decoded_segment(std::string_view segment) { return percent_decoded(segment); }

Route find(std::string_view method, std::string_view path) {
  constexpr std::string_view kModel = "/models/";
  constexpr std::string_view kResponses = "/responses/";
  constexpr std::string_view kGoogle = "/v1beta/";
  constexpr std::string_view kBatches = "/messages/batches";
  std::string_view below = below_version(path);
  const bool google = below.starts_with(kGoogle);
  if (google) below = below_version(below.substr(kGoogle.size() - 1));
  if (below.starts_with(kBatches) && (below.size() == kBatches.size() || below[kBatches.size()] == '/')) {
    const std::string_view behind = below.substr(std::min(kBatches.size() + 1, below.size()));
    return method == "POST" || method == "GET" || method == "DELETE" ? route(Endpoint::kBatches, &anthropic(), behind) : Route();
  }
  if (below == "/files" || below.starts_with("/files/")) {
    return method == "POST" || method == "GET" || method == "DELETE" ? route(Endpoint::kFiles, &anthropic()) : Route();
  }
  if (method == "POST") {
    if (below == "/messages") return route(Endpoint::kGenerate, &anthropic());
    if (below == "/chat/completions") return route(Endpoint::kGenerate, &openai_chat());
    if (below == "/responses") return route(Endpoint::kGenerate, &openai_responses());
    if (below == "/completions") return route(Endpoint::kGenerate, &openai_completions());
    if (below == "/embeddings") return route(Endpoint::kGenerate, &openai_embeddings());
    if (below == "/responses/input_tokens") return route(Endpoint::kCountTokens, &openai_responses());
    if (below == "/messages/count_tokens") return route(Endpoint::kCountTokens, &anthropic());
    if (below.starts_with(kResponses)) return route(Endpoint::kStored, &openai_responses());
    if (below == "/api/chat") return route(Endpoint::kGenerate, &ollama_chat());
    if (const Route found = gemini_route(below); found.endpoint != Endpoint::kNone) return found;
    if (below == "/api/show") return route(Endpoint::kShow, &ollama_chat());
    return {};
  }
  if (below.starts_with(kResponses)) return route(Endpoint::kStored, &openai_responses());
  if (method != "GET" && method != "HEAD") return {};
  if (below == "/responses") return route(Endpoint::kWebSocket, &openai_responses());
  if (below == "/api/tags") return route(Endpoint::kModels, &ollama_chat());
  if (below == "/api/version") return route(Endpoint::kVersion, &ollama_chat());
  const Dialect* of_prefix = google ? &gemini_dialect() : nullptr;
  if (below == "/models") return route(Endpoint::kModels, of_prefix);
  if (below.starts_with(kModel)) return route(Endpoint::kModel, of_prefix, below.substr(kModel.size()));
  if (path == "/" || path == "/api/hello") return route(Endpoint::kHello);
  if (path == "/health") return route(Endpoint::kHealth);
  if (path == "/ready") return route(Endpoint::kReady);
  if (path == "/status") return route(Endpoint::kStatus);
  return {};
}

}  // namespace ccrules::dialect
