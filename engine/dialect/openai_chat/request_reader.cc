#include "dialect/openai_chat/request_reader.h"

#include <optional>
#include <string>
#include <utility>

#include "core/json.h"
#include "dialect/members.h"
#include "dialect/recalled_tools.h"

namespace ccrules::dialect::openai {
namespace {

using json::Type;

constexpr std::string_view kDialect = "openai_chat";

class RequestReader {
 public:
  Result<chat::Request> read(json::Document& document) {
    document.rewind();
    CCR_TRY(root, document.root_object());
    request_.dialect = kDialect;
    request_.include_usage = false;
    while (root.next()) CCR_CHECK(read_member(root.key(), root.value()));
    CCR_CHECK(root.done());
    CCR_CHECK(document.at_end());
    if (request_.model.empty()) return bad_request("model is missing: send the name of a model");
    if (!has_messages_) return bad_request("messages is missing or empty: send at least one message");
    if (!request_.stream) request_.include_usage = true;
    if (parallel_) {
      if (!request_.tool_choice) request_.tool_choice.emplace();
      request_.tool_choice->parallel_tool_calls = parallel_;
    }
    return std::move(request_);
  }

 private:
  Result<void> read_member(std::string_view key, json::Value& value) {
    if (key == "messages") return read_messages(value);
    if (key == "model") {
      CCR_TRY(model, take_string(value));
      request_.model = std::move(model);
      return {};
    }
    if (value.is_null()) return {};
    if (key == "tools") return add_tools(value, "openai_chat", request_, read_tools);
    if (key == "functions") return add_tools(value, "openai_chat functions", request_, read_functions);  // their former name
    if (key == "tool_choice") return read_tool_choice(value);
    if (key == "function_call") return read_function_choice(value);
    if (key == "stop") return read_stop(value);
    if (key == "stream_options") return read_stream_options(value);
    if (key == "response_format") return read_response_format(value);
    if (key == "thinking" || key == "reasoning") return read_thinking(key, value);
    if (key == "stream") {
      CCR_TRY(stream, value.boolean());
      request_.stream = stream;
    } else if (key == "max_completion_tokens" || key == "max_tokens") {
      const bool newer = key == "max_completion_tokens";
      CCR_TRY(max_tokens, value.integer());
      if (newer || !request_.max_tokens) request_.max_tokens = max_tokens;
    } else if (key == "temperature") {
      CCR_TRY(temperature, value.number());
      request_.temperature = temperature;
    } else if (key == "top_p") {
      CCR_TRY(top_p, value.number());
      request_.top_p = top_p;
    } else if (key == "top_k" && value.is(Type::kNumber)) {
      CCR_TRY(top_k, value.integer());
      request_.top_k = top_k;
    } else if (key == "parallel_tool_calls") {
      CCR_TRY(parallel, value.boolean());
      parallel_ = parallel;
    } else if (key == "reasoning_effort") {
      CCR_TRY(effort, take_string(value));
      set_effort(std::move(effort));
    } else if (key == "user" || key == "safety_identifier") {
      const bool better = key == "safety_identifier";
      CCR_TRY(user, take_string(value));
      if (better || request_.user_id.empty()) request_.user_id = std::move(user);
    } else if (key == "n") {
      CCR_TRY(n, value.raw());
      if (n != "1") keep_member(request_.extra_json, "n", n);
    } else if (key == "web_search_options") {  // asks for a search even when it says no more
      CCR_TRY(options, value.raw());
      keep_member(request_.extra_json, "web_search_options", options);
    } else {
      return keep_unknown(request_.extra_json, key, value);
    }
    return {};
  }

  void set_effort(std::string effort) {
    request_.thinking.kind = effort == "none" ? chat::ThinkingKind::kDisabled : chat::ThinkingKind::kAdaptive;
    request_.effort = std::move(effort);
  }

