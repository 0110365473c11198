#pragma once
#include <string>
#include <vector>

#include "chat/loss.h"
#include "chat/request.h"

namespace ccrules::dialect::openai {

/// Appends the `tools` array's elements.
void append_tools(std::string& out, const chat::Request& request, const std::vector<std::size_t>& sent,
                  chat::LossNotes& losses);

}  // namespace ccrules::dialect::openai
