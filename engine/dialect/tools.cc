#include "dialect/tools.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "core/digest.h"
#include "core/json.h"
#include "core/text.h"
#include "dialect/words.h"

namespace ccrules::dialect {
namespace {

constexpr std::size_t kLongestName = 64;

bool is_name_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
}

/// Anthropic's tools that the client runs itself (anthropic-messages.md, 4).
constexpr std::array<KnownTool, 3> kKnownTools = {{
    {"bash_",
     "Runs a command in a persistent bash shell and returns its output. Set restart to start a fresh shell.",
     R"({"type":"object","properties":{"command":{"type":"string","description":"The command to run"},)"
     R"("restart":{"type":"boolean","description":"true restarts the shell instead of running a command"}}})"},
    {"text_editor_", "Views, creates and edits text files.",
     R"({"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert"]},)"
     R"("path":{"type":"string","description":"Absolute path of the file or directory"},)"
     R"("file_text":{"type":"string","description":"create: the whole file"},)"
     R"("old_str":{"type":"string","description":"str_replace: text that occurs exactly once"},)"
     R"("new_str":{"type":"string","description":"str_replace, insert: the new text"},)"
     R"("insert_line":{"type":"integer","description":"insert: the line to insert after"},)"
     R"("insert_text":{"type":"string","description":"insert: the text"},)"
     R"("view_range":{"type":"array","items":{"type":"integer"},"description":"view: first and last line"}},)"
     R"("required":["command","path"]})"},
    {"memory_", "Reads and writes files of a memory directory that outlives the conversation.",
     R"({"type":"object","properties":{"command":{"type":"string",)"
     R"("enum":["view","create","str_replace","insert","delete","rename"]},)"
     R"("path":{"type":"string","description":"Path below /memories"},"file_text":{"type":"string"},)"
     R"("old_str":{"type":"string"},"new_str":{"type":"string"},"insert_line":{"type":"integer"},)"
     R"("insert_text":{"type":"string"},"old_path":{"type":"string"},"new_path":{"type":"string"},)"
     R"("view_range":{"type":"array","items":{"type":"integer"}}},"required":["command"]})"},
}};

/// Tools that Anthropic runs on its own servers: nobody else can.
constexpr std::array<std::string_view, 6> kServerTools = {
    "web_search_", "web_fetch_", "code_execution_", "tool_search_tool_", "mcp_toolset", "advisor_"};
/// Tools whose calls come in a form that a function cannot have.
constexpr std::array<std::string_view, 2> kUncarriedTools = {"computer_", "browser_"};

template <std::size_t N>
bool starts_with_any(std::string_view type, const std::array<std::string_view, N>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return type.starts_with(prefix); });
}

/// Names of tools that the conversation has used or that a tool search has found (tool_reference).
std::unordered_set<std::string_view> mentioned_tools(const chat::Request& request) {
  std::unordered_set<std::string_view> names;
  for (const chat::Message& message : request.messages) {
    for (const chat::Block& block : message.blocks) {
      if (const auto* call = std::get_if<chat::ToolCall>(&block.value)) names.insert(call->name);
      const auto* result = std::get_if<chat::ToolResult>(&block.value);
      if (result == nullptr) continue;
      for (const chat::Block& part : result->content) {
        const auto* opaque = std::get_if<chat::Opaque>(&part.value);
        if (opaque == nullptr || opaque->type != "tool_reference") continue;
        for (const chat::Tool& tool : request.tools) {
          if (tool.defer_loading && opaque->json.find('"' + tool.name + '"') != std::string::npos)
            names.insert(tool.name);
        }
      }
    }
  }
  return names;
}

}  // namespace

const KnownTool* known_tool(std::string_view type) noexcept {
  const auto found = std::find_if(kKnownTools.begin(), kKnownTools.end(),
                                  [&](const KnownTool& tool) { return type.starts_with(tool.type_prefix); });
  return found == kKnownTools.end() ? nullptr : &*found;
}

bool is_function(const chat::Tool& tool) noexcept {
  return tool.type.empty() || tool.type == "custom" || tool.type == "function";
}

bool starts_object(std::string_view text) noexcept {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{';
}

std::string unwrapped_arguments(std::string_view text) {
  text = text::trim(text);
  if (text == "null") return {};
  if (!text.starts_with('"')) return std::string(text);
  auto document = json::Document::open(text);
  if (!document) return std::string(text);
  auto root = document->root();
  if (!root) return std::string(text);
  const auto inner = root->string();
  if (!inner || !document->at_end().ok()) return std::string(text);
  if (is_blank(*inner) || *inner == "null") return {};
  return starts_object(*inner) ? std::string(*inner) : std::string(text);
}

std::string argument_object(std::string_view arguments_json) {
  std::string_view text = text::trim(arguments_json);
  std::string inner;
  if (text.starts_with('"')) {
    auto document = json::Document::open(text);
    auto root = document ? document->root() : Result<json::Value>(document.error());
    const auto string = root ? root->string() : Result<std::string_view>(root.error());
    if (string && document->at_end().ok()) {
      inner = text::trim(*string);
      text = inner;
    }
  }
  if (text.empty() || text == "null") return "{}";
  if (text.starts_with('{') && json::is_valid(text)) return std::string(text);
  std::string out;
  json::Writer(out).begin_object().member("_raw", text).end_object();
  return out;
}

bool is_tool_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= kLongestName && std::all_of(name.begin(), name.end(), [](char c) { return is_name_char(c); });
}

