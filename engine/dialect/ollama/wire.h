#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "chat/event.h"
#include "core/error.h"
#include "core/json.h"
#include "dialect/dialect.h"

/// What whole replies and streams of Ollama have in common.
namespace ccrules::dialect::ollama {

/// "2026-11-21T09:30:00Z".
std::string timestamp(std::int64_t unix_s);
std::string_view done_reason_of(chat::StopReason reason);
chat::StopReason stop_reason_of(std::string_view done_reason, bool called_tools);
/// One element of tool_calls. Arguments that are not a JSON object go out as {} (G-7).
void write_call(json::Writer& writer, const chat::ToolCall& call, std::size_t number);
/// The members that end an answer: done, done_reason and the counts.
void write_end(json::Writer& writer, chat::StopReason reason, const chat::Usage& usage);

/// {"error":"..."}
std::string error_body(std::string_view message);
int error_status(const Error& error);
/// The body of GET /api/tags.
std::string tags_body(const ModelPage& page);

}  // namespace ccrules::dialect::ollama
