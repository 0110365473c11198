#include <utility>

#include "dialect/openai_chat/errors.h"
#include "dialect/openai_responses/parts.h"

namespace ccrules::dialect::responses {
namespace {

/// Writes each event as soon as it comes. Clients of this dialect take the last event for the whole response,
/// so the items are kept until then.
class Writer final : public StreamWriter {
 public:
  explicit Writer(const StreamWriterOptions& options) : options_(options), items_(options_) {}

  void write(const chat::Event& event, std::string& out) override {
    if (over_) return;
    std::visit([&](const auto& one) { put(one, out); }, event);
  }

  /// A comment without a blank line, which some clients would take for an empty event (G-19).
  [[nodiscard]] std::string_view ping() const override { return ": ping\n"; }

 private:
  /// Runs `body` between the lines of one event.
  template <class Body>
  void event(std::string_view type, std::string& out, const Body& body) {
    out.append("event: ").append(type).append("\ndata: ");
    json::Writer writer(out);
    writer.begin_object().member("type", type).member("sequence_number", sequence_++);
    body(writer);
    writer.end_object();
    out += "\n\n";
  }

  void put_response(std::string_view type, std::string_view status, const chat::Usage* usage,
                    chat::StopReason reason, std::string& out) {
    const std::string output = "[" + output_ + "]";
    event(type, out, [&](json::Writer& writer) {
      writer.key("response");
      items_.response(writer, id_, model_, status, output, usage, reason);
    });
  }

  void put(const chat::MessageStart& start, std::string& out) {
    if (started_) return;
    started_ = true;
    id_ = items_.response_id(start.id);
    model_ = start.model;
    put_response("response.created", "in_progress", nullptr, chat::StopReason::kEndTurn, out);
    put_response("response.in_progress", "in_progress", nullptr, chat::StopReason::kEndTurn, out);
  }

  void put(const chat::BlockStart& start, std::string& out) {
    if (!started_) put(chat::MessageStart{}, out);
    block_ = start.block;
    open_ = true;
    custom_ = false;
    if (const auto* text = std::get_if<chat::Text>(&block_.value)) {
      item_id_ = ItemWriter::item_id("msg_", id_, place_);
      put_added(R"("type":"message","status":"in_progress","content":[],"role":"assistant")", out);
      put_part("response.content_part.added", {}, out);
      if (!text->text.empty()) put_delta("response.output_text.delta", kTextPlace, text->text, out);
    } else if (std::holds_alternative<chat::Thinking>(block_.value)) {
      item_id_ = ItemWriter::item_id("rs_", id_, place_);
      put_added(R"("type":"reasoning","summary":[])", out);
      summary_open_ = false;
      if (auto& thinking = std::get<chat::Thinking>(block_.value);
          !thinking.redacted && !thinking.text.empty()) {
        put(chat::BlockDelta{start.index, chat::DeltaKind::kThinking, std::exchange(thinking.text, {})}, out);
      }
    } else if (const auto* call = std::get_if<chat::ToolCall>(&block_.value)) {
      custom_ = items_.is_custom(ItemWriter::full_name(*call));
      item_id_ = ItemWriter::item_id(custom_ ? "ctc_" : "fc_", id_, place_);
      std::string rest = custom_
                             ? R"("type":"custom_tool_call","status":"in_progress","input":"","call_id":)"
                             : R"("type":"function_call","status":"in_progress","arguments":"","call_id":)";
      json::append_string(rest, call->id);
      ItemWriter::append_name(rest, *call);
      put_added(rest, out);
    }
  }

  void put(const chat::BlockDelta& delta, std::string& out) {
    if (delta.text.empty()) return;
    if (auto* text = std::get_if<chat::Text>(&block_.value)) {
      if (delta.kind != chat::DeltaKind::kText) return;
      text->text += delta.text;
      put_delta("response.output_text.delta", kTextPlace, delta.text, out);
    } else if (auto* thinking = std::get_if<chat::Thinking>(&block_.value)) {
      if (delta.kind == chat::DeltaKind::kSignature) thinking->signature += delta.text;
      if (delta.kind != chat::DeltaKind::kThinking) return;
      if (!summary_open_) put_summary_part("response.reasoning_summary_part.added", {}, out);
      summary_open_ = true;
      thinking->text += delta.text;
      put_delta("response.reasoning_summary_text.delta", kSummaryPlace, delta.text, out);
    } else if (auto* call = std::get_if<chat::ToolCall>(&block_.value)) {
      if (delta.kind != chat::DeltaKind::kArguments) return;
      call->arguments_json += delta.text;
      // A custom tool's input is a text inside these arguments: told when it is whole.
      if (!custom_) put_delta("response.function_call_arguments.delta", {}, delta.text, out);
    }
  }

