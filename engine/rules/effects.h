#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rules/compile_when.h"
#include "rules/decision.h"
#include "rules/script.h"
#include "rules/targets.h"
#include "rules/tree.h"

namespace ccrules::rules {

/// Entries found by a fact: `pick("agent", config.agents)`. Exact names first (case ignored), then globs in order.
struct Pick {
  api::Fact fact = api::Fact::kModel;
  std::vector<std::pair<std::string, std::vector<Choice>>> exact;
  std::vector<std::pair<std::string, std::vector<Choice>>> globs;

  [[nodiscard]] const std::vector<Choice>* find(std::string_view name) const;
};

/// The value of `to` or `fallback`.
struct TargetEffect {
  enum class Kind : std::uint8_t {
    kNone,
    kFixed,      ///< `choices`
    kRequested,  ///< what the request's model names
    kServing,    ///< the provider that lists the request's model
    kPick, kFunction
  };
  Kind kind = Kind::kNone;
  std::vector<Choice> choices;
  Pick pick;
  int ref = 0;
};

struct DenyEffect {
  enum class Kind : std::uint8_t { kNone, kFixed, kFunction };
  Kind kind = Kind::kNone;
  Deny deny;
  int ref = 0;
};

/// `set`, `headers` or `tag`: fixed parts, members that are functions, or one function for all of it.
template <class Fixed>
struct TableEffect {
  std::vector<Fixed> fixed;
  std::vector<std::pair<std::string, int>> functions;  ///< member -> function
  int function = 0;                                    ///< 0: none
  [[nodiscard]] bool empty() const { return fixed.empty() && functions.empty() && function == 0; }
};
using SetEffect = TableEffect<FieldEdit>;
using HeaderEffect = TableEffect<HeaderEdit>;
using TagEffect = TableEffect<std::pair<std::string, std::string>>;

struct RetryEffect {
  std::optional<bool> retry;
  std::chrono::milliseconds after{-1};
  std::chrono::milliseconds at_most{10000};
  int function = 0;
};

struct CacheEffect {
  std::optional<CachePolicy> policy;
  int function = 0;  ///< 0: none
};

struct BudgetEffect {
  std::string scope;  ///< empty: none
  int function = 0;
};

struct StrictEffect {
  std::optional<std::vector<std::string>> what;  ///< globs of what must not be lost
  int function = 0;                              ///< 0: none
  [[nodiscard]] bool empty() const { return !what && function == 0; }
};

/// Reads the values of effects, at load from a rule's table and later from what its functions return: the same rules and
/// messages for both.
class EffectReader {
 public:
  EffectReader(const RuleContext& context, Problems& problems)
      : context_(context), targets_(*context.targets), problems_(problems) {}

  TargetEffect to(const Tree& value);
  TargetEffect fallback(const Tree& value);
  DenyEffect deny(const Tree& value);
  SetEffect set(const Tree& value);
  HeaderEffect headers(const Tree& value);
  TagEffect tag(const Tree& value);
  RetryEffect retry(const Tree& value);
  CacheEffect cache(const Tree& value);
  BudgetEffect budget(const Tree& value);
  StrictEffect strict(const Tree& value);
  /// One member of `set`, `headers`, `tag`.
  void set_field(const std::string& field, Spot at, const Tree& value, std::vector<FieldEdit>& out);
  void header(const std::string& name, Spot at, const Tree& value, std::vector<HeaderEdit>& out);
  void tag_value(const std::string& name, const Tree& value, std::vector<std::pair<std::string, std::string>>& out);
  /// One target; nothing (and a problem) when it is none.
  std::optional<Choice> choice(const Tree& value);

 private:
  void fail(Spot at, std::string message, std::string hint = {});
  std::vector<Choice> choices(const Tree& value, const char* effect);
  std::optional<Pick> pick(const Tree& value);
  void add_entry(Pick& pick, const std::string& name, const Tree& value);
  void check_word(const api::FieldRow& row, const Tree& value);
  void bound(const api::FieldRow& row, const Tree::Member& member, std::vector<FieldEdit>& out);
  bool duration(const Tree& value, std::chrono::milliseconds& out);
  std::vector<std::string> kept(const Tree& value);

  const RuleContext& context_;
  const Targets& targets_;
  Problems& problems_;
};

}  // namespace ccrules::rules
