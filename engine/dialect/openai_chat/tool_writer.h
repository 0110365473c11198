#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "chat/loss.h"
#include "chat/request.h"
#include "core/result.h"
#include "dialect/dialect.h"

namespace ccrules::dialect::openai {

/// True for ^[a-zA-Z0-9_-]{1,64}$, all a chat provider takes as a tool name.
[[nodiscard]] bool is_tool_name(std::string_view name) noexcept;
/// A name that is_tool_name(), made from one that is not: its start and a hash. The same name always gives
/// the same (G-33).
std::string shortened_tool_name(std::string_view name);
/// The tools of the request whose names have to be shortened.
std::vector<RenamedTool> renamed_tools(const chat::Request& request);
/// Appends the name as a JSON string, shortened when it must be.
void append_tool_name(std::string& out, std::string_view name);

/// The tools that are sent, and why the others are not.
/// @return indexes into request.tools; an error when a tool can neither be sent nor be left out
Result<std::vector<std::size_t>> tools_to_send(const chat::Request& request, const Capabilities& target,
                                               chat::LossNotes& losses);

/// Appends the `tools` array's elements.
void append_tools(std::string& out, const chat::Request& request, const std::vector<std::size_t>& sent,
                  chat::LossNotes& losses);

}  // namespace ccrules::dialect::openai
