#include "provider/cloud.h"

#include <utility>
#include <vector>

#include "core/json.h"
#include "core/percent.h"
#include "core/splice.h"
#include "core/text.h"

namespace ccrules::provider {
namespace {

constexpr std::string_view kVertexVersion = R"("vertex-2023-10-16")";
constexpr std::string_view kBedrockVersion = R"("bedrock-2023-05-31")";

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
  if (provider.cloud == "bedrock") return "/model/" + path_segment(model, "@") + (stream ? "/invoke-with-response-stream" : "/invoke");
  return "/models/" + path_segment(model, "@") + (stream ? ":streamRawPredict" : ":rawPredict");
}

}  // namespace ccrules::provider
