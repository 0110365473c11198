#include "dialect/ollama/stream_reader.h"

#include <string>

#include "core/limits.h"
#include "core/text.h"
#include "dialect/broken.h"
#include "dialect/failure.h"
#include "dialect/ollama/assembler.h"

namespace ccrules::dialect::ollama {
namespace {

constexpr std::string_view kCheck = "check that its base_url is an Ollama server";

class Reader final : public StreamReader {
 public:
  explicit Reader(const ReaderOptions& options) : assembler_(options), provider_(options.provider) {}

  Result<void> feed(std::string_view bytes, std::vector<chat::Event>& out) override {
    while (!assembler_.ended()) {
      const std::size_t end = bytes.find('\n');
      if (end == std::string_view::npos) {
        unfinished_ += bytes;
        return unfinished_.size() > limits::kSseEventBytes ? broken_stream("holds a line without an end; " + std::string(kCheck))
                                                           : Result<void>();
      }
      if (unfinished_.empty()) {
        CCR_CHECK(read_line(bytes.substr(0, end), out));
      } else {
        unfinished_ += bytes.substr(0, end);
        const std::string line = std::move(unfinished_);
        unfinished_.clear();
        CCR_CHECK(read_line(line, out));
      }
      bytes.remove_prefix(end + 1);
    }
    return {};
  }

  Result<void> finish(std::vector<chat::Event>& out) override {
    if (!assembler_.ended()) {
      // The last line may lack its end; half a line is a cut like any other.
      if (auto read = read_line(unfinished_, out); !read.ok() && !assembler_.started()) return read;
    }
    assembler_.cut(out);
    return {};
  }

  [[nodiscard]] bool ended() const override { return assembler_.ended(); }

 private:
  Result<void> read_line(std::string_view line, std::vector<chat::Event>& out) {
    line = text::trim(line);
    if (line.empty()) return {};
    auto document = json::Document::open_view(line);
    if (!document || !read_chunk(*document, chunk_).ok()) return not_json(line, kCheck);
    if (chunk_.failed) {
      assembler_.fail(stream_error(line, provider_), out);
    } else {
      assembler_.apply(chunk_, out);
    }
    return {};
  }

  Assembler assembler_;
  Chunk chunk_;
  std::string provider_;
  std::string unfinished_;  ///< start of a line whose end has not arrived
};

}  // namespace

std::unique_ptr<StreamReader> make_stream_reader(const ReaderOptions& options) {
  return std::make_unique<Reader>(options);
}

}  // namespace ccrules::dialect::ollama
