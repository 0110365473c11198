#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/event.h"
#include "chat/loss.h"
#include "chat/outline.h"
#include "chat/request.h"
#include "core/json.h"
#include "core/result.h"

/// A wire format. Everything here is pure: bytes and structs in, structs and bytes out; no socket, clock or
/// log. Objects are immutable and shared by all threads; readers and writers of streams are one per stream.
namespace ccrules::dialect {

/// What the target model and provider take; filled from config/models and config/providers. Absent = no limit
/// known.
struct Capabilities {
  std::optional<std::int64_t> context_tokens;
  std::optional<std::int64_t> max_output_tokens;
  std::int64_t estimated_input_tokens = 0;  ///< our count of this request, for the max_tokens clamp (G-2)
  bool vision = true;
  bool documents = true;             ///< PDFs are understood (openai_chat: `file` parts)
  bool tool_message_images = false;  ///< openai_chat: image parts are allowed inside role tool (G-12)
  bool developer_role = false;       ///< openai_chat: system prompt goes as role developer
  bool mid_system =
      true;  ///< role system is allowed inside messages; else a <system-reminder> user text (G-15)
  bool max_completion_tokens = false;  ///< openai_chat: the field's newer name
  bool stream_usage = true;            ///< openai_chat: stream_options.include_usage is understood
  bool sampling = true;                ///< temperature, top_p, top_k are accepted (G-18)
  bool forced_tool_choice = true;      ///< tool_choice any/tool is accepted (G-10)
  bool reasoning_effort = true;        ///< openai_chat: reasoning_effort is accepted
  bool tools_need_no_effort =
      false;                        ///< openai_chat: function tools only with reasoning_effort "none" (G-35)
  bool prefill = false;             ///< a trailing assistant message continues (G-16)
  bool parallel_tool_calls = true;  ///< openai_chat: the parallel_tool_calls field is understood
  bool nine_character_tool_ids =
      false;  ///< openai_chat: tool call ids are exactly 9 letters or digits (Mistral; G-23)
  bool json_schema = true;  ///< gemini: schemas go as JSON Schema; else as its subset of OpenAPI
  bool cache_control =
      false;  ///< openai_chat: cache_control on text parts is understood (OpenRouter, DashScope; G-25)
  bool user_identifiers =
      false;  ///< openai_*: safety_identifier and prompt_cache_key are understood (OpenAI itself)
  bool encrypted_reasoning = true;  ///< openai_responses: reasoning.encrypted_content may be asked for
  std::string reasoning_replay;      ///< "" drop | "reasoning_content" | "reasoning_details" | "thought_signature"
  /// openai_chat: how reasoning is asked for and switched off. "" and "effort": reasoning_effort | "thinking": thinking.type with
  /// reasoning_effort | "thinking_kept": the same, and the reasoning of earlier turns stays | "enable_thinking": that and
  /// thinking_budget | "reasoning": reasoning.{effort,max_tokens,enabled} | "reasoning_enabled": reasoning.enabled with
  /// reasoning_effort | "chat_template": chat_template_kwargs.enable_thinking with reasoning_effort
  std::string reasoning_style;
  std::vector<std::string> efforts;  ///< accepted effort words; empty: all
  bool thinking_enabled = true;      ///< anthropic: {type:"enabled", budget_tokens} is accepted
  bool thinking_adaptive = true;     ///< anthropic: {type:"adaptive"} is accepted
  bool thinking_disabled = true;     ///< anthropic: {type:"disabled"} is accepted
  bool thinking_between_tools = false;  ///< anthropic: {type:"between_tools"} is accepted
  std::string effort_when_disabled;  ///< anthropic: the strongest effort beside {type:"disabled"}; "none": none; empty: any
  std::string provider;              ///< provider id, for our own signatures and messages
  std::string model;                 ///< the model id to write
};

/// Hands out events for any cut of the bytes. Never throws, never blocks; an error means the stream is not
/// this dialect (the reply is then a broken upstream), after which feed must not be called again.
class StreamReader {
 public:
  virtual ~StreamReader() = default;
  /// Appends the events that became complete.
  virtual Result<void> feed(std::string_view bytes, std::vector<chat::Event>& out) = 0;
  /// The bytes ended. Appends what closes the message, or a StreamError when it was cut (never a fake clean
  /// end).
  virtual Result<void> finish(std::vector<chat::Event>& out) = 0;
  /// True once MessageEnd or StreamError was handed out.
  [[nodiscard]] virtual bool ended() const = 0;
  /// True after the stop reason when only usage may still follow (G-3): the relay then waits
  /// limits::kUsageTime, no longer.
  [[nodiscard]] virtual bool awaiting_usage() const { return false; }
  /// Of a listener: bytes of texts, about, that it has passed over so far instead of handing out their events.
  [[nodiscard]] virtual std::int64_t passed_over_bytes() const { return 0; }
};

/// Events in the order of chat/event.h in, bytes of the dialect out.
class StreamWriter {
 public:
  virtual ~StreamWriter() = default;
  virtual void write(const chat::Event& event, std::string& out) = 0;
  /// Bytes that keep a silent stream alive, valid at any point of the stream, also before MessageStart.
  [[nodiscard]] virtual std::string_view ping() const = 0;
};

struct StreamWriterOptions {
  std::string model;  ///< the name the client asked for: replies name it
  bool include_usage = true;
  std::int64_t estimated_input_tokens = 0;  ///< shown in message_start until the provider says more (G-4)
  std::int64_t created_s = 0;               ///< OpenAI `created`
  std::string id;                           ///< used when the provider gave no id
  std::vector<std::string> custom_tools;    ///< chat::Outline::custom_tools of the request: their calls carry text
};

/// What an upstream answered instead of a reply: enough to say so in any dialect.
struct UpstreamFailure {
  int status = 0;
  std::string_view body;             ///< at most limits::kErrorBodyBytes; JSON, HTML or anything
  std::int64_t retry_after_ms = -1;  ///< from the response's headers
  std::string provider;
  std::string model;
  std::int64_t estimated_input_tokens = 0;  ///< for the overflow wording (G-1)
  std::optional<std::int64_t> context_tokens;
};

/// A tool whose name the provider's dialect cannot carry (G-33).
struct RenamedTool {
  std::string sent;      ///< what the provider was told
  std::string original;  ///< what the client called it
};

/// What a reader of replies must know of the request that caused them. All may stay empty.
struct ReaderOptions {
  std::string provider;  ///< provider id, for our own signatures (dialect/signature.h)
  std::string model;     ///< the model asked for, for the same
  std::vector<RenamedTool>
      renamed_tools;       ///< Dialect::renamed_tools() of the request: replies name the originals again
  std::uint64_t seed = 0;  ///< random; makes ids for tool calls that come without one
};

/// A model that clients can ask for.
struct ListedModel {
  std::string id;
  std::optional<std::int64_t> context_tokens, max_output_tokens;  ///< absent: not known
};
/// Some of them, in order.
struct ModelPage {
  std::vector<ListedModel> models;
  bool has_more = false;   ///< others follow
  std::string next_token;  ///< what asks for them, where a dialect asks by a token
};

class Dialect {
 public:
  virtual ~Dialect() = default;
  /// "anthropic", "openai_chat", "openai_responses", "gemini", "ollama"; "openai_completions" and "openai_embeddings" are what
  /// clients speak, no provider's.
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// Path of the generation endpoint below the provider's base URL: "/v1/messages" (base without version),
  /// "/chat/completions" (base with it).
  [[nodiscard]] virtual std::string_view upstream_path() const = 0;
  /// True when tokens::read_prompt() takes its requests apart as they are; else dialect/countable.h comes first.
  [[nodiscard]] virtual bool counts_by_block() const { return false; }
  /// Media type of its streams.
  [[nodiscard]] virtual std::string_view stream_type() const { return "text/event-stream"; }

