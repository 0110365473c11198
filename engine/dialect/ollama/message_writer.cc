#include "dialect/ollama/message_writer.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/text.h"
#include "dialect/call_ids.h"
#include "dialect/signature.h"
#include "dialect/tools.h"
#include "dialect/words.h"

namespace ccrules::dialect::ollama {
namespace {

/// What one message says, gathered from blocks: a text and the images beside it. Most have one text, which is not copied before it is
/// written.
class Content {
 public:
  std::vector<std::string_view> images;  ///< base64

  void add(json::TextView words, std::string_view separator) {
    if (words.empty()) return;
    blank_ = blank_ && words.is_blank();
    if (!lent_.empty()) lent_.append_to(spelt_);
    lent_ = {};
    if (!spelt_.empty()) json::append_escaped(spelt_, separator);
    words.append_to(spelt_);
  }
  /// The same for words that stay as they are until the message is written.
  void lend(json::TextView words, std::string_view separator) {
    if (!lent_.empty() || !spelt_.empty()) return add(words, separator);
    lent_ = words;
    blank_ = words.is_blank();
  }
  [[nodiscard]] bool empty() const { return blank_ && images.empty(); }
  /// Appends the text as the inside of a string literal.
  void append_to(std::string& out) const {
    lent_.append_to(out);
    out += spelt_;
  }

 private:
  json::TextView lent_;  ///< the only one; empty: none, or it is in `spelt_`
  std::string spelt_;    ///< the inside of a string literal
  bool blank_ = true;    ///< the text is, or is empty
};

/// A tool call of the last assistant turn.
struct Call {
  std::string_view id, name;
  std::string sent_id;
  bool answered = false;
};

class MessageWriter {
 public:
  MessageWriter(std::string& out, const chat::Request& request, const Capabilities& target, chat::LossNotes& losses)
      : out_(out),
        request_(request),
        target_(target),
        losses_(losses),
        same_format_(request.dialect == "ollama"),
        ids_(CallIds::Form::kUpTo64) {}

  Result<void> write() {
    out_ += '[';
    Content system;
    for (const chat::Block& block : request_.system) add_block(block, system, "system");
    if (!system.empty()) write_message("system", system);
    for (std::size_t i = 0; i < request_.messages.size(); ++i) {
      const chat::Message& message = request_.messages[i];
      if (message.role == chat::Role::kAssistant) {
        CCR_CHECK(write_assistant(message, i + 1 == request_.messages.size()));
      } else {
        write_other(message);
      }
    }
    answer_open_calls();
    if (!wrote_message_ && !request_.messages.empty()) return nothing_to_send();
    out_ += ']';
    return {};
  }

 private:
  /// Up to the inside of the content, which is a string.
  void open_message(std::string_view role) {
    if (std::exchange(wrote_message_, true)) out_ += ',';
    out_.append("{\"role\":\"").append(role).append("\",\"content\":\"");
  }

  void close_message(const std::vector<std::string_view>& images) {
    for (std::size_t i = 0; i < images.size(); ++i) {
      out_ += i == 0 ? ",\"images\":[" : ",";
      json::append_string(out_, images[i]);
    }
    out_ += images.empty() ? "}" : "]}";
  }

  void write_message(std::string_view role, const Content& content) {
    open_message(role);
    content.append_to(out_);
    out_ += '"';
    close_message(content.images);
  }

  void write_reminder(const Content& content) {
    open_message("user");
    out_ += R"(<system-reminder>\n\n)";
    content.append_to(out_);
    out_ += R"(\n\n</system-reminder>")";
    close_message(content.images);
  }

  void note_cache_control(const std::string& cache_control_json) {
    if (!cache_control_json.empty()) losses_.add("cache_control", "Ollama has no cache breakpoints");
  }

