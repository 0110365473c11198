#include "dialect/openai_chat/message_writer.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/text.h"
#include "dialect/call_ids.h"
#include "dialect/gemini/parts.h"
#include "dialect/signature.h"
#include "dialect/tools.h"
#include "dialect/words.h"

namespace ccrules::dialect::openai {
namespace {

/// The reasoning_replay of Google's address for OpenAI clients.
constexpr std::string_view kThoughtSignature = "thought_signature";

/// A tool call of the last assistant turn and the id it was sent with.
struct Call {
  std::string_view id;
  std::string sent_id;
  bool answered = false;
};

using Messages = std::span<const chat::Message>;

class MessageWriter {
 public:
  MessageWriter(std::string& out, const chat::Request& request, const Capabilities& target,
                chat::LossNotes& losses)
      : out_(out),
        request_(request),
        target_(target),
        losses_(losses),
        same_format_(request.dialect == "openai_chat"),
        keeps_cache_control_(same_format_ || target.cache_control),
        wants_signed_calls_(target.reasoning_replay == kThoughtSignature && gemini_dialect().wants_signed_calls(target.model)),
        ids_(target.nine_character_tool_ids ? CallIds::Form::kNine : CallIds::Form::kUpTo40) {}

  Result<void> write() {
    out_ += '[';
    write_system_prompt();
    const Messages all = request_.messages;
    for (std::size_t at = 0; at < all.size();) {
      const Messages turn = turn_at(all, at);
      at += turn.size();
      if (turn.front().role == chat::Role::kAssistant) {
        CCR_CHECK(write_assistant(turn, at == all.size()));
      } else {
        write_other(turn);
      }
    }
    if (!wrote_message_) return nothing_to_send();
    out_ += ']';
    return {};
  }

 private:
  /// Neighbouring assistant messages are one turn, as Anthropic reads them; so is everything between two of
  /// those.
  static Messages turn_at(Messages all, std::size_t at) {
    const bool assistant = all[at].role == chat::Role::kAssistant;
    std::size_t end = at;
    while (end < all.size() && (all[end].role == chat::Role::kAssistant) == assistant) ++end;
    return all.subspan(at, end - at);
  }

  void open_message(std::string_view role) {
    if (wrote_message_) out_ += ',';
    wrote_message_ = true;
    out_.append("{\"role\":\"").append(role).append("\"");
  }

  [[nodiscard]] std::string_view system_role() const {
    return target_.developer_role ? "developer" : "system";
  }

  void note_cache_control(const std::string& cache_control_json) {
    if (cache_control_json.empty() || noted_cache_control_) return;
    noted_cache_control_ = true;
    losses_.add("cache_control", "chat completions have no cache breakpoints");
  }

  // --- system

  void write_system_prompt() {
    const std::size_t start = out_.size();
    const bool separated = wrote_message_;
    open_message(system_role());
    out_ += ",\"content\":";
    const bool any = write_texts(request_.system, {}, {});
    if (system_members_ != nullptr) append_extra(system_members_->json);
    out_ += '}';
    if (!any) take_back(start, separated);
  }

  /// Whether the block is a text whose cache breakpoint stays.
  [[nodiscard]] bool has_kept_breakpoint(const chat::Block& block) const {
    const auto* text = std::get_if<chat::Text>(&block.value);
    return text != nullptr && keeps_cache_control_ && !text->cache_control_json.empty();
  }

  /// Removes the message that turned out to say nothing.
  void take_back(std::size_t start, bool separated) {
    out_.resize(start);
    wrote_message_ = separated;
  }

