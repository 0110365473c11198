#include "dialect/gemini/contents_writer.h"

#include <algorithm>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/text.h"
#include "dialect/gemini/parts.h"
#include "dialect/signature.h"
#include "dialect/words.h"

namespace ccrules::dialect::gemini {
namespace {

/// A call of the last model turn.
struct Call {
  std::string_view id;
  std::string_view name;
  const chat::ToolResult* result = nullptr;
};

using Messages = std::span<const chat::Message>;

/// The media type that a URL's ending tells; Google wants one for every file.
std::string_view type_of_url(std::string_view url, std::string_view otherwise) {
  url = url.substr(0, url.find_first_of("?#"));
  const std::pair<std::string_view, std::string_view> kTypes[] = {
      {".png", "image/png"},   {".jpg", "image/jpeg"},      {".jpeg", "image/jpeg"}, {".webp", "image/webp"},
      {".gif", "image/gif"},   {".heic", "image/heic"},     {".pdf", "application/pdf"}, {".txt", "text/plain"},
      {".html", "text/html"},  {".csv", "text/csv"},        {".md", "text/markdown"}};
  const std::string lower = text::lower(url.substr(url.size() - std::min<std::size_t>(url.size(), 8)));
  for (const auto& [ending, type] : kTypes) {
    if (lower.ends_with(ending)) return type;
  }
  return otherwise;
}

class ContentsWriter {
 public:
  ContentsWriter(std::string& out, const chat::Request& request, const Capabilities& target, chat::LossNotes& losses)
      : out_(out),
        request_(request),
        target_(target),
        losses_(losses),
        same_format_(request.dialect == kName),
        third_(generation_of(target.model.empty() ? request.model : target.model) == Generation::k3) {}

  Result<void> write() {
    out_ += '[';
    const Messages all = request_.messages;
    for (std::size_t at = 0; at < all.size();) {
      const bool model = all[at].role == chat::Role::kAssistant;
      std::size_t end = at;
      while (end < all.size() && (all[end].role == chat::Role::kAssistant) == model) ++end;
      const Messages turn = all.subspan(at, end - at);
      at = end;
      if (model) {
        CCR_CHECK(write_model_turn(turn, at == all.size()));
      } else {
        write_user_turn(turn);
      }
    }
    if (first_) text_part("user", " ");  // a system prompt alone, or empty texts: Google wants something to answer
    close();
    out_ += ']';
    return {};
  }

 private:
  // --- the array

  /// Begins a part; turns of one role that stand side by side become one.
  void begin_part(std::string_view role) {
    if (role == role_) {
      out_ += ',';
      return;
    }
    close();
    if (first_ && role == "model") {
      // The user begins a conversation; only the client's history does not say how.
      role_ = "user";
      first_ = false;
      out_ += R"({"role":"user","parts":[{"text":"…"})";
      losses_.add("messages", "a history that begins with the assistant was given a first user message");
      close();
    }
    if (!first_) out_ += ',';
    first_ = false;
    role_ = role;
    out_.append("{\"role\":\"").append(role).append("\",\"parts\":[");
  }

  void close() {
    if (!role_.empty()) out_ += "]}";
    role_ = {};
  }

  void text_part(std::string_view role, json::TextView text) {
    if (text.empty()) return;
    begin_part(role);
    out_ += "{\"text\":";
    json::append_string(out_, text);
    out_ += '}';
  }

  // --- the model's turns

  Result<void> write_model_turn(Messages turn, bool last) {
    calls_.clear();
    bool says_something = false;
    for (const chat::Message& message : turn) {
      for (const chat::Block& block : message.blocks) {
        if (const auto* call = std::get_if<chat::ToolCall>(&block.value)) calls_.push_back({call->id, call->name, nullptr});
        const auto* text = std::get_if<chat::Text>(&block.value);
        says_something = says_something || (text != nullptr && !is_blank(text->text));
      }
    }
    if (last && calls_.empty() && says_something && !target_.prefill && !same_format_) {
      return bad_request(
          "this model does not support assistant message prefill (the conversation must end with a user message); "
          "remove the last assistant message or route to a model that continues answers");
    }
    pending_signature_.clear();
    called_ = false;
    for (const chat::Message& message : turn) {
      for (const chat::Block& block : message.blocks) write_model_block(block);
    }
    if (!pending_signature_.empty()) {
      begin_part("model");
      out_ += "{\"text\":\"\"";
      append_signature(std::exchange(pending_signature_, {}));
      out_ += '}';
    }
    return {};
  }

