#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "core/json.h"
#include "core/limits.h"
#include "dialect/dialect.h"
#include "dialect/members.h"
#include "dialect/openai_chat/usage.h"
#include "dialect/outline_members.h"

namespace ccrules::dialect {
namespace {

using json::Type;

/// Members that decisions read: sent twice, two readers could see two different requests.
constexpr std::array<std::string_view, 8> kOnlyOnce = {"model",   "stream", "max_tokens", "n",
                                                       "best_of", "prompt", "input",      "stream_options"};

Error not_translated(std::string_view what) {
  Error error;
  error.code = ErrorCode::kUnsupported;
  error.origin = Origin::kClient;
  error.http_status = 400;
  error.message = std::string(what) + " are not translated: they go as they are to a provider of OpenAI's format";
  return error;
}

std::int64_t whole_number(json::Value& value) {
  if (!value.is(Type::kNumber)) return 0;
  const auto number = value.integer();
  return number ? *number : 0;
}

/// How many answers `prompt` asks for: one text or list of token numbers is one, a list of them one each.
std::int64_t prompts_in(json::Value& value) {
  if (!value.is(Type::kArray)) return 1;
  std::int64_t prompts = 0;
  auto items = value.array();
  while (items && items->next()) {
    if (items->value().is(Type::kNumber)) return 1;
    ++prompts;
  }
  return std::max<std::int64_t>(prompts, 1);
}

/// `user` and the like are the provider's to read; the text itself is only measured.
class OutlineReader {
 public:
  Result<chat::Outline> read(json::Document& document) {
    document.rewind(json::Escapes::kUnchecked);
    CCR_TRY(root, document.root_object());
    outline_.include_usage = false;
    while (root.next()) {
      CCR_CHECK(once_.check(root.key()));
      CCR_CHECK(read_member(root.key(), root.value()));
    }
    CCR_CHECK(root.done());
    CCR_CHECK(document.at_end());
    if (outline_.model.empty()) return bad_request("model must be set to the name of a model");
    if (!outline_.stream) outline_.include_usage = true;
    const std::int64_t each = std::clamp<std::int64_t>(std::max(answers_, best_of_), 1, limits::kChoices);
    outline_.choices = std::min(each * prompts_, limits::kChoices);
    return std::move(outline_);
  }

 private:
  Result<void> read_member(std::string_view key, json::Value& value) {
    if (key == "model") return read_model(value, outline_);
    if (key == "stream" && value.is(Type::kBool)) {
      CCR_TRY(stream, value.boolean());
      outline_.stream = stream;
    } else if (key == "stream_options" && value.is(Type::kObject)) {
      return read_stream_options(value, outline_);
    } else if (key == "max_tokens" && value.is(Type::kNumber)) {
      CCR_TRY(most, value.integer());
      outline_.max_tokens = most;
    } else if (key == "n") {
      answers_ = whole_number(value);
    } else if (key == "best_of") {
      best_of_ = whole_number(value);
    } else if (key == "prompt" || key == "input") {
      outline_.text_bytes += static_cast<std::int64_t>(value.peek_raw().size());
      if (key == "prompt") prompts_ = prompts_in(value);
    }
    return {};
  }

  chat::Outline outline_;
  OnlyOnce<kOnlyOnce.size()> once_{kOnlyOnce};
  std::int64_t answers_ = 1;
  std::int64_t best_of_ = 1;
  std::int64_t prompts_ = 1;
};

/// What the two endpoints have in common; answers, streams and errors are those of Chat Completions.
class OpenAiText : public Dialect {
 public:
  [[nodiscard]] bool passes_on() const override { return true; }
  Result<chat::Outline> outline(json::Document& body) const override { return OutlineReader().read(body); }
  Result<chat::Request> read_request(json::Document& /*body*/) const override { return not_translated(upstream_path().substr(1)); }
  Result<std::string> write_request(const chat::Request& /*request*/, const Capabilities& /*target*/,
                                    chat::LossNotes& /*losses*/) const override {
    return not_translated(upstream_path().substr(1));
  }
  [[nodiscard]] std::vector<RenamedTool> renamed_tools(const chat::Request& /*request*/) const override { return {}; }
  Result<chat::Reply> read_reply(std::string_view body, const ReaderOptions& options) const override {
    return openai_chat().read_reply(body, options);
  }
  std::string write_reply(const chat::Reply& reply, const StreamWriterOptions& options, chat::LossNotes& losses) const override {
    return openai_chat().write_reply(reply, options, losses);
  }
  [[nodiscard]] std::unique_ptr<StreamReader> stream_reader(const ReaderOptions& options) const override {
    return openai_chat().stream_reader(options);
  }
  [[nodiscard]] std::unique_ptr<StreamReader> stream_listener() const override { return openai_chat().stream_listener(); }
  [[nodiscard]] std::unique_ptr<StreamWriter> stream_writer(const StreamWriterOptions& options) const override {
    return openai_chat().stream_writer(options);
  }
  [[nodiscard]] Error read_error(const UpstreamFailure& failure) const override { return openai_chat().read_error(failure); }
  [[nodiscard]] std::string write_error(const Error& error, std::string_view request_id) const override {
    return openai_chat().write_error(error, request_id);
  }
  [[nodiscard]] int error_status(const Error& error) const override { return openai_chat().error_status(error); }
  [[nodiscard]] std::string write_models(const ModelPage& page) const override { return openai_chat().write_models(page); }
  [[nodiscard]] std::string write_model(const ListedModel& model) const override { return openai_chat().write_model(model); }
};

/// POST /v1/completions. Wire format: npm openai 7.55.0 (2026-11-10).
class Completions final : public OpenAiText {
 public:
  [[nodiscard]] std::string_view name() const override { return "openai_completions"; }
  [[nodiscard]] std::string_view upstream_path() const override { return "/completions"; }
  [[nodiscard]] chat::Reply peek_reply(std::string_view body) const override { return openai_chat().peek_reply(body); }
};

/// POST /v1/embeddings. Wire format: npm openai 7.55.0 (2026-11-10).
class Embeddings final : public OpenAiText {
 public:
  [[nodiscard]] std::string_view name() const override { return "openai_embeddings"; }
  [[nodiscard]] std::string_view upstream_path() const override { return "/embeddings"; }
  Result<chat::Outline> outline(json::Document& body) const override {
    CCR_TRY(outline, OpenAiText::outline(body));
    outline.stream = false;
    outline.include_usage = true;
    outline.max_tokens = 0;  // vectors are no output that anybody bills
    return outline;
  }
  [[nodiscard]] chat::Reply peek_reply(std::string_view body) const override {
    chat::Reply reply;
    auto document = json::Document::open(body);
    if (!document) return reply;
    auto root = document->root_object();
    while (root && root->next()) {
      json::Value& value = root->value();
      if (root->key() == "data" && value.is(Type::kArray)) reply.id = "vectors";  // they have no id
      if (root->key() == "model" && value.is(Type::kString)) {
        const auto model = value.string();
        if (model) reply.model = *model;
      }
      if (root->key() == "usage") reply.usage = openai::read_usage(value);
    }
    if (reply.id.empty()) return {};
    reply.usage.output_tokens = 0;  // vectors are no tokens
    return reply;
  }
};

}  // namespace

const Dialect& openai_completions() {
  static const Completions instance;
  return instance;
}

const Dialect& openai_embeddings() {
  static const Embeddings instance;
  return instance;
}

}  // namespace ccrules::dialect