  /// DeepSeek's thinking {type}, OpenRouter's reasoning {effort, max_tokens, enabled}; kept whole for their
  /// own providers too.
  Result<void> read_thinking(std::string_view key, json::Value& value) {
    const std::string name(key);
    CCR_TRY(raw, value.raw());
    keep_member(request_.extra_json, name, raw);
    if (!raw.starts_with('{')) return {};
    CCR_TRY(document, json::Document::open(raw));
    CCR_TRY(thinking, document.root_object());
    while (thinking.next()) {
      const std::string_view member = thinking.key();
      json::Value& inner = thinking.value();
      if (member == "type" && inner.is(Type::kString)) {
        CCR_TRY(type, inner.string());
        if (type == "enabled") request_.thinking.kind = chat::ThinkingKind::kEnabled;
        if (type == "disabled") request_.thinking.kind = chat::ThinkingKind::kDisabled;
      } else if (member == "effort" && inner.is(Type::kString)) {
        CCR_TRY(effort, take_string(inner));
        set_effort(std::move(effort));
      } else if (member == "max_tokens" && inner.is(Type::kNumber)) {
        CCR_TRY(budget, inner.integer());
        request_.thinking = {chat::ThinkingKind::kEnabled, budget, {}};
      } else if (member == "enabled" && inner.is(Type::kBool)) {
        CCR_TRY(enabled, inner.boolean());
        if (request_.thinking.kind == chat::ThinkingKind::kAbsent) {
          request_.thinking.kind = enabled ? chat::ThinkingKind::kAdaptive : chat::ThinkingKind::kDisabled;
        }
      }
    }
    return thinking.done();
  }

  Result<void> read_stop(json::Value& value) {
    if (value.is(Type::kString)) {
      CCR_TRY(stop, take_string(value));
      request_.stop_sequences.push_back(std::move(stop));
      return {};
    }
    CCR_TRY(stops, value.array());
    while (stops.next()) {
      CCR_TRY(stop, take_string(stops.value()));
      request_.stop_sequences.push_back(std::move(stop));
    }
    return stops.done();
  }

  Result<void> read_stream_options(json::Value& value) {
    CCR_TRY(options, value.object());
    while (options.next()) {
      if (options.key() != "include_usage" || options.value().is_null()) continue;
      CCR_TRY(include_usage, options.value().boolean());
      request_.include_usage = include_usage;
    }
    return options.done();
  }

  Result<void> read_response_format(json::Value& value) {
    std::string type;
    CCR_TRY(format, value.object());
    while (format.next()) {
      if (format.key() == "type") {
        CCR_TRY(word, take_string(format.value()));
        type = std::move(word);
      } else if (format.key() == "json_schema" && format.value().is(Type::kObject)) {
        CCR_CHECK(read_schema(format.value()));
      }
    }
    CCR_CHECK(format.done());
    request_.json_object_mode = type == "json_object";
    if (type != "json_schema") request_.response_schema_json.clear();
    if (request_.response_schema_json.empty()) request_.response_schema_extra_json.clear();
    return {};
  }

  Result<void> read_schema(json::Value& value) {
    CCR_TRY(wrapper, value.object());
    while (wrapper.next()) {
      if (wrapper.key() == "name") {
        CCR_TRY(name, take_optional_string(wrapper.value()));
        request_.response_schema_name = std::move(name);
      } else if (wrapper.key() == "schema" && wrapper.value().is(Type::kObject)) {
        CCR_TRY(schema, wrapper.value().raw());
        request_.response_schema_json = schema;
      } else {
        CCR_CHECK(keep_unknown(request_.response_schema_extra_json, wrapper.key(), wrapper.value()));
      }
    }
    return wrapper.done();
  }

  // --- tools

  static Result<std::vector<chat::Tool>> read_tools(json::Value& value) {
    std::vector<chat::Tool> read;
    CCR_TRY(tools, value.array());
    while (tools.next()) {
      const std::string type(tools.value().peek_string("type").value_or("function"));
      chat::Tool& tool = read.emplace_back();
      if (type == "function") {
        CCR_CHECK(read_tool(tools.value(), tool));
        if (tool.name.empty()) {
          return bad_request("tools[" + std::to_string(read.size() - 1) +
                             "].function.name is missing: send the tool's name");
        }
      } else {
        CCR_TRY(raw, tools.value().raw());
        CCR_TRY(document, json::Document::open(raw));
        CCR_TRY(root, document.root());
        CCR_CHECK(read_tool(root, tool));
        tool.type = "openai_" + type;
        tool.original_json = raw;
      }
    }
    CCR_CHECK(tools.done());
    return read;
  }

