#include "dialect/openai_chat/stream_reader.h"

#include <utility>

#include "core/sse.h"
#include "core/text.h"
#include "dialect/broken.h"
#include "dialect/data_lines.h"
#include "dialect/failure.h"
#include "dialect/openai_chat/assembler.h"
#include "dialect/openai_chat/repeated_chunk.h"
#include "dialect/unstreamed.h"

namespace ccrules::dialect::openai {
namespace {

constexpr std::string_view kCheck = "check that its base_url is an OpenAI chat completions endpoint";

class Reader final : public StreamReader {
 public:
  Reader(const ReaderOptions& options, bool only_listens)
      : assembler_(options), provider_(options.provider), only_listens_(only_listens) {}

  Result<void> feed(std::string_view bytes, std::vector<chat::Event>& out) override {
    CCR_TRY(kept, body_.take(bytes));
    if (kept) return {};
    return read_events(bytes, out);
  }

  Result<void> finish(std::vector<chat::Event>& out) override {
    if (body_.came()) return finish_body(out);
    sse::Event event;
    // Servers that forget the last blank line still mean their last event; half an event is a cut like any
    // other.
    if (!assembler_.ended() && decoder_.finish(event)) {
      if (const auto read = read_event(event, out); !read.ok() && !assembler_.started()) return read;
    }
    assembler_.cut(body_, out);
    return {};
  }

  [[nodiscard]] bool ended() const override { return assembler_.ended(); }
  [[nodiscard]] std::int64_t passed_over_bytes() const override { return passed_over_bytes_; }
  [[nodiscard]] bool awaiting_usage() const override {
    return assembler_.finish_seen() && !assembler_.ended();
  }

 private:
  Result<void> read_events(std::string_view bytes, std::vector<chat::Event>& out) {
    return each_event(decoder_, bytes, [this] { return assembler_.ended(); },
                      [this, &out](const sse::Event& event) { return read_event(event, out); });
  }

  Result<void> read_event(const sse::Event& event, std::vector<chat::Event>& out) {
    DataLines lines(event.data);
    for (std::string_view json; lines.next(json) && !assembler_.ended();)
      CCR_CHECK(read_data(event.name, json, out));
    return {};
  }

  Result<void> read_data(std::string_view name, std::string_view json, std::vector<chat::Event>& out) {
    if (json == "[DONE]") {
      assembler_.end(out);
      return {};
    }
    if (name == "error") {
      assembler_.fail(stream_error(json, provider_), out);
      return {};
    }
    if (assembler_.content_seen() && repeated_.match(json, chunk_)) {
      // Arguments are followed even then: whether a call was cut depends on them.
      if (!only_listens_ || !chunk_.tools.empty()) return assembler_.apply(chunk_, out);
      for (const TextPiece& piece : chunk_.texts) passed_over_bytes_ += static_cast<std::int64_t>(piece.text.size());
      return {};
    }
    return read_json(json, out);
  }

  Result<void> read_json(std::string_view json, std::vector<chat::Event>& out) {
    auto document = json::Document::open_view(json);
    if (!document || !read_chunk(*document, chunk_).ok() || !document->at_end().ok()) return not_json(json, kCheck);
    if (!chunk_.error_json.empty()) {
      assembler_.fail(stream_error(json, provider_), out);
      return {};
    }
    CCR_CHECK(assembler_.apply(chunk_, out));
    passed_over_bytes_ += chunk_.other_text_bytes;
    repeated_.learn(json, chunk_);
    return {};
  }

  /// stream:true was asked for and one JSON value came: a whole reply, an error, or a page of HTML.
  Result<void> finish_body(std::vector<chat::Event>& out) {
    if (assembler_.ended()) return {};
    const std::string_view body = text::trim(body_.text());
    auto document = json::Document::open(body);
    const bool is_reply =
        document.ok() && read_chunk(*document, chunk_).ok() && chunk_.error_json.empty() && chunk_.has_choice;
    if (!is_reply) {
      assembler_.fail(not_an_answer(body, provider_), out);
      return {};
    }
    CCR_CHECK(assembler_.apply(chunk_, out));
    assembler_.end(out);
    return {};
  }

  sse::Decoder decoder_;
  Assembler assembler_;
  Chunk chunk_;
  RepeatedChunk repeated_;
  std::string provider_;
  bool only_listens_;
  std::int64_t passed_over_bytes_ = 0;
  UnstreamedBody body_;
};

}  // namespace

std::unique_ptr<StreamReader> make_stream_reader(const ReaderOptions& options) {
  return std::make_unique<Reader>(options, false);
}

std::unique_ptr<StreamReader> make_stream_listener() {
  return std::make_unique<Reader>(ReaderOptions{}, true);
}

}  // namespace ccrules::dialect::openai
