#pragma once
#include <string>

#include "chat/loss.h"
#include "chat/request.h"
#include "core/result.h"
#include "dialect/dialect.h"

namespace ccrules::dialect::responses {

/// Appends the `input` array (with its brackets): every assistant turn with calls is followed at once by
/// exactly one output per call; reasoning goes back only to the provider and model it came from, before what
/// it led to.
/// @return an error for a prefilled answer that the target cannot continue (G-16)
Result<void> append_input(std::string& out, const chat::Request& request, const Capabilities& target,
                          chat::LossNotes& losses);

}  // namespace ccrules::dialect::responses