  /// What follows the base URL for one request: upstream_path(), with the model and the query where they belong to it.
  [[nodiscard]] virtual std::string upstream_target(std::string_view /*model*/, bool /*stream*/) const {
    return std::string(upstream_path());
  }
  /// True when requests name model and streaming in their path (Gemini): outline() and read_request() then leave both to
  /// whoever knows the path.
  [[nodiscard]] virtual bool model_in_path() const { return false; }

  /// True when this model refuses a history with a model's turn whose first call is not signed (chat::Outline::unsigned_call).
  [[nodiscard]] virtual bool wants_signed_calls(std::string_view /*model*/) const { return false; }

  /// True when its requests are never translated: they go as they are to a provider of OpenAI's format. Then only outline(),
  /// peek_reply(), stream_listener(), stream_writer() (for errors and pings) and the errors are asked for.
  [[nodiscard]] virtual bool passes_on() const { return false; }

  /// One fast pass: validates the JSON, requires `model` (non-empty string) and `messages` (non-empty array),
  /// refuses duplicate top-level members it routes on, gathers the facts. Views in it are into the text the
  /// document was opened over.
  virtual Result<chat::Outline> outline(json::Document& body) const = 0;
  Result<chat::Outline> outline(std::string_view body) const;

  /// Reads the document from its start, whoever has read it before.
  virtual Result<chat::Request> read_request(json::Document& body) const = 0;
  Result<chat::Request> read_request(std::string_view body) const;
  /// The same for a request that is gone before the document's text is: its texts are views into that.
  Result<chat::Request> read_lent_request(json::Document& body) const;
  Result<chat::Request> read_lent_request(std::string_view body) const;
  Result<chat::Request> read_lent_request(std::string&& body) const = delete;
  virtual Result<std::string> write_request(const chat::Request& request, const Capabilities& target,
                                            chat::LossNotes& losses) const = 0;
  /// The names write_request() shortens; empty for nearly every request.
  [[nodiscard]] virtual std::vector<RenamedTool> renamed_tools(const chat::Request& request) const = 0;
  virtual Result<chat::Reply> read_reply(std::string_view body, const ReaderOptions& options) const = 0;
  virtual std::string write_reply(const chat::Reply& reply, const StreamWriterOptions& options,
                                  chat::LossNotes& losses) const = 0;
  [[nodiscard]] virtual std::unique_ptr<StreamReader> stream_reader(const ReaderOptions& options) const = 0;
  /// A reader that runs beside a passthrough and only listens: usage, the start of content, errors and the
  /// end are as stream_reader() would give them, but blocks and deltas may be empty of text and repeated
  /// deltas left out.
  [[nodiscard]] virtual std::unique_ptr<StreamReader> stream_listener() const {
    return stream_reader(ReaderOptions{});
  }
  [[nodiscard]] virtual std::unique_ptr<StreamWriter> stream_writer(
      const StreamWriterOptions& options) const = 0;

