#include <optional>
#include <string>
#include <utility>

#include "dialect/members.h"
#include "dialect/openai_responses/parts.h"
#include "dialect/recalled_tools.h"
#include "dialect/tools.h"

namespace ccrules::dialect::responses {
namespace {

using json::Type;

/// What a tool that is called with a text takes when it is offered as a function.
constexpr std::string_view kInputSchema =
    R"({"type":"object","properties":{"input":{"type":"string","description":"The tool's whole input"}},"required":["input"]})";

class RequestReader {
 public:
  Result<chat::Request> read(json::Document& document) {
    document.rewind();
    CCR_TRY(root, document.root_object());
    request_.dialect = kName;
    while (root.next()) CCR_CHECK(read_member(root.key(), root.value()));
    CCR_CHECK(root.done());
    CCR_CHECK(document.at_end());
    if (request_.model.empty()) return bad_request("model is missing: send the name of a model");
    if (!has_input_) return bad_request("input is missing or empty: send a text or at least one item");
    if (!instructions_.empty())
      request_.system.insert(request_.system.begin(),
                             chat::Block{chat::Text{std::move(instructions_), {}, {}}});
    request_.system_plain_string = request_.system.size() == 1;
    if (parallel_) {
      if (!request_.tool_choice) request_.tool_choice.emplace();
      request_.tool_choice->parallel_tool_calls = parallel_;
    }
    return std::move(request_);
  }

 private:
  Result<void> read_member(std::string_view key, json::Value& value) {
    if (key == "model") {
      CCR_TRY(model, take_string(value));
      request_.model = std::move(model);
      return {};
    }
    if (value.is_null()) return {};
    if (key == "input") return read_input(value);
    if (key == "tools") return add_tools(value, kName, request_, read_tools);
    if (key == "tool_choice") return read_tool_choice(value);
    if (key == "reasoning") return read_reasoning(value);
    if (key == "text") return read_text_settings(value);
    if (key == "include") return read_include(value);
    if (key == "instructions" && value.is(Type::kString)) {
      CCR_TRY(text, value.text());
      instructions_ = std::move(text);
    } else if (key == "stream") {
      CCR_TRY(stream, value.boolean());
      request_.stream = stream;
    } else if (key == "max_output_tokens") {
      CCR_TRY(max_tokens, value.integer());
      request_.max_tokens = max_tokens;
    } else if (key == "temperature") {
      CCR_TRY(temperature, value.number());
      request_.temperature = temperature;
    } else if (key == "top_p") {
      CCR_TRY(top_p, value.number());
      request_.top_p = top_p;
    } else if (key == "parallel_tool_calls") {
      CCR_TRY(parallel, value.boolean());
      parallel_ = parallel;
    } else if (key == "safety_identifier" || key == "user") {
      const bool better = key == "safety_identifier";
      CCR_TRY(user, take_string(value));
      if (better || request_.user_id.empty()) request_.user_id = std::move(user);
    } else if (!is_default(key, value)) {
      return keep_unknown(request_.extra_json, key, value);
    } else {
      CCR_CHECK(value.raw());
    }
    return {};
  }

  /// Members that ask for what happens anyway say nothing.
  static bool is_default(std::string_view key, const json::Value& value) {
    const std::string_view json = value.peek_raw();
    if (key == "store" || key == "background") return json == "false";
    if (key == "truncation") return json == "\"disabled\"";
    if (key == "service_tier") return json == "\"auto\"" || json == "\"default\"";
    return key == "stream_options";  // padding against guessing by length
  }

  Result<void> read_include(json::Value& value) {
    CCR_TRY(names, value.array());
    std::string others;
    while (names.next()) {
      CCR_TRY(name, take_string(names.value()));
      if (name == "reasoning.encrypted_content") continue;  // always sent
      others += others.empty() ? '[' : ',';
      json::append_string(others, name);
    }
    CCR_CHECK(names.done());
    if (!others.empty()) keep_member(request_.extra_json, "include", others + "]");
    return {};
  }

