#pragma once
#include <string_view>

#include "core/error.h"

namespace ccrules::dialect {

/// The class of claude-code-gateway 5.3 that a provider's refusal belongs to: Claude Code answers
/// "capability_rejected: <class>" by sending the request again without what is refused. Empty when unsure: a wrong class
/// makes it recover in the wrong way. A prompt that is too long needs none, its own wording is understood.
std::string_view capability_class(const Error& refusal);

}  // namespace ccrules::dialect