  /// Same-dialect lane: the usage of a whole reply, without building it. Empty usage when the body is not a
  /// reply.
  [[nodiscard]] virtual chat::Reply peek_reply(std::string_view body) const = 0;

  /// Classifies an upstream's error answer: code, retry verdict, the status a client should see, the
  /// upstream's own words.
  [[nodiscard]] virtual Error read_error(const UpstreamFailure& failure) const = 0;
  /// The error body a client of this dialect understands. Status to send: error_status().
  [[nodiscard]] virtual std::string write_error(const Error& error, std::string_view request_id) const = 0;
  /// The HTTP status for this dialect's clients (529 is only known to Anthropic's).
  [[nodiscard]] virtual int error_status(const Error& error) const = 0;
  [[nodiscard]] virtual std::string write_models(const ModelPage& page) const = 0;
  /// The answer to a question about one model.
  [[nodiscard]] virtual std::string write_model(const ListedModel& model) const = 0;
  /// The answer to a request for its number of input tokens.
  [[nodiscard]] virtual std::string write_token_count(std::int64_t tokens) const {
    return "{\"input_tokens\":" + std::to_string(tokens) + "}";
  }
};

const Dialect& anthropic();
const Dialect& openai_chat();
const Dialect& openai_responses();
const Dialect& ollama_chat();
const Dialect& gemini_dialect();
const Dialect& openai_completions();
const Dialect& openai_embeddings();
/// By name; nullptr when there is no such dialect.
const Dialect* by_name(std::string_view name);

/// What a client's path asks for.
enum class Endpoint : std::uint8_t {
  kNone,
  kGenerate,
  kCountTokens,
  kModels,
  kModel,
  kHello,
  kVersion,
  kShow,
  kHealth,
  kReady,
  kStatus,
  kWebSocket,  ///< not offered here
  kStored,     ///< about an answer that would have to be kept here
  kBatches,    ///< message batches; Route::model: what stands behind their path ("", "{id}", "{id}/results")
  kFiles       ///< files at Anthropic
};
struct Route {
  Endpoint endpoint = Endpoint::kNone;
  const Dialect* spoken = nullptr;  ///< as the path says; for kModels decided by headers
  std::string_view model;           ///< from the path, still percent-encoded: kModel, and where it names the model
  bool stream = false;              ///< the path asks for a stream
};
/// Path without query. Method is checked too; kNone when nothing fits.
Route find(std::string_view method, std::string_view path);
/// A part of a path without its percent-encoding; "%" that begins none stays.
std::string decoded_segment(std::string_view segment);

}  // namespace ccrules::dialect
