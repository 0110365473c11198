#include "dialect/openai_chat/assembler.h"

#include <algorithm>
#include <utility>

#include "core/digest.h"
#include "core/json.h"
#include "core/limits.h"
#include "core/text.h"
#include "dialect/broken.h"
#include "dialect/openai_chat/finish.h"
#include "dialect/repeated_usage.h"
#include "dialect/signature.h"
#include "dialect/tools.h"
#include "dialect/words.h"

namespace ccrules::dialect::openai {
namespace {

bool is_id_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
}

/// `length` characters of [0-9A-Za-z] that depend on everything that is hashed.
std::string base62(std::string_view text, std::uint64_t seed, std::size_t length) {
  constexpr std::string_view kDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string out;
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < length; ++i) {
    if (i % 10 == 0) bits = digest::hash64(text, seed + i);
    out += kDigits[bits % kDigits.size()];
    bits /= kDigits.size();
  }
  return out;
}

Error too_much(std::string_view what) {
  Error error;
  error.code = ErrorCode::kUpstreamProtocol;
  error.origin = Origin::kUpstream;
  error.retry = Retry::kNextTarget;
  error.http_status = 502;
  error.message = "the provider sent " + std::string(what) +
                  " in one reply; route this request to another provider or model";
  return error;
}

}  // namespace

std::size_t JsonScan::take(std::string_view piece) noexcept {
  for (std::size_t at = 0; at < piece.size(); ++at) {
    const char c = piece[at];
    if (in_string_) {
      if (escaped_)
        escaped_ = false;
      else if (c == '\\')
        escaped_ = true;
      else if (c == '"')
        in_string_ = false;
      continue;
    }
    if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if ((c == '}' || c == ']') && depth_ > 0 && --depth_ == 0) {
      complete_ = true;
      return at + 1;
    }
  }
  return piece.size();
}

Result<void> Assembler::apply(const Chunk& chunk, std::vector<chat::Event>& out) {
  if (ended_) return {};
  if (!started_ && (chunk.has_choice || !chunk.id.empty() || !chunk.usage.empty())) start(chunk, out);
  for (const std::string_view detail : chunk.details) take_detail(detail);
  for (const TextPiece& piece : chunk.texts) take_text(piece.text, piece.reasoning, out);
  for (std::size_t i = 0; i < chunk.tools.size(); ++i) take_tool(chunk.tools[i], i, out);
  if (!chunk.usage.empty()) {
    merge_repeated(usage_, chunk.usage);
    final_usage_seen_ = !chunk.has_choice && content_seen();
  } else if (chunk.usage.service_tier) {
    usage_.service_tier = chunk.usage.service_tier;  // the chunk of the counts may not say it again
  }
  note(chunk.extras);
  if (!chunk.stop_sequence.empty()) stop_sequence_ = chunk.stop_sequence;
  if (!chunk.finish_reason.empty()) {
    finish_reason_ = chunk.finish_reason;
    open_waiting(true, out);
    close_block(out);
  }
  if (tools_.size() > limits::kToolCalls)
    return too_much("more than " + std::to_string(limits::kToolCalls) + " tool calls");
  if (held_bytes_ > limits::kReplyBytes)
    return too_much("more than " + std::to_string(limits::kReplyBytes >> 20) + " MiB out of order");
  return {};
}

void Assembler::note(const Extras& extras) {
  extras_.refusal = extras_.refusal || extras.refusal;
  extras_.audio = extras_.audio || extras.audio;
  extras_.annotations = extras_.annotations || extras.annotations;
  extras_.other_choice = extras_.other_choice || extras.other_choice;
}

void Assembler::add_losses(chat::LossNotes& losses) const {
  if (extras_.audio) losses.add("audio", "of a spoken answer the words are sent, not the sound");
  if (extras_.annotations) losses.add("annotations", "the answer's citations are not carried into another dialect");
  if (extras_.other_choice) losses.add("choices[1]", "only the first of several answers is sent");
}

void Assembler::start(const Chunk& chunk, std::vector<chat::Event>& out) {
  started_ = true;
  message_id_ = chunk.id;
  chat::MessageStart event;
  event.id = chunk.id;
  event.model = chunk.model;
  out.emplace_back(std::move(event));
}