  Result<void> read_reasoning(json::Value& value) {
    CCR_TRY(reasoning, value.object());
    std::string others;
    while (reasoning.next()) {
      const std::string_view key = reasoning.key();
      json::Value& member = reasoning.value();
      if (key == "effort" && member.is(Type::kString)) {
        CCR_TRY(effort, take_string(member));
        request_.thinking.kind =
            effort == "none" ? chat::ThinkingKind::kDisabled : chat::ThinkingKind::kAdaptive;
        request_.effort = std::move(effort);
      } else if (key == "summary" || key == "generate_summary") {
        if (member.is_null()) continue;
        CCR_CHECK(take_string(member));
        request_.thinking.display = "summarized";
      } else {
        CCR_CHECK(keep_unknown(others, key, member));
      }
    }
    CCR_CHECK(reasoning.done());
    if (!others.empty()) keep_member(request_.extra_json, "reasoning", others);
    return {};
  }

  Result<void> read_text_settings(json::Value& value) {
    CCR_TRY(settings, value.object());
    std::string others;
    while (settings.next()) {
      if (settings.key() == "format" && settings.value().is(Type::kObject)) {
        CCR_CHECK(read_format(settings.value()));
      } else {
        CCR_CHECK(keep_unknown(others, settings.key(), settings.value()));
      }
    }
    CCR_CHECK(settings.done());
    if (!others.empty()) keep_member(request_.extra_json, "text", others);
    return {};
  }

  Result<void> read_format(json::Value& value) {
    const std::string type(value.peek_string("type").value_or(std::string_view()));
    CCR_TRY(format, value.object());
    while (format.next()) {
      if (format.key() == "name" && format.value().is(Type::kString)) {
        CCR_TRY(name, take_string(format.value()));
        request_.response_schema_name = std::move(name);
      } else if (format.key() == "schema" && format.value().is(Type::kObject)) {
        CCR_TRY(schema, format.value().raw());
        if (type == "json_schema") request_.response_schema_json = schema;
      } else if (format.key() != "type") {
        CCR_CHECK(keep_unknown(request_.response_schema_extra_json, format.key(), format.value()));
      }
    }
    CCR_CHECK(format.done());
    if (request_.response_schema_json.empty()) request_.response_schema_extra_json.clear();
    request_.json_object_mode = type == "json_object";
    return {};
  }

  // --- tools

  static Result<std::vector<chat::Tool>> read_tools(json::Value& value) { return read_list(value, true); }

  /// @param unfolds namespaces: there are none inside of one
  static Result<std::vector<chat::Tool>> read_list(json::Value& value, bool unfolds) {
    std::vector<chat::Tool> read;
    CCR_TRY(tools, value.array());
    while (tools.next()) {
      const json::Value whole = tools.value();
      const std::string type(whole.peek_string("type").value_or("function"));
      CCR_TRY(members, tools.value().object());
      chat::Tool& tool = read.emplace_back();
      CCR_CHECK(read_tool(members, tool));
      if ((type == "function" || type == "custom") && tool.name.empty()) {
        return bad_request("tools[" + std::to_string(read.size() - 1) +
                           "].name is missing: send the tool's name");
      }
      if (type == "custom") {
        tool.schema_json = kInputSchema;
        tool.original_json = whole.peek_raw();
      } else if (type != "function") {
        tool.type = "openai_" + type;
        tool.original_json = whole.peek_raw();
        tool.extra_json.clear();
        if (type == "namespace" && unfolds) CCR_CHECK(unfold(whole, read));
      }
    }
    CCR_CHECK(tools.done());
    return read;
  }

