#include "dialect/openai_responses/input_writer.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/text.h"
#include "dialect/call_ids.h"
#include "dialect/openai_responses/parts.h"
#include "dialect/signature.h"
#include "dialect/tools.h"
#include "dialect/words.h"

namespace ccrules::dialect::responses {
namespace {

/// A tool call of the last assistant turn and the id it was sent with.
struct Call {
  std::string_view id;
  std::string sent_id;
  bool custom = false;
  bool answered = false;
};

using Messages = std::span<const chat::Message>;

class InputWriter {
 public:
  InputWriter(std::string& out, const chat::Request& request, const Capabilities& target,
              chat::LossNotes& losses)
      : out_(out), target_(target), losses_(losses), request_(request), own_(request.dialect == kName) {}

  Result<void> write() {
    out_ += '[';
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
    if (!wrote_item_)
      return bad_request("the conversation holds nothing that can be sent: send at least one text");
    out_ += ']';
    return {};
  }

 private:
  /// Neighbouring assistant messages are one turn; so is everything between two of those.
  static Messages turn_at(Messages all, std::size_t at) {
    const bool assistant = all[at].role == chat::Role::kAssistant;
    std::size_t end = at;
    while (end < all.size() && (all[end].role == chat::Role::kAssistant) == assistant) ++end;
    return all.subspan(at, end - at);
  }

  void open_item() {
    if (wrote_item_) out_ += ',';
    wrote_item_ = true;
  }

  void open_message(std::string_view role) {
    open_item();
    out_.append(R"({"type":"message","role":")").append(role).append("\",\"content\":");
  }

  void note_cache_control(const std::string& cache_control_json) {
    if (cache_control_json.empty() || noted_cache_control_) return;
    noted_cache_control_ = true;
    losses_.add("cache_control", "responses have no such cache breakpoints");
  }

  void append_extra(std::string_view extra_json) {
    extra_json = text::trim(extra_json);
    if (!own_ || extra_json.size() <= 2) return;
    out_ += ',';
    out_ += extra_json.substr(1, extra_json.size() - 2);
  }

  // --- assistant

  Result<void> write_assistant(Messages turn, bool last) {
    calls_.clear();
    reasoning_.clear();
    const auto any = [&](auto&& fits) {
      return std::any_of(turn.begin(), turn.end(), [&](const chat::Message& message) {
        return std::any_of(message.blocks.begin(), message.blocks.end(), fits);
      });
    };
    const bool says = any([](const chat::Block& block) {
      const auto* text = std::get_if<chat::Text>(&block.value);
      return text != nullptr && !is_blank(text->text);
    });
    const bool calls =
        any([](const chat::Block& block) { return std::holds_alternative<chat::ToolCall>(block.value); });
    if (last && says && !calls && !target_.prefill && !own_) {
      return bad_request(
          "this model does not support assistant message prefill (the conversation must end with a user "
          "message); remove the last assistant message or route to a model that continues answers");
    }
    for (const chat::Message& message : turn) {
      for (const chat::Block& block : message.blocks) write_said(block, message);
    }
    // Reasoning that led to nothing is refused.
    if (!reasoning_.empty()) note_thinking();
    reasoning_.clear();
    return {};
  }

  void write_said(const chat::Block& block, const chat::Message& message) {
    if (const auto* text = std::get_if<chat::Text>(&block.value)) {
      note_cache_control(text->cache_control_json);
      if (is_blank(text->text)) return;
      write_reasoning();
      open_message("assistant");
      if (own_ && !text->extra_json.empty()) {
        out_ += R"([{"type":"output_text","text":)";
        json::append_string(out_, text->text);
        append_extra(text->extra_json);
        out_ += "}]";
      } else {
        json::append_string(out_, text->text);
      }
      append_extra(message.extra_json);
      out_ += '}';
    } else if (const auto* thinking = std::get_if<chat::Thinking>(&block.value)) {
      keep_reasoning(*thinking);
    } else if (const auto* call = std::get_if<chat::ToolCall>(&block.value)) {
      write_call(*call);
    } else if (const auto* opaque = std::get_if<chat::Opaque>(&block.value)) {
      write_opaque_item(*opaque);
    } else if (std::holds_alternative<chat::Image>(block.value)) {
      losses_.add("assistant.image", "responses take no images from the assistant");
    } else if (std::holds_alternative<chat::Document>(block.value)) {
      losses_.add("assistant.document", "responses take no documents from the assistant");
    }
  }

  void note_thinking() { losses_.add("thinking", "reasoning of another model cannot be sent to this one"); }

