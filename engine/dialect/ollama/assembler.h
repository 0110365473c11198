#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chat/event.h"
#include "dialect/call_ids.h"
#include "dialect/dialect.h"
#include "dialect/ollama/chunk.h"

namespace ccrules::dialect::ollama {

/// Lines of one reply -> events with block boundaries.
class Assembler {
 public:
  explicit Assembler(const ReaderOptions& options) : options_(options) {}

  /// Appends what the line says; the line that is `done` ends the message.
  void apply(const Chunk& chunk, std::vector<chat::Event>& out);
  /// The provider said that it failed. Nothing may follow.
  void fail(chat::StreamError error, std::vector<chat::Event>& out);
  /// The bytes ended. A stream that did not say `done` was cut.
  void cut(std::vector<chat::Event>& out);

  [[nodiscard]] bool started() const { return started_; }
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  enum class Open : std::uint8_t { kNothing, kText, kThinking };

  void start(const Chunk& chunk, std::vector<chat::Event>& out);
  void show(Open kind, std::string_view text, std::vector<chat::Event>& out);
  void show_call(const Call& call, std::vector<chat::Event>& out);
  void close_block(std::vector<chat::Event>& out);
  void end(const Chunk& chunk, std::vector<chat::Event>& out);
  [[nodiscard]] std::string client_name(std::string_view sent) const;

  ReaderOptions options_;
  CallIds ids_{CallIds::Form::kUpTo64};
  bool started_ = false;
  bool ended_ = false;
  Open open_ = Open::kNothing;
  std::uint32_t next_index_ = 0;
  std::uint32_t calls_ = 0;
  std::string blank_;  ///< white space that may come before a text, or before nothing
};

}  // namespace ccrules::dialect::ollama
