#pragma once
#include <string_view>

#include "chat/loss.h"
#include "chat/request.h"

namespace ccrules::dialect {

/// Notes the members of a request that only the dialect it came in knows (chat::Request::extra_json), for a writer of another one.
/// Gemini's generationConfig is none when it holds nothing but the thinking, whose meaning stands in chat::Request::thinking.
/// @param why one short sentence for all of them
void note_foreign_members(const chat::Request& request, std::string_view why, chat::LossNotes& losses);

}  // namespace ccrules::dialect
