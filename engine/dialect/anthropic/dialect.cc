#include <utility>

#include "dialect/anthropic/parts.h"
#include "dialect/failure.h"
#include "dialect/spent_request.h"

namespace ccrules::dialect {
namespace {

namespace messages = anthropic_messages;

class Anthropic final : public Dialect {
 public:
  [[nodiscard]] std::string_view name() const override { return messages::kName; }
  [[nodiscard]] std::string_view upstream_path() const override { return "/v1/messages"; }
  [[nodiscard]] bool counts_by_block() const override { return true; }

  Result<chat::Outline> outline(json::Document& body) const override { return messages::read_outline(body); }
  Result<chat::Request> read_request(json::Document& body) const override {
    return messages::read_request(body);
  }
  Result<std::string> write_request(const chat::Request& request, const Capabilities& target,
                                    chat::LossNotes& losses) const override {
    return messages::write_request(request, target, losses);
  }
  [[nodiscard]] std::vector<RenamedTool> renamed_tools(const chat::Request& request) const override {
    return messages::renamed_tools(request);
  }
  Result<chat::Reply> read_reply(std::string_view body, const ReaderOptions& options) const override {
    return messages::read_reply(body, options);
  }
  std::string write_reply(const chat::Reply& reply, const StreamWriterOptions& options,
                          chat::LossNotes& losses) const override {
    return messages::write_reply(reply, options, losses);
  }
  [[nodiscard]] std::unique_ptr<StreamReader> stream_reader(const ReaderOptions& options) const override {
    return messages::make_stream_reader(options);
  }
  [[nodiscard]] std::unique_ptr<StreamReader> stream_listener() const override { return messages::make_stream_listener(); }
  [[nodiscard]] std::unique_ptr<StreamWriter> stream_writer(const StreamWriterOptions& options) const override {
    return messages::make_stream_writer(options);
  }
  [[nodiscard]] chat::Reply peek_reply(std::string_view body) const override { return messages::peek_reply(body); }
  [[nodiscard]] Error read_error(const UpstreamFailure& failure) const override { return read_failure(failure); }
  [[nodiscard]] std::string write_error(const Error& error, std::string_view request_id) const override {
    return messages::write_error(error, request_id);
  }
  [[nodiscard]] int error_status(const Error& error) const override { return messages::error_status(error); }
  [[nodiscard]] std::string write_models(const ModelPage& page) const override { return messages::write_models(page); }
  [[nodiscard]] std::string write_model(const ListedModel& model) const override { return messages::write_model(model); }
};

}  // namespace

Result<std::string> write_spent_request(const Dialect& to, chat::Request request, const Capabilities& target, chat::LossNotes& losses) {
  if (&to == &anthropic()) return messages::write_request(std::move(request), target, losses);
  return to.write_request(request, target, losses);
}

const Dialect& anthropic() {
  static const Anthropic dialect;
  return dialect;
}

}  // namespace ccrules::dialect
