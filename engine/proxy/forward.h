#pragma once
#include <string>

#include "config/snapshot.h"
#include "rules/decision.h"

/// POST /v1/completions and /v1/embeddings: never translated, so they go as they are to a provider of OpenAI's format.
namespace ccrules::proxy {

/// Leaves a decision the targets that take such a request. The first is the one the client names ("provider,model"), else the one
/// the rules choose when that keeps the model, else the first provider whose `models` fit, else the only one of that format;
/// behind it stand those of its fallbacks that have the same model, for the vectors of another one would not fit. With none left,
/// `no_target` says so.
void keep_takers(const config::Snapshot& config, const std::string& model, rules::Decision& decision);

}  // namespace ccrules::proxy
