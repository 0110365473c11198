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

namespace {

/// The summary in a block of the beta compaction, in place of all that came before it; empty: it has none.
std::string summary_of(const chat::Opaque& opaque) {
  if (opaque.dialect != messages::kName || opaque.type != "compaction") return {};
  auto document = json::Document::open(opaque.json);
  auto root = document ? document->root() : Result<json::Value>(document.error());
  return root ? std::string(root->peek_string("content").value_or(std::string_view())) : std::string();
}

/// Others know the earlier conversation by its summary alone: it is sent as the text that it is.
void tell_summaries(chat::Request& request, chat::LossNotes& losses) {
  for (chat::Message& message : request.messages) {
    for (chat::Block& block : message.blocks) {
      const auto* opaque = std::get_if<chat::Opaque>(&block.value);
      std::string summary = opaque == nullptr ? std::string() : summary_of(*opaque);
      if (summary.empty()) continue;
      losses.add("content.compaction", "the summary was sent as text, without what is encrypted");
      chat::Text text;
      text.text = std::move(summary);
      block.value = std::move(text);
    }
  }
}

/// Tools that an item of a Responses client's input brings are offered like all others: the item says no more.
void drop_tool_items(chat::Request& request) {
  for (chat::Message& message : request.messages) {
    std::erase_if(message.blocks, [](const chat::Block& block) {
      const auto* opaque = std::get_if<chat::Opaque>(&block.value);
      return opaque != nullptr && opaque->type == "additional_tools";
    });
  }
  std::erase_if(request.messages, [](const chat::Message& message) { return message.blocks.empty(); });
}

}  // namespace

Result<std::string> write_spent_request(const Dialect& to, chat::Request request, const Capabilities& target, chat::LossNotes& losses) {
  if (request.dialect == openai_responses().name() && &to != &openai_responses()) drop_tool_items(request);
  if (&to == &anthropic()) return messages::write_request(std::move(request), target, losses);
  if (request.dialect == messages::kName) tell_summaries(request, losses);
  return to.write_request(request, target, losses);
}

const Dialect& anthropic() {
  static const Anthropic dialect;
  return dialect;
}

}  // namespace ccrules::dialect
