#pragma once
#include <string>

#include "chat/loss.h"
#include "chat/request.h"
#include "core/result.h"
#include "dialect/dialect.h"

namespace ccrules::dialect::ollama {

Result<std::string> write_request(const chat::Request& request, const Capabilities& target, chat::LossNotes& losses);

}  // namespace ccrules::dialect::ollama
