#pragma once
#include <string_view>

#include "chat/event.h"
#include "chat/loss.h"

namespace ccrules::dialect {

/// `stop_details` of an answer that a content filter ended: our own words, which say no more than the stop reason.
inline constexpr std::string_view kFilteredDetails =
    R"({"type":"refusal","category":null,"explanation":"the provider's content filter ended this answer"})";

/// Notes what only Anthropic's answers say about their end, for a writer of another dialect.
void note_stop(const chat::Reply& reply, chat::LossNotes& losses);

}  // namespace ccrules::dialect
