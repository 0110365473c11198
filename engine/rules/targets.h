#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/snapshot.h"
#include "rules/decision.h"

namespace ccrules::rules {

/// A target with what its route asks for where the request has nothing.
struct Choice {
  Target target;                    ///< empty model: the one the request asked for
  std::vector<FieldEdit> defaults;  ///< of a route's `parameters`
};

/// Why a name is not a target.
struct TargetProblem {
  std::string message;
  std::string hint;
};

/// What targets there are: the configuration's providers and the aliases of the rule files. Immutable once loaded.
class Targets {
 public:
  explicit Targets(const config::Snapshot& snapshot);

  /// False when the alias exists already.
  bool add_alias(const std::string& name, const std::string& target);
  /// Makes the name stand for that, whatever it stood for.
  void set_alias(const std::string& name, const std::string& target) { aliases_.insert_or_assign(name, target); }
  [[nodiscard]] const std::map<std::string, std::string>& aliases() const { return aliases_; }

  /// A target as rules write it: alias, "provider,model", name of a route, provider (same model) or model (of the provider
  /// that lists it). The provider must exist, and the model must fit its `models`.
  [[nodiscard]] std::optional<Choice> resolve(std::string_view text, TargetProblem& problem) const;
  /// A target as `agents`, `tiers` and `fallbacks` write it: alias, route, tier or "provider,model". The operator's own word:
  /// the model need not be among those the provider lists.
  [[nodiscard]] std::optional<Choice> configured(std::string_view text, TargetProblem& problem) const;
  /// A route of the configuration by name.
  [[nodiscard]] std::optional<Choice> route(std::string_view name, TargetProblem& problem) const;
  /// The provider whose `models` match; providers without a list come last, the simulator only when it is alone.
  [[nodiscard]] std::optional<Target> serving(std::string_view model) const;
  [[nodiscard]] bool exists(std::string_view provider) const;
  /// True for a server of the user's own: nothing leaves the house. The simulator is one.
  [[nodiscard]] bool local(std::string_view provider) const;
  /// False when the configuration switched the provider off.
  [[nodiscard]] bool enabled(std::string_view provider) const;
  /// "anthropic (claude-*), local (any model)": for messages.
  [[nodiscard]] std::string listing() const;

 private:
  struct Provider {
    std::string id;
    std::vector<std::string> models;
    bool enabled = true;
    bool simulator = false;
    bool local = false;
  };
  [[nodiscard]] const Provider* find(std::string_view id) const;
  std::optional<Choice> pair(std::string_view provider, std::string_view model, TargetProblem& problem) const;
  /// The end of the alias chain; nothing when it is a circle.
  [[nodiscard]] std::optional<std::string> follow(std::string_view alias) const;

  std::vector<Provider> providers_;
  std::map<std::string, config::Route> routes_;
  std::map<std::string, std::string> tiers_;
  std::map<std::string, std::string> aliases_;
};

/// "provider,model" at the first comma, blanks around the halves taken off; nullopt without a comma.
std::optional<Target> split_target(std::string_view text);

}  // namespace ccrules::rules
