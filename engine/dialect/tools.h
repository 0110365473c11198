#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/loss.h"
#include "chat/request.h"
#include "core/result.h"
#include "dialect/dialect.h"

/// Offering tools to providers that only know functions: names they take, and what becomes of Anthropic's own
/// tool types.
namespace ccrules::dialect {

/// A namespace of a longer name is refused: the name of each of its tools begins with it.
inline constexpr std::size_t kNamespaceBytes = 256;

/// True for ^[a-zA-Z0-9_-]{1,64}$, all that OpenAI's formats take as a tool name.
[[nodiscard]] bool is_tool_name(std::string_view name) noexcept;
/// A name that is_tool_name(), made from one that is not: its start and a hash. The same name always gives
/// the same (G-33).
std::string shortened_tool_name(std::string_view name);
/// The name of a function inside a namespace (OpenAI responses), whose calls name both. It is no tool name: formats that have no
/// namespaces are sent a shortened one, and replies name this one again.
std::string spaced_name(std::string_view space, std::string_view inner);
struct SpacedName {
  std::string_view space, inner;
};
/// The parts of such a name; nullopt for all others.
std::optional<SpacedName> split_name(std::string_view name) noexcept;
/// Responses: the tool stands inside another one, or in an item of the input, and goes out with that.
bool stands_inside(const chat::Tool& tool) noexcept;
/// chat::Tool::type of a function that an item of the input brings (OpenAI responses' additional_tools).
inline constexpr std::string_view kBroughtTool = "function";
/// chat::Tool::type of a namespace (OpenAI responses); its functions follow it.
inline constexpr std::string_view kNamespaceTool = "openai_namespace";
/// The tools of the request whose names have to be shortened.
std::vector<RenamedTool> shortened_tools(const chat::Request& request);
/// Gives a call's tool the name again that the client knows.
void restore_name(const std::vector<RenamedTool>& renamed, std::string& name);
/// Appends the name as a JSON string, shortened when it must be.
void append_tool_name(std::string& out, std::string_view name);

/// Whether the first byte that says something opens a JSON object.
[[nodiscard]] bool starts_object(std::string_view text) noexcept;
/// The object the model meant when a server sent null, nothing, or the object inside a string (G-7); other
/// text stays as it is.
std::string unwrapped_arguments(std::string_view text);
/// A call's arguments as the object that they must be where they are no text: the model's own, also when it stands in a string;
/// {} for nothing; of anything else {"_raw": what the model wrote}.
std::string argument_object(std::string_view arguments_json);

/// A tool that the client runs itself and whose inputs it knows: other models must be told them.
struct KnownTool {
  std::string_view type_prefix;
  std::string_view description;
  std::string_view schema_json;
};
/// nullptr when the type is none of them.
const KnownTool* known_tool(std::string_view type) noexcept;
/// A tool of the client's own definition, not one that a provider defines.
bool is_function(const chat::Tool& tool) noexcept;

/// How a writer's format is called.
struct FormatName {
  std::string_view dialect;  ///< "openai_chat": tools of requests in it may go out as they came
  std::string_view plain;    ///< plural, in sentences: "chat completions"
};
/// The tools that are sent, and why the others are not.
/// @return indexes into request.tools; an error when a tool can neither be sent nor be left out
Result<std::vector<std::size_t>> tools_to_send(const chat::Request& request, const Capabilities& target,
                                               const FormatName& format, chat::LossNotes& losses);

}  // namespace ccrules::dialect
