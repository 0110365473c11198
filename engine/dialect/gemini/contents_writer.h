#pragma once
#include <string>

#include "chat/loss.h"
#include "chat/request.h"
#include "core/result.h"
#include "dialect/dialect.h"

namespace ccrules::dialect::gemini {

/// Appends the `contents` array: turns of user and model that alternate and begin with the user, results of calls first
/// in the turn after them, one for each call (G-5, G-13, G-14). Error: a 400 for what cannot be sent.
Result<void> write_contents(std::string& out, const chat::Request& request, const Capabilities& target, chat::LossNotes& losses);

/// Notes a block of a system message that is no text.
void note_uncarried_system(const chat::Block& block, chat::LossNotes& losses);

void note_cache_control(const std::string& cache_control_json, chat::LossNotes& losses);

}  // namespace ccrules::dialect::gemini
