#include "rules/overrides.h"

#include "core/text.h"

namespace ccrules::rules {

void Overrides::read(const std::vector<Declaration>& declarations, Layer layer) {
  for (const Declaration& declaration : declarations) {
    if (declaration.callee != "override") continue;
    if (layer != Layer::kEnforced && layer != Layer::kUser) {
      fail(*declaration.file, declaration.at, "only your own rule files may override rules of others",
           "remove it, and tell users of the pack to write it");
      continue;
    }
    Override override{declaration.name, layer, declaration.file, declaration.at, false, false};
    for (const Tree::Member& member : declaration.body.members) {
      if (member.key == "off" && member.value.is(Tree::Kind::kFlag)) {
        override.off = member.value.flag;
      } else {
        fail(*declaration.file, member.at, "override has no '" + member.key + "'", "an override has: off = true");
      }
    }
    overrides_.push_back(std::move(override));
  }
}

bool Overrides::switch_off(const Rule& rule, RuleSetRef& ref) {
  bool off = false;
  for (Override& override : overrides_) {
    if (override.name != rule.name && override.name != rule.pack + "#" + rule.name) continue;
    override.used = true;
    if (override.layer > rule.layer) {
      fail(*override.file, override.at, "rule '" + rule.name + "' is enforced and cannot be overridden");
      continue;
    }
    if (!override.off) continue;
    off = true;
    ref.overrides.push_back({rule.pack.empty() ? rule.name : rule.pack + "#" + rule.name,
                              override.file->shown + ":" + std::to_string(override.at.line)});
  }
  return off;
}

void Overrides::check(const std::vector<std::string>& names) {
  for (const Override& override : overrides_) {
    if (override.used) continue;
    const std::string near = text::did_you_mean(override.name, names);
    fail(*override.file, override.at, "there is no rule '" + override.name + "' to override",
         near.empty() ? std::string("rules of the built-in pack are called \"default#name\"") : "did you mean '" + near + "'?");
  }
}

}  // namespace ccrules::rules
