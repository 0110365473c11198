#include "rules/source.h"

namespace ccrules::rules {

const char* layer_name(Layer layer) noexcept {
  switch (layer) {
    case Layer::kEnforced: return "enforced";
    case Layer::kUser: return "user";
    case Layer::kProject: return "project";
    case Layer::kPack: return "pack";
    case Layer::kBuiltIn: return "built-in";
  }
  return "user";
}

bool Grants::allows(api::Need need) const noexcept {
  switch (need) {
    case api::Need::kNothing: return true;
    case api::Need::kHeaders: return headers;
    case api::Need::kText: return text;
    case api::Need::kSpend: return spend;
  }
  return false;
}

Grants Grants::none() noexcept {
  Grants grants;
  grants.headers = grants.text = grants.spend = false;
  return grants;
}

}  // namespace ccrules::rules
