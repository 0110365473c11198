#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/text.h"
#include "dialect/gemini/contents_reader.h"
#include "dialect/gemini/parts.h"
#include "dialect/gemini/schema.h"
#include "dialect/members.h"
#include "dialect/recalled_tools.h"

namespace ccrules::dialect::gemini {
namespace {

using json::Type;

class RequestReader {
 public:
  Result<chat::Request> read(json::Document& document) {
    document.rewind();
    CCR_TRY(root, document.root_object());
    request_.dialect = kName;
    request_.include_usage = true;
    CCR_CHECK(read_members(root));
    CCR_CHECK(document.at_end());
    if (request_.messages.empty()) return bad_request("contents is missing or empty: send at least one message");
    if (!config_extra_.empty()) keep_member(request_.extra_json, "generationConfig", config_extra_);
    for (const std::string& path : contents_.others()) keep_member(request_.extra_json, path, "null");
    return std::move(request_);
  }

 private:
  Result<void> read_members(json::Object& root) {
    while (root.next()) {
      std::string room;
      const std::string_view key = camel(root.key(), room);
      CCR_CHECK(read_member(key, root.value()));
    }
    return root.done();
  }

  Result<void> read_member(std::string_view key, json::Value& value) {
    if (key == "contents") {
      request_.messages.reserve(kUsualItems);
      return each(value, [this](json::Value& turn) { return contents_.read_turn(turn, request_.messages); });
    }
    if (value.is_null()) return {};
    if (key == "systemInstruction") return contents_.read_system(value, request_.system);
    if (key == "tools") return add_tools(value, kName, request_, read_tools);
    if (key == "toolConfig") return read_tool_config(value);
    if (key == "generationConfig") return read_config(value);
    if (key == "generateContentRequest") {  // countTokens
      CCR_TRY(request, value.object());
      return read_members(request);
    }
    if (key == "model" || key == "stream") return {};  // samples name them; a request's path does
    return keep_unknown(request_.extra_json, key, value);
  }

  // --- generationConfig

  Result<void> read_config(json::Value& value) {
    CCR_TRY(config, value.object());
    while (config.next()) {
      std::string room;
      const std::string_view key = camel(config.key(), room);
      json::Value& member = config.value();
      if (member.is_null()) continue;
      if (key == "maxOutputTokens") {
        CCR_TRY(most, member.integer());
        request_.max_tokens = most;
      } else if (key == "temperature") {
        CCR_TRY(number, member.number());
        request_.temperature = number;
      } else if (key == "topP") {
        CCR_TRY(number, member.number());
        request_.top_p = number;
      } else if (key == "topK") {
        CCR_TRY(number, member.number());
        request_.top_k = static_cast<std::int64_t>(std::clamp(number, 0.0, 1e6));
      } else if (key == "stopSequences") {
        CCR_TRY(stops, member.array());
        while (stops.next()) {
          CCR_TRY(stop, take_string(stops.value()));
          request_.stop_sequences.push_back(std::move(stop));
        }
        CCR_CHECK(stops.done());
      } else {
        CCR_CHECK(read_format_or_keep(key, member));
      }
    }
    return config.done();
  }

  Result<void> read_format_or_keep(std::string_view key, json::Value& member) {
    if (key == "responseMimeType") {
      CCR_TRY(type, take_string(member));
      request_.json_object_mode = type == "application/json";
      if (!request_.json_object_mode && type != "text/plain") keep_text(key, type);
    } else if (key == "responseSchema" || key == "responseJsonSchema") {
      CCR_TRY(schema, read_schema(member, key == "responseSchema"));
      request_.response_schema_json = std::move(schema);
    } else if (key == "thinkingConfig") {
      CCR_TRY(raw, member.raw());
      keep_member(config_extra_, key, raw);
      CCR_TRY(document, json::Document::open_view(raw));
      CCR_TRY(thinking, document.root());
      return read_thinking_config(thinking, request_.thinking, request_.effort);
    } else if (key == "candidateCount") {
      CCR_TRY(count, member.integer());
      if (count != 1) keep_member(config_extra_, key, std::to_string(count));
    } else {
      return keep_unknown(config_extra_, key, member);
    }
    return {};
  }

  /// A schema in Google's own words, or a JSON Schema.
  static Result<std::string> read_schema(json::Value& value, bool in_openapi) {
    if (in_openapi) return schema_from_openapi(value);
    CCR_TRY(schema, value.raw());
    return std::string(schema);
  }

