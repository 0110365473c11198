#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "rules/decision.h"

namespace ccrules::rules {

/// The number that a JSON text is; nothing for any other text.
std::optional<double> as_number(std::string_view json);

/// What an edit makes of a member whose JSON is `current` (empty: it is absent): its new JSON, empty when it is removed; nothing when
/// it stays as it is.
std::optional<std::string> edited(const FieldEdit& edit, const std::string& current);

}  // namespace ccrules::rules
