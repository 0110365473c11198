#include <algorithm>
#include <utility>

#include "core/limits.h"
#include "core/sse.h"
#include "core/text.h"
#include "dialect/broken.h"
#include "dialect/data_lines.h"
#include "dialect/failure.h"
#include "dialect/openai_responses/assembler.h"
#include "dialect/unstreamed.h"

namespace ccrules::dialect::responses {
namespace {

using json::Type;

Result<void> read_wire(json::Object& root, Wire& wire) {
  while (root.next()) {
    const std::string_view key = root.key();
    json::Value& value = root.value();
    if (key == "output_index" && value.is(Type::kNumber)) {
      CCR_TRY(index, value.integer());
      wire.output_index = index;
    } else if ((key == "content_index" || key == "summary_index") && value.is(Type::kNumber)) {
      CCR_TRY(index, value.integer());
      wire.part = index;
    } else if (key == "item_id" && value.is(Type::kString)) {
      CCR_TRY(id, value.string());
      wire.item_id = id;
    } else if (key == "delta" && value.is(Type::kString)) {
      CCR_TRY(text, value.string());
      wire.delta = text;
    } else if ((key == "text" || key == "arguments" || key == "input" || key == "refusal") &&
               value.is(Type::kString)) {
      CCR_TRY(text, value.string());
      wire.whole = text;
    } else if (key == "item" && value.is(Type::kObject)) {
      CCR_TRY(raw, value.raw());
      wire.item_json = raw;
    } else if (key == "response" && value.is(Type::kObject)) {
      CCR_TRY(envelope, read_envelope(value));
      wire.response = std::move(envelope);
    }
  }
  return root.done();
}

class Reader final : public StreamReader {
 public:
  explicit Reader(const ReaderOptions& options) : assembler_(options), options_(options) {}

  Result<void> feed(std::string_view bytes, std::vector<chat::Event>& out) override {
    CCR_TRY(is_body, body_.take(bytes));
    return is_body ? Result<void>() : read_events(bytes, out);
  }

  Result<void> finish(std::vector<chat::Event>& out) override {
    if (body_.came()) return finish_body(out);
    sse::Event event;
    // Servers that forget the last blank line still mean their last event; half an event is a cut like any
    // other.
    if (!assembler_.ended() && decoder_.finish(event)) {
      DataLines lines(event.data);
      std::string_view json;
      while (!assembler_.ended() && lines.next(json)) {
        if (json::is_valid(json)) CCR_CHECK(read_json(json, event.name, out));
      }
    }
    if (!assembler_.ended()) assembler_.cut(body_, out);
    return {};
  }

  [[nodiscard]] bool ended() const override { return assembler_.ended(); }

 private:
  Result<void> read_events(std::string_view bytes, std::vector<chat::Event>& out) {
    return each_event(decoder_, bytes, [this] { return assembler_.ended(); },
                      [this, &out](const sse::Event& event) { return read_event(event, out); });
  }

  Result<void> read_event(const sse::Event& event, std::vector<chat::Event>& out) {
    DataLines lines(event.data);
    std::string_view json;
    while (!assembler_.ended() && lines.next(json)) CCR_CHECK(read_json(json, event.name, out));
    return {};
  }

  Result<void> read_json(std::string_view json, std::string_view name, std::vector<chat::Event>& out) {
    if (json == "[DONE]") {
      if (assembler_.started()) assembler_.end(Envelope{}, out);
      return {};
    }
    auto document = json::Document::open_view(json);
    if (!document) return not_json(json, kCheck);
    auto root = document->root();
    if (!root || !root->is(Type::kObject)) return not_json(json, kCheck);
    Wire wire;
    const std::string type(root->peek_string("type").value_or(name));
    const bool bare_error = type.empty() && root->peek("error").has_value();
    wire.type = type;
    auto members = root->object();
    if (!members || !read_wire(*members, wire).ok()) return not_json(json, kCheck);
    const bool failed = wire.response && (wire.response->status == "failed" ||
                                          wire.response->status == "cancelled" || type == "response.failed");
    if (type == "error" || type == "response.error" || bare_error) {
      assembler_.fail(stream_error(json, options_.provider), out);
      return {};
    }
    if (failed || type == "response.failed") {
      const bool said = wire.response && !wire.response->error_json.empty();
      assembler_.fail(said ? stream_error(wire.response->error_json, options_.provider)
                           : chat::StreamError{"api_error",
                                               "the provider broke its answer off without saying why", false},
                      out);
      return {};
    }
    return assembler_.apply(wire, out);
  }

  /// stream:true was asked for and one JSON value came: a whole reply, an error, or a page of HTML.
  Result<void> finish_body(std::vector<chat::Event>& out) {
    if (assembler_.ended()) return {};
    const std::string_view body = text::trim(body_.text());
    auto document = json::Document::open_view(body);
    auto root = document ? document->root() : Result<json::Value>(document.error());
    auto envelope =
        root && root->is(Type::kObject) ? read_envelope(*root) : Result<Envelope>(bad_request({}));
    if (!envelope || !envelope->has_output || !envelope->error_json.empty() || envelope->status == "failed") {
      assembler_.fail(not_an_answer(body, options_.provider), out);
      return {};
    }
    Wire wire;
    wire.type = "response.completed";
    wire.response = *std::move(envelope);
    return assembler_.apply(wire, out);
  }

  sse::Decoder decoder_;
  Assembler assembler_;
  ReaderOptions options_;
  UnstreamedBody body_;
};

}  // namespace

std::unique_ptr<StreamReader> make_stream_reader(const ReaderOptions& options) {
  return std::make_unique<Reader>(options);
}

std::unique_ptr<StreamReader> make_stream_listener() {
  return std::make_unique<Reader>(ReaderOptions{});
}

}  // namespace ccrules::dialect::responses
