#include <utility>

#include "core/json.h"
#include "dialect/gemini/parts.h"

namespace ccrules::dialect::gemini {
namespace {

/// Writes an event for each piece of text; a call goes out whole when its block ends, as this dialect has no fragments.
class Writer final : public StreamWriter {
 public:
  explicit Writer(const StreamWriterOptions& options) : options_(options) { build_tail(options_.id); }

  void write(const chat::Event& event, std::string& out) override {
    if (over_) return;
    std::visit([&](const auto& one) { put(one, out); }, event);
  }

  /// A blank line: google-genai for Python parses every other line of a stream as JSON, comments too.
  [[nodiscard]] std::string_view ping() const override { return "\r\n"; }

 private:
  /// Model and id close every event of a stream: put together once.
  void build_tail(std::string_view id) {
    tail_ = ",\"modelVersion\":";
    json::append_string(tail_, options_.model);
    tail_ += ",\"responseId\":";
    json::append_string(tail_, id);
    tail_ += "}\r\n\r\n";
  }

  void begin(std::string& out) const { out += R"(data: {"candidates":[{"content":{"parts":[)"; }
  void end(std::string& out) const { out.append(R"(],"role":"model"},"index":0}])").append(tail_); }

  void put(const chat::MessageStart& start, std::string& /*out*/) {
    usage_.merge(start.usage);
    if (!start.id.empty()) build_tail(start.id);
  }

  void put(const chat::BlockStart& start, std::string& out) {
    call_.reset();
    signature_.clear();
    if (const auto* text = std::get_if<chat::Text>(&start.block.value)) {
      put_text(text->text, false, out);
    } else if (const auto* thinking = std::get_if<chat::Thinking>(&start.block.value)) {
      if (thinking->redacted) return;
      put_text(thinking->text, true, out);
      signature_ = thinking->signature;
    } else if (const auto* call = std::get_if<chat::ToolCall>(&start.block.value)) {
      call_ = *call;
    } else if (const auto* opaque = std::get_if<chat::Opaque>(&start.block.value); opaque != nullptr && opaque->dialect == kName) {
      begin(out);
      out += json::compact(opaque->json);
      end(out);
    }
  }

  void put(const chat::BlockDelta& delta, std::string& out) {
    switch (delta.kind) {
      case chat::DeltaKind::kText: return put_text(delta.text, false, out);
      case chat::DeltaKind::kThinking: return put_text(delta.text, true, out);
      case chat::DeltaKind::kSignature: signature_ += delta.text; return;
      case chat::DeltaKind::kArguments:
        if (call_) call_->arguments_json += delta.text;
        return;
      case chat::DeltaKind::kOpaque: return;  // citations of another dialect
    }
  }

  void put(const chat::BlockEnd& /*end*/, std::string& out) {
    if (call_) {
      begin(out);
      json::Writer writer(out);
      write_function_call(writer, *call_);
      end(out);
      call_.reset();
    } else if (!signature_.empty()) {
      begin(out);
      json::Writer writer(out);
      writer.begin_object().member("text", "").member("thought", true);
      writer.member("thoughtSignature", wrap_signature(signature_)).end_object();
      end(out);
    }
    signature_.clear();
  }

  void put_text(std::string_view text, bool thought, std::string& out) const {
    if (text.empty()) return;
    begin(out);
    out += "{\"text\":";
    json::append_string(out, text);
    out += thought ? ",\"thought\":true}" : "}";
    end(out);
  }

  void put(const chat::MessageEnd& last, std::string& out) {
    usage_.merge(last.usage);
    out.append(R"(data: {"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":")");
    out.append(finish_reason_of(last.reason)).append(R"(","index":0}],"usageMetadata":)");
    json::Writer writer(out);
    write_usage(writer, usage_, options_.estimated_input_tokens);
    out += tail_;
    over_ = true;
  }

  void put(const chat::StreamError& error, std::string& out) {
    out.append("data: ").append(error_body(error.message, error.type)).append("\r\n\r\n");
    over_ = true;
  }

  void put(const chat::Ping& /*ping*/, std::string& out) const { out += ping(); }

  const StreamWriterOptions options_;
  std::string tail_;
  std::optional<chat::ToolCall> call_;  ///< the open call, growing
  std::string signature_;               ///< of the open thinking block
  chat::Usage usage_;
  bool over_ = false;
};

}  // namespace

std::unique_ptr<StreamWriter> make_stream_writer(const StreamWriterOptions& options) {
  return std::make_unique<Writer>(options);
}

}  // namespace ccrules::dialect::gemini
