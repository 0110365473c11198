#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "dialect/dialect.h"
#include "dialect/members.h"

/// The parts of the Anthropic Messages dialect, one file each; dialect.cc puts them together.
/// Wire format: Anthropic Messages API, versions 2023-06-01 and 2026-10-21, as @anthropic-ai/sdk 1.11.0 types
/// it (2026-11-19).
namespace ccrules::dialect::anthropic_messages {

inline constexpr std::string_view kName = "anthropic";
/// error_code by which the SDK's tool runner learns that it must send the whole history.
inline constexpr std::string_view kThreadUnsupported = "thread_unsupported_request";

Result<chat::Outline> read_outline(json::Document& body);
Result<chat::Request> read_request(json::Document& body);
Result<std::string> write_request(chat::Request request, const Capabilities& target,
                                  chat::LossNotes& losses);
/// The name under which a tool of another dialect's request is sent: itself, or one made from it when Anthropic does not take it.
std::string sent_tool_name(const std::string& name);
std::vector<RenamedTool> renamed_tools(const chat::Request& request);
Result<chat::Reply> read_reply(std::string_view body, const ReaderOptions& options);
std::string write_reply(const chat::Reply& reply, const StreamWriterOptions& options,
                        chat::LossNotes& losses);
chat::Reply peek_reply(std::string_view body);
std::unique_ptr<StreamReader> make_stream_reader(const ReaderOptions& options);
std::unique_ptr<StreamReader> make_stream_listener();
std::unique_ptr<StreamWriter> make_stream_writer(const StreamWriterOptions& options);
std::string write_error(const Error& error, std::string_view request_id);
int error_status(const Error& error);
std::string write_models(const ModelPage& page);
std::string write_model(const ListedModel& model);

// --- shared by requests, replies and streams

/// Anthropic's `usage` object; null and odd members are left out, and counts that nobody
/// believes (told_count()). A value that is no object gives an empty usage. Consumes the value.
Result<chat::Usage> read_usage(json::Value& value);
/// A refusal that came before any output is not billed, though its tokens are told and count against rate limits
/// (platform.claude.com, "Refusals and fallback", 2026-07): it cost nothing, or what ran before it. `usage` is the whole of the answer's.
void note_refusal(chat::StopReason reason, chat::Usage& usage);
/// Writes the `usage` object with every member clients rely on (G-4). `estimated_input_tokens` stands in for
/// an unknown input.
void write_usage(json::Writer& writer, const chat::Usage& usage, std::int64_t estimated_input_tokens);

chat::StopReason stop_reason_from(std::string_view word);
std::string_view stop_reason_word(chat::StopReason reason);

/// Reads any content block, of requests and of replies. A type this build does not model becomes Opaque.
Result<void> read_block(json::Value& value, chat::Block& block);
/// Reads `content`: a string (one Text, `plain_string` set) or an array of blocks. They take the place of those that are there.
Result<void> read_content(json::Value& value, std::vector<chat::Block>& blocks, bool& plain_string);
/// Writes a block as Anthropic's own; the inverse of read_block. Blocks of other dialects must have been
/// taken out before.
void write_block(json::Writer& writer, const chat::Block& block);
/// The object a tool_use block's `input` must be, whatever the model wrote: empty and null become {}, a
/// string that holds an object is decoded once, everything else is kept as {"_raw": "..."} (G-7).
std::string tool_input(std::string arguments_json);
/// The `stop_details` value: what the provider said; for a refusal without details the empty form (G-30);
/// else null.
void write_stop_details(json::Writer& writer, chat::StopReason reason, std::string_view stop_details_json);

/// Valid JSON without line breaks: what may go into an event's data line.
std::string one_line(std::string_view json);

/// A member's text for error messages and losses: only plain names are repeated.
std::string safe_name(std::string_view name);

/// Takes a string member; null counts as absent.
Result<void> take(json::Value& value, std::string& out);
/// Keeps the member `object` stands at, verbatim, among those this build does not know.
Result<void> keep(json::Object& object, std::string& extra_json);
/// Puts the members of a kept object into the object being written.
void write_members(json::Writer& writer, std::string_view extra_json);

}  // namespace ccrules::dialect::anthropic_messages