  static Result<void> read_tool(json::Value& value, chat::Tool& tool) {
    CCR_TRY(members, value.object());
    while (members.next()) {
      if (members.key() == "function" || members.key() == "custom") {
        CCR_CHECK(read_definition(members.value(), tool));
      } else if (members.key() == "cache_control" && members.value().is(Type::kObject)) {
        CCR_TRY(cache_control, members.value().raw());
        tool.cache_control_json = cache_control;
      } else if (members.key() == "name" && tool.name.empty() && members.value().is(Type::kString)) {
        CCR_TRY(name, take_string(members.value()));
        tool.name = std::move(name);
      }
    }
    return members.done();
  }

  static Result<std::vector<chat::Tool>> read_functions(json::Value& value) {
    std::vector<chat::Tool> read;
    CCR_TRY(functions, value.array());
    while (functions.next()) {
      chat::Tool& tool = read.emplace_back();
      CCR_CHECK(read_definition(functions.value(), tool));
      if (tool.name.empty()) {
        return bad_request("functions[" + std::to_string(read.size() - 1) +
                           "].name is missing: send the function's name");
      }
    }
    CCR_CHECK(functions.done());
    return read;
  }

  static Result<void> read_definition(json::Value& value, chat::Tool& tool) {
    CCR_TRY(definition, value.object());
    while (definition.next()) {
      const std::string_view key = definition.key();
      json::Value& member = definition.value();
      if (key == "name") {
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
      } else {
        CCR_CHECK(keep_unknown(tool.extra_json, key, member));
      }
    }
    return definition.done();
  }

  Result<void> read_tool_choice(json::Value& value) {
    if (value.is(Type::kString)) {
      CCR_TRY(word, value.string());
      set_choice(word);
      return {};
    }
    CCR_TRY(raw, value.raw());
    CCR_TRY(document, json::Document::open(raw));
    CCR_TRY(choice, document.root_object());
    std::string name;
    while (choice.next()) {
      if ((choice.key() != "function" && choice.key() != "custom") || !choice.value().is(Type::kObject))
        continue;
      CCR_TRY(chosen, choice.value().object());
      while (chosen.next()) {
        if (chosen.key() != "name") continue;
        CCR_TRY(word, take_string(chosen.value()));
        name = std::move(word);
      }
      CCR_CHECK(chosen.done());
    }
    CCR_CHECK(choice.done());
    if (name.empty()) {
      keep_member(request_.extra_json, "tool_choice", raw);  // allowed_tools and what may come
    } else {
      request_.tool_choice = chat::ToolChoice{chat::ToolChoiceKind::kTool, std::move(name), std::nullopt};
    }
    return {};
  }

  void set_choice(std::string_view word) {
    const auto kind = word == "none"                        ? chat::ToolChoiceKind::kNone
                      : word == "required" || word == "any" ? chat::ToolChoiceKind::kAny
                                                            : chat::ToolChoiceKind::kAuto;
    request_.tool_choice = chat::ToolChoice{kind, {}, std::nullopt};
  }

  Result<void> read_function_choice(json::Value& value) {
    if (value.is(Type::kString)) {
      CCR_TRY(word, value.string());
      set_choice(word);
      return {};
    }
    CCR_TRY(choice, value.object());
    while (choice.next()) {
      if (choice.key() != "name") continue;
      CCR_TRY(name, take_string(choice.value()));
      request_.tool_choice = chat::ToolChoice{chat::ToolChoiceKind::kTool, std::move(name), std::nullopt};
    }
    return choice.done();
  }

  // --- messages

  /// A message as it was sent, before its role is known: members come in any order.
  struct Raw {
    std::string role;
    std::string name;
    std::string tool_call_id;
    std::vector<chat::Block> content;
    bool plain_string = false;
    bool has_content = false;
    std::string reasoning;
    std::vector<chat::Block> calls;
    bool legacy_call = false;
    std::string extra_json;
  };