  /// The content of a message that only holds text: one string, or parts where a cache breakpoint has to
  /// stay.
  /// @return false when there was no text
  bool write_texts(const std::vector<chat::Block>& blocks, std::string_view before, std::string_view after) {
    const bool as_parts = std::any_of(blocks.begin(), blocks.end(),
                                      [&](const chat::Block& block) { return has_kept_breakpoint(block); });
    bool any = false;
    bool first = true;
    JoinedString joined(out_, "\n\n");
    if (as_parts)
      out_ += '[';
    else if (!before.empty())
      joined.add(before);
    for (const chat::Block& block : blocks) {
      if (const auto* text = std::get_if<chat::Text>(&block.value)) {
        const json::TextView shown = shown_text(*text);
        any = any || !is_blank(shown);
        if (shown.empty()) continue;
        if (as_parts)
          append_text_part(shown, first, text);
        else
          joined.add(shown);
      } else if (is_orphan(block)) {
        any = true;
        const std::string text_form = orphan_text(std::get<chat::ToolResult>(block.value), losses_);
        if (as_parts)
          append_text_part(text_form, first);
        else
          joined.add(text_form);
      } else if (const auto* opaque = std::get_if<chat::Opaque>(&block.value)) {
        if (same_format_ && system_members_ == nullptr && opaque->dialect == "openai_chat message") {
          system_members_ = opaque;
          continue;
        }
        losses_.add("system." + opaque->type, "chat completions have no such content");
      } else if (std::holds_alternative<chat::Image>(block.value)) {
        losses_.add("system.image", "system prompts are text only");
      } else if (std::holds_alternative<chat::Document>(block.value)) {
        losses_.add("system.document", "system prompts are text only");
      }
    }
    if (as_parts) {
      out_ += ']';
    } else {
      if (!after.empty()) joined.add(after);
      joined.close();
    }
    return any;
  }

  json::TextView shown_text(const chat::Text& text) {
    if (!keeps_cache_control_) note_cache_control(text.cache_control_json);
    return without_attribution(text.text, losses_);
  }

  // --- assistant

  Result<void> write_assistant(Messages turn, bool last) {
    calls_.clear();
    bool has_text = false;
    bool has_calls = false;
    bool has_own_parts = false;
    for (const chat::Message& message : turn) {
      for (const chat::Block& block : message.blocks) {
        if (const auto* text = std::get_if<chat::Text>(&block.value)) {
          has_text = has_text || !is_blank(text->text);
          has_own_parts = has_own_parts || has_kept_breakpoint(block);
        }
        if (const auto* opaque = std::get_if<chat::Opaque>(&block.value))
          has_own_parts = has_own_parts || opaque->dialect == "openai_chat";
        has_calls = has_calls || std::holds_alternative<chat::ToolCall>(block.value);
      }
    }
    const bool says_something = has_text || has_calls;
    if (!says_something || (!has_text && !has_own_parts)) note_uncarried(turn);
    if (!says_something) {  // no provider takes such a message (G-13)
      note_reasoning(turn);
      return {};
    }
    const bool prefill = last && !has_calls;
    if (prefill && !target_.prefill && !same_format_) {
      return bad_request(
          "this model does not support assistant message prefill (the conversation must end with a user "
          "message); "
          "remove the last assistant message or route to a model that continues answers");
    }
    open_message("assistant");
    out_ += ",\"content\":";
    if (has_own_parts)
      write_own_parts(turn);
    else if (has_text)
      write_assistant_text(turn, prefill);
    else
      out_ += "null";
    write_reasoning(turn, has_calls);
    if (has_calls) write_calls(turn);
    if (same_format_) {
      for (const chat::Message& message : turn) append_extra(message.extra_json);
    }
    out_ += '}';
    return {};
  }

  void write_assistant_text(Messages turn, bool prefill) {
    JoinedString content(out_, "\n\n");
    const chat::Text* last_text = nullptr;
    for (const chat::Message& message : turn) {
      for (const chat::Block& block : message.blocks) {
        if (const auto* text = std::get_if<chat::Text>(&block.value);
            text != nullptr && !is_blank(text->text))
          last_text = text;
      }
    }
    for (const chat::Message& message : turn) {
      for (const chat::Block& block : message.blocks) {
        if (const auto* text = std::get_if<chat::Text>(&block.value)) {
          note_cache_control(text->cache_control_json);
          if (is_blank(text->text)) continue;
          if (prefill && text == last_text) {
            // An answer that ends in white space is refused by those that continue answers.
            const std::string_view shown = text->text.view();
            content.add(shown.substr(0, shown.find_last_not_of(" \t\r\n") + 1));
          } else {
            content.add(text->text);
          }
        } else {
          note_uncarried(block);
        }
      }
    }
    content.close();
  }

  /// Content parts of a chat vendor (Mistral's thinking) stay parts.
  void write_own_parts(Messages turn) {
    out_ += '[';
    bool first = true;
    for (const chat::Message& message : turn) {
      for (const chat::Block& block : message.blocks) {
        if (std::holds_alternative<chat::Text>(block.value) ||
            std::holds_alternative<chat::Opaque>(block.value))
          append_part(block, first);
        else
          note_uncarried(block);
      }
    }
    out_ += ']';
  }

  void note_uncarried(Messages turn) {
    for (const chat::Message& message : turn) {
      for (const chat::Block& block : message.blocks) note_uncarried(block);
    }
  }

