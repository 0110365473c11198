#include "dialect/openai_chat/stream_writer.h"

#include <utility>

#include "core/json.h"
#include "dialect/openai_chat/errors.h"
#include "dialect/openai_chat/finish.h"
#include "dialect/openai_chat/usage.h"

namespace ccrules::dialect::openai {
namespace {

class Writer final : public StreamWriter {
 public:
  explicit Writer(const StreamWriterOptions& options) : options_(options) { build_frame(options_.id); }

  void write(const chat::Event& event, std::string& out) override {
    if (ended_) return;
    std::visit([&](const auto& typed) { write_event(typed, out); }, event);
  }

  /// A comment with a single newline: the blank line after it would be an empty event, which openai-python up
  /// to 2.37 cannot take (translation.md G-19).
  [[nodiscard]] std::string_view ping() const override { return ": ping\n"; }

 private:
  /// Everything of a chunk but its delta is the same all through a stream: put together once.
  void build_frame(std::string_view id) {
    head_ = "data: ";
    json::Writer writer(head_);
    writer.begin_object()
        .member("id", id)
        .member("object", "chat.completion.chunk")
        .member("created", options_.created_s)
        .member("model", options_.model);
    head_ += ",\"choices\":[";
    usage_null_ = options_.include_usage ? ",\"usage\":null}\n\n" : "}\n\n";
    delta_open_ = head_ + "{\"index\":0,\"delta\":{";
    delta_close_ = "},\"logprobs\":null,\"finish_reason\":null}]" + usage_null_;
  }

  void write_event(const chat::MessageStart& start, std::string& out) {
    if (!start.id.empty()) build_frame(start.id);
    out.append(delta_open_).append(R"("role":"assistant","content":"")").append(delta_close_);
  }

  void write_event(const chat::BlockStart& start, std::string& out) {
    in_tool_ = false;
    if (const auto* text = std::get_if<chat::Text>(&start.block.value)) {
      if (!text->text.empty()) write_member("content", text->text, out);
    } else if (const auto* thinking = std::get_if<chat::Thinking>(&start.block.value)) {
      if (!thinking->text.empty() && !thinking->redacted)
        write_member("reasoning_content", thinking->text, out);
    } else if (const auto* call = std::get_if<chat::ToolCall>(&start.block.value)) {
      in_tool_ = true;
      has_arguments_ = !call->arguments_json.empty();
      out.append(delta_open_).append("\"tool_calls\":[{\"index\":").append(std::to_string(++tool_));
      out.append(",\"id\":");
      json::append_string(out, call->id);
      out.append(R"(,"type":"function","function":{"name":)");
      json::append_string(out, call->name);
      out.append(",\"arguments\":");
      json::append_string(out, call->arguments_json);
      out.append("}}]").append(delta_close_);
    }
  }

  void write_event(const chat::BlockDelta& delta, std::string& out) {
    switch (delta.kind) {
      case chat::DeltaKind::kText:
        write_member("content", delta.text, out);
        break;
      case chat::DeltaKind::kThinking:
        write_member("reasoning_content", delta.text, out);
        break;
      case chat::DeltaKind::kArguments:
        write_arguments(delta.text, out);
        break;
      case chat::DeltaKind::kSignature:
      case chat::DeltaKind::kOpaque:
        break;  // the format has no place for them
    }
  }

  void write_event(const chat::BlockEnd&, std::string& out) {
    // Anthropic's way of saying "no arguments" is no delta at all; clients of this format parse the string.
    if (in_tool_ && !has_arguments_) write_arguments("{}", out);
    in_tool_ = false;
  }

  void write_event(const chat::MessageEnd& end, std::string& out) {
    ended_ = true;
    out.append(head_).append("{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"");
    out.append(finish_reason_of(end.reason)).append("\"}]").append(usage_null_);
    if (options_.include_usage) {
      out.append(head_).append("],\"usage\":");
      json::Writer writer(out);
      write_usage(writer, end.usage);
      out.append("}\n\n");
    }
    out.append("data: [DONE]\n\n");
  }

  void write_event(const chat::StreamError& error, std::string& out) {
    ended_ = true;
    out.append("data: ").append(error_body(error.message, error.type)).append("\n\n");
  }

  void write_event(const chat::Ping&, std::string& out) { out.append(ping()); }

  void write_member(std::string_view name, std::string_view text, std::string& out) {
    out.append(delta_open_).append("\"").append(name).append("\":");
    json::append_string(out, text);
    out.append(delta_close_);
  }

  void write_arguments(std::string_view text, std::string& out) {
    if (!in_tool_ || text.empty()) return;
    has_arguments_ = true;
    out.append(delta_open_)
        .append("\"tool_calls\":[{\"index\":")
        .append(std::to_string(tool_))
        .append(",\"function\":{\"arguments\":");
    json::append_string(out, text);
    out.append("}}]").append(delta_close_);
  }

  StreamWriterOptions options_;
  std::string head_;        ///< up to the opening bracket of choices
  std::string delta_open_;  ///< up to the inside of the delta
  std::string delta_close_;
  std::string usage_null_;  ///< the end of every chunk but the usage chunk
  int tool_ = -1;           ///< running number of the tool call, not of the block
  bool in_tool_ = false;
  bool has_arguments_ = false;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<StreamWriter> make_stream_writer(const StreamWriterOptions& options) {
  return std::make_unique<Writer>(options);
}

}  // namespace ccrules::dialect::openai