// --- text and reasoning

void Assembler::take_text(std::string_view text, bool reasoning, std::vector<chat::Event>& out) {
  if (text.empty()) return;
  if (!must_wait()) {
    if (reasoning)
      show_thinking(text, out);
    else
      show_text(text, out);
    return;
  }
  const auto kind = reasoning ? Waiting::Kind::kThinking : Waiting::Kind::kText;
  held_bytes_ += text.size();
  if (!waiting_.empty() && waiting_.back().kind == kind)
    waiting_.back().text += text;
  else
    waiting_.push_back({kind, std::string(text), 0});
}

void Assembler::show_text(std::string_view text, std::vector<chat::Event>& out) {
  if (open_ == Open::kText) {
    delta(chat::DeltaKind::kText, text, out);
    return;
  }
  // White space between reasoning and a tool call must not become a text block: Anthropic refuses those in a
  // history.
  if (is_blank(text) && blank_.size() + text.size() < limits::kErrorMessageBytes) {
    blank_ += text;
    return;
  }
  const std::string blank = std::exchange(blank_, {});
  close_block(out);
  show_details(out);
  open_ = Open::kText;
  out.emplace_back(chat::BlockStart{next_index_++, chat::Block{chat::Text{}}});
  if (blank.empty())
    delta(chat::DeltaKind::kText, text, out);
  else
    delta(chat::DeltaKind::kText, blank + std::string(text), out);
}

void Assembler::show_thinking(std::string_view text, std::vector<chat::Event>& out) {
  if (open_ != Open::kThinking) {
    close_block(out);
    open_ = Open::kThinking;
    out.emplace_back(chat::BlockStart{next_index_++, chat::Block{chat::Thinking{}}});
  }
  delta(chat::DeltaKind::kThinking, text, out);
}

// --- tool calls (G-6, G-7)

void Assembler::take_tool(ToolDelta delta, std::size_t position, std::vector<chat::Event>& out) {
  while (tools_.size() <= limits::kToolCalls) {
    const std::size_t number = find_tool(delta, position);
    Tool& tool = tools_[number];
    if (tool.wire_id.empty()) tool.wire_id = delta.id;
    if (tool.name.empty()) tool.name = delta.name;
    if (tool.thought_signature.empty() && !tool.opened) {
      tool.thought_signature = delta.thought_signature;
      held_bytes_ += delta.thought_signature.size();
    }
    if (!tool.opened && !tool.listed && !tool.name.empty()) {
      if (must_wait()) {
        tool.listed = true;
        waiting_.push_back({Waiting::Kind::kTool, {}, number});
      } else {
        open_tool(number, out);
      }
    }
    const std::string_view rest = take_arguments(number, delta.arguments, out);
    open_waiting(false, out);
    if (rest.empty()) return;
    // A complete object followed by another one: the next call, its index and name not repeated.
    const std::optional<std::int64_t> index = delta.index;
    delta = ToolDelta();
    delta.index = index;
    delta.arguments = rest;
    position = 0;
  }
}

/// Which call a fragment belongs to. Servers leave out indexes, give all calls index 0, or send ids late,
/// empty or repeated.
std::size_t Assembler::find_tool(const ToolDelta& delta, std::size_t position) {
  const auto latest = [&](auto&& fits) -> std::optional<std::size_t> {
    for (std::size_t i = tools_.size(); i-- > 0;) {
      if (fits(tools_[i])) return i;
    }
    return std::nullopt;
  };
  const auto restarts = [&](const Tool& tool) {
    return tool.scan.complete() && starts_object(delta.arguments);
  };

  if (delta.index) {
    const auto same = latest([&](const Tool& tool) { return tool.index == delta.index; });
    if (!same) return new_tool(delta);
    const Tool& tool = tools_[*same];
    if (!delta.id.empty() && !tool.wire_id.empty() && delta.id != tool.wire_id) return new_tool(delta);
    if (delta.id.empty() && restarts(tool)) return new_tool(delta);
    return *same;
  }
  if (!delta.id.empty()) {
    const auto same = latest([&](const Tool& tool) { return tool.wire_id == delta.id; });
    if (same && !restarts(tools_[*same])) return *same;
    // An id that comes late: for the call that has none and is not finished.
    if (!same && delta.name.empty() && !tools_.empty() && tools_.back().wire_id.empty() &&
        !tools_.back().scan.complete()) {
      return tools_.size() - 1;
    }
    return new_tool(delta);
  }
  if (tools_.empty()) return new_tool(delta);
  const Tool& last = tools_.back();
  if (restarts(last)) return new_tool(delta);
  if (delta.name.empty()) return tools_.size() - 1;
  // A name without id or index: the same call when it only repeats its name before or within the arguments.
  const bool repeats =
      position == 0 && last.name == delta.name && !last.scan.complete() && !delta.arguments.empty();
  return repeats ? tools_.size() - 1 : new_tool(delta);
}