  void write_model_block(const chat::Block& block) {
    if (const auto* text = std::get_if<chat::Text>(&block.value)) {
      note_cache_control(text->cache_control_json, losses_);
      if (is_blank(text->text) && own_signature(text->extra_json).empty()) return;
      begin_part("model");
      out_ += "{\"text\":";
      json::append_string(out_, text->text);
      append_signature(signature_for(text->extra_json));
      out_ += '}';
    } else if (const auto* thinking = std::get_if<chat::Thinking>(&block.value)) {
      take_thinking(*thinking);
    } else if (const auto* call = std::get_if<chat::ToolCall>(&block.value)) {
      write_call(*call);
    } else if (const auto* opaque = std::get_if<chat::Opaque>(&block.value)) {
      write_opaque("model", *opaque);
    } else if (std::holds_alternative<chat::Image>(block.value)) {
      losses_.add("assistant.image", "pictures of an earlier answer are not sent back");
    } else if (std::holds_alternative<chat::Document>(block.value)) {
      losses_.add("assistant.document", "documents of an earlier answer are not sent back");
    }
  }

  /// Thoughts are not sent back but to a Gemini client's own; what Google signed goes to the part behind them. A signature that the
  /// reader found in a thought was never Google's: those stay with their parts (parts.h, unwrap_signature).
  void take_thinking(const chat::Thinking& thinking) {
    if (same_format_ && thinking.signature.empty()) {
      begin_part("model");
      out_ += "{\"text\":";
      json::append_string(out_, thinking.text);
      out_ += ",\"thought\":true}";
      return;
    }
    const auto origin = signature::decode(thinking.signature);
    if (is_target(origin)) {
      if (!origin->payload.empty()) pending_signature_ = origin->payload;
    } else if (thinking.redacted || !thinking.text.empty() || (origin && !origin->payload.empty())) {
      losses_.add("thinking", "reasoning of another model cannot be sent to this one");
    }
  }

  [[nodiscard]] bool is_target(const std::optional<signature::Origin>& origin) const {
    return origin && origin->provider == target_.provider && origin->model == target_.model;
  }

  void write_call(const chat::ToolCall& call) {
    note_cache_control(call.cache_control_json, losses_);
    begin_part("model");
    out_ += "{\"functionCall\":{";
    append_id(call.id);
    out_ += "\"name\":";
    json::append_string(out_, sent_function_name(call.name));
    out_.append(",\"args\":").append(call_arguments(call.arguments_json)).append("}");
    std::string signature = signature_for(call.extra_json);
    // One of another model's history, or lost by the client: without the sentinel the whole request is refused.
    if (signature.empty() && third_ && !called_) signature = kNoSignature;
    called_ = true;
    append_signature(signature);
    out_ += '}';
  }

  void append_id(std::string_view id) {
    // Google pairs by id since Gemini 3; before, by name and order.
    if ((!third_ && !same_format_) || id.empty()) return;
    out_ += "\"id\":";
    json::append_string(out_, id);
    out_ += ',';
  }

  void append_signature(std::string_view signature) {
    if (signature.empty()) return;
    out_ += ",\"thoughtSignature\":";
    json::append_string(out_, signature);
  }

  /// The JSON of a member that a Gemini client sent and the neutral request has no place for; empty when there is none.
  [[nodiscard]] std::string own_member(const std::string& extra_json, std::string_view name) const {
    if (!same_format_ || extra_json.empty()) return {};
    auto document = json::Document::open_view(extra_json);
    if (!document) return {};
    auto members = document->root_object();
    while (members && members->next()) {
      if (members->key() != name) continue;
      const auto raw = members->value().raw();
      return raw ? std::string(*raw) : std::string();
    }
    return {};
  }

  [[nodiscard]] std::string own_signature(const std::string& extra_json) const {
    const std::string literal = own_member(extra_json, "thoughtSignature");
    std::string own = literal.size() > 2 ? literal.substr(1, literal.size() - 2) : std::string();  // base64 has no escapes
    // Some clients move a thought's signature to the part behind it, another model's too.
    const auto wrapped = unwrap_signature(own);
    if (!wrapped) return own;
    auto origin = signature::decode(*wrapped);
    return is_target(origin) ? std::move(origin->payload) : std::string();
  }

  std::string signature_for(const std::string& extra_json) {
    std::string own = own_signature(extra_json);
    return own.empty() ? std::exchange(pending_signature_, {}) : own;
  }

  // --- what stands between two of them