  /// Reasoning goes back to the very model it came from, as the item it came as (G-8, G-36).
  void keep_reasoning(const chat::Thinking& thinking) {
    const auto origin = signature::decode(thinking.signature);
    const bool foreign_but_own = origin && own_ && origin->provider == kName && origin->model.empty();
    const bool same = origin && origin->provider == target_.provider && origin->model == target_.model;
    std::string item = same || foreign_but_own ? replayed(origin->payload) : std::string();
    if (item.empty())
      note_thinking();
    else
      reasoning_.push_back(std::move(item));
  }

  /// The item without its status, which is not taken back. Empty when the provider could not read it: without
  /// its encrypted or plain text it would be looked up by an id that is not stored.
  [[nodiscard]] std::string replayed(std::string_view item_json) const {
    auto document = json::Document::open_view(item_json);
    if (!document) return {};
    auto members = document->root_object();
    if (!members) return {};
    std::string item;
    json::Writer writer(item);
    writer.begin_object();
    bool readable = false;
    bool has_summary = false;
    while (members->next()) {
      const std::string_view key = members->key();
      const auto raw = members->value().raw();
      if (!raw) return {};
      if (key == "status" || *raw == "null") continue;
      if (key == "encrypted_content" && !target_.encrypted_reasoning) continue;
      readable = readable || ((key == "encrypted_content" || key == "content") && raw->size() > 2);
      has_summary = has_summary || key == "summary";
      writer.member_raw(key, *raw);
    }
    if (!has_summary) writer.key("summary").begin_array().end_array();
    writer.end_object();
    return readable ? item : std::string();
  }

  void write_reasoning() {
    for (const std::string& item : reasoning_) {
      open_item();
      out_ += item;
    }
    reasoning_.clear();
  }

  void write_call(const chat::ToolCall& call) {
    note_cache_control(call.cache_control_json);
    write_reasoning();
    const bool custom = own_ && call.extra_json.find(kCustomMark) != std::string::npos;
    calls_.push_back({call.id, ids_.sent(call.id), custom, false});
    open_item();
    out_ += custom ? R"({"type":"custom_tool_call","call_id":)" : R"({"type":"function_call","call_id":)";
    json::append_string(out_, calls_.back().sent_id);
    out_ += ",\"name\":";
    const auto spaced = own_ ? split_name(call.name) : std::nullopt;
    append_tool_name(out_, spaced ? spaced->inner : std::string_view(call.name));
    if (spaced) {
      out_ += ",\"namespace\":";
      json::append_string(out_, spaced->space);
    }
    if (custom) {
      out_ += ",\"input\":";
      json::append_string(out_, unwrapped_input(call.arguments_json));
    } else {
      out_ += ",\"arguments\":";
      if (!own_ && call.arguments_json.starts_with('"')) {  // encoded twice, as some servers do
        const std::string object = unwrapped_arguments(call.arguments_json);
        json::append_string(out_, object.empty() ? std::string_view("{}") : std::string_view(object));
      } else if (is_blank(call.arguments_json)) {
        out_ += "\"{}\"";
      } else {
        const bool tidy = !own_ && is_spaced(call.arguments_json) && json::is_valid(call.arguments_json);
        json::append_string(out_, tidy ? json::compact(call.arguments_json) : call.arguments_json);
      }
      append_extra(call.extra_json);
    }
    out_ += '}';
  }

  /// Whether JSON holds white space between its tokens; anything of what is not JSON.
  static bool is_spaced(std::string_view json) {
    for (std::size_t at = 0; at < json.size(); ++at) {
      const char c = json[at];
      if (c == ' ' || c == '\n' || c == '\r' || c == '\t') return true;
      if (c != '"') continue;
      for (bool escaped = true; escaped;) {
        at = json.find('"', at + 1);
        if (at == std::string_view::npos) return false;
        std::size_t before = at;
        while (json[before - 1] == '\\') --before;  // ends at the text's first quote
        escaped = (at - before) % 2 == 1;
      }
    }
    return false;
  }

  void write_opaque_item(const chat::Opaque& opaque) {
    if (opaque.dialect != kName) {
      losses_.add("content." + opaque.type, "responses have no such content");
      return;
    }
    write_reasoning();
    open_item();
    out_ += opaque.json;
  }

  // --- what stands between two assistant turns

