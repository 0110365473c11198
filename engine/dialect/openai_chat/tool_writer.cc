#include "dialect/openai_chat/tool_writer.h"

#include "core/json.h"
#include "dialect/tools.h"

namespace ccrules::dialect::openai {

void append_tools(std::string& out, const chat::Request& request, const std::vector<std::size_t>& sent,
                  chat::LossNotes& losses) {
  bool first = true;
  for (const std::size_t i : sent) {
    const chat::Tool& tool = request.tools[i];
    if (!first) out += ',';
    first = false;
    if (!tool.cache_control_json.empty() && request.dialect != "openai_chat")
      losses.add("cache_control", "chat completions have no cache breakpoints");
    if (!is_function(tool) && request.dialect == "openai_chat" && !tool.original_json.empty()) {
      out += tool.original_json;
      continue;
    }
    const KnownTool* known = is_function(tool) || !tool.schema_json.empty() ? nullptr : known_tool(tool.type);
    out += R"({"type":"function","function":{"name":)";
    append_tool_name(out, tool.name);
    out += ",\"description\":";
    if (known != nullptr && !tool.has_description)
      json::append_string(out, known->description);
    else
      json::append_string(out, tool.description);
    out += ",\"parameters\":";
    if (known != nullptr)
      out += known->schema_json;
    else if (tool.schema_json.empty())
      out += R"({"type":"object","properties":{}})";
    else
      out += tool.schema_json;
    if (tool.strict && request.dialect == "openai_chat")
      out += *tool.strict ? ",\"strict\":true" : ",\"strict\":false";
    else if (tool.strict && *tool.strict)
      losses.add("tools[].strict", "chat completions have stricter rules for strict schemas");
    if (request.dialect == "openai_chat" && tool.extra_json.size() > 2)
      out.append(",").append(tool.extra_json, 1, tool.extra_json.size() - 2);
    out += '}';
    if (request.dialect == "openai_chat" && !tool.cache_control_json.empty()) {
      out.append(",\"cache_control\":").append(tool.cache_control_json);
    }
    out += '}';
    if (known != nullptr) losses.add("tools[]." + tool.type, "sent as a function with the same inputs");
    if (!tool.extra_json.empty() && request.dialect != "openai_chat") {
      auto document = json::Document::open(tool.extra_json);
      auto members = document ? document->root_object() : Result<json::Object>(document.error());
      while (members && members->next())
        losses.add("tools[]." + std::string(members->key()), "chat completions have no such member");
    }
  }
}

}  // namespace ccrules::dialect::openai
