#include "proxy/native.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "core/json.h"
#include "core/splice.h"
#include "core/text.h"
#include "dialect/fit.h"
#include "dialect/spent_request.h"
#include "http/name_set.h"
#include "provider/provider.h"
#include "rules/field_edit.h"

namespace ccrules::proxy {
namespace {

using rules::FieldEdit;

/// Where a neutral field stands in a dialect's body; empty where the dialect does not have it.
std::vector<std::string> path_of(std::string_view field, std::string_view dialect) {
  const bool anthropic = dialect == "anthropic";
  if (dialect == "gemini") {
    static const std::map<std::string_view, std::vector<std::string>> kPaths = {
        {"max_tokens", {"generationConfig", "maxOutputTokens"}},
        {"temperature", {"generationConfig", "temperature"}},
        {"top_p", {"generationConfig", "topP"}},
        {"top_k", {"generationConfig", "topK"}},
        {"stop_sequences", {"generationConfig", "stopSequences"}},
        {"thinking.budget_tokens", {"generationConfig", "thinkingConfig", "thinkingBudget"}},
        {"effort", {"generationConfig", "thinkingConfig", "thinkingLevel"}}};
    const auto found = kPaths.find(field);
    return found == kPaths.end() ? std::vector<std::string>() : found->second;
  }
  if (dialect == "ollama") {
    if (field == "max_tokens") return {"options", "num_predict"};
    if (field == "stop_sequences") return {"options", "stop"};
    if (field == "temperature" || field == "top_p" || field == "top_k")
      return {"options", std::string(field)};
    if (field == "effort") return {"think"};
    if (field == "metadata.user_id" || field.starts_with("thinking")) return {};
  }
  if (dialect == "openai_embeddings") return {};  // vectors have neither limits nor a temperature
  if (dialect == "openai_chat" || dialect == "openai_completions") {
    if (field == "stop_sequences") return {"stop"};
    if (field == "metadata.user_id") return {"user"};
    if (field == "top_k" || field.starts_with("thinking")) return {};
  }
  if (dialect == "openai_responses") {
    if (field == "max_tokens") return {"max_output_tokens"};
    if (field == "effort") return {"reasoning", "effort"};
    if (field == "metadata.user_id") return {"safety_identifier"};
    if (field == "top_k" || field == "stop_sequences" || field.starts_with("thinking")) return {};
  }
  if (field == "effort")
    return anthropic ? std::vector<std::string>{"output_config", "effort"}
                     : std::vector<std::string>{"reasoning_effort"};
  std::vector<std::string> path;
  for (const std::string_view part : text::split(field, '.')) path.emplace_back(part);
  return path;
}

/// The member's current JSON, empty when it is absent.
std::string current_json(std::string_view body, const std::vector<std::string>& path) {
  auto document = json::Document::open(body);
  if (!document) return {};
  auto object = document->root_object();
  for (std::size_t depth = 0; object.ok(); ++depth) {
    bool entered = false;
    while (!entered && object->next()) {
      if (object->key() != path[depth]) continue;
      if (depth + 1 == path.size()) {
        auto raw = object->value().raw();
        return raw.ok() ? std::string(*raw) : std::string();
      }
      if (!object->value().is(json::Type::kObject)) return {};
      object = object->value().object();
      entered = true;
    }
    if (!entered) return {};
  }
  return {};
}

constexpr http::NameSet kNeverForwarded{std::array<std::string_view, 18>{
    "authorization",    "x-api-key",         "x-goog-api-key", "cookie",
    "origin",           "referer",           "forwarded",      "x-forwarded-for",
    "x-forwarded-host", "x-forwarded-proto", "x-real-ip",      "openai-organization",
    "openai-project",   "accept-encoding",   "expect",         "x-claude-code-managed-settings-checksum",
    "api-key",           "content-encoding"}};

/// What tells of the operator's account at the provider, besides anthropic-ratelimit-*.
constexpr http::NameSet kOfTheAccount{std::array<std::string_view, 4>{"anthropic-organization-id", "request-id", "cf-ray", "via"}};

std::string text_of(std::string_view json) {
  auto document = json::Document::open(json);
  if (!document) return {};
  auto root = document->root();
  if (!root) return {};
  auto text = root->string();
  return text.ok() ? std::string(*text) : std::string();
}

template <class Number>
std::string json_of(const std::optional<Number>& number) {
  if (!number) return {};
  std::string out;
  json::Writer writer(out);
  if constexpr (std::is_same_v<Number, double>) {
    writer.number(*number);
  } else {
    writer.integer(*number);
  }
  return out;
}

template <class Number>
void edit_number(const FieldEdit& edit, std::optional<Number>& field) {
  const auto now = edited(edit, json_of(field));
  if (!now) return;
  const auto number = rules::as_number(*now);
  field = number ? std::optional<Number>(static_cast<Number>(*number)) : std::nullopt;
}

void edit_text(const FieldEdit& edit, std::string& field) {
  std::string current;
  if (!field.empty()) json::append_string(current, field);
  if (const auto now = edited(edit, current)) field = now->empty() ? std::string() : text_of(*now);
}

void edit_stop_sequences(const FieldEdit& edit, std::vector<std::string>& field) {
  const auto now = edited(edit, field.empty() ? std::string() : std::string("[]"));
  if (!now) return;
  field.clear();
  auto document = json::Document::open(*now);
  if (now->empty() || !document) return;
  auto root = document->root();
  if (!root) return;
  auto list = root->array();
  while (list.ok() && list->next()) {
    if (auto text = list->value().string(); text.ok()) field.emplace_back(*text);
  }
}

/// A text or number member of a small object, as JSON; empty when it has none.
std::string member_json(const std::string& object_json, const std::string& name) {
  return object_json.empty() ? std::string() : current_json(object_json, {name});
}

constexpr std::array<std::pair<std::string_view, chat::ThinkingKind>, 3> kThinkingTypes = {
    {{"enabled", chat::ThinkingKind::kEnabled},
     {"adaptive", chat::ThinkingKind::kAdaptive},
     {"disabled", chat::ThinkingKind::kDisabled}}};

void edit_thinking(const FieldEdit& edit, chat::ThinkingMode& field) {
  const bool whole = edit.field == "thinking";
  std::string current;
  for (const auto& [name, kind] : kThinkingTypes) {
    if (field.kind == kind) current = "\"" + std::string(name) + "\"";
  }
  const auto now = edited(edit, current);
  if (!now) return;
  const std::string type = text_of(whole ? member_json(*now, "type") : *now);
  field.kind = chat::ThinkingKind::kAbsent;
  for (const auto& [name, kind] : kThinkingTypes) {
    if (name == type) field.kind = kind;
  }
  if (!whole) return;
  field.budget_tokens.reset();
  if (const auto budget = rules::as_number(member_json(*now, "budget_tokens"))) {
    field.budget_tokens = static_cast<std::int64_t>(*budget);
  }
}

/// The value is written as Anthropic does: { type = "auto" | "any" | "none" | "tool", name = ... }.
void edit_tool_choice(const FieldEdit& edit, std::optional<chat::ToolChoice>& field) {
  const auto now = edited(edit, field ? "{}" : "");
  if (!now) return;
  const std::string type = text_of(member_json(*now, "type"));
  field.reset();
  if (type.empty()) return;
  chat::ToolChoice& choice = field.emplace();
  choice.kind = type == "any"    ? chat::ToolChoiceKind::kAny
                : type == "none" ? chat::ToolChoiceKind::kNone
                : type == "tool" ? chat::ToolChoiceKind::kTool
                                 : chat::ToolChoiceKind::kAuto;
  if (choice.kind == chat::ToolChoiceKind::kTool) choice.name = text_of(member_json(*now, "name"));
}

bool has_member(std::string_view body, const std::string& name) {
  const std::string value = current_json(body, {name});
  return !value.empty() && value != "null";
}

/// Which of the members that some models refuse stand in the body.
void read_members(const OutgoingRequest& outgoing, chat::Request& request) {
  const auto read = [&request](json::Document& document) {
    auto members = document.root_object();
    while (members.ok() && members->next()) {
      const std::string_view name = members->key();
      if (members->value().is_null()) continue;
      if (name == "temperature") request.temperature = 1.0;
      if (name == "top_p") request.top_p = 1.0;
      if (name == "top_k") request.top_k = 1;
      if (name != "tool_choice" || !members->value().is(json::Type::kObject)) continue;
      const std::string_view type = members->value().peek_string("type").value_or(std::string_view());
      request.tool_choice.emplace().kind = type == "any"    ? chat::ToolChoiceKind::kAny
                                           : type == "tool" ? chat::ToolChoiceKind::kTool
                                                            : chat::ToolChoiceKind::kAuto;
    }
  };
  if (outgoing.document != nullptr) {  // still indexed: nothing is searched for twice
    outgoing.document->rewind(json::Escapes::kUnchecked);
    return read(*outgoing.document);
  }
  auto document = json::Document::open_view(outgoing.body, json::Escapes::kUnchecked);
  if (document) read(*document);
}

/// How a request asks for its answer, as far as targets differ in what they take of it, with what the rules change. Of temperature,
/// top_p, top_k and tool_choice only whether they are there: `with_members` costs a pass over the body.
chat::Request asked(const OutgoingRequest& outgoing, bool with_members) {
  chat::Request request;
  request.thinking = outgoing.outline->thinking;
  request.effort = outgoing.outline->effort;
  request.max_tokens = outgoing.outline->max_tokens;
  if (with_members) read_members(outgoing, request);
  apply_edits(*outgoing.edits, request);
  return request;
}

bool takes(const chat::Request& request, const dialect::Capabilities& target) {
  using chat::ThinkingKind;
  const auto& efforts = target.efforts;
  const bool known_effort = efforts.empty() || request.effort.empty() ||
                            std::find(efforts.begin(), efforts.end(), request.effort) != efforts.end();
  if (!known_effort) return false;
  if (target.max_output_tokens && request.max_tokens > target.max_output_tokens) return false;
  if (!target.sampling && (request.temperature || request.top_p || request.top_k)) return false;
  const bool forced = request.tool_choice && (request.tool_choice->kind == chat::ToolChoiceKind::kAny ||
                                              request.tool_choice->kind == chat::ToolChoiceKind::kTool);
  if (forced && !target.forced_tool_choice) return false;
  switch (request.thinking.kind) {
    case ThinkingKind::kEnabled:
      return target.thinking_enabled;
    case ThinkingKind::kAdaptive:
      return target.thinking_adaptive;
    case ThinkingKind::kDisabled:
      return target.thinking_disabled && !dialect::effort_exceeds(request.effort, target.effort_when_disabled);
    case ThinkingKind::kBetweenTools:
      return target.thinking_between_tools;
    case ThinkingKind::kAbsent:
      break;
  }
  return true;
}

/// What the target takes. A client that names its model knows what that takes (and its limits: G-2); what the provider's own row says
/// holds whatever the model. Where the rules chose another one, the request may ask for what that model refuses: its writer then
/// rewrites it, with a loss note for each change (G-10, G-18).
dialect::Capabilities capabilities_of(const OutgoingRequest& outgoing) {
  const bool named = outgoing.spoken == &dialect::anthropic() && outgoing.spoken == &provider::dialect_of(*outgoing.provider) &&
                     outgoing.model == outgoing.outline->model;
  return named ? provider::own_capabilities(*outgoing.provider, outgoing.model)
               : provider::capabilities(*outgoing.provider, outgoing.model, *outgoing.models);
}

bool asks_too_much(const OutgoingRequest& outgoing) {
  const chat::Outline& outline = *outgoing.outline;
  if (outgoing.spoken != &dialect::anthropic()) return false;
  if (outgoing.model == outline.model && !provider::has_own_capabilities(*outgoing.provider)) return false;
  const dialect::Capabilities target = capabilities_of(outgoing);
  if (!target.vision && outline.images > 0) return true;
  if (!target.documents && outline.documents > 0) return true;
  if (!target.mid_system && !outline.mid_system_json.empty()) return true;
  return !takes(asked(outgoing, !target.sampling || !target.forced_tool_choice), target);
}

/// Google's clients keep what a model signed beside its calls and texts, OpenAI's beside their calls.
bool take_signature(std::string& extra_json) {
  for (const char* const member : {"thoughtSignature", "extra_content"}) {
    if (extra_json.find(member) == std::string::npos) continue;
    auto rest = json::splice(extra_json, {json::Edit{{member}, {}}});
    if (!rest || rest->empty()) continue;
    extra_json = *rest == "{}" ? std::string() : *std::move(rest);
    return true;
  }
  return false;
}

bool take_signature(chat::Block& block) {
  if (auto* call = std::get_if<chat::ToolCall>(&block.value)) return take_signature(call->extra_json);
  if (auto* text = std::get_if<chat::Text>(&block.value)) return take_signature(text->extra_json);
  return false;
}

/// What was thought in the first messages, and what is signed of it.
void leave_out_reasoning(std::size_t messages, chat::Request& request, chat::LossNotes& losses) {
  std::size_t left_out = 0;
  for (std::size_t i = 0; i < std::min(messages, request.messages.size()); ++i) {
    for (chat::Block& block : request.messages[i].blocks) {
      if (take_signature(block)) ++left_out;
    }
    left_out += std::erase_if(request.messages[i].blocks, [](const chat::Block& block) {
      return std::holds_alternative<chat::Thinking>(block.value);
    });
  }
  if (left_out == 0) return;
  std::erase_if(request.messages, [](const chat::Message& message) { return message.blocks.empty(); });
  losses.add("thinking", "the provider cannot read back this reasoning of earlier turns");
}

/// Thinking that another of Anthropic's models signed.
bool holds_foreign_thinking(const OutgoingRequest& outgoing) {
  return outgoing.foreign_messages > 0 && outgoing.body.find("\"signature\"") != std::string_view::npos;
}

/// Calls of another model, in a history that goes to one that wants its own back signed.
bool lacks_signature(const OutgoingRequest& outgoing) {
  return outgoing.outline->unsigned_call && outgoing.spoken->wants_signed_calls(outgoing.model);
}

/// True when the body names this very model: a client may have put more around it (dialect/discovery.h).
bool names_already(const chat::Outline& outline, std::string_view model) {
  const std::string_view json = outline.model_json;
  return json.size() < 2 ? outline.model == model : json.substr(1, json.size() - 2) == model;
}

/// "maxOutputTokens" -> "max_output_tokens".
std::string snake(std::string_view camel) {
  std::string out;
  for (const char c : camel) {
    const bool capital = c >= 'A' && c <= 'Z';
    if (capital) out += '_';
    out += capital ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return out;
}

/// Where a field stands in this body, under every name that the provider would heed. Empty where the dialect does not have it.
std::vector<std::vector<std::string>> places_of(std::string_view field, const NativeRequest& request) {
  std::vector<std::string> path = path_of(field, request.spoken->name());
  if (path.empty()) return {};
  if (field == "max_tokens" && request.spoken->name() == "openai_chat") {
    std::vector<std::vector<std::string>> places;
    for (const char* name : {"max_completion_tokens", "max_tokens"}) {
      if (has_member(request.body, name)) places.push_back({name});
    }
    if (!places.empty()) return places;
    if (!current_json(request.body, {"max_completion_tokens"}).empty()) return {{"max_completion_tokens"}};
  }
  if (request.spoken->name() == "gemini") {  // Google takes both spellings
    std::vector<std::string> spelled;
    for (const std::string& name : path) {
      spelled.push_back(snake(name));
      if (current_json(request.body, spelled).empty()) spelled.back() = name;
    }
    path = std::move(spelled);
  }
  return {std::move(path)};
}

/// Where `part` lies inside `whole`; npos when it is not a view into it.
std::size_t place_of(std::string_view part, std::string_view whole) {
  const std::less_equal<> at_most;
  const bool inside = !part.empty() && at_most(whole.data(), part.data()) &&
                      at_most(part.data() + part.size(), whole.data() + whole.size());
  return inside ? static_cast<std::size_t>(part.data() - whole.data()) : std::string_view::npos;
}

/// The fields that Connection, of which there may be several, names as of this hop.
std::vector<std::string_view> named_in_connection(const http::Headers& headers) {
  std::vector<std::string_view> named;
  for (std::size_t i = 0; i < headers.size(); ++i) {
    const auto [name, value] = headers.at(i);
    if (!text::equals_ignore_case(name, "connection")) continue;
    for (const std::string_view one : text::split(value, ',')) named.push_back(one);
  }
  return named;
}

/// HTTP's own fields of one hop, and those that Connection has `named`.
bool stays_on_hop(std::string_view name, const std::vector<std::string_view>& named) {
  return http::is_hop_by_hop(name) ||
         std::any_of(named.begin(), named.end(), [name](std::string_view one) { return text::equals_ignore_case(text::trim(one), name); });
}

}  // namespace

Result<std::string> native_body(const NativeRequest& request) {
  std::vector<json::Edit> edits;
  if (!names_already(*request.outline, request.model) && !request.spoken->model_in_path()) {
    std::string name;
    json::append_string(name, request.model);
    edits.push_back({{"model"}, std::move(name)});
  }
  for (const FieldEdit& edit : *request.edits) {
    for (std::vector<std::string>& path : places_of(edit.field, request)) {
      if (auto value = edited(edit, current_json(request.body, path)))
        edits.push_back({std::move(path), *std::move(value)});
    }
  }
  if (request.ask_usage) edits.push_back({{"stream_options", "include_usage"}, "true"});
  if (edits.empty()) return std::string();
  const std::size_t at = place_of(request.outline->model_json, request.body);
  if (edits.size() == 1 && edits.front().path == std::vector<std::string>{"model"} &&
      at != std::string_view::npos) {
    // The usual edit: the outline knows where, so the body is not read a second time.
    std::string body;
    body.reserve(request.body.size() + edits.front().value_json.size() + json::kPadding);
    body.append(request.body.substr(0, at)).append(edits.front().value_json);
    body.append(request.body.substr(at + request.outline->model_json.size()));
    return body;
  }
  return json::splice(request.body, edits);
}

Result<std::string> outgoing_body(const OutgoingRequest& outgoing, std::vector<dialect::RenamedTool>& renamed,
                                  chat::LossNotes& losses) {
  const dialect::Dialect& upstream = provider::dialect_of(*outgoing.provider);
  const bool translatable = !outgoing.spoken->passes_on();
  const bool as_it_is = !translatable ||
                        (&upstream == outgoing.spoken && !outgoing.without_reasoning &&
                         !outgoing.outline->own_reasoning && !lacks_signature(outgoing) && !asks_too_much(outgoing) &&
                         !holds_foreign_thinking(outgoing));
  if (as_it_is) {
    NativeRequest request;
    request.body = outgoing.body;
    request.outline = outgoing.outline;
    request.spoken = outgoing.spoken;
    request.model = outgoing.model;
    request.edits = outgoing.edits;
    request.ask_usage = outgoing.outline->stream && !outgoing.outline->include_usage &&
                        provider::capabilities(*outgoing.provider, outgoing.model, *outgoing.models).stream_usage;
    return native_body(request);
  }
  CCR_TRY(request, outgoing.document != nullptr ? outgoing.spoken->read_lent_request(*outgoing.document)
                                                : outgoing.spoken->read_lent_request(outgoing.body));
  apply_edits(*outgoing.edits, request);
  const auto foreign = static_cast<std::size_t>(outgoing.foreign_messages);
  const std::size_t unread = outgoing.without_reasoning ? request.messages.size() : foreign;
  if (unread > 0) leave_out_reasoning(unread, request, losses);
  dialect::Capabilities target = capabilities_of(outgoing);
  target.estimated_input_tokens = outgoing.estimated_input_tokens;
  request.model = outgoing.model;
  request.stream = outgoing.stream;
  renamed = upstream.renamed_tools(request);
  return dialect::write_spent_request(upstream, std::move(request), target, losses);
}

Result<std::string> without_refused(std::string_view body, const std::vector<dialect::RefusedField>& refused,
                                    chat::LossNotes& losses) {
  std::vector<json::Edit> edits;
  for (const dialect::RefusedField& field : refused) {
    std::string value = current_json(body, field.path);
    if (value.empty() || (field.value_json && *field.value_json != value)) continue;
    edits.push_back({field.path, {}});
    if (field.instead.empty()) {
      losses.add(field.name(), field.value_json ? "the provider does not take this value" : "the provider does not take it");
    } else {
      std::vector<std::string> path = field.path;
      path.back() = field.instead;
      edits.push_back({std::move(path), std::move(value)});
      losses.add(field.name(), "the provider calls it " + field.instead);
    }
  }
  return edits.empty() ? Result<std::string>(std::string()) : json::splice(body, edits);
}

Result<std::string> upstream_body(const config::Snapshot& config, const rules::Sample& sample,
                                  const rules::Decision& decision) {
  const rules::Target& target = decision.targets.front();
  OutgoingRequest outgoing;
  outgoing.body = sample.body;  // padded when it was read
  outgoing.outline = &sample.outline;
  outgoing.spoken = dialect::by_name(sample.dialect);
  outgoing.provider = config.provider(target.provider);
  outgoing.model = target.model;
  outgoing.models = &config.models();
  outgoing.edits = &decision.edits;
  outgoing.estimated_input_tokens = sample.facts.tokens;
  if (outgoing.provider == nullptr || outgoing.spoken == nullptr)
    return bad_request("there is no provider '" + target.provider + "'");
  std::vector<dialect::RenamedTool> renamed;
  chat::LossNotes losses;
  CCR_TRY(body, outgoing_body(outgoing, renamed, losses));
  return body.empty() ? sample.body : body;
}

void apply_edits(const std::vector<FieldEdit>& edits, chat::Request& request) {
  for (const FieldEdit& edit : edits) {
    if (edit.field == "max_tokens") {
      edit_number(edit, request.max_tokens);
    } else if (edit.field == "temperature") {
      edit_number(edit, request.temperature);
    } else if (edit.field == "top_p") {
      edit_number(edit, request.top_p);
    } else if (edit.field == "top_k") {
      edit_number(edit, request.top_k);
    } else if (edit.field == "thinking.budget_tokens") {
      edit_number(edit, request.thinking.budget_tokens);
    } else if (edit.field == "effort") {
      edit_text(edit, request.effort);
    } else if (edit.field == "metadata.user_id") {
      edit_text(edit, request.user_id);
    } else if (edit.field == "stop_sequences") {
      edit_stop_sequences(edit, request.stop_sequences);
    } else if (edit.field == "thinking" || edit.field == "thinking.type") {
      edit_thinking(edit, request.thinking);
    } else if (edit.field == "tool_choice") {
      edit_tool_choice(edit, request.tool_choice);
    }
  }
}

std::string forwarded_query(std::string_view from_client) {
  if (from_client.find("key=") == std::string_view::npos) return std::string(from_client);
  std::string out;
  for (const std::string_view part : text::split(from_client, '&')) {
    if (part.starts_with("key=")) continue;
    if (!out.empty()) out += '&';
    out += part;
  }
  return out;
}

http::Headers forwarded_headers(const http::Headers& from_client) {
  http::Headers headers;
  const auto named = named_in_connection(from_client);
  for (std::size_t i = 0; i < from_client.size(); ++i) {
    const auto [name, value] = from_client.at(i);
    if (stays_on_hop(name, named)) continue;
    if (text::starts_with_ignore_case(name, "x-ccrules-") || text::starts_with_ignore_case(name, "sec-"))
      continue;
    if (!kNeverForwarded.has(name)) headers.add(name, value);
  }
  return headers;
}

void forward_reply_headers(const http::Headers& from_provider, const config::Provider& provider, const config::Listen& listen,
                           http::Headers& to_client) {
  const auto named = named_in_connection(from_provider);
  for (std::size_t i = 0; i < from_provider.size(); ++i) {
    const auto [name, value] = from_provider.at(i);
    if (stays_on_hop(name, named) || text::equals_ignore_case(name, "set-cookie") ||
        text::starts_with_ignore_case(name, "x-ccrules-") ||
        text::starts_with_ignore_case(name, "access-control-") || text::equals_ignore_case(name, "date")) {
      continue;
    }
    if (provider::holds_key(value, provider)) continue;
    if (listen.shared && (text::starts_with_ignore_case(name, "anthropic-ratelimit-") || kOfTheAccount.has(name))) continue;
    to_client.add(name, value);
  }
}

}  // namespace ccrules::proxy