  void note_reasoning(Messages turn) {
    for (const chat::Message& message : turn) {
      for (const chat::Block& block : message.blocks) {
        if (std::holds_alternative<chat::Thinking>(block.value)) losses_.add("thinking", "no chat completion is made of reasoning alone");
      }
    }
  }

  void note_uncarried(const chat::Block& block) {
    if (const auto* opaque = std::get_if<chat::Opaque>(&block.value)) {
      losses_.add("content." + opaque->type, "chat completions have no such content");
    } else if (std::holds_alternative<chat::Image>(block.value)) {
      losses_.add("assistant.image", "chat completions take no images from the assistant");
    } else if (std::holds_alternative<chat::Document>(block.value)) {
      losses_.add("assistant.document", "chat completions take no documents from the assistant");
    }
  }

  /// Reasoning goes back only to the provider it came from, in the form that provider asks for (G-8, G-11).
  void write_reasoning(Messages turn, bool has_calls) {
    // A chat client that sends reasoning back knows its provider.
    const bool as_content =
        target_.reasoning_replay == "reasoning_content" || (same_format_ && target_.reasoning_replay.empty());
    const bool as_details = target_.reasoning_replay == "reasoning_details";
    const bool as_signature = target_.reasoning_replay == kThoughtSignature;
    std::string text;
    std::string details;
    bool dropped = false;
    for (const chat::Message& message : turn) {
      for (const chat::Block& block : message.blocks) {
        const auto* thinking = std::get_if<chat::Thinking>(&block.value);
        if (thinking == nullptr) continue;
        const auto origin = signature::decode(thinking->signature);
        const bool same_provider =
            thinking->signature.empty() || (origin && origin->provider == target_.provider);
        const bool same_model = origin && origin->model == target_.model;
        const bool only_signs = thinking->text.empty() && !thought_signature(*thinking).empty();
        if (!thinking->redacted && (as_signature ? same_provider && same_model : only_signs)) {
          continue;  // write_calls() has what is signed; summaries of Google's thoughts do not go back
        } else if (thinking->redacted || !same_provider || (!as_content && !as_details)) {
          dropped = true;
        } else if (as_details && same_model && is_array(origin->payload)) {
          const std::string_view items(origin->payload.data() + 1, origin->payload.size() - 2);
          if (!details.empty() && !items.empty()) details += ',';
          details += items;
        } else {
          if (!text.empty() && !thinking->text.empty()) text += "\n\n";
          text += thinking->text;
        }
      }
    }
    if (dropped) losses_.add("thinking", "reasoning of another model cannot be sent to this one");
    if (!details.empty()) out_.append(",\"reasoning_details\":[").append(details).append("]");
    if (as_content && (!text.empty() || (has_calls && !same_format_))) {
      out_ += ",\"reasoning_content\":";
      json::append_string(out_, text);
    } else if (as_details && !text.empty()) {
      out_ += ",\"reasoning\":";
      json::append_string(out_, text);
    }
  }

  static bool is_array(const std::string& payload) {
    return payload.starts_with('[') && json::is_valid(payload);
  }

  /// What Google signed of the call behind this thinking; empty when it is another model's or none of Google's.
  [[nodiscard]] std::string thought_signature(const chat::Thinking& thinking) const {
    auto origin = signature::decode(thinking.signature);
    const bool same = origin && origin->provider == target_.provider && origin->model == target_.model;
    return same && !is_array(origin->payload) ? std::move(origin->payload) : std::string();
  }

  void append_thought_signature(std::string_view signature) {
    if (signature.empty()) return;
    out_ += R"(,"extra_content":{"google":{"thought_signature":)";
    json::append_string(out_, signature);
    out_ += "}}";
  }

  void write_calls(Messages turn) {
    out_ += ",\"tool_calls\":[";
    bool first = true;
    std::string signed_before;
    for (const chat::Message& message : turn) {
      for (const chat::Block& block : message.blocks) {
        if (const auto* thinking = std::get_if<chat::Thinking>(&block.value)) {
          if (auto found = thought_signature(*thinking); !found.empty()) signed_before = std::move(found);
          continue;
        }
        const auto* call = std::get_if<chat::ToolCall>(&block.value);
        if (call == nullptr) continue;
        note_cache_control(call->cache_control_json);
        calls_.push_back({call->id, sent_id(call->id), false});
        // One of another model's history, or lost by the client: without the sentinel the whole request is refused.
        if (first && signed_before.empty() && wants_signed_calls_) signed_before = gemini::kNoSignature;
        if (!first) out_ += ',';
        first = false;
        out_ += "{\"id\":";
        json::append_string(out_, calls_.back().sent_id);
        out_ += R"(,"type":"function","function":{"name":)";
        append_tool_name(out_, call->name);
        out_ += ",\"arguments\":";
        append_arguments(call->arguments_json);
        out_ += '}';
        const bool has_own = same_format_ && call->extra_json.find("\"extra_content\"") != std::string::npos;
        if (!has_own) append_thought_signature(signed_before);
        signed_before.clear();
        if (same_format_) append_extra(call->extra_json);
        out_ += '}';
      }
    }
    out_ += ']';
  }