  /// Adds the tools of the namespace that was read last: other formats only know single ones.
  static Result<void> unfold(const json::Value& whole, std::vector<chat::Tool>& read) {
    const std::string space = read.back().name;
    if (space.size() > kNamespaceBytes)
      return whole.error("has a name that is too long: a namespace may be called by " + std::to_string(kNamespaceBytes) + " bytes");
    CCR_TRY(tools, tools_inside(whole, false));
    for (chat::Tool& tool : tools) {
      tool.name = spaced_name(space, tool.name);
      read.push_back(std::move(tool));
    }
    return {};
  }

  /// The `tools` of a tool or an item, which is not read any further.
  static Result<std::vector<chat::Tool>> tools_inside(const json::Value& whole, bool unfolds) {
    const auto inside = whole.peek("tools");
    if (!inside || !inside->is(Type::kArray)) return std::vector<chat::Tool>();
    CCR_TRY(document, json::Document::open_view(inside->peek_raw()));
    CCR_TRY(root, document.root());
    CCR_TRY(tools, read_list(root, unfolds));
    for (chat::Tool& tool : tools) tool.description.own();
    return tools;
  }

  static Result<void> read_tool(json::Object& members, chat::Tool& tool) {
    while (members.next()) {
      const std::string_view key = members.key();
      json::Value& member = members.value();
      if (key == "name" && member.is(Type::kString)) {
        CCR_TRY(name, take_string(member));
        tool.name = std::move(name);
      } else if (key == "description" && member.is(Type::kString)) {
        CCR_TRY(description, member.text());
        tool.description = std::move(description);
        tool.has_description = true;
      } else if (key == "parameters" && member.is(Type::kObject)) {
        CCR_TRY(schema, member.raw());
        tool.schema_json = schema;
      } else if (key == "strict" && member.is(Type::kBool)) {
        CCR_TRY(strict, member.boolean());
        tool.strict = strict;
      } else if (key == "defer_loading" && member.is(Type::kBool)) {
        CCR_TRY(defer, member.boolean());
        tool.defer_loading = defer;
      } else if (key != "type") {
        CCR_CHECK(keep_unknown(tool.extra_json, key, member));
      }
    }
    return members.done();
  }

  Result<void> read_tool_choice(json::Value& value) {
    if (value.is(Type::kString)) {
      CCR_TRY(word, value.string());
      const auto kind = word == "none"       ? chat::ToolChoiceKind::kNone
                        : word == "required" ? chat::ToolChoiceKind::kAny
                                             : chat::ToolChoiceKind::kAuto;
      request_.tool_choice = chat::ToolChoice{kind, {}, std::nullopt};
      return {};
    }
    const std::string type(value.peek_string("type").value_or(std::string_view()));
    CCR_TRY(raw, value.raw());
    CCR_TRY(document, json::Document::open_view(raw));
    CCR_TRY(choice, document.root_object());
    std::string name;
    std::string space;
    bool required = false;
    while (choice.next()) {
      if ((choice.key() == "name" || choice.key() == "namespace") && choice.value().is(Type::kString)) {
        const bool inner = choice.key() == "name";
        CCR_TRY(word, take_string(choice.value()));
        (inner ? name : space) = std::move(word);
      } else if (choice.key() == "mode" && choice.value().is(Type::kString)) {
        CCR_TRY(word, take_string(choice.value()));
        required = word == "required";
      }
    }
    CCR_CHECK(choice.done());
    if ((type == "function" || type == "custom") && !name.empty()) {
      if (!space.empty()) name = spaced_name(space, name);
      request_.tool_choice = chat::ToolChoice{chat::ToolChoiceKind::kTool, std::move(name), std::nullopt};
      return {};
    }
    // allowed_tools and hosted ones: other formats only know how much they must be used.
    keep_member(request_.extra_json, "tool_choice", raw);
    const auto kind = required ? chat::ToolChoiceKind::kAny : chat::ToolChoiceKind::kAuto;
    request_.tool_choice = chat::ToolChoice{kind, {}, std::nullopt};
    return {};
  }

  // --- items

