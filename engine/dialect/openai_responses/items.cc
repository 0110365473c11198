#include "core/text.h"
#include "dialect/members.h"
#include "dialect/openai_responses/parts.h"
#include "dialect/signature.h"
#include "dialect/tools.h"

namespace ccrules::dialect::responses {
namespace {

using json::Type;

/// Stands for a provider's name in signatures of reasoning that never passed through here.
constexpr std::string_view kForeignReasoning = "openai_responses";
/// Stands for a model's name: the payload is redacted thinking, not a signature.
constexpr std::string_view kRedacted = "redacted";

std::string text_of(json::Value& value) {
  if (!value.is(Type::kString)) return {};
  const auto text = value.string();
  return text ? std::string(*text) : std::string();
}

/// Whether the value is a list of something.
bool holds_any(json::Value& value) {
  const auto raw = value.raw();
  return raw && raw->starts_with('[') && *raw != "[]";
}

/// The texts of `content` or `summary`: [{type, text}, ...], or one string.
void read_parts(json::Value& value, std::vector<Part>& parts, bool& annotations) {
  if (value.is(Type::kString)) {
    parts.push_back({text_of(value), false});
    return;
  }
  if (!value.is(Type::kArray)) return;
  auto array = value.array();
  while (array && array->next()) {
    if (!array->value().is(Type::kObject)) continue;
    Part part;
    bool has_text = false;
    auto members = array->value().object();
    while (members && members->next()) {
      if (members->key() == "annotations") annotations = holds_any(members->value()) || annotations;
      if (members->key() != "text" && members->key() != "refusal") continue;
      part.refusal = members->key() == "refusal";
      part.text = text_of(members->value());
      has_text = true;
    }
    if (has_text) parts.push_back(std::move(part));
  }
}

std::string joined(const std::vector<Part>& parts) {
  std::string text;
  for (const Part& part : parts) {
    if (!text.empty() && !part.text.empty()) text += "\n\n";
    text += part.text;
  }
  return text;
}

/// A server's arguments are a string; some send the object itself.
std::string arguments_of(json::Value& value) {
  if (value.is(Type::kString)) return text_of(value);
  if (value.is_null()) return {};
  const auto raw = value.raw();
  return raw ? std::string(*raw) : std::string();
}

/// A call of the provider's own tool that looked something up: pages that it opened behind that are no searches.
bool is_search(const json::Value& item) {
  if (item.peek_string("type") != "web_search_call") return false;
  const auto action = item.peek("action");
  return !action || action->peek_string("type").value_or("search") == "search";
}

}  // namespace

Item::Kind kind_of(std::string_view type) {
  if (type == "message") return Item::Kind::kMessage;
  if (type == "reasoning") return Item::Kind::kReasoning;
  if (type == "function_call") return Item::Kind::kCall;
  if (type == "custom_tool_call") return Item::Kind::kCustomCall;
  return Item::Kind::kOther;
}

Item read_item(std::string_view item_json) {
  auto document = json::Document::open_view(item_json);
  if (!document) return {};
  auto members = document->root_object();
  return members ? read_item(*members) : Item();
}

Item read_item(json::Object& members, std::string* unknown_json) {
  Item item;
  std::vector<Part> content;
  std::vector<Part> summary;
  while (members.next()) {
    const std::string_view key = members.key();
    json::Value& value = members.value();
    if (key == "type")
      item.type = text_of(value);
    else if (key == "id")
      item.id = text_of(value);
    else if (key == "call_id")
      item.call_id = text_of(value);
    else if (key == "name")
      item.name = text_of(value);
    else if (key == "arguments" || key == "input")
      item.arguments = arguments_of(value);
    else if (key == "content")
      read_parts(value, content, item.has_annotations);
    else if (key == "summary")
      read_parts(value, summary, item.has_annotations);
    else if (key == "encrypted_content")
      item.has_encrypted = value.is(Type::kString) && value.peek_raw().size() > 2;
    else if (key == "phase" && value.is(Type::kString) && unknown_json == nullptr)
      item.has_phase = true;
    else if (key == "namespace" && value.is(Type::kString)) {
      item.space = text_of(value);
      if (!item.space.empty()) keep_member(item.extra_json, "namespace", value.peek_raw());
    } else if (unknown_json != nullptr && key != "status") {
      (void)keep_unknown(*unknown_json, key, value);  // what cannot be read ends the loop
    }
  }
  item.kind = kind_of(item.type);
  if (item.kind == Item::Kind::kReasoning)
    item.reasoning = joined(summary.empty() ? content : summary);
  else
    item.parts = std::move(content);
  if (item.kind == Item::Kind::kCustomCall) keep_member(item.extra_json, "type", "\"custom_tool_call\"");
  return item;
}

void note_losses(const Item& item, chat::LossNotes& losses) {
  if (item.kind != Item::Kind::kMessage) return;
  if (item.has_phase) losses.add("phase", "no other dialect tells comments from answers");
  if (item.has_annotations) losses.add("annotations", "the answer's citations are not carried into another dialect");
}

std::string reasoning_signature(std::string_view item_json, const ReaderOptions& options) {
  const bool spread = item_json.find('\n') != std::string_view::npos;
  return signature::encode(
      {options.provider, options.model, spread ? json::compact(item_json) : std::string(item_json)});
}

std::string wrapped_input(std::string_view input) {
  std::string arguments;
  json::Writer(arguments).begin_object().member("input", input).end_object();
  return arguments;
}

std::string unwrapped_input(std::string_view arguments_json) {
  auto document = json::Document::open(arguments_json);
  if (!document) return std::string(arguments_json);
  auto members = document->root_object();
  while (members && members->next()) {
    if (members->key() == "input" && members->value().is(Type::kString)) return text_of(members->value());
  }
  return std::string(arguments_json);
}

std::string encrypted_content(const chat::Thinking& thinking) {
  if (thinking.redacted) return signature::encode({{}, std::string(kRedacted), thinking.text});
  if (thinking.signature.empty() || signature::is_ours(thinking.signature)) return thinking.signature;
  return signature::encode({{}, {}, thinking.signature});
}

chat::Thinking thinking_of(const Item& item, std::string_view item_json, std::string_view encrypted) {
  chat::Thinking thinking;
  thinking.text = item.reasoning;
  if (!signature::is_ours(encrypted)) {
    // Without an origin nobody but this dialect may have it back.
    thinking.signature = signature::encode({std::string(kForeignReasoning), {}, std::string(item_json)});
    return thinking;
  }
  auto origin = signature::decode(encrypted);
  if (origin && origin->provider.empty() && origin->model == kRedacted) {
    thinking.redacted = true;
    thinking.text = std::move(origin->payload);
  } else if (origin && origin->provider.empty()) {
    thinking.signature = std::move(origin->payload);
  } else {
    thinking.signature = encrypted;
  }
  return thinking;
}

Result<Envelope> read_envelope(json::Value& response) {
  Envelope envelope;
  std::optional<std::string> tier;
  std::int64_t searches = 0;
  CCR_TRY(members, response.object());
  while (members.next()) {
    const std::string_view key = members.key();
    json::Value& value = members.value();
    if (key == "id") {
      envelope.id = text_of(value);
    } else if (key == "model") {
      envelope.model = text_of(value);
    } else if (key == "status") {
      envelope.status = text_of(value);
    } else if (key == "usage") {
      envelope.usage = read_usage(value);
    } else if (key == "service_tier") {
      tier = chat::tier_named(text_of(value));
    } else if (key == "error" && !value.is_null()) {
      CCR_TRY(raw, value.raw());
      envelope.error_json = raw;
    } else if (key == "incomplete_details" && value.is(Type::kObject)) {
      envelope.incomplete_reason = value.peek_string("reason").value_or(std::string_view());
    } else if (key == "output" && value.is(Type::kArray)) {
      envelope.has_output = true;
      CCR_TRY(items, value.array());
      while (items.next()) {
        if (items.value().is(Type::kObject) && is_search(items.value())) ++searches;
        CCR_TRY(raw, items.value().raw());
        envelope.items.push_back(raw);
      }
      CCR_CHECK(items.done());
    }
  }
  CCR_CHECK(members.done());
  envelope.usage.service_tier = std::move(tier);
  envelope.usage.charge(chat::fee::kWebSearch, searches);
  return envelope;
}

chat::StopReason stop_reason_of(const Envelope& envelope, bool called_tools, bool refused) {
  if (envelope.status == "incomplete") {
    return envelope.incomplete_reason == "content_filter" ? chat::StopReason::kRefusal
                                                          : chat::StopReason::kMaxTokens;
  }
  if (called_tools) return chat::StopReason::kToolUse;
  if (!envelope.status.empty() && envelope.status != "completed") return chat::StopReason::kOther;  // a job that still runs
  return refused ? chat::StopReason::kRefusal : chat::StopReason::kEndTurn;
}

// --- writing

std::string_view status_of(chat::StopReason reason) {
  switch (reason) {
    case chat::StopReason::kMaxTokens:
    case chat::StopReason::kContextExceeded:
    case chat::StopReason::kRefusal:
      return "incomplete";
    default:
      return "completed";
  }
}

std::string ItemWriter::response_id(std::string_view given) const {
  const std::string_view id = given.empty() ? std::string_view(options_.id) : given;
  return id.starts_with("resp_") ? std::string(id) : "resp_" + std::string(id);
}

std::string ItemWriter::item_id(std::string_view prefix, std::string_view response_id, std::size_t place) {
  if (response_id.starts_with("resp_")) response_id.remove_prefix(5);
  return std::string(prefix) + std::string(response_id) + "_" + std::to_string(place);
}

bool ItemWriter::is_custom(std::string_view tool_name) const {
  for (const std::string& name : options_.custom_tools) {
    if (name == tool_name) return true;
  }
  return false;
}

std::string ItemWriter::full_name(const chat::ToolCall& call) {
  if (call.extra_json.empty() || split_name(call.name)) return call.name;
  auto document = json::Document::open(call.extra_json);
  auto root = document ? document->root() : Result<json::Value>(document.error());
  const auto space = root ? root->peek_string("namespace") : std::nullopt;
  return space ? spaced_name(*space, call.name) : call.name;
}

void ItemWriter::append_name(std::string& out, const chat::ToolCall& call) {
  const std::string name = full_name(call);
  const auto parts = split_name(name);
  out += ",\"name\":";
  json::append_string(out, parts ? parts->inner : std::string_view(name));
  if (!parts) return;
  out += ",\"namespace\":";
  json::append_string(out, parts->space);
}

std::string ItemWriter::item(const chat::Block& block, std::string_view response_id, std::size_t place,
                             std::string_view status) const {
  std::string out;
  json::Writer writer(out);
  if (const auto* text = std::get_if<chat::Text>(&block.value)) {
    writer.begin_object().member("id", item_id("msg_", response_id, place)).member("type", "message");
    writer.member("status", status).key("content").begin_array().begin_object();
    writer.member("type", "output_text").key("annotations").begin_array().end_array();
    writer.key("logprobs").begin_array().end_array().member("text", text->text).end_object().end_array();
    writer.member("role", "assistant").end_object();
  } else if (const auto* thinking = std::get_if<chat::Thinking>(&block.value)) {
    writer.begin_object().member("id", item_id("rs_", response_id, place)).member("type", "reasoning");
    writer.key("summary").begin_array();
    if (!thinking->redacted && !thinking->text.empty())
      writer.begin_object().member("type", "summary_text").member("text", thinking->text).end_object();
    writer.end_array();
    if (const std::string encrypted = encrypted_content(*thinking); !encrypted.empty())
      writer.member("encrypted_content", encrypted);
    writer.end_object();
  } else if (const auto* call = std::get_if<chat::ToolCall>(&block.value)) {
    const bool custom = is_custom(full_name(*call));
    writer.begin_object().member("id", item_id(custom ? "ctc_" : "fc_", response_id, place));
    writer.member("type", custom ? "custom_tool_call" : "function_call").member("status", status);
    if (custom) {
      writer.member("input", unwrapped_input(call->arguments_json));
    } else {
      writer.member("arguments", call->arguments_json.empty() ? std::string_view("{}")
                                                              : std::string_view(call->arguments_json));
    }
    writer.member("call_id", call->id);
    append_name(out, *call);
    out += '}';
  } else if (const auto* opaque = std::get_if<chat::Opaque>(&block.value);
             opaque != nullptr && opaque->dialect == kName) {
    out = opaque->json;
  }
  return out;
}

void ItemWriter::response(json::Writer& writer, std::string_view id, std::string_view model,
                          std::string_view status, std::string_view output_json, const chat::Usage* usage,
                          chat::StopReason reason) const {
  writer.begin_object().member("id", id).member("object", "response");
  writer.member("created_at", options_.created_s).member("status", status).member("background", false);
  writer.key("error").null().key("incomplete_details");
  if (status == "incomplete") {
    writer.begin_object()
        .member("reason", reason == chat::StopReason::kRefusal ? "content_filter" : "max_output_tokens")
        .end_object();
  } else {
    writer.null();
  }
  writer.key("instructions").null().key("max_output_tokens").null();
  writer.member("model", options_.model.empty() ? model : std::string_view(options_.model));
  writer.member_raw("output", output_json).member("parallel_tool_calls", true);
  writer.key("previous_response_id").null();
  writer.key("reasoning").begin_object().key("effort").null().key("summary").null().end_object();
  writer.member("store", false).key("temperature").null();
  writer.key("text").begin_object().key("format").begin_object().member("type", "text").end_object();
  writer.end_object().member("tool_choice", "auto").key("tools").begin_array().end_array();
  writer.key("top_p").null().member("truncation", "disabled").key("usage");
  if (usage == nullptr) {
    writer.null();
  } else {
    write_usage(writer, *usage);
  }
  writer.key("user").null().key("metadata").begin_object().end_object().end_object();
}

}  // namespace ccrules::dialect::responses
