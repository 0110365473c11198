#include "dialect/gemini/assembler.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/digest.h"
#include "core/limits.h"
#include "dialect/broken.h"
#include "dialect/gemini/parts.h"
#include "dialect/repeated_usage.h"
#include "dialect/signature.h"
#include "dialect/words.h"

namespace ccrules::dialect::gemini {
namespace {

using json::Type;

Result<void> take_string(json::Value& value, std::string_view& out) {
  if (!value.is(Type::kString)) return {};
  CCR_TRY(text, value.string());
  out = text;
  return {};
}

Result<void> read_call(json::Value& value, Part& part) {
  part.kind = Part::Kind::kCall;
  if (!value.is(Type::kObject)) return {};
  CCR_TRY(call, value.object());
  while (call.next()) {
    if (call.key() == "id") {
      CCR_CHECK(take_string(call.value(), part.id));
    } else if (call.key() == "name") {
      CCR_CHECK(take_string(call.value(), part.name));
    } else if (call.key() == "args" && call.value().is(Type::kObject)) {
      CCR_TRY(args, call.value().raw());
      part.args_json = args;
    }
  }
  return call.done();
}

Result<void> read_part(json::Value& value, std::vector<Part>& parts) {
  if (!value.is(Type::kObject)) return {};
  const json::Value whole = value;
  Part part;
  bool is_thought = false;
  std::string_view other;
  CCR_TRY(members, value.object());
  while (members.next()) {
    const std::string_view key = members.key();
    if (key == "text") {
      CCR_CHECK(take_string(members.value(), part.text));
    } else if (key == "thoughtSignature") {
      CCR_CHECK(take_string(members.value(), part.signature));
    } else if (key == "thought" && members.value().is(Type::kBool)) {
      CCR_TRY(thought, members.value().boolean());
      is_thought = thought;
    } else if (key == "functionCall") {
      CCR_CHECK(read_call(members.value(), part));
    } else if (other.empty()) {
      other = key;
    }
  }
  CCR_CHECK(members.done());
  if (part.kind != Part::Kind::kCall) {
    const bool is_other = !other.empty() && part.text.empty();
    part.kind = is_other ? Part::Kind::kOther : is_thought ? Part::Kind::kThought : Part::Kind::kText;
    if (is_other) {
      part.type = other;
      part.json = whole.peek_raw();
    }
  }
  parts.push_back(part);
  return {};
}

Result<void> read_content(json::Value& value, std::vector<Part>& parts) {
  if (!value.is(Type::kObject)) return {};
  CCR_TRY(content, value.object());
  while (content.next()) {
    if (content.key() != "parts" || !content.value().is(Type::kArray)) continue;
    CCR_TRY(array, content.value().array());
    while (array.next()) CCR_CHECK(read_part(array.value(), parts));
    CCR_CHECK(array.done());
  }
  return content.done();
}

/// Whether the value is an object that says something.
bool says_something(const json::Value& value) {
  const std::string_view raw = value.peek_raw();
  return raw.starts_with('{') && raw.find('"') != std::string_view::npos;
}

/// How many queries Google made for an answer: `webSearchQueries`.
Result<std::int64_t> searches_of(json::Value& value) {
  std::int64_t count = 0;
  if (!value.is(Type::kObject)) return count;
  CCR_TRY(grounding, value.object());
  while (grounding.next()) {
    if (grounding.key() != "webSearchQueries" || !grounding.value().is(Type::kArray)) continue;
    CCR_TRY(queries, grounding.value().array());
    while (queries.next()) ++count;
    CCR_CHECK(queries.done());
  }
  CCR_CHECK(grounding.done());
  return count;
}

Result<void> read_candidate(json::Value& value, Chunk& chunk) {
  CCR_TRY(candidate, value.object());
  while (candidate.next()) {
    const std::string_view key = candidate.key();
    if (key == "content") {
      CCR_CHECK(read_content(candidate.value(), chunk.parts));
    } else if (key == "finishReason" && candidate.value().is(Type::kNumber)) {
      // Some of Vertex AI's clients ask for enumerations as numbers.
      constexpr std::array<std::string_view, 6> kByNumber = {"", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER"};
      CCR_TRY(number, candidate.value().number());
      const bool known = number >= 0 && number < static_cast<double>(kByNumber.size());
      chunk.finish_reason = known ? kByNumber[static_cast<std::size_t>(number)] : std::string_view("OTHER");
    } else if (key == "finishReason") {
      CCR_CHECK(take_string(candidate.value(), chunk.finish_reason));
    } else if (key == "finishMessage") {
      CCR_CHECK(take_string(candidate.value(), chunk.finish_message));
    } else if (key == "citationMetadata") {
      chunk.cites = chunk.cites || says_something(candidate.value());
    } else if (key == "groundingMetadata") {
      chunk.grounded = chunk.grounded || says_something(candidate.value());
      CCR_TRY(searches, searches_of(candidate.value()));
      chunk.searches = searches;
    }
  }
  return candidate.done();
}

Result<void> read_feedback(json::Value& value, Chunk& chunk) {
  if (!value.is(Type::kObject)) return {};
  CCR_TRY(feedback, value.object());
  while (feedback.next()) {
    if (feedback.key() == "blockReason") CCR_CHECK(take_string(feedback.value(), chunk.block_reason));
    if (feedback.key() == "blockReasonMessage") CCR_CHECK(take_string(feedback.value(), chunk.block_message));
  }
  CCR_CHECK(feedback.done());
  if (chunk.block_reason == "BLOCK_REASON_UNSPECIFIED") chunk.block_reason = {};
  chunk.is_answer = chunk.is_answer || !chunk.block_reason.empty();
  return {};
}

/// Bytes of what a candidate says that is no part of the answer, and billed all the same. Reads nothing that could be refused.
std::int64_t text_bytes_of(const json::Value& candidate) {
  const auto content = candidate.is(Type::kObject) ? candidate.peek("content") : std::nullopt;
  const auto parts = content && content->is(Type::kObject) ? content->peek("parts") : std::nullopt;
  if (!parts) return 0;
  constexpr std::string_view kAround = R"([{"text":""}])";
  const std::size_t bytes = parts->peek_raw().size();
  return static_cast<std::int64_t>(std::max(bytes, kAround.size()) - kAround.size());
}

bool is_first(const json::Value& candidate) {
  const std::optional<json::Value> index = candidate.peek("index");
  return !index || index->peek_raw() == "0" || index->is_null();
}

Error too_many_calls() {
  Error error;
  error.code = ErrorCode::kUpstreamProtocol;
  error.origin = Origin::kUpstream;
  error.retry = Retry::kNextTarget;
  error.http_status = 502;
  error.message = "the provider sent more than " + std::to_string(limits::kToolCalls) +
                  " tool calls in one reply; route this request to another provider or model";
  return error;
}

}  // namespace

Result<void> read_chunk(json::Document& document, Chunk& chunk) {
  chunk.parts.clear();  // keeps its room
  std::vector<Part> room = std::move(chunk.parts);
  chunk = Chunk();
  chunk.parts = std::move(room);
  CCR_TRY(root, document.root_object());
  while (root.next()) {
    const std::string_view key = root.key();
    json::Value& value = root.value();
    if (key == "candidates" && value.is(Type::kArray)) {
      CCR_TRY(candidates, value.array());
      bool first = true;
      while (candidates.next()) {
        // Several candidates may come in chunks of their own: the first one is the answer.
        if (first && candidates.value().is(Type::kObject) && is_first(candidates.value())) {
          chunk.is_answer = true;
          CCR_CHECK(read_candidate(candidates.value(), chunk));
        } else {
          chunk.other_text_bytes += text_bytes_of(candidates.value());
          chunk.other_candidate = true;
        }
        first = false;
      }
      CCR_CHECK(candidates.done());
    } else if (key == "usageMetadata") {
      chunk.usage = read_usage(value);
    } else if (key == "promptFeedback") {
      CCR_CHECK(read_feedback(value, chunk));
    } else if (key == "responseId") {
      CCR_CHECK(take_string(value, chunk.id));
    } else if (key == "modelVersion") {
      CCR_CHECK(take_string(value, chunk.model));
    } else if (key == "error" && !value.is_null()) {
      chunk.is_error = true;
    }
  }
  CCR_CHECK(root.done());
  chunk.usage.charge(chat::fee::kWebSearch, chunk.searches);
  return document.at_end();
}

Result<void> Assembler::apply(const Chunk& chunk, std::vector<chat::Event>& out) {
  if (ended_) return {};
  chat::Usage told = chunk.usage;
  // Thoughts that are not told again are part of the output still.
  if (told.output_tokens && !told.reasoning_tokens) *told.output_tokens += usage_.reasoning_tokens.value_or(0);
  merge_repeated(usage_, std::move(told));
  if (!started_) {
    started_ = true;
    chat::MessageStart start;
    start.id = chunk.id;
    start.model = chunk.model;
    start.usage = usage_;
    out.emplace_back(std::move(start));
  }
  for (const Part& part : chunk.parts) {
    if (part.kind == Part::Kind::kCall && part.name.empty()) {
      fail(unnamed_call(), out);
      return {};
    }
    take(part, out);
  }
  if (!chunk.finish_reason.empty() && chunk.finish_reason != "FINISH_REASON_UNSPECIFIED") {
    finish_reason_ = chunk.finish_reason;
    finish_message_ = chunk.finish_message;
  }
  if (!chunk.block_reason.empty()) {
    block_reason_ = chunk.block_reason;
    block_message_ = chunk.block_message;
  }
  grounded_ = grounded_ || chunk.grounded;
  cites_ = cites_ || chunk.cites;
  other_candidate_ = other_candidate_ || chunk.other_candidate;
  if (ids_.size() > limits::kToolCalls) return too_many_calls();
  return {};
}

void Assembler::take(const Part& part, std::vector<chat::Event>& out) {
  switch (part.kind) {
    case Part::Kind::kText: return take_text(part, out);
    case Part::Kind::kThought: return take_thought(part, out);
    case Part::Kind::kCall: return take_call(part, out);
    case Part::Kind::kOther: return take_other(part, out);
  }
}

void Assembler::take_text(const Part& part, std::vector<chat::Event>& out) {
  // Signatures of texts are not asked for again, so one that comes behind its text may be left out.
  if (!part.signature.empty() && (open_ == Open::kThinking || (open_ == Open::kNothing && !part.text.empty()))) {
    sign(part.signature, out);
  }
  if (part.text.empty()) return;
  if (open_ != Open::kText) {
    // White space between reasoning and a call must not become a text block: Anthropic refuses those in a history.
    if (is_blank(part.text) && blank_.size() + part.text.size() < limits::kErrorMessageBytes) {
      blank_ += part.text;
      return;
    }
    close_block(out);
    open_ = Open::kText;
    out.emplace_back(chat::BlockStart{next_index_, chat::Block{chat::Text{}}});
    if (!blank_.empty()) delta(chat::DeltaKind::kText, std::exchange(blank_, {}), out);
  }
  delta(chat::DeltaKind::kText, part.text, out);
}

void Assembler::take_thought(const Part& part, std::vector<chat::Event>& out) {
  if (part.text.empty() && part.signature.empty()) return;
  if (open_ != Open::kThinking) open_thinking(out);
  if (!part.text.empty()) delta(chat::DeltaKind::kThinking, part.text, out);
  if (!part.signature.empty()) signature_ = part.signature;
}

void Assembler::take_call(const Part& part, std::vector<chat::Event>& out) {
  if (!part.signature.empty()) sign(part.signature, out);
  blank_.clear();
  close_block(out);
  called_ = true;
  chat::BlockStart start;
  start.index = next_index_;
  chat::ToolCall call;
  call.id = client_id(part.id);
  call.name = client_name(part.name);
  start.block.value = std::move(call);
  out.emplace_back(std::move(start));
  // Google sends the whole call at once, so the block opens and closes here.
  if (part.args_json.find('\n') != std::string_view::npos) {
    delta(chat::DeltaKind::kArguments, json::compact(part.args_json), out);
  } else {
    delta(chat::DeltaKind::kArguments, part.args_json.empty() ? std::string_view("{}") : part.args_json, out);
  }
  out.emplace_back(chat::BlockEnd{next_index_++});
}

void Assembler::take_other(const Part& part, std::vector<chat::Event>& out) {
  close_block(out);
  chat::BlockStart start;
  start.index = next_index_;
  chat::Opaque opaque;
  opaque.dialect = kName;
  opaque.type = part.type;
  opaque.json = part.json;
  start.block.value = std::move(opaque);
  out.emplace_back(std::move(start));
  out.emplace_back(chat::BlockEnd{next_index_++});
}

/// Keeps the signature of what follows in the thinking before it: that is what clients send back unchanged.
void Assembler::sign(std::string_view signature, std::vector<chat::Event>& out) {
  if (open_ != Open::kThinking) open_thinking(out);
  signature_ = signature;
}

void Assembler::open_thinking(std::vector<chat::Event>& out) {
  close_block(out);
  open_ = Open::kThinking;
  out.emplace_back(chat::BlockStart{next_index_, chat::Block{chat::Thinking{}}});
}

void Assembler::close_block(std::vector<chat::Event>& out) {
  if (open_ == Open::kNothing) return;
  if (open_ == Open::kThinking) {
    const std::string signature = signature::encode({options_.provider, options_.model, std::exchange(signature_, {})});
    delta(chat::DeltaKind::kSignature, signature, out);
  }
  open_ = Open::kNothing;
  out.emplace_back(chat::BlockEnd{next_index_++});
}

void Assembler::delta(chat::DeltaKind kind, std::string_view text, std::vector<chat::Event>& out) const {
  chat::BlockDelta event;
  event.index = next_index_;
  event.kind = kind;
  event.text = text;
  out.emplace_back(std::move(event));
}

std::string Assembler::client_id(std::string_view id) {
  const auto fits = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
  };
  std::string made(id);
  const bool good = !id.empty() && std::all_of(id.begin(), id.end(), fits);
  if (good && ids_.insert(made).second) return made;
  constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";
  do {
    made = "toolu_";
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < 24; ++i, bits /= kDigits.size()) {
      if (i % 12 == 0) bits = digest::hash64(id, options_.seed + ids_.size() * 2 + i / 12);
      made += kDigits[bits % kDigits.size()];
    }
    ++options_.seed;
  } while (!ids_.insert(made).second);
  return made;
}

