#include "dialect/dialect.h"

#include "dialect/failure.h"
#include "dialect/ollama/reply.h"
#include "dialect/ollama/request_reader.h"
#include "dialect/ollama/request_writer.h"
#include "dialect/ollama/stream_reader.h"
#include "dialect/ollama/stream_writer.h"
#include "dialect/ollama/wire.h"
#include "dialect/tools.h"

namespace ccrules::dialect {
namespace {

/// Ollama's own API (/api/chat): newline-delimited JSON. Wire format: ollama/ollama fb30760 (2026-08-21), npm ollama 0.6.4.
class Ollama final : public Dialect {
 public:
  [[nodiscard]] std::string_view name() const override { return "ollama"; }
  [[nodiscard]] std::string_view upstream_path() const override { return "/api/chat"; }
  [[nodiscard]] std::string_view stream_type() const override { return "application/x-ndjson"; }

  Result<chat::Outline> outline(json::Document& body) const override { return ollama::read_outline(body); }
  Result<chat::Request> read_request(json::Document& body) const override { return ollama::read_request(body); }
  Result<std::string> write_request(const chat::Request& request, const Capabilities& target,
                                    chat::LossNotes& losses) const override {
    return ollama::write_request(request, target, losses);
  }
  [[nodiscard]] std::vector<RenamedTool> renamed_tools(const chat::Request& request) const override {
    return shortened_tools(request);
  }
  Result<chat::Reply> read_reply(std::string_view body, const ReaderOptions& options) const override {
    return ollama::read_reply(body, options);
  }
  std::string write_reply(const chat::Reply& reply, const StreamWriterOptions& options,
                          chat::LossNotes& losses) const override {
    return ollama::write_reply(reply, options, losses);
  }
  [[nodiscard]] std::unique_ptr<StreamReader> stream_reader(const ReaderOptions& options) const override {
    return ollama::make_stream_reader(options);
  }
  [[nodiscard]] std::unique_ptr<StreamWriter> stream_writer(const StreamWriterOptions& options) const override {
    return ollama::make_stream_writer(options);
  }
  [[nodiscard]] chat::Reply peek_reply(std::string_view body) const override { return ollama::peek_reply(body); }

  [[nodiscard]] Error read_error(const UpstreamFailure& failure) const override { return read_failure(failure); }
  [[nodiscard]] std::string write_error(const Error& error, std::string_view) const override {
    return ollama::error_body(error.message);
  }
  [[nodiscard]] int error_status(const Error& error) const override { return ollama::error_status(error); }
  [[nodiscard]] std::string write_models(const ModelPage& page) const override { return ollama::tags_body(page); }
  /// It has no question about one: POST /api/show is another.
  [[nodiscard]] std::string write_model(const ListedModel& model) const override { return ollama::tags_body({{model}, false, {}}); }
};

}  // namespace

const Dialect& ollama_chat() {
  static const Ollama instance;
  return instance;
}

}  // namespace ccrules::dialect