  void write_other(Messages turn) {
    orphans_.clear();
    for (const chat::Message& message : turn) {
      for (const chat::Block& block : message.blocks) {
        if (const auto* result = std::get_if<chat::ToolResult>(&block.value)) write_result(*result);
      }
    }
    for (const Call& call : calls_) {
      if (call.answered) continue;
      losses_.add("tool_result.missing", "a tool call without a result was answered with \"[no result]\"");
      open_output(call);
      json::append_string(out_, kNoResult);
      out_ += '}';
    }
    calls_.clear();
    for (const chat::Message& message : turn) {
      if (message.role == chat::Role::kSystem) {
        write_message(target_.mid_system ? "developer" : "user", message, !target_.mid_system);
      } else {
        write_message("user", message, false);
      }
    }
  }

  void open_output(const Call& call) {
    open_item();
    out_ += call.custom ? R"({"type":"custom_tool_call_output","call_id":)"
                        : R"({"type":"function_call_output","call_id":)";
    json::append_string(out_, call.sent_id);
    out_ += ",\"output\":";
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
    open_output(*call);
    const bool only_text =
        std::none_of(result.content.begin(), result.content.end(), [](const chat::Block& block) {
          return std::holds_alternative<chat::Image>(block.value) ||
                 std::holds_alternative<chat::Document>(block.value);
        });
    if (only_text) {
      JoinedString text(out_, "\n");
      for (const chat::Block& block : result.content) add_words(block, text, result.is_error && !text.started());
      if (!text.started() && result.is_error) text.add("Error: ");
      text.close();
    } else {
      out_ += '[';
      bool first = true;
      if (result.is_error) append_text("Error:", first, {});
      for (const chat::Block& block : result.content) append_part(block, first);
      out_ += ']';
    }
    append_extra(result.extra_json);
    out_ += '}';
  }

  void add_words(const chat::Block& block, JoinedString& text, bool mark_error) {
    const auto add = [&](json::TextView words) {
      if (words.empty()) return;
      if (mark_error)
        text.add("Error: ", words);
      else
        text.add(words);
    };
    if (const auto* said = std::get_if<chat::Text>(&block.value)) {
      note_cache_control(said->cache_control_json);
      add(said->text);
    } else if (const auto* opaque = std::get_if<chat::Opaque>(&block.value)) {
      const std::string words = opaque_text(*opaque, losses_);
      if (words.empty()) losses_.add("tool_result." + opaque->type, "responses have no such content");
      add(words);
    }
  }

  [[nodiscard]] bool is_orphan(const chat::Block& block) const {
    const auto* result = std::get_if<chat::ToolResult>(&block.value);
    return result != nullptr && std::find(orphans_.begin(), orphans_.end(), result) != orphans_.end();
  }

  void write_message(std::string_view role, const chat::Message& message, bool as_reminder) {
    if (own_) write_opaque_outputs(message);
    const std::size_t start = out_.size();
    const bool separated = wrote_item_;
    open_message(role);
    const auto* only =
        message.blocks.size() == 1 ? std::get_if<chat::Text>(&message.blocks.front().value) : nullptr;
    bool any = true;
    if (only != nullptr && !as_reminder && !(own_ && !only->extra_json.empty())) {
      note_cache_control(only->cache_control_json);
      const json::TextView shown = without_attribution(only->text, losses_);
      any = !is_blank(shown);
      json::append_string(out_, shown);
    } else {
      out_ += '[';
      bool first = true;
      if (as_reminder) append_text("<system-reminder>", first, {});
      bool said = false;
      for (const chat::Block& block : message.blocks) {
        const std::size_t before = out_.size();
        if (is_orphan(block))
          append_text(orphan_text(std::get<chat::ToolResult>(block.value), losses_), first, {});
        else
          append_part(block, first);
        said = said || out_.size() > before;
      }
      if (as_reminder) append_text("</system-reminder>", first, {});
      out_ += ']';
      any = said;
    }
    append_extra(message.extra_json);
    out_ += '}';
    if (!any) {
      out_.resize(start);
      wrote_item_ = separated;
    }
  }

  /// Outputs of hosted tools are items, not content.
  void write_opaque_outputs(const chat::Message& message) {
    for (const chat::Block& block : message.blocks) {
      const auto* opaque = std::get_if<chat::Opaque>(&block.value);
      if (opaque != nullptr && opaque->type.ends_with("_output")) write_opaque_item(*opaque);
    }
  }

  // --- content parts

  void append_text(json::TextView text, bool& first, const std::string& extra_json) {
    if (is_blank(text)) return;
    if (!first) out_ += ',';
    first = false;
    out_ += R"({"type":"input_text","text":)";
    json::append_string(out_, text);
    append_extra(extra_json);
    out_ += '}';
  }

