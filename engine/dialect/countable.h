#pragma once
#include <string>
#include <string_view>

#include "core/result.h"
#include "dialect/dialect.h"

namespace ccrules::dialect {

/// A request of any dialect as tokens::read_prompt() takes it apart: written once more in Anthropic's. `model` is the one that
/// is asked for. Only for dialects where counts_by_block() is false; the others' bodies are taken as they are. Any thread.
Result<std::string> countable_body(const Dialect& spoken, std::string_view body, std::string_view model);

}  // namespace ccrules::dialect
