#include "proxy/forward.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "core/text.h"
#include "provider/provider.h"

namespace ccrules::proxy {
namespace {

bool takes(const config::Provider* provider) {
  const dialect::Dialect& any = dialect::openai_completions();
  return provider != nullptr && provider->enabled && &provider::dialect_for(*provider, any) == &any;
}

std::optional<rules::Target> first_taker(const config::Snapshot& config, const rules::Decision& decision, const std::string& model) {
  const bool names_provider = model.find(',') != std::string::npos;
  for (const rules::Target& target : decision.targets) {
    if (takes(config.provider(target.provider)) && (names_provider || target.model == model)) return target;
  }
  const config::Provider* only = nullptr;
  bool several = false;
  for (const config::Provider& provider : config.providers) {
    if (names_provider || !takes(&provider)) continue;
    for (const std::string& glob : provider.models) {
      if (text::glob_match(glob, model)) return rules::Target{provider.id, model};
    }
    several = only != nullptr;
    only = &provider;
  }
  if (only == nullptr || several) return std::nullopt;
  return rules::Target{only->id, model};
}

}  // namespace

void keep_takers(const config::Snapshot& config, const std::string& model, rules::Decision& decision) {
  const std::optional<rules::Target> first = first_taker(config, decision, model);
  std::vector<rules::Target> kept;
  if (first) kept.push_back(*first);
  for (const rules::Target& target : decision.targets) {
    const bool fits = first && target.model == first->model && takes(config.provider(target.provider));
    if (fits && std::find(kept.begin(), kept.end(), target) == kept.end()) kept.push_back(target);
  }
  decision.targets = std::move(kept);
  decision.no_target = "no provider of OpenAI's format is set for the model '" + model +
                       "'; name one as provider,model or list the model in providers.<name>.models";
}

}  // namespace ccrules::proxy
