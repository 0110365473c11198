#pragma once
#include "chat/loss.h"
#include "chat/request.h"

namespace ccrules::dialect {

/// Notes what messages and their blocks say that only the dialect of the request knows (their members in extra_json, the names of
/// participants), for a writer of another one. Not the members of a Gemini client's parts, which are signatures, and not documents',
/// which writers name themselves.
void note_unknown_members(const chat::Request& request, chat::LossNotes& losses);

}  // namespace ccrules::dialect