  Result<void> read_input(json::Value& value) {
    if (value.is(Type::kString)) {
      CCR_TRY(text, value.text());
      has_input_ = !text.empty();
      chat::Message& message = new_message(chat::Role::kUser);
      message.plain_string = true;
      chat::add_block<chat::Text>(message.blocks).text = std::move(text);
      return {};
    }
    if (!value.is(Type::kArray)) return value.error("must be a string or an array of items");
    CCR_TRY(items, value.array());
    request_.messages.reserve(kUsualItems);
    while (items.next()) {
      has_input_ = true;
      if (!items.value().is(Type::kObject)) return items.value().error("must be an object");
      CCR_CHECK(read_item_value(items.value()));
    }
    return items.done();
  }

  Result<void> read_item_value(json::Value& value) {
    std::string type(value.peek_string("type").value_or(std::string_view()));
    if (type.empty()) type = value.peek("role") ? "message" : "item_reference";
    if (type == "message") return read_message(value);
    if (type == "function_call_output" || type == "custom_tool_call_output") return read_output(value);
    const json::Value whole = value;
    CCR_TRY(members, value.object());
    std::string unknown_json;
    const Item::Kind kind = kind_of(type);
    const bool calls = kind == Item::Kind::kCall || kind == Item::Kind::kCustomCall;
    Item item = read_item(members, calls ? &unknown_json : nullptr);
    CCR_CHECK(members.done());
    switch (kind) {
      case Item::Kind::kReasoning: {
        const auto encrypted = whole.peek("encrypted_content");
        const std::string_view encrypted_json = encrypted ? encrypted->peek_raw() : std::string_view();
        // Base64 and our own prefix need no escapes.
        const std::string_view text = encrypted_json.size() > 2
                                          ? encrypted_json.substr(1, encrypted_json.size() - 2)
                                          : std::string_view();
        assistant().blocks.push_back({thinking_of(item, whole.peek_raw(), text)});
        return {};
      }
      case Item::Kind::kCall:
      case Item::Kind::kCustomCall: {
        auto& call = chat::add_block<chat::ToolCall>(assistant().blocks);
        call.id = item.call_id.empty() ? std::move(item.id) : std::move(item.call_id);
        call.name = item.space.empty() ? std::move(item.name) : spaced_name(item.space, item.name);
        call.arguments_json =
            kind == Item::Kind::kCall ? std::move(item.arguments) : wrapped_input(item.arguments);
        if (kind == Item::Kind::kCustomCall) call.extra_json.append("{").append(kCustomMark).append("}");
        if (!unknown_json.empty()) add_members(call.extra_json, unknown_json);
        return {};
      }
      default:
        break;
    }
    if (type == "additional_tools") {
      CCR_TRY(tools, tools_inside(whole, true));
      for (chat::Tool& tool : tools) {
        if (tool.type.empty()) tool.type = kBroughtTool;
        request_.tools.edit().push_back(std::move(tool));
      }
    }
    const bool answers = type.ends_with("_output");
    chat::Message& message = answers ? new_message(chat::Role::kUser) : assistant();
    message.blocks.push_back({chat::Opaque{std::string(kName), std::move(type), std::string(whole.peek_raw())}});
    return {};
  }

  /// Appends the members of one object text to another.
  static void add_members(std::string& object_json, std::string_view more_json) {
    if (object_json.empty()) {
      object_json = more_json;
      return;
    }
    object_json.back() = ',';
    object_json += more_json.substr(1);
  }

  chat::Message& new_message(chat::Role role) {
    results_open_ = false;
    chat::Message& message = request_.messages.emplace_back();
    message.role = role;
    return message;
  }

  /// What the assistant said, thought and called since the last other message.
  chat::Message& assistant() {
    const bool open = !request_.messages.empty() && request_.messages.back().role == chat::Role::kAssistant;
    return open ? request_.messages.back() : new_message(chat::Role::kAssistant);
  }

