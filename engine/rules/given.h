#pragma once
#include "rules/sample.h"
#include "rules/script.h"
#include "rules/tree.h"

namespace ccrules::rules {

/// Applies the facts a test gives (`given = { tokens = 60001 }`) to a sample. Unknown and unavailable facts are problems at
/// their own place.
void apply_given(const Tree& given, Sample& sample, Problems& problems);

}  // namespace ccrules::rules
