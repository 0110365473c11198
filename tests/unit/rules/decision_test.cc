#include "rules/decision.h"

#include <functional>
#include <vector>

#include <catch2/catch.hpp>

using namespace ccrules;

TEST_CASE("two decisions do the same when only their reasons differ, and not when anything else does") {
  rules::Decision one;
  one.rule = "r";
  one.targets.push_back({"p", "m"});
  rules::Decision other = one;
  other.reason = "token count (72000) exceeds threshold";
  other.failed_rules.emplace_back("broken");
  CHECK(rules::same_effect(one, other));

  using Change = std::function<void(rules::Decision&)>;
  const std::vector<Change> changes = {
      [](rules::Decision& decision) { decision.rule = "s"; },
      [](rules::Decision& decision) { decision.deny = rules::Deny(); },
      [](rules::Decision& decision) { decision.targets.push_back({"p", "other"}); },
      [](rules::Decision& decision) { decision.no_target = "none"; },
      [](rules::Decision& decision) { decision.bad_request = "bad"; },
      [](rules::Decision& decision) { decision.edits.emplace_back(); },
      [](rules::Decision& decision) { decision.headers.emplace_back(); },
      [](rules::Decision& decision) { decision.tags["team"] = "core"; },
      [](rules::Decision& decision) { decision.cache = rules::CachePolicy(); },
      [](rules::Decision& decision) { decision.budget = "project:web"; },
  };
  for (const Change& change : changes) {
    rules::Decision changed = one;
    change(changed);
    CHECK_FALSE(rules::same_effect(one, changed));
  }

  rules::Decision refused = one;
  refused.deny = rules::Deny();
  rules::Decision worded = refused;
  worded.deny->message = "another sentence";
  CHECK_FALSE(rules::same_effect(refused, worded));
}