  Result<void> read_message(json::Value& value) {
    const json::Value at = value;
    std::string role;
    chat::Message read;
    CCR_TRY(members, value.object());
    while (members.next()) {
      const std::string_view key = members.key();
      json::Value& member = members.value();
      if (key == "role") {
        CCR_TRY(word, take_string(member));
        role = std::move(word);
      } else if (key == "content" && member.is(Type::kString)) {
        CCR_TRY(text, member.text());
        read.plain_string = true;
        if (!text.empty()) chat::add_block<chat::Text>(read.blocks).text = std::move(text);
      } else if (key == "content" && member.is(Type::kArray)) {
        CCR_CHECK(read_parts(member, read.blocks));
      } else if (key == "content" && !member.is_null()) {
        return member.error("must be a string or an array");
      } else if (key != "type" && key != "id" && key != "status") {
        CCR_CHECK(keep_unknown(read.extra_json, key, member));
      }
    }
    CCR_CHECK(members.done());
    return add_message(std::move(role), std::move(read), at);
  }

  Result<void> add_message(std::string role, chat::Message read, const json::Value& at) {
    if (role == "system" || role == "developer") {
      if (request_.messages.empty()) {
        for (chat::Block& block : read.blocks) request_.system.push_back(std::move(block));
        if (!read.extra_json.empty()) {  // the neutral request has no place for them: the writers name this
          request_.system.push_back({chat::Opaque{"openai_responses message", "members", std::move(read.extra_json)}});
        }
        return {};
      }
      read.role = chat::Role::kSystem;
    } else if (role == "assistant") {
      // Reasoning stands before the message it led to; a message that says more of itself stands alone.
      chat::Message& open = assistant();
      if (open.extra_json.empty() && (read.extra_json.empty() || only_thinking(open))) {
        open.plain_string = open.blocks.empty() && read.plain_string;
        open.extra_json = std::move(read.extra_json);
        if (open.blocks.empty()) {
          open.blocks = std::move(read.blocks);
        } else {
          for (chat::Block& block : read.blocks) open.blocks.push_back(std::move(block));
        }
        return {};
      }
      read.role = chat::Role::kAssistant;
    } else if (role != "user") {
      return at.error("has an unknown role: use user, assistant, system or developer");
    }
    results_open_ = false;
    request_.messages.push_back(std::move(read));
    return {};
  }

  static bool only_thinking(const chat::Message& message) {
    for (const chat::Block& block : message.blocks) {
      if (!std::holds_alternative<chat::Thinking>(block.value)) return false;
    }
    return true;
  }

  /// Consecutive outputs become one user message of results.
  Result<void> read_output(json::Value& value) {
    chat::ToolResult result;
    result.content_absent = true;
    CCR_TRY(members, value.object());
    while (members.next()) {
      const std::string_view key = members.key();
      json::Value& member = members.value();
      if (key == "call_id") {
        CCR_TRY(id, take_string(member));
        result.call_id = std::move(id);
      } else if (key == "output" && member.is(Type::kArray)) {
        result.content_absent = false;
        CCR_CHECK(read_parts(member, result.content));
      } else if (key == "output" && !member.is_null()) {
        result.content_absent = false;
        CCR_TRY(text, text_or_json(member));
        if (!text.empty()) chat::add_block<chat::Text>(result.content).text = std::move(text);
      } else if (key != "type" && key != "id" && key != "status") {
        CCR_CHECK(keep_unknown(result.extra_json, key, member));
      }
    }
    CCR_CHECK(members.done());
    if (!results_open_) new_message(chat::Role::kUser);
    results_open_ = true;
    request_.messages.back().blocks.push_back({std::move(result)});
    return {};
  }

  static Result<json::Text> text_or_json(json::Value& value) {
    if (value.is(Type::kString)) return value.text();
    CCR_TRY(raw, value.raw());
    return json::Text(raw);
  }

  // --- content parts