  void put(const chat::BlockEnd& /*end*/, std::string& out) {
    if (!open_) return;
    open_ = false;
    if (const auto* text = std::get_if<chat::Text>(&block_.value)) {
      put_done("response.output_text.done", kTextPlace, "text", text->text, out);
      put_part("response.content_part.done", text->text, out);
    } else if (const auto* thinking = std::get_if<chat::Thinking>(&block_.value)) {
      if (summary_open_) {
        put_done("response.reasoning_summary_text.done", kSummaryPlace, "text", thinking->text, out);
        put_summary_part("response.reasoning_summary_part.done", thinking->text, out);
      }
    } else if (auto* call = std::get_if<chat::ToolCall>(&block_.value)) {
      if (custom_) {
        const std::string input = unwrapped_input(call->arguments_json);
        put_delta("response.custom_tool_call_input.delta", {}, input, out);
        put_done("response.custom_tool_call_input.done", {}, "input", input, out);
      } else {
        if (call->arguments_json.empty()) {
          call->arguments_json = "{}";
          put_delta("response.function_call_arguments.delta", {}, "{}", out);
        }
        put_done("response.function_call_arguments.done", {}, "arguments", call->arguments_json, out);
      }
    }
    const std::string item = items_.item(block_, id_, place_, "completed");
    if (item.empty()) return;
    if (std::holds_alternative<chat::Opaque>(block_.value)) {
      // An item that its own provider ran comes whole; clients still want it announced.
      event("response.output_item.added", out,
            [&](json::Writer& writer) { writer.member("output_index", place_int()).member_raw("item", item); });
    }
    event("response.output_item.done", out,
          [&](json::Writer& writer) { writer.member("output_index", place_int()).member_raw("item", item); });
    if (!output_.empty()) output_ += ',';
    output_ += item;
    ++place_;
  }

  void put(const chat::MessageEnd& end, std::string& out) {
    if (!started_) put(chat::MessageStart{}, out);
    const std::string_view status = status_of(end.reason);
    put_response(status == "completed" ? "response.completed" : "response.incomplete", status, &end.usage,
                 end.reason, out);
    over_ = true;
  }

  void put(const chat::StreamError& error, std::string& out) {
    const std::string_view code = openai::error_code(error.message, error.type);
    event("error", out, [&](json::Writer& writer) {
      writer.member("code", code).member("message", error.message).key("param").null();
    });
    if (started_) {
      event("response.failed", out, [&](json::Writer& writer) {
        writer.key("response").begin_object().member("id", id_).member("object", "response");
        writer.member("created_at", options_.created_s).member("status", "failed");
        writer.key("error").begin_object().member("code", code).member("message", error.message).end_object();
        writer.key("incomplete_details")
            .null()
            .member("model", options_.model.empty() ? model_ : options_.model);
        writer.member_raw("output", "[" + output_ + "]").key("usage").null().end_object();
      });
    }
    over_ = true;
  }

  void put(const chat::Ping& /*ping*/, std::string& out) { out += ping(); }

  // --- the events of one item

  static constexpr std::string_view kTextPlace = ",\"content_index\":0";
  static constexpr std::string_view kSummaryPlace = ",\"summary_index\":0";

  [[nodiscard]] std::int64_t place_int() const { return static_cast<std::int64_t>(place_); }

  void put_added(std::string_view rest, std::string& out) {
    std::string item = "{\"id\":";
    json::append_string(item, item_id_);
    item.append(",").append(rest).append("}");
    event("response.output_item.added", out,
          [&](json::Writer& writer) { writer.member("output_index", place_int()).member_raw("item", item); });
    head_.clear();
    head_ += ",\"item_id\":";
    json::append_string(head_, item_id_);
    head_ += ",\"output_index\":" + std::to_string(place_);
  }

  /// The events there are thousands of: written straight.
  void open_event(std::string_view type, std::string_view place, std::string& out) {
    out.append("event: ").append(type).append("\ndata: {\"type\":\"").append(type);
    out.append("\",\"sequence_number\":").append(std::to_string(sequence_++)).append(head_).append(place);
  }

  void put_delta(std::string_view type, std::string_view place, std::string_view text, std::string& out) {
    open_event(type, place, out);
    out += ",\"delta\":";
    json::append_string(out, text);
    out += type == "response.output_text.delta" ? ",\"logprobs\":[]}\n\n" : "}\n\n";
  }

  void put_done(std::string_view type, std::string_view place, std::string_view member, std::string_view text,
                std::string& out) {
    open_event(type, place, out);
    out.append(",\"").append(member).append("\":");
    json::append_string(out, text);
    out += type == "response.output_text.done" ? ",\"logprobs\":[]}\n\n" : "}\n\n";
  }

  void put_part(std::string_view type, std::string_view text, std::string& out) {
    open_event(type, kTextPlace, out);
    out += R"(,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":)";
    json::append_string(out, text);
    out += "}}\n\n";
  }

  void put_summary_part(std::string_view type, std::string_view text, std::string& out) {
    open_event(type, kSummaryPlace, out);
    out += R"(,"part":{"type":"summary_text","text":)";
    json::append_string(out, text);
    out += "}}\n\n";
  }

  const StreamWriterOptions options_;
  const ItemWriter items_;
  std::string id_;
  std::string model_;
  std::string item_id_;
  std::string head_;    ///< item_id and output_index of the open item
  std::string output_;  ///< the items that are over
  chat::Block block_;   ///< the open one, with all that came
  std::int64_t sequence_ = 0;
  std::size_t place_ = 0;
  bool started_ = false;
  bool over_ = false;
  bool open_ = false;
  bool custom_ = false;
  bool summary_open_ = false;
};

}  // namespace

std::unique_ptr<StreamWriter> make_stream_writer(const StreamWriterOptions& options) {
  return std::make_unique<Writer>(options);
}

}  // namespace ccrules::dialect::responses
