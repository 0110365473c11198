#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chat/loss.h"
#include "dialect/dialect.h"

/// Fitting what a client asked for to what the target takes.
namespace ccrules::dialect {

/// An effort for a thinking budget (translation.md, 1). "xhigh" only where it is known to be accepted.
std::string_view effort_for_budget(std::int64_t budget_tokens, const std::vector<std::string>& accepted);
/// The accepted word nearest to the wanted one: the strongest that is not above it, else the weakest above
/// it. "none" stands for off and is never chosen for somebody who asked to think. Empty: say nothing.
std::string_view accepted_effort(std::string_view wanted, const std::vector<std::string>& accepted);
/// True when the effort is stronger than `most`; empty `most`: any will do. A word that nobody knows is stronger than all.
bool effort_exceeds(std::string_view effort, std::string_view most);
/// The output limit to send: at most what the model writes and what its window leaves (G-2), at least 1.
/// Notes a change.
std::int64_t allowed_max_tokens(std::int64_t wanted, const Capabilities& target, chat::LossNotes& losses);

}  // namespace ccrules::dialect
