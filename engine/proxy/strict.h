#pragma once
#include "chat/loss.h"
#include "config/snapshot.h"
#include "core/result.h"
#include "rules/decision.h"

namespace ccrules::proxy {

/// Strict mode: an error (kLoss, 400, the next target may carry it) that names what the request would lose at this provider
/// although it must not, by the decision's `strict` or else the configuration's. Nothing has been sent then.
Result<void> carried_whole(const config::Snapshot& config, const rules::Decision& decision, const config::Provider& provider,
                           const chat::LossNotes& losses);

}  // namespace ccrules::proxy
