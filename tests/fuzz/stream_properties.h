#pragma once
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "dialect/dialect.h"

/// What holds for every dialect's stream reader.
namespace ccrules::fuzz {

struct Run {
  std::vector<chat::Event> events;
  bool refused = false;
};

inline Run read(const dialect::Dialect& spoken, std::string_view bytes, std::size_t piece_bytes) {
  Run run;
  const auto reader = spoken.stream_reader(dialect::ReaderOptions{});
  for (std::size_t at = 0; at < bytes.size(); at += piece_bytes) {
    const std::string piece(bytes.substr(at, piece_bytes));
    if (!reader->feed(piece, run.events).ok()) {
      run.refused = true;
      return run;
    }
  }
  run.refused = !reader->finish(run.events).ok();
  return run;
}

/// Everything that an event says, so that runs can be compared.
inline std::string describe(const Run& run) {
  std::string text = run.refused ? "refused\n" : "";
  for (const chat::Event& event : run.events) {
    text += std::to_string(event.index()) + ' ';
    if (const auto* delta = std::get_if<chat::BlockDelta>(&event))
      text += std::to_string(delta->index) + delta->text;
    if (const auto* start = std::get_if<chat::BlockStart>(&event)) {
      text += std::to_string(start->index);
      if (const auto* call = std::get_if<chat::ToolCall>(&start->block.value))
        text += call->id + '/' + call->name;
    }
    if (const auto* error = std::get_if<chat::StreamError>(&event)) text += error->type + error->message;
    text += '\n';
  }
  return text;
}

inline void check_order(const Run& run) {
  bool started = false;
  bool open = false;
  bool over = false;
  std::uint32_t next = 0;
  for (const chat::Event& event : run.events) {
    if (over) std::abort();
    if (std::holds_alternative<chat::StreamError>(event)) {
      over = true;
    } else if (std::holds_alternative<chat::MessageStart>(event)) {
      if (started) std::abort();
      started = true;
    } else if (const auto* start = std::get_if<chat::BlockStart>(&event)) {
      if (!started || open || start->index != next) std::abort();
      open = true;
    } else if (const auto* delta = std::get_if<chat::BlockDelta>(&event)) {
      if (!open || delta->index != next) std::abort();
    } else if (const auto* end = std::get_if<chat::BlockEnd>(&event)) {
      if (!open || end->index != next++) std::abort();
      open = false;
    } else if (std::holds_alternative<chat::MessageEnd>(event)) {
      if (!started || open) std::abort();
      over = true;
    }
  }
  if (!over && !run.refused) std::abort();
}

/// Any bytes in any cut give the same events as the bytes whole, in the order promised by chat/event.h, a listener keeps
/// that order too, and every writer can write them. The first byte chooses a cut. Aborts when something is not so.
inline void check_stream(const dialect::Dialect& spoken, const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return;
  const std::string_view text(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  const Run whole = read(spoken, text, text.size() + 1);
  check_order(whole);
  const std::string expected = describe(whole);
  if (describe(read(spoken, text, 1)) != expected || describe(read(spoken, text, bytes[0] % 61u + 2)) != expected)
    std::abort();
  const auto listener = spoken.stream_listener();
  Run heard;
  heard.refused = !listener->feed(text, heard.events).ok() || !listener->finish(heard.events).ok();
  check_order(heard);
  for (const dialect::Dialect* to : {&dialect::openai_chat(), &dialect::anthropic(), &dialect::ollama_chat()}) {
    const auto writer = to->stream_writer(dialect::StreamWriterOptions{});
    std::string out;
    for (const chat::Event& event : whole.events) writer->write(event, out);
  }
}

}  // namespace ccrules::fuzz
