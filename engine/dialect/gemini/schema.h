#pragma once
#include <string>
#include <string_view>

#include "core/json.h"
#include "core/result.h"

/// JSON Schema and the two ways Google takes the inputs of a function (gemini.md, "Tool schema"; G-17).
namespace ccrules::dialect::gemini {

/// For `parametersJsonSchema`: the schema as it is, but `const`, which Google passes over, as an `enum` of one.
std::string google_json_schema(std::string_view schema_json);

/// For `parameters`: Google's subset of OpenAPI 3.0, where one unknown member refuses the whole request. References
/// are put in place (a circle ends in "any object"), allOf is merged, what has no counterpart is left out.
std::string openapi_schema(std::string_view schema_json);

/// Google's `parameters` or `responseSchema` as JSON Schema: types in lower case, nullable as a type of its own. Reads the value.
Result<std::string> schema_from_openapi(json::Value& parameters);

/// True when the schema describes an object without a single property: functions without inputs are declared without one.
[[nodiscard]] bool takes_nothing(std::string_view schema_json);

}  // namespace ccrules::dialect::gemini