  Result<void> read_messages(json::Value& value) {
    CCR_TRY(messages, value.array());
    request_.messages.reserve(kUsualItems);
    while (messages.next()) {
      has_messages_ = true;
      Raw raw;
      const json::Value at = messages.value();
      CCR_TRY(message, messages.value().object());
      while (message.next()) CCR_CHECK(read_message_member(message.key(), message.value(), raw));
      CCR_CHECK(message.done());
      CCR_CHECK(add_message(raw, at));
    }
    return messages.done();
  }

  Result<void> read_message_member(std::string_view key, json::Value& value, Raw& raw) {
    if (key == "role") {
      CCR_TRY(role, take_string(value));
      raw.role = std::move(role);
    } else if (key == "content") {
      return read_content(value, raw);
    } else if (key == "name") {
      CCR_TRY(name, take_optional_string(value));
      raw.name = std::move(name);
    } else if (key == "tool_call_id") {
      CCR_TRY(id, take_optional_string(value));
      raw.tool_call_id = std::move(id);
    } else if (key == "tool_calls") {
      return read_calls(value, raw);
    } else if (key == "function_call") {
      return read_legacy_call(value, raw);
    } else if ((key == "reasoning_content" || key == "reasoning" || key == "reasoning_text") &&
               value.is(Type::kString)) {
      CCR_TRY(text, value.string());
      if (raw.reasoning.empty()) raw.reasoning = text;
    } else if (key == "refusal" && value.is(Type::kString)) {
      CCR_TRY(text, value.text());
      if (!text.empty()) chat::add_block<chat::Text>(raw.content).text = std::move(text);
    } else {
      return keep_unknown(raw.extra_json, key, value);
    }
    return {};
  }

  Result<void> read_content(json::Value& value, Raw& raw) {
    if (value.is_null()) return {};
    raw.has_content = true;
    if (value.is(Type::kString)) {
      CCR_TRY(text, value.text());
      raw.plain_string = true;
      if (!text.empty()) chat::add_block<chat::Text>(raw.content).text = std::move(text);
      return {};
    }
    if (!value.is(Type::kArray)) return value.error("must be a string or an array");
    CCR_TRY(parts, value.array());
    while (parts.next()) CCR_CHECK(read_part(parts.value(), raw));
    return parts.done();
  }

  Result<void> read_part(json::Value& value, Raw& raw) {
    if (value.is(Type::kString)) {
      CCR_TRY(text, value.text());
      if (!text.empty()) chat::add_block<chat::Text>(raw.content).text = std::move(text);
      return {};
    }
    const std::string type(value.peek_string("type").value_or(std::string_view()));
    if (type == "text" || type == "refusal") return read_text_part(value, raw);
    if (type == "image_url") return read_image_part(value, raw);
    if (type == "file") return read_file_part(value, raw);
    CCR_TRY(json, value.raw());
    auto& opaque = chat::add_block<chat::Opaque>(raw.content);
    opaque.dialect = kDialect;
    opaque.type = type.empty() ? "unknown" : type;
    opaque.json = json;
    return {};
  }

  static Result<void> read_text_part(json::Value& value, Raw& raw) {
    chat::Text text;
    CCR_TRY(part, value.object());
    while (part.next()) {
      const std::string_view key = part.key();
      if ((key == "text" || key == "refusal") && part.value().is(Type::kString)) {
        CCR_TRY(words, part.value().text());
        text.text = std::move(words);
      } else if (key == "cache_control" && part.value().is(Type::kObject)) {
        CCR_TRY(cache_control, part.value().raw());
        text.cache_control_json = cache_control;
      } else if (key != "type") {
        CCR_CHECK(keep_unknown(text.extra_json, key, part.value()));
      }
    }
    CCR_CHECK(part.done());
    if (!text.text.empty()) raw.content.push_back({std::move(text)});
    return {};
  }

