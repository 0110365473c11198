#include <utility>

#include "core/sse.h"
#include "core/text.h"
#include "dialect/broken.h"
#include "dialect/failure.h"
#include "dialect/gemini/assembler.h"
#include "dialect/gemini/parts.h"

namespace ccrules::dialect::gemini {
namespace {

constexpr std::string_view kCheck = "check that its base_url is a Gemini API";

/// Server-sent events without [DONE], or one JSON text: an error, a whole answer, or the array of answers that a
/// server sends that does not know alt=sse.
class Reader final : public StreamReader {
 public:
  explicit Reader(const ReaderOptions& options) : assembler_(options), provider_(options.provider) {}

  Result<void> feed(std::string_view bytes, std::vector<chat::Event>& out) override {
    CCR_TRY(is_body, body_.take(bytes));
    if (is_body) return {};
    return each_event(decoder_, bytes, [this] { return assembler_.ended(); },
                      [this, &out](const sse::Event& event) { return read_json(text::trim(event.data), out); });
  }

  Result<void> finish(std::vector<chat::Event>& out) override {
    if (body_.came()) return finish_body(out);
    sse::Event event;
    // The last event counts without its blank line; half an event is a cut like any other.
    if (!assembler_.ended() && decoder_.finish(event)) {
      if (const auto read = read_json(text::trim(event.data), out); !read.ok() && !assembler_.started()) return read;
    }
    // Google may say why in a body of its own behind the events.
    const std::string_view stray = text::trim(decoder_.stray_json());
    if (!assembler_.finish_seen() && tells_error(stray)) assembler_.fail(stream_error(stray, provider_), out);
    assembler_.end(body_, out);
    return {};
  }

  [[nodiscard]] bool ended() const override { return assembler_.ended(); }
  [[nodiscard]] bool awaiting_usage() const override { return assembler_.finish_seen() && !assembler_.ended(); }
  [[nodiscard]] std::int64_t passed_over_bytes() const override { return passed_over_bytes_; }

 private:
  Result<void> read_json(std::string_view json, std::vector<chat::Event>& out) {
    if (json.empty() || json == "[DONE]") return {};
    if (json.front() == '[') return read_array(json, out);
    auto document = json::Document::open_view(json);
    if (!document || !read_chunk(*document, chunk_).ok()) return not_json(json, kCheck);
    if (chunk_.is_error) {
      assembler_.fail(stream_error(json, provider_), out);
      return {};
    }
    passed_over_bytes_ += chunk_.other_text_bytes;
    return assembler_.apply(chunk_, out);
  }

  Result<void> read_array(std::string_view json, std::vector<chat::Event>& out) {
    CCR_TRY(document, json::Document::open_view(json));
    CCR_TRY(root, document.root());
    CCR_TRY(answers, root.array());
    while (answers.next()) {
      CCR_TRY(answer, answers.value().raw());
      if (!answer.starts_with('{')) return broken_stream("holds an array of something else than answers; " + std::string(kCheck));
      CCR_CHECK(read_json(answer, out));
      if (assembler_.ended()) return {};
    }
    return answers.done();
  }

  Result<void> finish_body(std::vector<chat::Event>& out) {
    if (assembler_.ended()) return {};
    const std::string_view body = text::trim(body_.text());
    const bool read = json::is_valid(body) && read_json(body, out).ok();
    if (!read || !assembler_.started()) assembler_.fail(not_an_answer(body, provider_), out);
    assembler_.end(body_, out);
    return {};
  }

  sse::Decoder decoder_;
  Assembler assembler_;
  Chunk chunk_;
  std::string provider_;
  UnstreamedBody body_;
  std::int64_t passed_over_bytes_ = 0;
};

}  // namespace

std::unique_ptr<StreamReader> make_stream_reader(const ReaderOptions& options) {
  return std::make_unique<Reader>(options);
}

}  // namespace ccrules::dialect::gemini
