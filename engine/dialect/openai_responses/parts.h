#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "dialect/dialect.h"

/// The parts of the OpenAI Responses dialect, one file each; dialect.cc puts them together.
/// Wire format: npm openai 7.55.0 (2026-11-10), and what vendors make of it
/// (docs/dialects/openai_responses.md).
namespace ccrules::dialect::responses {

inline constexpr std::string_view kName = "openai_responses";

Result<chat::Outline> read_outline(json::Document& body);
Result<chat::Request> read_request(json::Document& body);
Result<std::string> write_request(const chat::Request& request, const Capabilities& target,
                                  chat::LossNotes& losses);
/// A whole response. A 200 answer whose status is "failed" is that error, with its retry verdict.
Result<chat::Reply> read_reply(std::string_view body, const ReaderOptions& options);
std::string write_reply(const chat::Reply& reply, const StreamWriterOptions& options,
                        chat::LossNotes& losses);
/// Id, model, stop reason and usage only; an empty Reply when the body is not one.
chat::Reply peek_reply(std::string_view body);
std::unique_ptr<StreamReader> make_stream_reader(const ReaderOptions& options);
std::unique_ptr<StreamReader> make_stream_listener();
std::unique_ptr<StreamWriter> make_stream_writer(const StreamWriterOptions& options);

// --- shared by requests, replies and streams

/// `usage` <-> the neutral counts: input_tokens includes what the cache served and stored. Consumes the value
/// whatever it is.
chat::Usage read_usage(json::Value& value);
void write_usage(json::Writer& writer, const chat::Usage& usage);

/// What a response says about itself, without its items.
struct Envelope {
  std::string id;
  std::string model;
  std::string status;             ///< "completed", "incomplete", "failed", "cancelled" ...; may be empty
  std::string incomplete_reason;  ///< "max_output_tokens", "content_filter" ...
  std::string error_json;         ///< verbatim; empty: none
  std::vector<std::string_view> items;  ///< raw output items; views into the Document
  bool has_output = false;
  chat::Usage usage;
};
/// Reads a response object. @return an error when it is not one JSON object
Result<Envelope> read_envelope(json::Value& response);

/// How a reply ended, from its status and what was in it.
chat::StopReason stop_reason_of(const Envelope& envelope, bool called_tools, bool refused);

/// One piece of an output message.
struct Part {
  std::string text;
  bool refusal = false;
};
/// One output item, taken apart.
struct Item {
  enum class Kind : std::uint8_t { kMessage, kReasoning, kCall, kCustomCall, kOther };
  Kind kind = Kind::kOther;
  std::string type;
  std::string id;
  std::string call_id;
  std::string name;
  std::string arguments;    ///< of a custom call: its input, as text
  std::string space;        ///< a call's namespace
  std::string extra_json;   ///< members of a call that the neutral model does not have: the namespace, the mark of a custom call
  std::vector<Part> parts;  ///< of a message
  std::string reasoning;    ///< summaries, or else the reasoning itself, joined by blank lines
  bool has_encrypted = false;
  bool has_phase = false;        ///< a message says whether it comments or answers
  bool has_annotations = false;  ///< a message cites
};
/// Notes what an item of an answer says that no other dialect has a place for.
void note_losses(const Item& item, chat::LossNotes& losses);
Item read_item(std::string_view item_json);
/// The same of the members of an item; what is malformed shows in their done().
/// @param unknown_json  takes the members that Item has no place for, as one object text; null: they are passed over
Item read_item(json::Object& members, std::string* unknown_json = nullptr);
Item::Kind kind_of(std::string_view type);

/// The signature by which reasoning goes back to its provider, item and all (dialect/signature.h).
std::string reasoning_signature(std::string_view item_json, const ReaderOptions& options);
/// A custom tool's input as the arguments of a function with the one parameter "input", and back.
std::string wrapped_input(std::string_view input);
std::string unwrapped_input(std::string_view arguments_json);
/// In ToolCall::extra_json: the call is one of a custom tool.
inline constexpr std::string_view kCustomMark = R"("type":"custom_tool_call")";

/// What a client of this dialect gets as encrypted_content, so that the reasoning of any provider comes back.
std::string encrypted_content(const chat::Thinking& thinking);
/// The inverse. Reasoning that OpenAI itself encrypted is kept for its own dialect only.
chat::Thinking thinking_of(const Item& item, std::string_view item_json, std::string_view encrypted);

/// One output item, written. Ids are made from the response's id and the item's place.
class ItemWriter {
 public:
  explicit ItemWriter(const StreamWriterOptions& options) : options_(options) {}
  /// "resp_...": the provider's own id where it is one.
  [[nodiscard]] std::string response_id(std::string_view given) const;
  /// "msg_...", "rs_...", "fc_...", "ctc_...".
  static std::string item_id(std::string_view prefix, std::string_view response_id, std::size_t place);
  [[nodiscard]] bool is_custom(std::string_view tool_name) const;
  /// The call's own name for its tool, for is_custom(): with the namespace, wherever it stands.
  [[nodiscard]] static std::string full_name(const chat::ToolCall& call);
  /// Appends `,"name":…` and, for a function in a namespace, `,"namespace":…`.
  static void append_name(std::string& out, const chat::ToolCall& call);
  /// @return the whole item; empty when the format has no place for the block
  [[nodiscard]] std::string item(const chat::Block& block, std::string_view response_id, std::size_t place,
                                 std::string_view status) const;
  /// The response object. `output_json`: the items, with brackets.
  void response(json::Writer& writer, std::string_view id, std::string_view model, std::string_view status,
                std::string_view output_json, const chat::Usage* usage, chat::StopReason reason) const;

 private:
  const StreamWriterOptions& options_;
};
/// "completed" or "incomplete".
std::string_view status_of(chat::StopReason reason);

}  // namespace ccrules::dialect::responses
