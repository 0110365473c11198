#pragma once
#include <string_view>

/// Names of models as Claude Code shows and sends them.
namespace ccrules::dialect {

/// Its list of models shows only ids that hold "claude" or "anthropic" (claude-code-gateway 6.3): others get this in front.
inline constexpr std::string_view kDiscoveryPrefix = "claude-via/";
/// Stands behind a name whose window the user says is a million tokens; a matter of the client alone.
inline constexpr std::string_view kMillionSuffix = "[1m]";

/// The model that is meant.
constexpr std::string_view meant_model(std::string_view model) {
  if (model.starts_with(kDiscoveryPrefix)) model.remove_prefix(kDiscoveryPrefix.size());
  if (model.ends_with(kMillionSuffix) && model.size() > kMillionSuffix.size()) model.remove_suffix(kMillionSuffix.size());
  return model;
}

}  // namespace ccrules::dialect