  void append_arguments(const std::string& arguments) {
    if (!same_format_ && arguments.starts_with('"')) {  // encoded twice, as some servers do
      const std::string object = unwrapped_arguments(arguments);
      json::append_string(out_, object.empty() ? std::string_view("{}") : std::string_view(object));
    } else if (is_blank(arguments)) {
      out_ += "\"{}\"";
    } else if (is_spaced(arguments) && json::is_valid(arguments)) {
      json::append_string(out_, json::compact(arguments));
    } else {
      json::append_string(out_, arguments);
    }
  }

  /// Whether the JSON was written with white space between its tokens, judged by its first ones.
  static bool is_spaced(std::string_view json) {
    if (json.size() < 2 || json.front() != '{') return true;
    if (json[1] == ' ' || json[1] == '\n' || json[1] == '\r' || json[1] == '\t') return true;
    const std::size_t colon = json.find("\":");
    return colon != std::string_view::npos && colon + 2 < json.size() &&
           (json[colon + 2] == ' ' || json[colon + 2] == '\n');
  }

  /// In its own format a history goes back as it came, odd and repeated ids included.
  std::string sent_id(std::string_view id) {
    if (same_format_ && !target_.nine_character_tool_ids && !id.empty()) return std::string(id);
    return ids_.sent(id);
  }

  // --- what stands between two assistant turns

  void write_other(Messages turn) {
    orphans_.clear();
    result_media_.clear();
    for (const chat::Message& message : turn) {
      for (const chat::Block& block : message.blocks) {
        if (const auto* result = std::get_if<chat::ToolResult>(&block.value)) write_result(*result);
      }
    }
    for (const Call& call : calls_) {
      if (call.answered) continue;
      losses_.add("tool_result.missing", "a tool call without a result was answered with \"[no result]\"");
      open_tool_message(call.sent_id);
      out_ += "\"[no result]\"}";
    }
    calls_.clear();
    for (const chat::Message& message : turn) {
      if (message.role == chat::Role::kSystem)
        write_mid_system(message);
      else
        write_user(message);
    }
    if (!result_media_.empty()) {
      const chat::Message none;
      write_user(none);
    }
  }

  void open_tool_message(std::string_view sent_id) {
    open_message("tool");
    out_ += ",\"tool_call_id\":";
    json::append_string(out_, sent_id);
    out_ += ",\"content\":";
  }

  void write_result(const chat::ToolResult& result) {
    const auto call = std::find_if(calls_.begin(), calls_.end(), [&](const Call& asked) {
      return !asked.answered && asked.id == result.call_id;
    });
    if (call == calls_.end()) {
      orphans_.push_back(&result);
      return;
    }
    call->answered = true;
    note_cache_control(result.cache_control_json);
    open_tool_message(call->sent_id);
    const auto any_of = [&](auto&& holds) {
      return std::any_of(result.content.begin(), result.content.end(), holds);
    };
    const bool as_parts =
        any_of([&](const chat::Block& block) { return has_kept_breakpoint(block); }) ||
        (target_.vision && target_.tool_message_images &&
         any_of([](const chat::Block& block) { return std::holds_alternative<chat::Image>(block.value); }));
    if (as_parts)
      write_result_parts(result);
    else
      write_result_text(result);
    if (same_format_) append_extra(result.extra_json);
    out_ += '}';
  }

  void write_result_text(const chat::ToolResult& result) {
    JoinedString content(out_, "\n");
    for (const chat::Block& block : result.content)
      add_result_part(block, content, result.is_error && !content.started());
    if (!content.started() && result.is_error) content.add("Error: ");
    content.close();
  }

