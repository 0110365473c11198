#pragma once
#include "chat/loss.h"
#include "chat/request.h"

namespace ccrules::dialect {

/// Notes blocks that stand where none of their kind can: results the assistant gives, calls and thinking of anybody else. For
/// writers that do not send them. Looks at each block's kind only.
void note_misplaced_blocks(const chat::Request& request, chat::LossNotes& losses);

}  // namespace ccrules::dialect
