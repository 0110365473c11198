#include "dialect/ollama/stream_writer.h"

#include <string>
#include <utility>

#include "core/json.h"
#include "dialect/ollama/wire.h"

namespace ccrules::dialect::ollama {
namespace {

class Writer final : public StreamWriter {
 public:
  explicit Writer(const StreamWriterOptions& options) {
    json::Writer writer(head_);
    writer.begin_object().member("model", options.model).member("created_at", timestamp(options.created_s));
    head_ += R"(,"message":{"role":"assistant","content":)";
    ping_ = head_ + "\"\"},\"done\":false}\n";
  }

  void write(const chat::Event& event, std::string& out) override {
    if (ended_) return;
    std::visit([&](const auto& typed) { write_event(typed, out); }, event);
  }

  /// An empty piece of answer: clients parse every line, so that nothing else may stand there.
  [[nodiscard]] std::string_view ping() const override { return ping_; }

 private:
  void write_event(const chat::MessageStart&, std::string&) {}

  void write_event(const chat::BlockStart& start, std::string& out) {
    call_.reset();
    if (const auto* text = std::get_if<chat::Text>(&start.block.value)) {
      if (!text->text.empty()) write_text(text->text, out);
    } else if (const auto* thinking = std::get_if<chat::Thinking>(&start.block.value)) {
      if (!thinking->text.empty() && !thinking->redacted) write_thinking(thinking->text, out);
    } else if (const auto* call = std::get_if<chat::ToolCall>(&start.block.value)) {
      call_ = *call;
    }
  }

  void write_event(const chat::BlockDelta& delta, std::string& out) {
    switch (delta.kind) {
      case chat::DeltaKind::kText:
        return write_text(delta.text, out);
      case chat::DeltaKind::kThinking:
        return write_thinking(delta.text, out);
      case chat::DeltaKind::kArguments:
        if (call_) call_->arguments_json += delta.text;
        return;
      case chat::DeltaKind::kSignature:
      case chat::DeltaKind::kOpaque:
        return;  // the format has no place for them
    }
  }

  /// A call goes out whole: its arguments are an object here.
  void write_event(const chat::BlockEnd&, std::string& out) {
    if (!call_) return;
    out.append(head_).append("\"\",\"tool_calls\":[");
    json::Writer writer(out);
    write_call(writer, *call_, calls_++);
    out.append("]},\"done\":false}\n");
    call_.reset();
  }

  void write_event(const chat::MessageEnd& end, std::string& out) {
    ended_ = true;
    out.append(head_).append("\"\"}");
    std::string members;
    json::Writer writer(members);
    writer.begin_object();
    write_end(writer, end.reason, end.usage);
    writer.end_object();
    out.append(",").append(members, 1).append("\n");
  }

  void write_event(const chat::StreamError& error, std::string& out) {
    ended_ = true;
    out.append(error_body(error.message)).append("\n");
  }

  void write_event(const chat::Ping&, std::string& out) { out.append(ping_); }

  void write_text(std::string_view text, std::string& out) {
    out.append(head_);
    json::append_string(out, text);
    out.append("},\"done\":false}\n");
  }

  void write_thinking(std::string_view text, std::string& out) {
    out.append(head_).append("\"\",\"thinking\":");
    json::append_string(out, text);
    out.append("},\"done\":false}\n");
  }

  std::string head_;  ///< up to the value of content: the same all through a stream
  std::string ping_;
  std::optional<chat::ToolCall> call_;  ///< the open one
  std::size_t calls_ = 0;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<StreamWriter> make_stream_writer(const StreamWriterOptions& options) {
  return std::make_unique<Writer>(options);
}

}  // namespace ccrules::dialect::ollama