std::size_t Assembler::new_tool(const ToolDelta& delta) {
  Tool tool;
  tool.index = delta.index;
  tool.wire_id = delta.id;
  // A second call in the arguments of the first has no name of its own: it repeats the tool.
  tool.name =
      delta.name.empty() && !tools_.empty() && tools_.back().scan.complete() && starts_object(delta.arguments)
          ? tools_.back().name
          : std::string(delta.name);
  tools_.push_back(std::move(tool));
  return tools_.size() - 1;
}

/// @return what follows a complete object and starts another.
std::string_view Assembler::take_arguments(std::size_t number, std::string_view fragment,
                                           std::vector<chat::Event>& out) {
  Tool& tool = tools_[number];
  if (fragment.empty() || tool.closed || tool.scan.complete()) return {};
  const std::size_t taken = tool.scan.take(fragment);
  const std::string_view rest = fragment.substr(taken);
  // Garbage behind a complete object stays in it, for the client to see; white space goes.
  if (starts_object(rest) || is_blank(rest)) fragment = fragment.substr(0, taken);
  tool.has_arguments = true;
  tool.waiting += fragment;
  if (open_ == Open::kTool && open_tool_ == number)
    pass_arguments(tool, out);
  else
    held_bytes_ += fragment.size();
  return starts_object(rest) ? rest.substr(rest.find('{')) : std::string_view();
}

/// Whether something new has to wait: an open call whose arguments are not over, or others before it.
bool Assembler::must_wait() const {
  return !waiting_.empty() || (open_ == Open::kTool && !tools_[open_tool_].scan.complete());
}

/// Opens what waits, in order, as far as the open call allows; all of it when `everything`.
void Assembler::open_waiting(bool everything, std::vector<chat::Event>& out) {
  std::size_t done = 0;
  for (; done < waiting_.size(); ++done) {
    if (!everything && open_ == Open::kTool && !tools_[open_tool_].scan.complete()) break;
    const Waiting& next = waiting_[done];
    if (next.kind == Waiting::Kind::kTool)
      open_tool(next.tool, out);
    else if (next.kind == Waiting::Kind::kThinking)
      show_thinking(next.text, out);
    else if (!is_blank(next.text))
      show_text(next.text, out);
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(done));
}

void Assembler::open_tool(std::size_t number, std::vector<chat::Event>& out) {
  Tool& tool = tools_[number];
  if (!tool.thought_signature.empty()) sign(std::move(tool.thought_signature), out);
  close_block(out);
  show_details(out);
  blank_.clear();
  tool.opened = true;
  open_ = Open::kTool;
  open_tool_ = number;
  chat::ToolCall call;
  call.id = client_id(tool);
  call.name = client_name(tool.name);
  out.emplace_back(chat::BlockStart{next_index_++, chat::Block{std::move(call)}});
  pass_arguments(tool, out);
}

void Assembler::pass_arguments(Tool& tool, std::vector<chat::Event>& out) {
  if (!tool.passing && !starts_object(tool.waiting)) return;
  tool.passing = true;
  delta(chat::DeltaKind::kArguments, tool.waiting, out);
  tool.waiting.clear();
}

