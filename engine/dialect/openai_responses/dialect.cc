#include "dialect/dialect.h"

#include "dialect/failure.h"
#include "dialect/openai_chat/errors.h"
#include "dialect/openai_responses/parts.h"
#include "dialect/tools.h"

namespace ccrules::dialect {
namespace {

/// OpenAI Responses and everybody who speaks it. Its errors and model lists are those of Chat Completions.
class OpenAiResponses final : public Dialect {
 public:
  [[nodiscard]] std::string_view name() const override { return responses::kName; }
  [[nodiscard]] std::string_view upstream_path() const override { return "/responses"; }

  Result<chat::Outline> outline(json::Document& body) const override { return responses::read_outline(body); }
  Result<chat::Request> read_request(json::Document& body) const override {
    return responses::read_request(body);
  }
  Result<std::string> write_request(const chat::Request& request, const Capabilities& target,
                                    chat::LossNotes& losses) const override {
    return responses::write_request(request, target, losses);
  }
  [[nodiscard]] std::vector<RenamedTool> renamed_tools(const chat::Request& request) const override {
    return shortened_tools(request);
  }
  Result<chat::Reply> read_reply(std::string_view body, const ReaderOptions& options) const override {
    return responses::read_reply(body, options);
  }
  std::string write_reply(const chat::Reply& reply, const StreamWriterOptions& options,
                          chat::LossNotes& losses) const override {
    return responses::write_reply(reply, options, losses);
  }
  [[nodiscard]] std::unique_ptr<StreamReader> stream_reader(const ReaderOptions& options) const override {
    return responses::make_stream_reader(options);
  }
  [[nodiscard]] std::unique_ptr<StreamReader> stream_listener() const override {
    return responses::make_stream_listener();
  }
  [[nodiscard]] std::unique_ptr<StreamWriter> stream_writer(
      const StreamWriterOptions& options) const override {
    return responses::make_stream_writer(options);
  }
  [[nodiscard]] chat::Reply peek_reply(std::string_view body) const override {
    return responses::peek_reply(body);
  }

  [[nodiscard]] Error read_error(const UpstreamFailure& failure) const override {
    return read_failure(failure);
  }
  [[nodiscard]] std::string write_error(const Error& error, std::string_view request_id) const override {
    return openai::error_body(error, request_id);
  }
  [[nodiscard]] int error_status(const Error& error) const override { return openai::error_status(error); }
  [[nodiscard]] std::string write_token_count(std::int64_t tokens) const override {
    return R"({"object":"response.input_tokens","input_tokens":)" + std::to_string(tokens) + "}";
  }
  [[nodiscard]] std::string write_models(const ModelPage& page) const override { return openai::models_body(page); }
  [[nodiscard]] std::string write_model(const ListedModel& model) const override { return openai::model_body(model); }
};

}  // namespace

const Dialect& openai_responses() {
  static const OpenAiResponses instance;
  return instance;
}

}  // namespace ccrules::dialect