std::string shortened_tool_name(std::string_view name) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string sent(name.substr(0, kLongestName - 9));
  std::replace_if(
      sent.begin(), sent.end(), [](char c) { return !is_name_char(c); }, '_');
  sent += '_';
  std::uint64_t hash = digest::hash64(name);
  for (int i = 0; i < 8; ++i, hash >>= 4) sent += kHex[hash & 15];
  return sent;
}

namespace {

/// Stands between a namespace and a name in it: no name that a client or a model writes holds it.
constexpr char kSpaceEnd = '\x1f';

}  // namespace

std::string spaced_name(std::string_view space, std::string_view inner) {
  std::string name(space);
  name += kSpaceEnd;
  name += inner;
  return name;
}

std::optional<SpacedName> split_name(std::string_view name) noexcept {
  const std::size_t end = name.find(kSpaceEnd);
  if (end == std::string_view::npos) return std::nullopt;
  return SpacedName{name.substr(0, end), name.substr(end + 1)};
}

bool stands_inside(const chat::Tool& tool) noexcept { return tool.type == kBroughtTool || split_name(tool.name).has_value(); }

std::vector<RenamedTool> shortened_tools(const chat::Request& request) {
  std::vector<RenamedTool> renamed;
  for (const chat::Tool& tool : request.tools) {
    if (!is_tool_name(tool.name)) renamed.push_back({shortened_tool_name(tool.name), tool.name});
  }
  return renamed;
}

void restore_name(const std::vector<RenamedTool>& renamed, std::string& name) {
  const auto found = std::find_if(renamed.begin(), renamed.end(), [&name](const RenamedTool& tool) { return tool.sent == name; });
  if (found != renamed.end()) name = found->original;
}

void append_tool_name(std::string& out, std::string_view name) {
  if (is_tool_name(name))
    json::append_string(out, name);
  else
    json::append_string(out, shortened_tool_name(name));
}

Result<std::vector<std::size_t>> tools_to_send(const chat::Request& request, const Capabilities& target,
                                               const FormatName& format, chat::LossNotes& losses) {
  const bool deferring = std::any_of(request.tools.begin(), request.tools.end(),
                                     [](const chat::Tool& tool) { return tool.defer_loading; });
  // Without its own provider's tool search nothing could ever load the deferred ones: all are sent then.
  const bool searched_by_server = std::any_of(request.tools.begin(), request.tools.end(), [](const chat::Tool& tool) {
    return tool.type.starts_with("tool_search_tool_") || tool.type == "openai_tool_search";
  });
  std::unordered_set<std::string_view> mentioned;
  if (deferring && !searched_by_server) mentioned = mentioned_tools(request);

  std::vector<std::size_t> sent;
  sent.reserve(request.tools.size());
  for (std::size_t i = 0; i < request.tools.size(); ++i) {
    const chat::Tool& tool = request.tools[i];
    const bool own = request.dialect == format.dialect;
    const bool same_format = own && !tool.original_json.empty();
    if (own && stands_inside(tool)) continue;
    if (!own && tool.type == kNamespaceTool) {
      if (!tool.description.empty()) losses.add("tools[].namespace.description", "the functions of a namespace are sent by themselves");
      continue;
    }
    if (!is_function(tool) && known_tool(tool.type) == nullptr && !same_format && tool.schema_json.empty()) {
      if (starts_with_any(tool.type, kUncarriedTools)) {
        return bad_request("the tool \"" + tool.name + "\" (" + tool.type +
                           ") cannot be offered to provider \"" + target.provider + "\", which speaks " +
                           std::string(format.plain) + "; remove the tool or route the request to Anthropic");
      }
      losses.add("tools[]." + tool.type,
                 starts_with_any(tool.type, kServerTools)
                     ? std::string("only Anthropic's own servers run this tool")
                     : "a tool type that " + std::string(format.plain) + " cannot describe");
      continue;
    }
    if (tool.defer_loading) {
      losses.add(
          "tools[].defer_loading",
          std::string(format.plain) + " load all tools they are sent: those not found yet are left out");
      if (!searched_by_server && mentioned.count(tool.name) == 0) continue;
    }
    sent.push_back(i);
  }
  return sent;
}

}  // namespace ccrules::dialect
