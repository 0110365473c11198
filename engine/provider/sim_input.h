#pragma once
#include <string>
#include <string_view>

namespace ccrules::provider::sim {

/// A value that fits a JSON schema, always the same one: const, enum, default and examples first, then the
/// required properties (all of them when none is required), the smallest allowed number, one item per array.
/// Local `$ref`s are followed. "{}" when the text is no schema.
std::string plausible_input(std::string_view schema_json);

}  // namespace ccrules::provider::sim
