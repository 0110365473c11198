#include <string_view>

#include "dialect/dialect.h"

namespace ccrules::dialect {
namespace {

/// Clients join base URLs and paths in their own ways: "//v1/messages", "/v1/v1/messages", "/v1/messages/"
/// (G-29).
std::string_view without_quirks(std::string_view path) {
  while (path.starts_with("//")) path.remove_prefix(1);
  if (path.starts_with("/v1/v1/")) path.remove_prefix(3);
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

const Dialect* by_name(std::string_view name) {
  for (const Dialect* dialect : {&anthropic(), &openai_chat()}) {
    if (dialect->name() == name) return dialect;
  }
  return nullptr;
}

Route find(std::string_view method, std::string_view path) {
  constexpr std::string_view kModels = "/v1/models";
  path = without_quirks(path);
  if (method == "POST") {
    if (path == "/v1/messages") return route(Endpoint::kGenerate, &anthropic());
    // OpenAI's clients take the version as part of the base URL, and people leave it out.
    if (path == "/v1/chat/completions" || path == "/chat/completions")
      return route(Endpoint::kGenerate, &openai_chat());
    if (path == "/v1/messages/count_tokens") return route(Endpoint::kCountTokens, &anthropic());
    return {};
  }
  if (method != "GET" && method != "HEAD") return {};
  if (path == kModels) return route(Endpoint::kModels);
  if (path.starts_with(kModels) && path[kModels.size()] == '/')
    return route(Endpoint::kModel, nullptr, path.substr(kModels.size() + 1));
  if (path == "/" || path == "/api/hello" || path == "/health") return route(Endpoint::kHello);
  return {};
}

}  // namespace ccrules::dialect
