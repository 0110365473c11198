#include "dialect/anthropic/parts.h"

namespace ccrules::dialect::anthropic_messages {
namespace {

/// Writes each event as soon as it comes. Clients of this dialect are strict: an `event:` line on every event, contiguous
/// indexes, a signature before a thinking block closes, usage in message_start.
class StreamBytes : public StreamWriter {
 public:
  explicit StreamBytes(const StreamWriterOptions& options) : options_(options) {}

  void write(const chat::Event& event, std::string& out) override {
    if (over_) return;
    std::visit([&](const auto& one) { put(one, out); }, event);
  }

  [[nodiscard]] std::string_view ping() const override { return "event: ping\ndata: {\"type\":\"ping\"}\n\n"; }

 private:
  enum class Open : std::uint8_t { kNone, kText, kThinking, kTool, kWhole, kLeftOut };

  /// Runs `body` between the lines of one event.
  template <class Body>
  static void event(std::string_view name, std::string& out, const Body& body) {
    out += "event: ";
    out += name;
    out += "\ndata: ";
    json::Writer writer(out);
    writer.begin_object().member("type", name);
    body(writer);
    writer.end_object();
    out += "\n\n";
  }

  void put(const chat::MessageStart& start, std::string& out) {
    if (started_) return;
    started_ = true;
    usage_.merge(start.usage);
    event("message_start", out, [&](json::Writer& writer) {
      writer.key("message").begin_object();
      writer.member("id", start.id.empty() ? options_.id : start.id).member("type", "message").member("role", "assistant");
      writer.member("model", options_.model.empty() ? start.model : options_.model);
      writer.key("content").begin_array().end_array();
      for (const char* name : {"stop_reason", "stop_sequence", "stop_details", "container", "diagnostics"}) writer.key(name).null();
      writer.key("usage");
      write_usage(writer, start.usage, options_.estimated_input_tokens);
      writer.end_object();
    });
  }

  void put(const chat::BlockStart& start, std::string& out) {
    if (!started_) put(chat::MessageStart{}, out);
    const auto* opaque = std::get_if<chat::Opaque>(&start.block.value);
    if (opaque != nullptr && opaque->dialect != kName) {
      open_ = Open::kLeftOut;
      return;
    }
    event("content_block_start", out, [&](json::Writer& writer) {
      writer.member("index", index_).key("content_block");
      write_opening(writer, start.block);
    });
  }

  void write_opening(json::Writer& writer, const chat::Block& block) {
    if (const auto* text = std::get_if<chat::Text>(&block.value)) {
      open_ = Open::kText;
      writer.begin_object().member("type", "text").member("text", text->text);
      write_members(writer, one_line(text->extra_json));
      writer.end_object();
      return;
    }
    if (const auto* thinking = std::get_if<chat::Thinking>(&block.value); thinking != nullptr && !thinking->redacted) {
      open_ = Open::kThinking;
      signed_ = !thinking->signature.empty();
      write_block(writer, block);
      return;
    }
    if (const auto* call = std::get_if<chat::ToolCall>(&block.value)) {
      open_ = Open::kTool;
      writer.begin_object().member("type", "tool_use").member("id", call->id).member("name", call->name);
      writer.key("input").begin_object().end_object();
      write_members(writer, one_line(call->extra_json));
      writer.end_object();
      return;
    }
    open_ = Open::kWhole;
    if (const auto* opaque = std::get_if<chat::Opaque>(&block.value)) {
      writer.raw(one_line(opaque->json));
    } else {
      write_block(writer, block);
    }
  }

  void put(const chat::BlockDelta& delta, std::string& out) {
    switch (delta.kind) {
      case chat::DeltaKind::kText:
        if (open_ == Open::kText) put_delta("text_delta", "text", delta.text, out);
        return;
      case chat::DeltaKind::kThinking:
        if (open_ == Open::kThinking) put_delta("thinking_delta", "thinking", delta.text, out);
        return;
      case chat::DeltaKind::kSignature:
        if (open_ != Open::kThinking) return;
        signed_ = true;
        put_delta("signature_delta", "signature", delta.text, out);
        return;
      case chat::DeltaKind::kArguments:
        if (open_ == Open::kTool) put_delta("input_json_delta", "partial_json", delta.text, out);
        return;
      case chat::DeltaKind::kOpaque: put_opaque_delta(delta, out);
    }
  }

  void put_delta(std::string_view type, std::string_view member, std::string_view text, std::string& out) const {
    // The one event there are thousands of: written straight.
    out += "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":";
    out += std::to_string(index_);
    out += ",\"delta\":{\"type\":\"";
    out += type;
    out += "\",\"";
    out += member;
    out += "\":";
    json::append_string(out, text);
    out += "}}\n\n";
  }

  void put_opaque_delta(const chat::BlockDelta& delta, std::string& out) const {
    // Only our own reader makes citations_delta; other dialects' deltas have no meaning here.
    if (open_ != Open::kText || delta.text.find("citations_delta") == std::string::npos) return;
    event("content_block_delta", out,
          [&](json::Writer& writer) { writer.member("index", index_).member_raw("delta", one_line(delta.text)); });
  }

  void put(const chat::BlockEnd& /*end*/, std::string& out) {
    if (open_ == Open::kNone) return;
    if (open_ != Open::kLeftOut) {
      // Clients ask for a signature on every thinking block; one without text needs none.
      if (open_ == Open::kThinking && !signed_) put_delta("signature_delta", "signature", "", out);
      event("content_block_stop", out, [&](json::Writer& writer) { writer.member("index", index_); });
      ++index_;
    }
    open_ = Open::kNone;
    signed_ = false;
  }

  void put(const chat::MessageEnd& end, std::string& out) {
    if (!started_) put(chat::MessageStart{}, out);
    usage_.merge(end.usage);
    event("message_delta", out, [&](json::Writer& writer) {
      writer.key("delta").begin_object().member("stop_reason", stop_reason_word(end.reason)).key("stop_sequence");
      if (end.stop_sequence.empty()) {
        writer.null();
      } else {
        writer.string(end.stop_sequence);
      }
      if (!end.stop_details_json.empty() || end.reason == chat::StopReason::kRefusal) {
        writer.key("stop_details");
        write_stop_details(writer, end.reason, end.stop_details_json);
      }
      writer.end_object().key("usage");
      write_usage(writer, usage_, options_.estimated_input_tokens);
    });
    event("message_stop", out, [](json::Writer&) {});
    over_ = true;
  }

  void put(const chat::StreamError& error, std::string& out) {
    event("error", out, [&](json::Writer& writer) {
      writer.key("error").begin_object();
      writer.member("type", error.type.empty() ? "api_error" : error.type).member("message", error.message).end_object();
    });
    over_ = true;
  }

  void put(const chat::Ping& /*ping*/, std::string& out) { out += ping(); }

  const StreamWriterOptions options_;
  bool started_ = false;
  bool over_ = false;
  bool signed_ = false;
  Open open_ = Open::kNone;
  int index_ = 0;  ///< our own: blocks left out leave no gap
  chat::Usage usage_;
};

}  // namespace

std::unique_ptr<StreamWriter> make_stream_writer(const StreamWriterOptions& options) {
  return std::make_unique<StreamBytes>(options);
}

}  // namespace ccrules::dialect::anthropic_messages
