#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

/// Changes members inside original JSON bytes; every other byte stays as it came (prompt-cache prefixes
/// depend on it).
namespace ccrules::json {

struct Edit {
  std::vector<std::string> path;  ///< Member names from the root object: {"thinking", "budget_tokens"}.
  std::string value_json;         ///< New value; empty: remove the member (with its comma).
};

/// Applies the edits in order to the top-level object in `text`. A missing member is appended as the last one
/// of its object; a missing or non-object parent is created. When a key is duplicated, all its occurrences
/// are edited.
/// @return the new text, or a 400 when `text` is not an object or not valid JSON (escapes in strings that
/// stay are not judged).
Result<std::string> splice(std::string_view text, const std::vector<Edit>& edits);

}  // namespace ccrules::json
