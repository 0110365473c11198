#include "support/stream_cuts.h"

#include <catch2/catch.hpp>

namespace ccrules::test {
namespace {

std::string quoted(std::string_view text) { return " \"" + std::string(text) + "\""; }

std::string describe(const chat::Block& block) {
  if (const auto* text = std::get_if<chat::Text>(&block.value)) {
    return "text" + (text->text.empty() ? "" : quoted(text->text)) + (text->extra_json.empty() ? "" : " " + text->extra_json);
  }
  if (const auto* thinking = std::get_if<chat::Thinking>(&block.value)) {
    return thinking->redacted ? "redacted_thinking" + quoted(thinking->text) : "thinking";
  }
  if (const auto* call = std::get_if<chat::ToolCall>(&block.value)) return "tool " + call->id + " " + call->name + call->arguments_json;
  if (const auto* opaque = std::get_if<chat::Opaque>(&block.value)) return "opaque " + opaque->type + " " + opaque->json;
  return "other";
}

const char* name_of(chat::DeltaKind kind) {
  switch (kind) {
    case chat::DeltaKind::kText: return "text";
    case chat::DeltaKind::kThinking: return "thinking";
    case chat::DeltaKind::kSignature: return "signature";
    case chat::DeltaKind::kArguments: return "arguments";
    case chat::DeltaKind::kOpaque: return "opaque";
  }
  return "?";
}

}  // namespace

const char* name_of(chat::StopReason reason) {
  switch (reason) {
    case chat::StopReason::kEndTurn: return "end_turn";
    case chat::StopReason::kMaxTokens: return "max_tokens";
    case chat::StopReason::kToolUse: return "tool_use";
    case chat::StopReason::kStopSequence: return "stop_sequence";
    case chat::StopReason::kRefusal: return "refusal";
    case chat::StopReason::kPauseTurn: return "pause_turn";
    case chat::StopReason::kContextExceeded: return "context_exceeded";
    case chat::StopReason::kOther: return "other";
  }
  return "?";
}

std::string to_text(const chat::Usage& usage) {
  std::string out;
  const auto add = [&](const char* name, const std::optional<std::int64_t>& count) {
    if (count) out += std::string(" ") + name + "=" + std::to_string(*count);
  };
  add("in", usage.input_tokens);
  add("out", usage.output_tokens);
  add("read", usage.cache_read_tokens);
  add("write", usage.cache_write_tokens);
  add("write_1h", usage.cache_write_1h_tokens);
  add("reasoning", usage.reasoning_tokens);
  add("cost", usage.cost_nanousd);
  return out;
}

std::string to_text(const chat::Event& event) {
  if (const auto* start = std::get_if<chat::MessageStart>(&event)) return "start " + start->id + " " + start->model + to_text(start->usage);
  if (const auto* open = std::get_if<chat::BlockStart>(&event)) return "open " + std::to_string(open->index) + " " + describe(open->block);
  if (const auto* delta = std::get_if<chat::BlockDelta>(&event)) {
    return std::string(name_of(delta->kind)) + " " + std::to_string(delta->index) + quoted(delta->text);
  }
  if (const auto* close = std::get_if<chat::BlockEnd>(&event)) return "close " + std::to_string(close->index);
  if (const auto* end = std::get_if<chat::MessageEnd>(&event)) {
    return std::string("end ") + name_of(end->reason) + (end->stop_sequence.empty() ? "" : quoted(end->stop_sequence)) +
           (end->stop_details_json.empty() ? "" : " " + end->stop_details_json) + to_text(end->usage);
  }
  if (const auto* error = std::get_if<chat::StreamError>(&event)) return "error " + error->type + ": " + error->message;
  return "ping";
}

std::string to_text(const std::vector<chat::Event>& events) {
  std::string out;
  for (const chat::Event& event : events) out += to_text(event) + "\n";
  return out;
}

std::string to_text(const StreamRun& run) { return to_text(run.events) + (run.error ? "failed: " + run.error->message + "\n" : ""); }

std::string order_fault(const std::vector<chat::Event>& events, bool ended) {
  bool started = false;
  bool over = false;
  std::optional<std::uint32_t> open;
  std::uint32_t next = 0;
  for (const chat::Event& event : events) {
    const std::string here = " at: " + to_text(event);
    if (std::holds_alternative<chat::Ping>(event) && !over) continue;
    if (over) return "an event after the end" + here;
    if (std::holds_alternative<chat::StreamError>(event)) {
      over = true;
      continue;
    }
    if (std::holds_alternative<chat::MessageStart>(event)) {
      if (started) return "a second message start" + here;
      started = true;
      continue;
    }
    if (!started) return "an event before the message start" + here;
    if (const auto* start = std::get_if<chat::BlockStart>(&event)) {
      if (open) return "a block opened inside another" + here;
      if (start->index != next) return "indexes are not contiguous" + here;
      open = next++;
    } else if (const auto* delta = std::get_if<chat::BlockDelta>(&event)) {
      if (open != delta->index) return "a delta for a block that is not open" + here;
    } else if (const auto* close = std::get_if<chat::BlockEnd>(&event)) {
      if (open != close->index) return "a block closed that is not open" + here;
      open.reset();
    } else {
      if (open) return "the message ended inside a block" + here;
      over = true;
    }
  }
  return ended && !over ? "no end" : "";
}

StreamRun read_pieces(const dialect::Dialect& dialect, const std::vector<std::string_view>& pieces) {
  StreamRun run;
  const auto reader = dialect.stream_reader(dialect::ReaderOptions{});
  for (const std::string_view piece : pieces) {
    if (auto fed = reader->feed(piece, run.events); !fed.ok()) {
      run.error = fed.error();
      return run;
    }
  }
  if (auto finished = reader->finish(run.events); !finished.ok()) run.error = finished.error();
  return run;
}

StreamRun read_every_cut(const dialect::Dialect& dialect, std::string_view bytes) {
  StreamRun whole = read_pieces(dialect, {bytes});
  const std::string expected = to_text(whole);
  if (!whole.error) {
    INFO(expected);
    CHECK(order_fault(whole.events) == "");
  }
  std::vector<std::string_view> pieces;
  for (std::size_t i = 0; i < bytes.size(); ++i) pieces.push_back(bytes.substr(i, 1));
  {
    INFO("byte by byte");
    REQUIRE(to_text(read_pieces(dialect, pieces)) == expected);
  }
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    const std::string got = to_text(read_pieces(dialect, {bytes.substr(0, cut), bytes.substr(cut)}));
    if (got == expected) continue;
    INFO("cut at " << cut);
    REQUIRE(got == expected);
  }
  return whole;
}

std::string write_stream(const dialect::Dialect& dialect, const std::vector<chat::Event>& events,
                         const dialect::StreamWriterOptions& options) {
  std::string out;
  const auto writer = dialect.stream_writer(options);
  for (const chat::Event& event : events) writer->write(event, out);
  return out;
}

}  // namespace ccrules::test
