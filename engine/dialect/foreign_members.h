#pragma once
#include <string>
#include <string_view>

#include "chat/loss.h"
#include "chat/request.h"

namespace ccrules::dialect {

/// Notes the members of a request that only the dialect it came in knows (chat::Request::extra_json), for a writer of another one.
/// Gemini's generationConfig is none when it holds nothing but the thinking, whose meaning stands in chat::Request::thinking.
/// @param why one short sentence for all of them
void note_foreign_members(const chat::Request& request, std::string_view why, chat::LossNotes& losses);

/// What stands beside a schema that answers must follow (chat::Request::response_schema_extra_json), as far as a writer of OpenAI's
/// format `own` may send it: `strict` and `description`, which both of them know, and all else of its own requests. The rest is noted.
std::string schema_settings(const chat::Request& request, std::string_view own, std::string_view why, chat::LossNotes& losses);
/// Notes all of it, for a writer of a format that has a schema alone. Not `strict`: answers follow the schema anyway.
void note_schema_settings(const chat::Request& request, std::string_view why, chat::LossNotes& losses);

}  // namespace ccrules::dialect
