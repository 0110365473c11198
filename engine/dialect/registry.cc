#include "dialect/dialect.h"

namespace ccrules::dialect {
namespace {

/// The path below "/v1". Clients append their paths to base URLs with and without a version, so it may be
/// missing or doubled (translation.md G-29); a slash at the end means nothing. Nothing else is forgiven.
std::string_view below_version(std::string_view path) {
  if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  for (int i = 0; i < 2 && path.starts_with("/v1/"); ++i) path.remove_prefix(3);
  return path;
}

}  // namespace

const Dialect* by_name(std::string_view name) {
  if (name == anthropic().name()) return &anthropic();
  if (name == openai_chat().name()) return &openai_chat();
  return nullptr;
}

Route find(std::string_view method, std::string_view path) {
  constexpr std::string_view kModelPrefix = "/models/";
  Route route;
  const bool reads = method == "GET" || method == "HEAD";
  const std::string_view below = below_version(path);
  if (method == "POST" && below == "/messages") {
    route.endpoint = Endpoint::kGenerate;
    route.spoken = &anthropic();
  } else if (method == "POST" && below == "/messages/count_tokens") {
    route.endpoint = Endpoint::kCountTokens;
    route.spoken = &anthropic();
  } else if (method == "POST" && below == "/chat/completions") {
    route.endpoint = Endpoint::kGenerate;
    route.spoken = &openai_chat();
  } else if (reads && below == "/models") {
    route.endpoint = Endpoint::kModels;
  } else if (reads && below.starts_with(kModelPrefix) && below.size() > kModelPrefix.size()) {
    route.endpoint = Endpoint::kModel;
    route.model = below.substr(kModelPrefix.size());
  } else if (reads && (path == "/" || path == "/api/hello")) {
    route.endpoint = Endpoint::kHello;
  }
  return route;
}

}  // namespace ccrules::dialect
