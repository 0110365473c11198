#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "dialect/dialect.h"

/// The parts of the Anthropic Messages dialect, one file each; dialect.cc puts them together.
/// Wire format: Anthropic Messages API, versions 2023-06-01 and 2026-10-21, as @anthropic-ai/sdk 1.11.0 types it (2026-11-19).
namespace ccrules::dialect::anthropic_messages {

inline constexpr std::string_view kName = "anthropic";

Result<chat::Outline> read_outline(std::string_view padded_body);
Result<chat::Request> read_request(std::string_view padded_body);
Result<std::string> write_request(const chat::Request& request, const Capabilities& target, chat::LossNotes& losses);
std::vector<RenamedTool> renamed_tools(const chat::Request& request);
Result<chat::Reply> read_reply(std::string_view body, const ReaderOptions& options);
std::string write_reply(const chat::Reply& reply, const StreamWriterOptions& options, chat::LossNotes& losses);
chat::Reply peek_reply(std::string_view body);
std::unique_ptr<StreamReader> make_stream_reader(const ReaderOptions& options);
std::unique_ptr<StreamReader> make_stream_listener();
std::unique_ptr<StreamWriter> make_stream_writer(const StreamWriterOptions& options);
std::string write_error(const Error& error, std::string_view request_id);
int error_status(const Error& error);
std::string write_models(const std::vector<std::string>& ids);

// --- shared by requests, replies and streams

/// Anthropic's `usage` object; null and odd members are left out, counts are clamped to 0..limits::kUsageTokens.
/// A value that is no object gives an empty usage. Consumes the value.
Result<chat::Usage> read_usage(json::Value& value);
/// Writes the `usage` object with every member clients rely on (G-4). `estimated_input_tokens` stands in for an unknown input.
void write_usage(json::Writer& writer, const chat::Usage& usage, std::int64_t estimated_input_tokens);

chat::StopReason stop_reason_from(std::string_view word);
std::string_view stop_reason_word(chat::StopReason reason);

/// A member's text for error messages and losses: only plain names are repeated.
std::string safe_name(std::string_view name);

/// One JSON object member kept verbatim: appends `"key":json` to an object text ("" or "{...}").
void keep_member(std::string& extra_json, std::string_view key, std::string_view json);
/// Puts the members of a kept object into the object being written.
void write_members(json::Writer& writer, std::string_view extra_json);

}  // namespace ccrules::dialect::anthropic_messages
