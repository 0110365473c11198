#include "provider/cloud.h"

#include <utility>
#include <vector>

#include "core/json.h"
#include "core/splice.h"
#include "core/text.h"

namespace ccrules::provider {
namespace {

constexpr std::string_view kVertexVersion = R"("vertex-2023-10-16")";
constexpr std::string_view kBedrockVersion = R"("bedrock-2023-05-31")";

/// A model's name may hold anything: no more than one segment of a path comes of it.
std::string segment(std::string_view name) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string text;
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~@").find(c) != std::string_view::npos;
    if (plain) {
      text += c;
    } else {
      text += '%';
      text += kHex[static_cast<unsigned char>(c) >> 4];
      text += kHex[static_cast<unsigned char>(c) & 15];
    }
  }
  return text;
}

}  // namespace

Result<std::string> cloud_body(const config::Provider& provider, std::string_view body, std::string_view betas) {
  std::vector<json::Edit> edits;
  edits.push_back({{"model"}, {}});
  if (provider.cloud == "vertex") {
    edits.push_back({{"anthropic_version"}, std::string(kVertexVersion)});
    return json::splice(body, edits);
  }
  edits.push_back({{"stream"}, {}});
  edits.push_back({{"anthropic_version"}, std::string(kBedrockVersion)});
  if (!betas.empty()) {
    std::string list;
    json::Writer writer(list);
    writer.begin_array();
    for (const std::string_view beta : text::split(betas, ',')) writer.string(text::trim(beta));
    writer.end_array();
    edits.push_back({{"anthropic_beta"}, std::move(list)});
  }
  return json::splice(body, edits);
}

std::string cloud_path(const config::Provider& provider, std::string_view model, bool stream) {
  if (provider.cloud == "bedrock") return "/model/" + segment(model) + "/invoke";
  return "/models/" + segment(model) + (stream ? ":streamRawPredict" : ":rawPredict");
}

}  // namespace ccrules::provider