  void keep_text(std::string_view key, std::string_view text) {
    std::string json;
    json::append_string(json, text);
    keep_member(config_extra_, key, json);
  }

  // --- tools

  static Result<std::vector<chat::Tool>> read_tools(json::Value& value) {
    std::vector<chat::Tool> read;
    CCR_CHECK(each(value, [&read](json::Value& tool) { return read_tool(tool, read); }));
    return read;
  }

  static Result<void> read_tool(json::Value& value, std::vector<chat::Tool>& read) {
    CCR_TRY(members, value.object());
    while (members.next()) {
      std::string room;
      const std::string_view key = camel(members.key(), room);
      if (key == "functionDeclarations") {
        CCR_CHECK(each(members.value(), [&read](json::Value& function) { return read_function(function, read.emplace_back()); }));
        continue;
      }
      // googleSearch, codeExecution, urlContext ...: Google's own servers run them.
      chat::Tool tool;
      tool.name = key;
      tool.type = "gemini_" + tool.name;
      CCR_TRY(raw, members.value().raw());
      keep_member(tool.original_json, key, raw);
      read.push_back(std::move(tool));
    }
    return members.done();
  }

  static Result<void> read_function(json::Value& value, chat::Tool& tool) {
    CCR_TRY(function, value.object());
    while (function.next()) {
      std::string room;
      const std::string_view key = camel(function.key(), room);
      json::Value& member = function.value();
      if (member.is_null()) continue;
      if (key == "name") {
        CCR_TRY(name, take_string(member));
        tool.name = std::move(name);
      } else if (key == "description") {
        CCR_TRY(description, member.text());
        tool.description = std::move(description);
        tool.has_description = true;
      } else if (key == "parameters" || key == "parametersJsonSchema") {
        CCR_TRY(schema, read_schema(member, key == "parameters"));
        tool.schema_json = std::move(schema);
      } else {
        CCR_CHECK(keep_unknown(tool.extra_json, key, member));
      }
    }
    CCR_CHECK(function.done());
    if (tool.name.empty()) {
      return bad_request("tools: a function declaration has no name; send the function's name");
    }
    if (tool.schema_json.empty()) tool.schema_json = R"({"type":"object","properties":{}})";
    return {};
  }

  Result<void> read_tool_config(json::Value& value) {
    CCR_TRY(raw, value.raw());
    CCR_TRY(document, json::Document::open_view(raw));
    CCR_TRY(config, document.root_object());
    std::string mode;
    std::vector<std::string> allowed;
    bool more = false;
    while (config.next()) {
      std::string room;
      if (camel(config.key(), room) != "functionCallingConfig" || !config.value().is(Type::kObject)) {
        more = true;
        continue;
      }
      CCR_TRY(calling, config.value().object());
      while (calling.next()) {
        std::string member_room;
        const std::string_view key = camel(calling.key(), member_room);
        if (key == "mode" && calling.value().is(Type::kString)) {
          CCR_TRY(word, take_string(calling.value()));
          mode = std::move(word);
        } else if (key == "allowedFunctionNames" && calling.value().is(Type::kArray)) {
          CCR_TRY(names, calling.value().array());
          while (names.next()) {
            CCR_TRY(name, take_string(names.value()));
            allowed.push_back(std::move(name));
          }
          CCR_CHECK(names.done());
        } else {
          more = true;
        }
      }
      CCR_CHECK(calling.done());
    }
    CCR_CHECK(config.done());
    const std::string word = text::lower(mode);
    if (word == "auto" || word == "any" || word == "none" || word == "validated") {
      chat::ToolChoice choice;
      choice.kind = word == "none"                          ? chat::ToolChoiceKind::kNone
                    : word == "any" && allowed.size() == 1 ? chat::ToolChoiceKind::kTool
                    : word == "any"                         ? chat::ToolChoiceKind::kAny
                                                            : chat::ToolChoiceKind::kAuto;
      if (choice.kind == chat::ToolChoiceKind::kTool) choice.name = allowed.front();
      request_.tool_choice = std::move(choice);
    }
    if (more || word == "validated" || allowed.size() > 1) keep_member(request_.extra_json, "toolConfig", raw);
    return {};
  }

  chat::Request request_;
  std::string config_extra_;  ///< unmodelled members of generationConfig
  ContentsReader contents_;
};

}  // namespace

Result<chat::Request> read_request(json::Document& body) { return RequestReader().read(body); }

}  // namespace ccrules::dialect::gemini
