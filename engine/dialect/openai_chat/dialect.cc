#include "dialect/dialect.h"

#include "dialect/failure.h"
#include "dialect/openai_chat/errors.h"
#include "dialect/openai_chat/reply_reader.h"
#include "dialect/openai_chat/reply_writer.h"
#include "dialect/openai_chat/request_reader.h"
#include "dialect/openai_chat/request_writer.h"
#include "dialect/openai_chat/stream_reader.h"
#include "dialect/openai_chat/stream_writer.h"
#include "dialect/tools.h"

namespace ccrules::dialect {
namespace {

/// OpenAI Chat Completions and everybody who speaks it. Wire format: npm openai 7.55.0 (2026-11-10), and what
/// vendors add.
class OpenAiChat final : public Dialect {
 public:
  [[nodiscard]] std::string_view name() const override { return "openai_chat"; }
  [[nodiscard]] std::string_view upstream_path() const override { return "/chat/completions"; }
  [[nodiscard]] bool counts_by_block() const override { return true; }

  Result<chat::Outline> outline(json::Document& body) const override { return openai::read_outline(body); }
  Result<chat::Request> read_request(json::Document& body) const override {
    return openai::read_request(body);
  }
  Result<std::string> write_request(const chat::Request& request, const Capabilities& target,
                                    chat::LossNotes& losses) const override {
    return openai::write_request(request, target, losses);
  }
  [[nodiscard]] std::vector<RenamedTool> renamed_tools(const chat::Request& request) const override {
    return shortened_tools(request);
  }
  Result<chat::Reply> read_reply(std::string_view body, const ReaderOptions& options) const override {
    return openai::read_reply(body, options);
  }
  std::string write_reply(const chat::Reply& reply, const StreamWriterOptions& options,
                          chat::LossNotes& losses) const override {
    return openai::write_reply(reply, options, losses);
  }
  [[nodiscard]] std::unique_ptr<StreamReader> stream_reader(const ReaderOptions& options) const override {
    return openai::make_stream_reader(options);
  }
  [[nodiscard]] std::unique_ptr<StreamReader> stream_listener() const override {
    return openai::make_stream_listener();
  }
  [[nodiscard]] std::unique_ptr<StreamWriter> stream_writer(
      const StreamWriterOptions& options) const override {
    return openai::make_stream_writer(options);
  }
  [[nodiscard]] chat::Reply peek_reply(std::string_view body) const override {
    return openai::peek_reply(body);
  }

  [[nodiscard]] Error read_error(const UpstreamFailure& failure) const override {
    return read_failure(failure);
  }
  [[nodiscard]] std::string write_error(const Error& error, std::string_view request_id) const override {
    return openai::error_body(error, request_id);
  }
  [[nodiscard]] int error_status(const Error& error) const override { return openai::error_status(error); }
  [[nodiscard]] std::string write_models(const ModelPage& page) const override { return openai::models_body(page); }
  [[nodiscard]] std::string write_model(const ListedModel& model) const override { return openai::model_body(model); }
};

}  // namespace

const Dialect& openai_chat() {
  static const OpenAiChat instance;
  return instance;
}

}  // namespace ccrules::dialect