  void add_result_part(const chat::Block& block, JoinedString& content, bool mark_error) {
    const auto add = [&](json::TextView text) {
      if (mark_error)
        content.add("Error: ", text);
      else
        content.add(text);
    };
    if (const auto* text = std::get_if<chat::Text>(&block.value)) {
      note_cache_control(text->cache_control_json);
      add(text->text);
    } else if (std::holds_alternative<chat::Image>(block.value)) {
      if (!target_.vision) {
        add(kNoVision);
        note_no_vision();
      } else {
        add("[image attached below]");
        result_media_.push_back(&block);
      }
    } else if (const auto* document = std::get_if<chat::Document>(&block.value)) {
      if (document->kind == chat::SourceKind::kText || document->kind == chat::SourceKind::kBlocks) {
        add(document_text(*document, losses_));
      } else {
        add("[document attached below]");
        result_media_.push_back(&block);
      }
    } else if (const auto* opaque = std::get_if<chat::Opaque>(&block.value)) {
      const std::string text_form = opaque_text(*opaque, losses_);
      if (!text_form.empty())
        add(text_form);
      else
        losses_.add("tool_result." + opaque->type, "chat completions have no such content");
    }
  }

  void write_result_parts(const chat::ToolResult& result) {
    out_ += '[';
    bool first = true;
    if (result.is_error) append_text_part("Error:", first);
    for (const chat::Block& block : result.content) append_part(block, first);
    out_ += ']';
  }

  void write_mid_system(const chat::Message& message) {
    const std::size_t start = out_.size();
    const bool separated = wrote_message_;
    open_message(target_.mid_system ? system_role() : "user");
    out_ += ",\"content\":";
    const bool wraps = !target_.mid_system;
    const bool any =
        write_texts(message.blocks, wraps ? "<system-reminder>" : "", wraps ? "</system-reminder>" : "");
    out_ += '}';
    if (!any) take_back(start, separated);
  }

  void write_user(const chat::Message& message) {
    bool only_text = result_media_.empty();
    for (const chat::Block& block : message.blocks) {
      only_text = only_text && (std::holds_alternative<chat::Text>(block.value) || is_orphan(block) ||
                                std::holds_alternative<chat::ToolResult>(block.value));
    }
    const std::size_t start = out_.size();
    const bool separated = wrote_message_;
    open_message("user");
    if (!message.name.empty()) {
      out_ += ",\"name\":";
      json::append_string(out_, message.name);
    }
    out_ += ",\"content\":";
    const bool any = only_text ? write_texts(message.blocks, {}, {}) : write_user_parts(message);
    if (same_format_) append_extra(message.extra_json);
    out_ += '}';
    if (!any) take_back(start, separated);
  }

  [[nodiscard]] bool is_orphan(const chat::Block& block) const {
    const auto* result = std::get_if<chat::ToolResult>(&block.value);
    return result != nullptr && std::find(orphans_.begin(), orphans_.end(), result) != orphans_.end();
  }

  bool write_user_parts(const chat::Message& message) {
    out_ += '[';
    bool first = true;
    for (const chat::Block* block : result_media_) append_part(*block, first);
    result_media_.clear();
    for (const chat::Block& block : message.blocks) {
      if (is_orphan(block))
        append_text_part(orphan_text(std::get<chat::ToolResult>(block.value), losses_), first);
      else
        append_part(block, first);
    }
    out_ += ']';
    return !first;
  }

  // --- content parts

  void note_no_vision() { losses_.add("image", "the model has no vision"); }

  /// `source`: the block the text came from, whose cache breakpoint goes along.
  void append_text_part(json::TextView text, bool& first, const chat::Text* source = nullptr) {
    if (text.empty()) return;
    if (!first) out_ += ',';
    first = false;
    out_ += R"({"type":"text","text":)";
    json::append_string(out_, text);
    if (source != nullptr && keeps_cache_control_ && !source->cache_control_json.empty()) {
      out_.append(",\"cache_control\":").append(source->cache_control_json);
    }
    if (source != nullptr && same_format_) append_extra(source->extra_json);
    out_ += '}';
  }

  void append_part(const chat::Block& block, bool& first) {
    if (const auto* text = std::get_if<chat::Text>(&block.value)) {
      append_text_part(shown_text(*text), first, text);
    } else if (const auto* image = std::get_if<chat::Image>(&block.value)) {
      append_image(*image, first);
    } else if (const auto* document = std::get_if<chat::Document>(&block.value)) {
      append_document(*document, first);
    } else if (const auto* opaque = std::get_if<chat::Opaque>(&block.value)) {
      append_opaque(*opaque, first);
    }
  }

