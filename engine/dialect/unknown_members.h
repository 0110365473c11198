#pragma once
#include "chat/loss.h"
#include "chat/request.h"

namespace ccrules::dialect {

/// Notes that messages and their blocks have members which only the dialect of the request knows (extra_json), for a writer of
/// another one. Not those of a Gemini client's parts, which are signatures, and not documents', which writers name themselves.
void note_unknown_members(const chat::Request& request, chat::LossNotes& losses);

}  // namespace ccrules::dialect