  void append_part(const chat::Block& block, bool& first) {
    if (const auto* text = std::get_if<chat::Text>(&block.value)) {
      note_cache_control(text->cache_control_json);
      append_text(without_attribution(text->text, losses_), first, text->extra_json);
    } else if (const auto* image = std::get_if<chat::Image>(&block.value)) {
      append_image(*image, first);
    } else if (const auto* document = std::get_if<chat::Document>(&block.value)) {
      append_document(*document, first);
    } else if (const auto* opaque = std::get_if<chat::Opaque>(&block.value)) {
      append_opaque(*opaque, first);
    }
  }

  void append_data_uri(std::string_view media_type, std::string_view data) {
    out_ += "\"data:";
    json::append_escaped(out_, media_type);
    out_ += ";base64,";
    json::append_escaped(out_, data);
    out_ += '"';
  }

  void append_image(const chat::Image& image, bool& first) {
    note_cache_control(image.cache_control_json);
    if (!target_.vision) {
      losses_.add("image", "the model has no vision");
      append_text(kNoVision, first, {});
      return;
    }
    if (image.kind == chat::SourceKind::kFile && !own_) {
      losses_.add("image.file", "an uploaded file is known to its own provider only");
      append_text("[image omitted: an uploaded file of another provider]", first, {});
      return;
    }
    if (!image.extra_json.empty() && !own_)
      losses_.add("image.options", "responses have no such image options");
    if (!first) out_ += ',';
    first = false;
    out_ += image.kind == chat::SourceKind::kFile ? R"({"type":"input_image","file_id":)"
                                                  : R"({"type":"input_image","image_url":)";
    if (image.kind == chat::SourceKind::kBase64)
      append_data_uri(image.media_type, image.data);
    else
      json::append_string(out_, image.data);
    out_ += ",\"detail\":";
    json::append_string(out_,
                        image.detail.empty() ? std::string_view("auto") : std::string_view(image.detail));
    append_extra(image.extra_json);
    out_ += '}';
  }

  void append_document(const chat::Document& document, bool& first) {
    note_cache_control(document.cache_control_json);
    if (!document.extra_json.empty() && !own_)
      losses_.add("document.citations", "responses cannot cite documents");
    const bool is_text =
        document.kind == chat::SourceKind::kText || document.kind == chat::SourceKind::kBlocks;
    if (is_text) {
      append_text(document_text(document, losses_), first, {});
      return;
    }
    if (!target_.documents || (document.kind == chat::SourceKind::kFile && !own_)) {
      losses_.add("document", "the provider takes no such document");
      const std::string title = document.title.empty() ? "document.pdf" : document.title;
      append_text("[document omitted: " + title + "]", first, {});
      return;
    }
    if (!document.context.empty()) append_text(document.context, first, {});
    if (!first) out_ += ',';
    first = false;
    out_ += "{\"type\":\"input_file\"";
    if (document.kind == chat::SourceKind::kFile || document.kind == chat::SourceKind::kUrl) {
      out_ += document.kind == chat::SourceKind::kFile ? ",\"file_id\":" : ",\"file_url\":";
      json::append_string(out_, document.data);
    } else {
      out_ += ",\"filename\":";
      json::append_string(
          out_, document.title.empty() ? std::string_view("document.pdf") : std::string_view(document.title));
      out_ += ",\"file_data\":";
      append_data_uri(document.media_type.empty() ? std::string_view("application/pdf")
                                                  : std::string_view(document.media_type),
                      document.data);
    }
    append_extra(document.extra_json);
    out_ += '}';
  }

  void append_opaque(const chat::Opaque& opaque, bool& first) {
    if (opaque.dialect == kName) {
      if (opaque.type.ends_with("_output")) return;  // an item of its own
      if (!first) out_ += ',';
      first = false;
      out_ += opaque.json;
      return;
    }
    const std::string text = opaque_text(opaque, losses_);
    if (text.empty())
      losses_.add("content." + opaque.type, "responses have no such content");
    else
      append_text(text, first, {});
  }

  std::string& out_;
  const Capabilities& target_;
  chat::LossNotes& losses_;
  const chat::Request& request_;
  const bool own_;  ///< the request came in this dialect: its own members go back out
  bool wrote_item_ = false;
  bool noted_cache_control_ = false;
  std::vector<Call> calls_;                       ///< of the last assistant turn
  std::vector<std::string> reasoning_;            ///< items that wait for what they led to
  std::vector<const chat::ToolResult*> orphans_;  ///< of the current turn
  CallIds ids_{CallIds::Form::kUpTo64};
};

}  // namespace

Result<void> append_input(std::string& out, const chat::Request& request, const Capabilities& target,
                          chat::LossNotes& losses) {
  return InputWriter(out, request, target, losses).write();
}

}  // namespace ccrules::dialect::responses
