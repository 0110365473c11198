#include <string_view>

#include "core/json.h"
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

const Dialect* by_name(std::string_view name) {
  for (const Dialect* dialect : {&anthropic(), &openai_chat(), &ollama_chat()}) {
    if (dialect->name() == name) return dialect;
  }
  return nullptr;
}

Route find(std::string_view method, std::string_view path) {
  constexpr std::string_view kModel = "/models/";
  const std::string_view below = below_version(path);
  if (method == "POST") {
    if (below == "/messages") return route(Endpoint::kGenerate, &anthropic());
    if (below == "/chat/completions") return route(Endpoint::kGenerate, &openai_chat());
    if (below == "/messages/count_tokens") return route(Endpoint::kCountTokens, &anthropic());
    if (below == "/api/chat") return route(Endpoint::kGenerate, &ollama_chat());
    if (below == "/api/show") return route(Endpoint::kShow, &ollama_chat());
    return {};
  }
  if (method != "GET" && method != "HEAD") return {};
  if (below == "/api/tags") return route(Endpoint::kModels, &ollama_chat());
  if (below == "/api/version") return route(Endpoint::kVersion, &ollama_chat());
  if (below == "/models") return route(Endpoint::kModels);
  if (below.starts_with(kModel)) return route(Endpoint::kModel, nullptr, below.substr(kModel.size()));
  if (path == "/" || path == "/api/hello") return route(Endpoint::kHello);
  if (path == "/health") return route(Endpoint::kHealth);
  if (path == "/ready") return route(Endpoint::kReady);
  if (path == "/status") return route(Endpoint::kStatus);
  return {};
}

}  // namespace ccrules::dialect