  void write_user_turn(Messages turn) {
    std::vector<const chat::ToolResult*> orphans;
    for (const chat::Message& message : turn) {
      for (const chat::Block& block : message.blocks) {
        const auto* result = std::get_if<chat::ToolResult>(&block.value);
        if (result == nullptr) continue;
        const auto call = std::find_if(calls_.begin(), calls_.end(), [&](const Call& asked) {
          return asked.result == nullptr && asked.id == result->call_id;
        });
        if (call == calls_.end()) {
          orphans.push_back(result);
        } else {
          call->result = result;
        }
      }
    }
    media_.clear();
    for (const Call& call : calls_) write_response(call);
    calls_.clear();
    for (const chat::Block* block : media_) write_user_block(*block);
    for (const chat::ToolResult* orphan : orphans) text_part("user", orphan_text(*orphan, losses_));
    for (const chat::Message& message : turn) {
      if (message.role == chat::Role::kSystem) {
        write_mid_system(message);
        continue;
      }
      for (const chat::Block& block : message.blocks) {
        if (!std::holds_alternative<chat::ToolResult>(block.value)) write_user_block(block);
      }
    }
  }

  void write_mid_system(const chat::Message& message) {
    std::string said;
    for (const chat::Block& block : message.blocks) {
      const auto* text = std::get_if<chat::Text>(&block.value);
      if (text == nullptr) note_uncarried_system(block, losses_);
      if (text == nullptr || is_blank(text->text)) continue;
      note_cache_control(text->cache_control_json, losses_);
      said.append(said.empty() ? "" : "\n\n").append(text->text.view());
    }
    if (!said.empty()) text_part("user", "<system-reminder>\n" + said + "\n</system-reminder>");
  }

  void write_response(const Call& call) {
    begin_part("user");
    out_ += "{\"functionResponse\":{";
    append_id(call.id);
    out_ += "\"name\":";
    json::append_string(out_, sent_function_name(call.name));
    if (call.result == nullptr) {
      losses_.add("tool_result.missing", "a tool call without a result was answered with \"[no result]\"");
      out_.append(R"(,"response":{"output":")").append(kNoResult).append("\"}}}");
      return;
    }
    const chat::ToolResult& result = *call.result;
    note_cache_control(result.cache_control_json, losses_);
    std::vector<const chat::Image*> pictures;
    out_ += ",\"response\":";
    const std::size_t start = out_.size();
    out_ += result.is_error ? "{\"error\":" : "{\"output\":";
    JoinedString said(out_, "\n");
    for (const chat::Block& block : result.content) add_result(block, said, pictures);
    said.close();
    out_ += '}';
    if (const std::string own = own_member(result.extra_json, "response"); !own.empty()) out_.replace(start, std::string::npos, own);
    if (!pictures.empty()) {
      out_ += ",\"parts\":[";
      for (std::size_t i = 0; i < pictures.size(); ++i) {
        if (i > 0) out_ += ',';
        append_inline(pictures[i]->media_type, pictures[i]->data);
      }
      out_ += ']';
    }
    out_ += "}}";
  }

  /// Adds a result's block to its text; pictures stand beside it where the model takes them there (G-12).
  void add_result(const chat::Block& block, JoinedString& said, std::vector<const chat::Image*>& pictures) {
    const auto add = [&said](json::TextView text) {
      if (said.started() || !text.empty()) said.add(text);
    };
    if (const auto* text = std::get_if<chat::Text>(&block.value)) {
      note_cache_control(text->cache_control_json, losses_);
      add(text->text);
    } else if (const auto* image = std::get_if<chat::Image>(&block.value)) {
      if (!target_.vision) {
        losses_.add("image", "the model has no vision");
        add(kNoVision);
      } else if (third_ && image->kind == chat::SourceKind::kBase64) {
        pictures.push_back(image);
      } else {
        add("[image attached below]");
        media_.push_back(&block);
      }
    } else if (const auto* document = std::get_if<chat::Document>(&block.value)) {
      if (document->kind == chat::SourceKind::kText || document->kind == chat::SourceKind::kBlocks) {
        add(document_text(*document, losses_));
      } else {
        add("[document attached below]");
        media_.push_back(&block);
      }
    } else if (const auto* opaque = std::get_if<chat::Opaque>(&block.value)) {
      const std::string words = opaque_text(*opaque, losses_);
      if (words.empty()) {
        losses_.add("tool_result." + opaque->type, "Gemini has no such content");
      } else {
        add(words);
      }
    }
  }

  void write_user_block(const chat::Block& block) {
    if (const auto* text = std::get_if<chat::Text>(&block.value)) {
      note_cache_control(text->cache_control_json, losses_);
      if (!is_blank(text->text)) text_part("user", without_attribution(text->text, losses_));
    } else if (const auto* image = std::get_if<chat::Image>(&block.value)) {
      write_image(*image);
    } else if (const auto* document = std::get_if<chat::Document>(&block.value)) {
      write_document(*document);
    } else if (const auto* opaque = std::get_if<chat::Opaque>(&block.value)) {
      write_opaque("user", *opaque);
    }
  }

