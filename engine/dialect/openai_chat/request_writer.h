#pragma once
#include <string>

#include "chat/loss.h"
#include "chat/request.h"
#include "core/result.h"
#include "dialect/dialect.h"

namespace ccrules::dialect::openai {

/// Writes the body of POST /chat/completions for what `target` takes. Everything left out or changed is in
/// `losses`.
/// @return a 400 when the request cannot be carried and leaving something out would change what it means
Result<std::string> write_request(const chat::Request& request, const Capabilities& target,
                                  chat::LossNotes& losses);

}  // namespace ccrules::dialect::openai
