#include "dialect/dialect.h"

#include "core/percent.h"
#include "dialect/failure.h"
#include "dialect/gemini/parts.h"

namespace ccrules::dialect {
namespace {

class Gemini final : public Dialect {
 public:
  [[nodiscard]] std::string_view name() const override { return gemini::kName; }
  [[nodiscard]] std::string_view upstream_path() const override { return "/v1beta/models"; }
  [[nodiscard]] std::string upstream_target(std::string_view model, bool stream) const override {
    if (model.starts_with("models/")) model.remove_prefix(7);
    return std::string(upstream_path()) + "/" + path_segment(model) + (stream ? ":streamGenerateContent?alt=sse" : ":generateContent");
  }
  [[nodiscard]] bool model_in_path() const override { return true; }

  [[nodiscard]] bool wants_signed_calls(std::string_view model) const override {
    return gemini::generation_of(model) == gemini::Generation::k3;
  }

  Result<chat::Outline> outline(json::Document& body) const override { return gemini::read_outline(body); }
  Result<chat::Request> read_request(json::Document& body) const override { return gemini::read_request(body); }
  Result<std::string> write_request(const chat::Request& request, const Capabilities& target,
                                    chat::LossNotes& losses) const override {
    return gemini::write_request(request, target, losses);
  }
  [[nodiscard]] std::vector<RenamedTool> renamed_tools(const chat::Request& request) const override {
    return gemini::renamed_tools(request);
  }
  Result<chat::Reply> read_reply(std::string_view body, const ReaderOptions& options) const override {
    return gemini::read_reply(body, options);
  }
  std::string write_reply(const chat::Reply& reply, const StreamWriterOptions& options, chat::LossNotes& losses) const override {
    return gemini::write_reply(reply, options, losses);
  }
  [[nodiscard]] std::unique_ptr<StreamReader> stream_reader(const ReaderOptions& options) const override {
    return gemini::make_stream_reader(options);
  }
  [[nodiscard]] std::unique_ptr<StreamWriter> stream_writer(const StreamWriterOptions& options) const override {
    return gemini::make_stream_writer(options);
  }
  [[nodiscard]] chat::Reply peek_reply(std::string_view body) const override { return gemini::peek_reply(body); }

  [[nodiscard]] Error read_error(const UpstreamFailure& failure) const override { return read_failure(failure); }
  [[nodiscard]] std::string write_error(const Error& error, std::string_view request_id) const override {
    return gemini::write_error(error, request_id);
  }
  [[nodiscard]] int error_status(const Error& error) const override { return gemini::error_status(error); }
  [[nodiscard]] std::string write_models(const ModelPage& page) const override { return gemini::write_models(page); }
  [[nodiscard]] std::string write_model(const ListedModel& model) const override { return gemini::write_model(model); }
  [[nodiscard]] std::string write_token_count(std::int64_t tokens) const override {
    return "{\"totalTokens\":" + std::to_string(tokens) + "}";
  }
};

}  // namespace

const Dialect& gemini_dialect() {
  static const Gemini dialect;
  return dialect;
}

}  // namespace ccrules::dialect