  void append_inline(std::string_view media_type, std::string_view base64) {
    out_ += R"({"inlineData":{"mimeType":)";
    json::append_string(out_, media_type);
    out_ += ",\"data\":";
    json::append_string(out_, base64);
    out_ += "}}";
  }

  void append_file(std::string_view media_type, std::string_view uri) {
    out_ += R"({"fileData":{)";
    if (!media_type.empty()) {
      out_ += "\"mimeType\":";
      json::append_string(out_, media_type);
      out_ += ',';
    }
    out_ += "\"fileUri\":";
    json::append_string(out_, uri);
    out_ += "}}";
  }

  void write_image(const chat::Image& image) {
    note_cache_control(image.cache_control_json, losses_);
    if (!target_.vision) {
      losses_.add("image", "the model has no vision");
      return text_part("user", kNoVision);
    }
    if (image.kind == chat::SourceKind::kFile && !same_format_) {
      losses_.add("image.file", "an uploaded file is known to its own provider only");
      return text_part("user", "[image omitted: an uploaded file of another provider]");
    }
    if (!image.detail.empty()) losses_.add("image.detail", "Gemini has one setting for all pictures");
    begin_part("user");
    if (image.kind == chat::SourceKind::kBase64) return append_inline(image.media_type, image.data);
    append_file(image.media_type.empty() ? type_of_url(image.data, "image/jpeg") : std::string_view(image.media_type), image.data);
  }

  void write_document(const chat::Document& document) {
    note_cache_control(document.cache_control_json, losses_);
    if (!document.extra_json.empty() && !same_format_) losses_.add("document.citations", "Gemini does not cite documents");
    if (document.kind == chat::SourceKind::kText || document.kind == chat::SourceKind::kBlocks) {
      return text_part("user", document_text(document, losses_));
    }
    if ((document.kind == chat::SourceKind::kFile && !same_format_) || !target_.documents) {
      losses_.add("document", target_.documents ? "an uploaded file is known to its own provider only" : "the provider takes no documents");
      return text_part("user", "[document omitted: " + (document.title.empty() ? std::string("document") : document.title) + "]");
    }
    if (!document.title.empty() || !document.context.empty()) {
      text_part("user", document.title + (document.title.empty() || document.context.empty() ? "" : "\n") + document.context);
    }
    begin_part("user");
    const std::string_view known(document.media_type);
    if (document.kind == chat::SourceKind::kBase64) return append_inline(known.empty() ? "application/pdf" : known, document.data);
    append_file(known.empty() ? type_of_url(document.data, "application/pdf") : known, document.data);
  }

  void write_opaque(std::string_view role, const chat::Opaque& opaque) {
    if (opaque.dialect == kName) {
      begin_part(role);
      out_ += opaque.json;
      return;
    }
    const std::string words = opaque_text(opaque, losses_);
    if (words.empty()) {
      losses_.add("content." + opaque.type, "Gemini has no such content");
    } else {
      text_part(role, words);
    }
  }

  std::string& out_;
  const chat::Request& request_;
  const Capabilities& target_;
  chat::LossNotes& losses_;
  const bool same_format_;
  const bool third_;  ///< Gemini 3 or later: ids, signatures, pictures in results
  bool first_ = true;
  bool called_ = false;            ///< the model turn holds a call already
  std::string_view role_;          ///< of the open turn; empty: none is
  std::string pending_signature_;  ///< for the next part of this model turn
  std::vector<Call> calls_;        ///< of the last model turn, until they are answered
  std::vector<const chat::Block*> media_;
};

}  // namespace

Result<void> write_contents(std::string& out, const chat::Request& request, const Capabilities& target, chat::LossNotes& losses) {
  return ContentsWriter(out, request, target, losses).write();
}

void note_uncarried_system(const chat::Block& block, chat::LossNotes& losses) {
  if (const auto* opaque = std::get_if<chat::Opaque>(&block.value)) {
    losses.add("system." + opaque->type, "Gemini has no such content");
  } else if (std::holds_alternative<chat::Image>(block.value)) {
    losses.add("system.image", "system prompts are text only");
  } else if (std::holds_alternative<chat::Document>(block.value)) {
    losses.add("system.document", "system prompts are text only");
  }
}

void note_cache_control(const std::string& cache_control_json, chat::LossNotes& losses) {
  if (!cache_control_json.empty()) losses.add("cache_control", "Gemini caches by itself and takes no breakpoints");
}

}  // namespace ccrules::dialect::gemini