  static Result<void> read_parts(json::Value& value, std::vector<chat::Block>& blocks) {
    CCR_TRY(parts, value.array());
    while (parts.next()) {
      const std::string type(parts.value().peek_string("type").value_or(std::string_view()));
      if (type == "input_text" || type == "output_text" || type == "text" || type == "refusal") {
        CCR_CHECK(read_text(parts.value(), blocks));
      } else if (type == "input_image") {
        CCR_CHECK(read_image(parts.value(), blocks));
      } else if (type == "input_file") {
        CCR_CHECK(read_file(parts.value(), blocks));
      } else {
        CCR_TRY(raw, parts.value().raw());
        blocks.push_back(
            {chat::Opaque{std::string(kName), type.empty() ? "unknown" : type, std::string(raw)}});
      }
    }
    return parts.done();
  }

  static Result<void> read_text(json::Value& value, std::vector<chat::Block>& blocks) {
    chat::Text text;
    CCR_TRY(part, value.object());
    while (part.next()) {
      const std::string_view key = part.key();
      if ((key == "text" || key == "refusal") && part.value().is(Type::kString)) {
        CCR_TRY(words, part.value().text());
        text.text = std::move(words);
      } else if (key != "type" && key != "logprobs") {
        CCR_CHECK(keep_unknown(text.extra_json, key, part.value()));
      }
    }
    CCR_CHECK(part.done());
    if (!text.text.empty()) blocks.push_back({std::move(text)});
    return {};
  }

  static Result<void> read_image(json::Value& value, std::vector<chat::Block>& blocks) {
    auto& image = chat::add_block<chat::Image>(blocks);
    CCR_TRY(part, value.object());
    while (part.next()) {
      const std::string_view key = part.key();
      json::Value& member = part.value();
      if (key == "image_url" && member.is(Type::kString)) {
        CCR_TRY(url, member.string());
        const auto uri = data_uri(url);
        image.kind = uri ? chat::SourceKind::kBase64 : chat::SourceKind::kUrl;
        image.media_type = uri ? uri->media_type : std::string_view();
        image.data = uri ? uri->base64 : url;
      } else if (key == "file_id" && member.is(Type::kString)) {
        CCR_TRY(id, take_string(member));
        image.kind = chat::SourceKind::kFile;
        image.data = std::move(id);
      } else if (key == "detail" && member.is(Type::kString)) {
        CCR_TRY(detail, member.string());
        if (detail != "auto") image.detail = detail;
      } else if (key != "type") {
        CCR_CHECK(keep_unknown(image.extra_json, key, member));
      }
    }
    return part.done();
  }

  static Result<void> read_file(json::Value& value, std::vector<chat::Block>& blocks) {
    auto& document = chat::add_block<chat::Document>(blocks);
    CCR_TRY(part, value.object());
    while (part.next()) {
      const std::string_view key = part.key();
      json::Value& member = part.value();
      if (key == "type" || member.is_null()) continue;
      if (key == "filename") {
        CCR_TRY(name, take_string(member));
        document.title = std::move(name);
      } else if (key == "file_data") {
        CCR_TRY(text, member.string());
        const auto uri = data_uri(text);
        document.kind = chat::SourceKind::kBase64;
        document.media_type = uri ? uri->media_type : std::string_view("application/pdf");
        document.data = uri ? uri->base64 : text;
      } else if (key == "file_id" || key == "file_url") {
        document.kind = key == "file_id" ? chat::SourceKind::kFile : chat::SourceKind::kUrl;
        CCR_TRY(where, take_string(member));
        document.data = std::move(where);
      } else {
        CCR_CHECK(keep_unknown(document.extra_json, key, member));
      }
    }
    return part.done();
  }

  chat::Request request_;
  json::Text instructions_;
  std::optional<bool> parallel_;
  bool has_input_ = false;
  bool results_open_ = false;
};

}  // namespace

Result<chat::Request> read_request(json::Document& body) {
  return RequestReader().read(body);
}

}  // namespace ccrules::dialect::responses