std::string Assembler::client_id(const Tool& tool) const {
  const auto number = static_cast<std::size_t>(&tool - tools_.data());
  const auto taken = [&](std::string_view id) {
    return std::any_of(tools_.begin(), tools_.end(),
                       [&](const Tool& other) { return &other < &tool && other.wire_id == id; });
  };
  const std::string& id = tool.wire_id;
  if (id.empty())
    return "toolu_" + base62(message_id_ + "/" + tool.name + "/" + std::to_string(number), options_.seed, 24);
  constexpr std::size_t kLongestId = 64;
  if (id.size() <= kLongestId && std::all_of(id.begin(), id.end(), is_id_char) && !taken(id)) return id;
  std::string safe = id.substr(0, kLongestId - 9);
  std::replace_if(
      safe.begin(), safe.end(), [](char c) { return !is_id_char(c); }, '_');
  return safe + "_" + base62(id + "/" + std::to_string(number), 0, 8);
}

std::string Assembler::client_name(std::string_view sent) const {
  for (const RenamedTool& renamed : options_.renamed_tools) {
    if (renamed.sent == sent) return renamed.original;
  }
  return std::string(sent);
}

// --- blocks

void Assembler::close_block(std::vector<chat::Event>& out) {
  if (open_ == Open::kNothing) return;
  if (open_ == Open::kThinking) delta(chat::DeltaKind::kSignature, signature(), out);
  if (open_ == Open::kTool) {
    Tool& tool = tools_[open_tool_];
    tool.closed = true;
    if (const std::string arguments = unwrapped_arguments(tool.waiting);
        !tool.passing && !arguments.empty()) {
      delta(chat::DeltaKind::kArguments, arguments, out);
    }
    tool.waiting.clear();
  }
  out.emplace_back(chat::BlockEnd{next_index_ - 1});
  open_ = Open::kNothing;
}

void Assembler::delta(chat::DeltaKind kind, std::string_view text, std::vector<chat::Event>& out) const {
  out.emplace_back(chat::BlockDelta{next_index_ - 1, kind, std::string(text)});
}

/// Reasoning that only its provider can read gets a thinking block of its own, so that it is sent back (G-8).
void Assembler::show_details(std::vector<chat::Event>& out) {
  if (details_.empty()) return;
  close_block(out);
  out.emplace_back(chat::BlockStart{next_index_++, chat::Block{chat::Thinking{}}});
  open_ = Open::kThinking;
  close_block(out);
}

/// Keeps the signature of the call that follows in the thinking before it, as the gemini dialect does: that is what clients send
/// back unchanged.
void Assembler::sign(std::string thought_signature, std::vector<chat::Event>& out) {
  if (open_ != Open::kThinking || !details_.empty()) {
    close_block(out);
    show_details(out);
    out.emplace_back(chat::BlockStart{next_index_++, chat::Block{chat::Thinking{}}});
    open_ = Open::kThinking;
  }
  thought_signature_ = std::move(thought_signature);
}

/// Pieces of one detail arrive in many chunks, as the text does: same type and index continue each other.
void Assembler::take_detail(std::string_view json) {
  auto document = json::Document::open(json);
  if (!document) return;
  auto object = document->root_object();
  if (!object) return;
  Detail detail;
  while (object->next()) {
    const std::string_view key = object->key();
    json::Value& value = object->value();
    if (key == "index") {
      if (!value.is(json::Type::kNumber)) continue;
      if (const auto index = value.integer()) detail.index = *index;
      continue;
    }
    if (!value.is(json::Type::kString)) continue;
    const auto text = value.string();
    if (!text) return;
    if (key == "type")
      detail.type = *text;
    else if (key == "id")
      detail.id = *text;
    else if (key == "format")
      detail.format = *text;
    else if (key == "text")
      detail.text = *text;
    else if (key == "summary")
      detail.summary = *text;
    else if (key == "signature")
      detail.signature = *text;
    else if (key == "data")
      detail.data = *text;
  }
  held_bytes_ += json.size();
  const bool known = detail.type == "reasoning.text" || detail.type == "reasoning.summary" ||
                     detail.type == "reasoning.encrypted";
  if (!known) detail.raw = json;
  if (known && detail.type != "reasoning.encrypted" && !details_.empty()) {
    Detail& last = details_.back();
    if (last.type == detail.type && last.index == detail.index &&
        (last.id == detail.id || detail.id.empty())) {
      last.text += detail.text;
      last.summary += detail.summary;
      if (!detail.signature.empty()) last.signature = std::move(detail.signature);
      if (last.format.empty()) last.format = std::move(detail.format);
      return;
    }
  }
  details_.push_back(std::move(detail));
}