  void append_image(const chat::Image& image, bool& first) {
    note_cache_control(image.cache_control_json);
    if (!target_.vision) {
      note_no_vision();
      append_text_part(kNoVision, first);
      return;
    }
    if (image.kind == chat::SourceKind::kFile) {
      losses_.add("image.file", "an uploaded file is known to its own provider only");
      append_text_part("[image omitted: an uploaded file of another provider]", first);
      return;
    }
    if (!image.extra_json.empty() && !same_format_)
      losses_.add("image.options", "chat completions have no such image options");
    if (!first) out_ += ',';
    first = false;
    out_ += R"({"type":"image_url","image_url":{"url":)";
    if (image.kind == chat::SourceKind::kUrl) {
      json::append_string(out_, image.data);
    } else {
      out_ += "\"data:";
      json::append_escaped(out_, image.media_type);
      out_ += ";base64,";
      json::append_escaped(out_, image.data);
      out_ += '"';
    }
    if (!image.detail.empty()) {
      out_ += ",\"detail\":";
      json::append_string(out_, image.detail);
    }
    out_ += "}}";
  }

  void append_document(const chat::Document& document, bool& first) {
    note_cache_control(document.cache_control_json);
    if (!document.extra_json.empty() && !same_format_)
      losses_.add("document.citations", "chat completions cannot cite documents");
    const std::string title = document.title.empty() ? "document.pdf" : document.title;
    if (document.kind == chat::SourceKind::kText) {
      append_text_part(document_text(document, losses_), first);
    } else if (document.kind == chat::SourceKind::kBlocks) {
      append_text_part(document_text(document, losses_), first);
    } else if (document.kind == chat::SourceKind::kBase64 && target_.documents) {
      if (!document.context.empty()) append_text_part(document.context, first);
      if (!first) out_ += ',';
      first = false;
      out_ += R"({"type":"file","file":{"filename":)";
      json::append_string(out_, title);
      out_ += ",\"file_data\":\"data:";
      json::append_escaped(out_, document.media_type.empty() ? std::string_view("application/pdf")
                                                             : std::string_view(document.media_type));
      out_ += ";base64,";
      json::append_escaped(out_, document.data);
      out_ += "\"}}";
    } else if (document.kind == chat::SourceKind::kFile && same_format_) {
      if (!first) out_ += ',';
      first = false;
      out_ += R"({"type":"file","file":{"file_id":)";
      json::append_string(out_, document.data);
      out_ += "}}";
    } else {
      losses_.add("document", "the provider takes no such document");
      const std::string where =
          document.kind == chat::SourceKind::kUrl ? " at " + document.data : std::string();
      append_text_part("[document omitted: " + title + where + "]", first);
    }
  }

  void append_opaque(const chat::Opaque& opaque, bool& first) {
    if (opaque.dialect == "openai_chat" && !opaque.json.empty()) {
      if (!first) out_ += ',';
      first = false;
      out_ += opaque.json;
      return;
    }
    const std::string text = opaque_text(opaque, losses_);
    if (!text.empty())
      append_text_part(text, first);
    else
      losses_.add("content." + opaque.type, "chat completions have no such content");
  }

  /// Members of a message that this build does not know, back to the dialect they came from.
  void append_extra(std::string_view extra_json) {
    extra_json = text::trim(extra_json);
    if (extra_json.size() <= 2) return;
    out_ += ',';
    out_ += extra_json.substr(1, extra_json.size() - 2);
  }

  std::string& out_;
  const chat::Request& request_;
  const Capabilities& target_;
  chat::LossNotes& losses_;
  bool same_format_;  ///< the request came in this dialect: its own members go back out
  bool keeps_cache_control_;
  bool wants_signed_calls_;  ///< the target is a Gemini model that refuses a turn whose first call is not signed
  bool wrote_message_ = false;
  bool noted_cache_control_ = false;
  std::vector<Call> calls_;                       ///< of the last assistant turn
  const chat::Opaque* system_members_ = nullptr;  ///< what the first system message says that nobody else knows
  std::vector<const chat::ToolResult*> orphans_;  ///< of the current turn
  std::vector<const chat::Block*> result_media_;  ///< images and documents of tool results, to follow them
  CallIds ids_;
};

}  // namespace

Result<void> append_messages(std::string& out, const chat::Request& request, const Capabilities& target,
                             chat::LossNotes& losses) {
  return MessageWriter(out, request, target, losses).write();
}

}  // namespace ccrules::dialect::openai