  static Result<void> read_image_part(json::Value& value, Raw& raw) {
    auto& image = chat::add_block<chat::Image>(raw.content);
    CCR_TRY(part, value.object());
    while (part.next()) {
      const std::string_view key = part.key();
      json::Value& member = part.value();
      if (key == "image_url" && member.is(Type::kString)) {
        CCR_TRY(url, member.string());
        set_image_url(image, url);
      } else if (key == "image_url") {
        CCR_TRY(inner, member.object());
        while (inner.next()) {
          if (inner.key() == "url") {
            CCR_TRY(url, inner.value().string());
            set_image_url(image, url);
          } else if (inner.key() == "detail") {
            CCR_TRY(detail, take_optional_string(inner.value()));
            image.detail = std::move(detail);
          } else {
            CCR_CHECK(keep_unknown(image.extra_json, inner.key(), inner.value()));
          }
        }
        CCR_CHECK(inner.done());
      } else if (key == "cache_control" && member.is(Type::kObject)) {
        CCR_TRY(cache_control, member.raw());
        image.cache_control_json = cache_control;
      } else if (key != "type") {
        CCR_CHECK(keep_unknown(image.extra_json, key, member));
      }
    }
    return part.done();
  }

  static void set_image_url(chat::Image& image, std::string_view url) {
    const auto uri = data_uri(url);
    image.kind = uri ? chat::SourceKind::kBase64 : chat::SourceKind::kUrl;
    image.media_type = uri ? uri->media_type : std::string_view();
    image.data = uri ? uri->base64 : url;
  }

  static Result<void> read_file_part(json::Value& value, Raw& raw) {
    auto& document = chat::add_block<chat::Document>(raw.content);
    CCR_TRY(part, value.object());
    while (part.next()) {
      if (part.key() == "type") continue;
      if (part.key() != "file" || !part.value().is(Type::kObject)) {
        CCR_CHECK(keep_unknown(document.extra_json, part.key(), part.value()));
        continue;
      }
      CCR_TRY(file, part.value().object());
      while (file.next()) {
        const std::string_view key = file.key();
        if (key == "file_id" && file.value().is(Type::kString)) {
          CCR_TRY(id, take_string(file.value()));
          document.kind = chat::SourceKind::kFile;
          document.data = std::move(id);
        } else if (key == "filename" && file.value().is(Type::kString)) {
          CCR_TRY(name, take_string(file.value()));
          document.title = std::move(name);
        } else if (key == "file_data" && file.value().is(Type::kString)) {
          CCR_TRY(text, file.value().string());
          const auto uri = data_uri(text);
          document.kind = chat::SourceKind::kBase64;
          document.media_type = uri ? uri->media_type : std::string_view("application/pdf");
          document.data = uri ? uri->base64 : text;
        } else {
          CCR_CHECK(keep_unknown(document.extra_json, key, file.value()));
        }
      }
      CCR_CHECK(file.done());
    }
    return part.done();
  }

  Result<void> read_calls(json::Value& value, Raw& raw) {
    if (value.is_null()) return {};
    CCR_TRY(calls, value.array());
    while (calls.next()) {
      auto& call = chat::add_block<chat::ToolCall>(raw.calls);
      const json::Value whole = calls.value();
      bool known = false;
      CCR_TRY(members, calls.value().object());
      while (members.next()) {
        const std::string_view key = members.key();
        json::Value& member = members.value();
        if (key == "id") {
          CCR_TRY(id, take_optional_string(member));
          call.id = std::move(id);
        } else if (key == "function" || key == "custom") {
          CCR_CHECK(read_called(member, call));
          known = true;
        } else if (key != "type" && key != "index") {
          CCR_CHECK(keep_unknown(call.extra_json, key, member));
        }
      }
      CCR_CHECK(members.done());
      if (!known) raw.calls.back().value = unknown_call(whole);
    }
    return calls.done();
  }

  /// A call of another kind than those the API has: no writer can say it, and all name it.
  static chat::Opaque unknown_call(const json::Value& call) {
    const std::string_view type = call.peek_string("type").value_or(std::string_view());
    return {"openai_chat tool_calls", std::string(type.empty() ? "unknown" : type), std::string(call.peek_raw())};
  }

