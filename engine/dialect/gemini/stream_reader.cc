#include <utility>

#include "core/limits.h"
#include "core/sse.h"
#include "core/text.h"
#include "dialect/failure.h"
#include "dialect/gemini/assembler.h"
#include "dialect/gemini/parts.h"

namespace ccrules::dialect::gemini {
namespace {

Error not_a_stream(std::string_view what) {
  Error error;
  error.code = ErrorCode::kUpstreamProtocol;
  error.origin = Origin::kUpstream;
  error.retry = Retry::kNextTarget;
  error.http_status = 502;
  error.message = "the provider's stream " + std::string(what) + "; check that its base_url is a Gemini API";
  return error;
}

/// Server-sent events without [DONE], or one JSON text: an error, a whole answer, or the array of answers that a
/// server sends that does not know alt=sse.
class Reader final : public StreamReader {
 public:
  explicit Reader(const ReaderOptions& options) : assembler_(options), provider_(options.provider) {}

  Result<void> feed(std::string_view bytes, std::vector<chat::Event>& out) override {
    if (framing_ == Framing::kUnknown && !recognise(bytes)) return {};
    if (framing_ == Framing::kBody) return hold(bytes);
    if (!first_bytes_.empty()) {
      const std::string first = std::exchange(first_bytes_, {});
      CCR_CHECK(read_events(first, out));
    }
    return read_events(bytes, out);
  }

  Result<void> finish(std::vector<chat::Event>& out) override {
    if (framing_ == Framing::kBody) return finish_body(out);
    sse::Event event;
    // The last event counts without its blank line; half an event is a cut like any other.
    if (!assembler_.ended() && decoder_.finish(event)) {
      if (const auto read = read_json(text::trim(event.data), out); !read.ok() && !assembler_.started()) return read;
    }
    assembler_.end(out);
    return {};
  }

  [[nodiscard]] bool ended() const override { return assembler_.ended(); }
  [[nodiscard]] bool awaiting_usage() const override { return assembler_.finish_seen() && !assembler_.ended(); }

 private:
  enum class Framing : std::uint8_t { kUnknown, kEvents, kBody };

  /// Looks at the first byte that says something; keeps what came before it. @return false when none came yet.
  bool recognise(std::string_view bytes) {
    constexpr std::string_view kSkipped = " \t\r\n\xEF\xBB\xBF";
    const std::size_t first = bytes.find_first_not_of(kSkipped);
    if (first == std::string_view::npos) {
      if (first_bytes_.size() < 16) first_bytes_ += bytes.substr(0, 16);
      return false;
    }
    const char byte = bytes[first];
    framing_ = byte == '{' || byte == '[' || byte == '<' ? Framing::kBody : Framing::kEvents;
    return true;
  }

  Result<void> hold(std::string_view bytes) {
    body_ += bytes;
    if (body_.size() > limits::kReplyBytes) return not_a_stream("is one JSON body larger than the limit for replies");
    return {};
  }

  Result<void> read_events(std::string_view bytes, std::vector<chat::Event>& out) {
    if (assembler_.ended()) return {};
    sse::Event event;
    decoder_.feed(bytes);
    for (;;) {
      const sse::Step step = decoder_.next(event);
      if (step == sse::Step::kStarved) return {};
      if (step == sse::Step::kTooLarge) return sse::too_large();
      CCR_CHECK(read_json(text::trim(event.data), out));
      if (assembler_.ended()) return {};
    }
  }

  Result<void> read_json(std::string_view json, std::vector<chat::Event>& out) {
    if (json.empty() || json == "[DONE]") return {};
    if (json.front() == '[') return read_array(json, out);
    auto document = json::Document::open_view(json);
    if (!document) return not_a_stream("holds an event that is not JSON");
    if (!read_chunk(*document, chunk_).ok()) return not_a_stream("holds an event that is not a JSON object");
    if (chunk_.is_error) {
      assembler_.fail(stream_error(json, provider_), out);
      return {};
    }
    return assembler_.apply(chunk_, out);
  }

  Result<void> read_array(std::string_view json, std::vector<chat::Event>& out) {
    CCR_TRY(document, json::Document::open_view(json));
    CCR_TRY(root, document.root());
    CCR_TRY(answers, root.array());
    while (answers.next()) {
      CCR_TRY(answer, answers.value().raw());
      if (!answer.starts_with('{')) return not_a_stream("holds an array of something else than answers");
      CCR_CHECK(read_json(answer, out));
      if (assembler_.ended()) return {};
    }
    return answers.done();
  }

  Result<void> finish_body(std::vector<chat::Event>& out) {
    if (assembler_.ended()) return {};
    std::string_view body = text::trim(body_);
    if (body.starts_with("\xEF\xBB\xBF")) body = text::trim(body.substr(3));
    if (!body.starts_with('<') && !json::is_valid(body)) {
      assembler_.fail({"api_error", "the provider's answer ended before its JSON did", true}, out);
      return {};
    }
    // JSON without an answer in it is an error; the rest are pages of HTML.
    const bool read = !body.starts_with('<') && read_json(body, out).ok();
    if (!read || !assembler_.started()) assembler_.fail(stream_error(body, provider_), out);
    assembler_.end(out);
    return {};
  }

  sse::Decoder decoder_;
  Assembler assembler_;
  Chunk chunk_;
  std::string provider_;
  Framing framing_ = Framing::kUnknown;
  std::string first_bytes_;
  std::string body_;
};

}  // namespace

std::unique_ptr<StreamReader> make_stream_reader(const ReaderOptions& options) {
  return std::make_unique<Reader>(options);
}

}  // namespace ccrules::dialect::gemini
