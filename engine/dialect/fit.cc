#include "dialect/fit.h"

#include <algorithm>
#include <array>

namespace ccrules::dialect {
namespace {

constexpr std::array<std::string_view, 7> kEfforts = {"none", "minimal", "low", "medium",
                                                      "high", "xhigh",   "max"};

}  // namespace

std::string_view effort_for_budget(std::int64_t budget_tokens, const std::vector<std::string>& accepted) {
  if (budget_tokens < 8000) return "low";
  if (budget_tokens < 16000) return "medium";
  const bool stronger = std::find(accepted.begin(), accepted.end(), "xhigh") != accepted.end();
  return budget_tokens > 32000 && stronger ? "xhigh" : "high";
}

std::string_view accepted_effort(std::string_view wanted, const std::vector<std::string>& accepted) {
  if (accepted.empty()) return wanted;
  const auto rank = [](std::string_view word) {
    return std::find(kEfforts.begin(), kEfforts.end(), word) - kEfforts.begin();
  };
  std::string_view below, above;
  for (const std::string& word : accepted) {
    if (word == wanted) return word;
    if (word == "none" && wanted != "none") continue;
    if (rank(word) == std::ssize(kEfforts)) continue;
    if (rank(word) < rank(wanted)) {
      if (below.empty() || rank(word) > rank(below)) below = word;
    } else if (above.empty() || rank(word) < rank(above)) {
      above = word;
    }
  }
  // Someone who does not want any gets the least there is, or nothing is said.
  if (wanted == "none") return above == "minimal" ? above : std::string_view();
  return below.empty() ? above : below;
}

bool effort_exceeds(std::string_view effort, std::string_view most) {
  if (most.empty() || effort.empty()) return false;
  const auto rank = [](std::string_view word) { return std::find(kEfforts.begin(), kEfforts.end(), word) - kEfforts.begin(); };
  return rank(effort) > rank(most);
}

std::int64_t allowed_max_tokens(std::int64_t wanted, const Capabilities& target, chat::LossNotes& losses) {
  std::int64_t most = wanted;
  if (target.max_output_tokens) most = std::min(most, *target.max_output_tokens);
  if (target.context_tokens) {
    // Our count may be 2 % off. When the prompt alone does not fit, the provider's own refusal says so best.
    const std::int64_t margin = 256 + target.estimated_input_tokens / 50;
    const std::int64_t room = *target.context_tokens - target.estimated_input_tokens - margin;
    if (room > 0) most = std::min(most, room);
  }
  most = std::max<std::int64_t>(most, 1);
  if (most != wanted) losses.add("max_tokens", "changed to what the model and its window allow");
  return most;
}

}  // namespace ccrules::dialect
