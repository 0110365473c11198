#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "rules/compile_when.h"
#include "rules/conditions.h"
#include "rules/effects.h"
#include "rules/reader.h"
#include "rules/script.h"
#include "rules/source.h"

namespace ccrules::rules {

/// Text with facts in braces: "token count ({tokens}) exceeds threshold".
struct Template {
  struct Part {
    std::string text;
    bool is_fact = false;
    api::Fact fact = api::Fact::kModel;
  };
  std::vector<Part> parts;
  [[nodiscard]] std::string render(Reader& reader) const;
};

/// One compiled rule.
struct Rule {
  std::string name;
  std::string pack;   ///< "default" for the built-in one, empty for the user's own files
  Layer layer = Layer::kUser;
  std::string where;  ///< "rules/my.lua:12"
  const SourceFile* file = nullptr;
  Spot at;
  Spot to_at;
  RuleContext context;
  std::size_t number = 0;     ///< index into what the engine keeps per rule
  bool about_target = false;  ///< reads target_provider or provider_class: judged once the targets are known, may deny and tag
  bool uses_lua = false;      ///< its condition or an effect is a function
  Condition when;
  Template reason;    ///< empty: the rule's name speaks
  std::optional<std::string> reason_text;  ///< of a chosen target, when no fact is part of it
  TargetEffect to;
  TargetEffect fallback;
  DenyEffect deny;
  SetEffect set;
  HeaderEffect headers;
  TagEffect tag;
  CacheEffect cache;
  BudgetEffect budget;
  StrictEffect strict;
  RetryEffect retry;
  std::optional<bool> next_fallback;
  int next_fallback_function = 0;
  Script* script = nullptr;

  [[nodiscard]] bool has_effect() const;
  [[nodiscard]] bool may_deny() const { return deny.kind != DenyEffect::Kind::kNone; }
  /// Nothing but the two slots that targets go to.
  [[nodiscard]] bool only_targets() const;
};

/// True when its condition or an effect is a function.
bool uses_lua(const Rule& rule);
/// The reason that is the same for every request; nothing when a fact is part of it.
std::optional<std::string> fixed_reason(const Rule& rule);

}  // namespace ccrules::rules