  static Result<void> read_called(json::Value& value, chat::ToolCall& call) {
    CCR_TRY(function, value.object());
    while (function.next()) {
      const std::string_view key = function.key();
      json::Value& member = function.value();
      if (key == "name") {
        CCR_TRY(name, take_string(member));
        call.name = std::move(name);
      } else if (key == "arguments" && member.is(Type::kString)) {
        CCR_TRY(arguments, take_string(member));
        call.arguments_json = std::move(arguments);
      } else if (key == "arguments" && member.is(Type::kObject)) {
        CCR_TRY(arguments, member.raw());
        call.arguments_json = arguments;
      } else if (key == "input" && member.is(Type::kString)) {
        CCR_TRY(input, member.string());
        json::Writer(call.arguments_json).begin_object().member("input", input).end_object();
      } else {
        CCR_CHECK(keep_unknown(call.extra_json, key, member));
      }
    }
    return function.done();
  }

  Result<void> read_legacy_call(json::Value& value, Raw& raw) {
    if (value.is_null()) return {};
    auto& call = chat::add_block<chat::ToolCall>(raw.calls);
    CCR_CHECK(read_called(value, call));
    call.id = "call_function_" + std::to_string(++legacy_calls_);
    raw.legacy_call = true;
    return {};
  }

  /// As those below, it moves out of `raw` what the request comes to hold.
  Result<void> add_message(Raw& raw, const json::Value& at) {
    if ((!raw.calls.empty() || !raw.reasoning.empty()) && raw.role != "assistant") keep_misplaced(at, raw.extra_json);
    if (raw.role == "system" || raw.role == "developer") {
      add_system(raw);
    } else if (raw.role == "user") {
      add_plain(chat::Role::kUser, raw);
    } else if (raw.role == "assistant") {
      if (raw.legacy_call) pending_legacy_id_ = "call_function_" + std::to_string(legacy_calls_);
      if (!raw.reasoning.empty()) {
        raw.content.insert(raw.content.begin(),
                           chat::Block{chat::Thinking{std::move(raw.reasoning), {}, false}});
      }
      raw.content.reserve(raw.content.size() + raw.calls.size());
      for (chat::Block& call : raw.calls) raw.content.push_back(std::move(call));
      add_plain(chat::Role::kAssistant, raw);
    } else if (raw.role == "tool" || raw.role == "function") {
      add_result(raw);
    } else {
      return at.error("has an unknown role: use system, developer, user, assistant or tool");
    }
    return {};
  }

  /// Only the assistant calls and reasons: in other messages these are members that nobody else knows.
  static void keep_misplaced(const json::Value& at, std::string& extra_json) {
    for (const std::string_view name : {"tool_calls", "function_call", "reasoning_content", "reasoning", "reasoning_text"}) {
      if (const auto member = at.peek(name); member && !member->is_null()) keep_member(extra_json, name, member->peek_raw());
    }
  }

  void add_system(Raw& raw) {
    if (!request_.messages.empty()) {
      add_plain(chat::Role::kSystem, raw);
      return;
    }
    if (!raw.extra_json.empty()) {  // the neutral request has no place for them: the writers name this
      request_.system.push_back({chat::Opaque{"openai_chat message", "members", std::move(raw.extra_json)}});
    }
    request_.system_plain_string = request_.system.empty() && raw.plain_string;
    for (chat::Block& block : raw.content) request_.system.push_back(std::move(block));
  }

  void add_plain(chat::Role role, Raw& raw) {
    chat::Message& message = request_.messages.emplace_back();
    message.role = role;
    message.blocks = std::move(raw.content);
    message.plain_string = raw.plain_string;
    message.name = std::move(raw.name);
    message.extra_json = std::move(raw.extra_json);
    results_open_ = false;
  }

  /// Consecutive tool messages become one user message of results.
  void add_result(Raw& raw) {
    if (!results_open_) request_.messages.emplace_back();
    results_open_ = true;
    auto& result = chat::add_block<chat::ToolResult>(request_.messages.back().blocks);
    result.call_id = raw.role == "function" ? pending_legacy_id_ : std::move(raw.tool_call_id);
    result.content = std::move(raw.content);
    result.content_absent = !raw.has_content;
    result.extra_json = std::move(raw.extra_json);
  }

  chat::Request request_;
  std::optional<bool> parallel_;
  bool has_messages_ = false;
  bool results_open_ = false;
  int legacy_calls_ = 0;
  std::string pending_legacy_id_;
};

}  // namespace

Result<chat::Request> read_request(json::Document& body) {
  return RequestReader().read(body);
}

}  // namespace ccrules::dialect::openai
