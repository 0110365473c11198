#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "dialect/dialect.h"

/// The parts of the Gemini dialect, one file each; dialect.cc puts them together.
/// Wire format: the Gemini API, v1beta, as npm @google/genai 3.1.0 types it (2026-11); Vertex AI answers alike.
/// Model and streaming stand in the path, not in the body: readers leave them to whoever knows the path.
namespace ccrules::dialect::gemini {

inline constexpr std::string_view kName = "gemini";
/// What Google takes in place of a signature that was lost (gemini.md, the rule of thought signatures).
inline constexpr std::string_view kNoSignature = "skip_thought_signature_validator";

Result<chat::Outline> read_outline(json::Document& body);
Result<chat::Request> read_request(json::Document& body);
Result<std::string> write_request(const chat::Request& request, const Capabilities& target, chat::LossNotes& losses);
std::vector<RenamedTool> renamed_tools(const chat::Request& request);
Result<chat::Reply> read_reply(std::string_view body, const ReaderOptions& options);
std::string write_reply(const chat::Reply& reply, const StreamWriterOptions& options, chat::LossNotes& losses);
chat::Reply peek_reply(std::string_view body);
std::unique_ptr<StreamReader> make_stream_reader(const ReaderOptions& options);
std::unique_ptr<StreamWriter> make_stream_writer(const StreamWriterOptions& options);
std::string write_error(const Error& error, std::string_view request_id);
/// The body of an error for an Anthropic error type and its HTTP status.
std::string error_body(std::string_view message, std::string_view anthropic_type);
int error_status(const Error& error);
std::string write_models(const ModelPage& page);
std::string write_model(const ListedModel& model);

// --- shared by requests, replies and streams

/// A member's name as the API writes it: it takes "system_instruction" for "systemInstruction" (proto JSON).
/// `room` holds the result when it had to be made.
std::string_view camel(std::string_view key, std::string& room);

/// Takes each object of a list, or the one that stands in place of the list.
template <class Take>
Result<void> each(json::Value& value, const Take& take) {
  if (value.is(json::Type::kObject)) return take(value);
  CCR_TRY(items, value.array());
  while (items.next()) {
    if (!items.value().is(json::Type::kObject)) return items.value().error("must be an object");
    CCR_CHECK(take(items.value()));
  }
  return items.done();
}

/// `usageMetadata`. Google counts cached tokens in the prompt and thoughts beside the candidates; Usage does not.
/// Counts that nobody believes (told_count()) are left out. Consumes the value whatever it is.
chat::Usage read_usage(json::Value& value);
void write_usage(json::Writer& writer, const chat::Usage& usage, std::int64_t estimated_input_tokens);

/// What a finishReason means.
struct Finish {
  chat::StopReason reason = chat::StopReason::kEndTurn;
  std::string stop_details_json;
  bool failed = false;  ///< the model broke its answer off: the client shall ask again
};
Finish finish_of(std::string_view finish_reason, std::string_view message, bool called_tools);
/// `stop_details` of a refusal, with what the provider said about it.
std::string refusal_details(std::string_view reason, std::string_view message);
std::string_view finish_reason_of(chat::StopReason reason);

/// `thinkingConfig` as the neutral request has it.
Result<void> read_thinking_config(json::Value& value, chat::ThinkingMode& thinking, std::string& effort);

/// A part with a functionCall.
void write_function_call(json::Writer& writer, const chat::ToolCall& call);
/// A call's arguments as the object they must be, whatever a model wrote (G-7).
std::string call_arguments(std::string_view arguments_json);

/// A function name as Google takes it: a letter or _, then letters, digits and _ . : -, at most 128 in all.
[[nodiscard]] bool is_function_name(std::string_view name) noexcept;
/// The name that is sent: `name`, or a shortened one made from it (G-33).
std::string sent_function_name(std::string_view name);

/// Which rules a model follows, told by its name.
enum class Generation : std::uint8_t { kBefore25, k25, k3 };
/// Names without a version ("gemini-pro-latest") are the newest.
[[nodiscard]] Generation generation_of(std::string_view model) noexcept;

/// A signature of another provider's thinking as a thoughtSignature (base64), and back. Google's own pass unchanged
/// through neither: they are never wrapped.
constexpr std::string_view kOwnSignatureStart = "\"Y2NyO";  ///< how a JSON string with a wrapped one begins
std::string wrap_signature(std::string_view signature);
/// nullopt when it is not one that wrap_signature() made.
std::optional<std::string> unwrap_signature(std::string_view thought_signature);

}  // namespace ccrules::dialect::gemini
