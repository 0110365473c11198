#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/outline.h"
#include "chat/request.h"
#include "core/json.h"
#include "core/result.h"

/// An agent sends the same tools all day. Those of the last requests that this thread has read are known again by their bytes
/// (core/json_recall.h) and not read (docs/adr/0013).
namespace ccrules::dialect {

/// What `tools` say to an outline.
struct ToolsOutline {
  std::int64_t count = 0;
  std::int64_t text_bytes = 0;
  std::vector<std::string_view> names;  ///< escaped as in the body
  std::vector<std::string> custom;      ///< names of those that are called with a text
};
/// Adds to the outline what `read` finds in `tools`, an array or one object. `dialect`: whose they are, a name that
/// lives for ever.
Result<void> add_tools(json::Value& value, std::string_view dialect, chat::Outline& outline,
                       const std::function<Result<ToolsOutline>(json::Value&)>& read);
/// Adds to a request's tools what `read` finds in `tools`, shared by all requests that bring the same.
Result<void> add_tools(json::Value& value, std::string_view dialect, chat::Request& request,
                       const std::function<Result<std::vector<chat::Tool>>(json::Value&)>& read);

}  // namespace ccrules::dialect