  /// Adds what a block of a user message, a system prompt or a tool result says.
  void add_block(const chat::Block& block, Content& content, std::string_view place) {
    if (const auto* text = std::get_if<chat::Text>(&block.value)) {
      note_cache_control(text->cache_control_json);
      content.lend(without_attribution(text->text, losses_), place == "tool_result" ? "\n" : "\n\n");
    } else if (const auto* image = std::get_if<chat::Image>(&block.value)) {
      add_image(*image, content);
    } else if (const auto* document = std::get_if<chat::Document>(&block.value)) {
      add_document(*document, content);
    } else if (const auto* opaque = std::get_if<chat::Opaque>(&block.value)) {
      const std::string words = opaque_text(*opaque, losses_);
      if (words.empty()) losses_.add(std::string(place) + "." + opaque->type, "Ollama has no such content");
      content.add(words, "\n\n");
    }
  }

  void add_image(const chat::Image& image, Content& content) {
    note_cache_control(image.cache_control_json);
    if (!target_.vision) {
      losses_.add("image", "the model has no vision");
      content.add(kNoVision, "\n\n");
    } else if (image.kind == chat::SourceKind::kBase64) {
      content.images.push_back(image.data);
    } else if (image.kind == chat::SourceKind::kUrl) {
      losses_.add("image.url", "Ollama takes images as base64 only");
      content.add("[image omitted: it is at " + image.data + "]", "\n\n");
    } else {
      losses_.add("image.file", "an uploaded file is known to its own provider only");
      content.add("[image omitted: an uploaded file of another provider]", "\n\n");
    }
  }

  void add_document(const chat::Document& document, Content& content) {
    note_cache_control(document.cache_control_json);
    if (!document.extra_json.empty()) losses_.add("document.citations", "Ollama cannot cite documents");
    if (document.kind == chat::SourceKind::kText || document.kind == chat::SourceKind::kBlocks) {
      content.add(document_text(document, losses_), "\n\n");
      return;
    }
    losses_.add("document", "Ollama takes no such document");
    const std::string where = document.kind == chat::SourceKind::kUrl ? " at " + document.data : std::string();
    content.add("[document omitted: " + (document.title.empty() ? "document" : document.title) + where + "]", "\n\n");
  }

  // --- assistant

  Result<void> write_assistant(const chat::Message& message, bool last) {
    answer_open_calls();
    calls_.clear();
    Content content;
    std::string thinking;
    std::vector<const chat::ToolCall*> calls;
    for (const chat::Block& block : message.blocks) {
      if (const auto* call = std::get_if<chat::ToolCall>(&block.value)) {
        calls.push_back(call);
      } else if (const auto* thought = std::get_if<chat::Thinking>(&block.value)) {
        add_thinking(*thought, thinking);
      } else if (const auto* text = std::get_if<chat::Text>(&block.value)) {
        note_cache_control(text->cache_control_json);
        if (!is_blank(text->text)) content.lend(text->text, "\n\n");
      } else if (const auto* opaque = std::get_if<chat::Opaque>(&block.value)) {
        losses_.add("content." + opaque->type, "Ollama has no such content");
      } else if (std::holds_alternative<chat::Image>(block.value)) {
        losses_.add("assistant.image", "pictures of an earlier answer are not sent back");
      } else if (std::holds_alternative<chat::Document>(block.value)) {
        losses_.add("assistant.document", "documents of an earlier answer are not sent back");
      }
    }
    if (content.empty() && calls.empty()) return {};  // nothing but reasoning or blanks (G-13)
    if (last && calls.empty() && !target_.prefill && !same_format_) {
      return bad_request(
          "this model does not support assistant message prefill (the conversation must end with a user message); "
          "remove the last assistant message or route to a model that continues answers");
    }
    open_message("assistant");
    content.append_to(out_);
    out_ += '"';
    if (!thinking.empty()) {
      out_ += ",\"thinking\":";
      json::append_string(out_, thinking);
    }
    if (!calls.empty()) write_calls(calls);
    out_ += '}';
    return {};
  }