std::string Assembler::client_name(std::string_view sent) const {
  for (const RenamedTool& tool : options_.renamed_tools) {
    if (tool.sent == sent) return tool.original;
  }
  return std::string(sent);
}

void Assembler::add_losses(chat::LossNotes& losses) const {
  if (grounded_) losses.add("groundingMetadata", "what Google found for the answer has no place in it elsewhere");
  if (cites_) losses.add("citationMetadata", "the answer's citations are not carried into another dialect");
  if (other_candidate_) losses.add("candidates[1]", "only the first of several answers is sent");
}

void Assembler::fail(chat::StreamError error, std::vector<chat::Event>& out) {
  if (ended_) return;
  ended_ = true;
  out.emplace_back(std::move(error));
}

void Assembler::end(const UnstreamedBody& start, std::vector<chat::Event>& out) {
  if (ended_) return;
  if (!finish_seen()) {
    fail(cut_stream(next_index_ > 0 || open_ != Open::kNothing, start), out);
    return;
  }
  Finish finish = finish_of(finish_reason_, finish_message_, called_);
  if (finish.failed) {
    std::string message = "the provider broke its answer off with finishReason " + finish_reason_;
    if (!finish_message_.empty()) message += ": " + finish_message_;
    fail({"api_error", std::move(message)}, out);
    return;
  }
  if (!block_reason_.empty()) {
    finish.reason = chat::StopReason::kRefusal;
    finish.stop_details_json = refusal_details(block_reason_, block_message_);
  }
  close_block(out);
  if (next_index_ == 0) {
    out.emplace_back(chat::BlockStart{0, chat::Block{chat::Text{}}});
    if (!blank_.empty()) delta(chat::DeltaKind::kText, blank_, out);
    out.emplace_back(chat::BlockEnd{next_index_++});
  }
  chat::MessageEnd event;
  event.reason = finish.reason;
  event.stop_details_json = std::move(finish.stop_details_json);
  event.usage = usage_;
  add_losses(event.losses);
  out.emplace_back(std::move(event));
  ended_ = true;
}

}  // namespace ccrules::dialect::gemini