std::string Assembler::signature() {
  signature::Origin origin{options_.provider, options_.model, std::exchange(thought_signature_, {})};
  if (!details_.empty()) {
    origin.payload.clear();
    json::Writer writer(origin.payload);
    writer.begin_array();
    for (const Detail& detail : details_) {
      if (!detail.raw.empty()) {
        writer.raw(detail.raw);
        continue;
      }
      writer.begin_object().member("type", detail.type);
      if (detail.type == "reasoning.text") writer.member("text", detail.text);
      if (detail.type == "reasoning.summary") writer.member("summary", detail.summary);
      if (detail.type == "reasoning.encrypted") writer.member("data", detail.data);
      if (!detail.signature.empty()) writer.member("signature", detail.signature);
      if (!detail.id.empty()) writer.member("id", detail.id);
      if (!detail.format.empty()) writer.member("format", detail.format);
      if (detail.index) writer.member("index", *detail.index);
      writer.end_object();
    }
    writer.end_array();
    details_.clear();
  }
  return signature::encode(origin);
}

// --- the end

void Assembler::fail(chat::StreamError error, std::vector<chat::Event>& out) {
  if (ended_) return;
  ended_ = true;
  out.emplace_back(std::move(error));
}

void Assembler::end(std::vector<chat::Event>& out) {
  if (ended_) return;
  if (!started_) {
    fail({"api_error", "the provider ended its stream without an answer", true}, out);
    return;
  }
  const bool called =
      std::any_of(tools_.begin(), tools_.end(), [](const Tool& tool) { return !tool.name.empty(); });
  const Finish finish = finish_of(finish_reason_, called, stop_sequence_);
  if (finish.failed) {
    fail({finish.error_type,
          "the provider broke its answer off with finish_reason \"" + finish_reason_ + "\""},
         out);
    return;
  }
  // MiMo cuts a prompt that fills the window to what fits and has no room left to answer (G-1).
  if (finish.reason == chat::StopReason::kMaxTokens && !content_seen() && waiting_.empty() && details_.empty() &&
      usage_.output_tokens == 0) {
    fail({"invalid_request_error", "the provider broke off for length before it wrote anything: the prompt is too long"}, out);
    return;
  }
  const bool unnamed = std::any_of(tools_.begin(), tools_.end(),
                                   [](const Tool& tool) { return tool.name.empty() && tool.has_arguments; });
  const bool half = finish_reason_.empty() && std::any_of(tools_.begin(), tools_.end(), [](const Tool& tool) {
                      return !tool.scan.complete() && (tool.passing || starts_object(tool.waiting));
                    });
  if (unnamed || half) {
    chat::StreamError error = unnamed_call();
    if (!unnamed) error.message = "the provider's stream ended inside a tool call";
    error.cut = half;
    fail(std::move(error), out);
    return;
  }
  open_waiting(true, out);
  close_block(out);
  show_details(out);
  if (!content_seen()) {
    out.emplace_back(chat::BlockStart{next_index_++, chat::Block{chat::Text{}}});
    if (!blank_.empty()) delta(chat::DeltaKind::kText, blank_, out);
    out.emplace_back(chat::BlockEnd{next_index_ - 1});
  }
  chat::MessageEnd event;
  event.reason = finish.reason;
  if (event.reason == chat::StopReason::kEndTurn && extras_.refusal) event.reason = chat::StopReason::kRefusal;
  add_losses(event.losses);
  if (finish.reason == chat::StopReason::kStopSequence) event.stop_sequence = stop_sequence_;
  event.stop_details_json = finish.stop_details_json;
  event.usage = usage_;
  out.emplace_back(std::move(event));
  ended_ = true;
}

void Assembler::cut(const UnstreamedBody& start, std::vector<chat::Event>& out) {
  if (ended_) return;
  // A complete tool call proves nothing: another could have followed it.
  if (finish_seen() || final_usage_seen_) {
    end(out);
    return;
  }
  fail(cut_stream(content_seen(), start), out);
}

}  // namespace ccrules::dialect::openai