  /// Reasoning goes back only to the provider it came from (G-8).
  void add_thinking(const chat::Thinking& thought, std::string& thinking) {
    const auto origin = signature::decode(thought.signature);
    const bool same_provider = origin ? origin->provider == target_.provider : same_format_ && thought.signature.empty();
    if (thought.redacted || !same_provider) {
      losses_.add("thinking", "reasoning of another model cannot be sent to this one");
      return;
    }
    if (!thinking.empty() && !thought.text.empty()) thinking += "\n\n";
    thinking += thought.text;
  }

  void write_calls(const std::vector<const chat::ToolCall*>& calls) {
    out_ += ",\"tool_calls\":[";
    for (const chat::ToolCall* call : calls) {
      note_cache_control(call->cache_control_json);
      if (!calls_.empty()) out_ += ',';
      calls_.push_back({call->id, call->name, ids_.sent(call->id), false});
      out_ += "{\"id\":";
      json::append_string(out_, calls_.back().sent_id);
      out_ += ",\"function\":{\"name\":";
      append_tool_name(out_, call->name);
      out_ += ",\"arguments\":";
      out_ += argument_object(call->arguments_json);  // the server refuses anything else
      out_ += "}}";
    }
    out_ += ']';
  }

  // --- what stands between two assistant messages

  void write_other(const chat::Message& message) {
    Content content;
    for (const chat::Block& block : message.blocks) {
      if (const auto* result = std::get_if<chat::ToolResult>(&block.value)) write_result(*result, content);
    }
    if (message.role == chat::Role::kSystem) {
      for (const chat::Block& block : message.blocks) add_block(block, content, "system");
      if (content.empty()) return;
      return target_.mid_system ? write_message("system", content) : write_reminder(content);
    }
    bool says_more = !content.empty();
    for (const chat::Block& block : message.blocks) {
      if (std::holds_alternative<chat::ToolResult>(block.value)) continue;
      says_more = true;
      add_block(block, content, "content");
    }
    if (!says_more || content.empty()) return;
    answer_open_calls();
    write_message("user", content);
  }

  /// @param after  the user message that follows: takes the images, and the words of a result nobody asked for
  void write_result(const chat::ToolResult& result, Content& after) {
    const auto call = std::find_if(calls_.begin(), calls_.end(),
                                   [&](const Call& asked) { return !asked.answered && asked.id == result.call_id; });
    if (call == calls_.end()) {
      after.add(orphan_text(result, losses_), "\n\n");
      return;
    }
    call->answered = true;
    note_cache_control(result.cache_control_json);
    Content content;
    for (const chat::Block& block : result.content) {
      const std::size_t images = content.images.size();
      add_block(block, content, "tool_result");
      if (content.images.size() > images) content.add("[image attached below]", "\n");
    }
    open_message("tool");
    if (result.is_error) out_ += "Error: ";
    content.append_to(out_);
    close_tool_message(*call);
    // Few templates show images of tool messages; all show those of the user's.
    after.images.insert(after.images.end(), content.images.begin(), content.images.end());
  }

  void close_tool_message(const Call& call) {
    out_ += "\",\"tool_name\":";
    append_tool_name(out_, call.name);
    out_ += ",\"tool_call_id\":";
    json::append_string(out_, call.sent_id);
    out_ += '}';
  }

  void answer_open_calls() {
    for (Call& call : calls_) {
      if (std::exchange(call.answered, true)) continue;
      losses_.add("tool_result.missing", "a tool call without a result was answered with \"[no result]\"");
      open_message("tool");
      out_ += kNoResult;
      close_tool_message(call);
    }
  }

  std::string& out_;
  const chat::Request& request_;
  const Capabilities& target_;
  chat::LossNotes& losses_;
  bool same_format_;  ///< the request came in this dialect: its own reasoning goes back out
  CallIds ids_;
  bool wrote_message_ = false;
  std::vector<Call> calls_;  ///< of the last assistant message
};

}  // namespace

Result<void> append_messages(std::string& out, const chat::Request& request, const Capabilities& target,
                             chat::LossNotes& losses) {
  return MessageWriter(out, request, target, losses).write();
}

}  // namespace ccrules::dialect::ollama
