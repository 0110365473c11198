#include "dialect/ollama/assembler.h"

#include <utility>

#include "core/json.h"
#include "core/text.h"
#include "dialect/broken.h"
#include "dialect/ollama/wire.h"
#include "dialect/signature.h"

namespace ccrules::dialect::ollama {

constexpr std::size_t kMostBlank = 4096;

void Assembler::apply(const Chunk& chunk, std::vector<chat::Event>& out) {
  if (ended_) return;
  if (!started_) start(chunk, out);
  if (!chunk.thinking.empty()) show(Open::kThinking, chunk.thinking, out);
  if (!chunk.text.empty()) show(Open::kText, chunk.text, out);
  for (const Call& call : chunk.calls) {
    if (call.name.empty()) return fail(unnamed_call(), out);
    show_call(call, out);
  }
  if (chunk.done) end(chunk, out);
}

void Assembler::start(const Chunk& chunk, std::vector<chat::Event>& out) {
  started_ = true;
  chat::MessageStart start;
  start.model = chunk.model;
  out.emplace_back(std::move(start));
}

void Assembler::show(Open kind, std::string_view text, std::vector<chat::Event>& out) {
  if (open_ != kind) {
    // Models put blank lines between their thinking and their answer, or their calls: alone they are no text.
    if (text::trim(text).empty()) {
      if (blank_.size() < kMostBlank) blank_ += text;
      return;
    }
    const std::string before = std::move(blank_);
    close_block(out);
    blank_ = before;
    open_ = kind;
    chat::Block block;
    if (kind == Open::kThinking) block.value = chat::Thinking{};
    out.emplace_back(chat::BlockStart{next_index_++, std::move(block)});
  }
  const auto delta_kind = kind == Open::kThinking ? chat::DeltaKind::kThinking : chat::DeltaKind::kText;
  out.emplace_back(chat::BlockDelta{next_index_ - 1, delta_kind, blank_.append(text)});
  blank_.clear();
}

void Assembler::show_call(const Call& call, std::vector<chat::Event>& out) {
  close_block(out);
  chat::ToolCall started;
  started.id = ids_.sent(call.id.empty() ? made_call_id(call.name, calls_, options_.seed) : std::string(call.id));
  started.name = client_name(call.name);
  ++calls_;
  out.emplace_back(chat::BlockStart{next_index_, chat::Block{std::move(started)}});
  // What is no object is no arguments (G-7).
  const std::string_view arguments = text::trim(call.arguments_json);
  const bool whole = arguments.starts_with('{') && json::is_valid(arguments);
  out.emplace_back(
      chat::BlockDelta{next_index_, chat::DeltaKind::kArguments, whole ? std::string(arguments) : std::string("{}")});
  out.emplace_back(chat::BlockEnd{next_index_++});
}

void Assembler::close_block(std::vector<chat::Event>& out) {
  blank_.clear();
  if (open_ == Open::kNothing) return;
  if (open_ == Open::kThinking) {
    out.emplace_back(chat::BlockDelta{next_index_ - 1, chat::DeltaKind::kSignature,
                                      signature::encode({options_.provider, options_.model, {}})});
  }
  out.emplace_back(chat::BlockEnd{next_index_ - 1});
  open_ = Open::kNothing;
}

void Assembler::end(const Chunk& chunk, std::vector<chat::Event>& out) {
  close_block(out);
  ended_ = true;
  chat::MessageEnd end;
  end.reason = stop_reason_of(chunk.done_reason, calls_ > 0);
  end.usage = chunk.usage;
  out.emplace_back(std::move(end));
}

void Assembler::fail(chat::StreamError error, std::vector<chat::Event>& out) {
  if (ended_) return;
  if (started_) close_block(out);
  ended_ = true;
  out.emplace_back(std::move(error));
}

void Assembler::cut(std::vector<chat::Event>& out) {
  fail(cut_stream(next_index_ > 0, UnstreamedBody()), out);
}

std::string Assembler::client_name(std::string_view sent) const {
  for (const RenamedTool& renamed : options_.renamed_tools) {
    if (renamed.sent == sent) return renamed.original;
  }
  return std::string(sent);
}

}  // namespace ccrules::dialect::ollama
