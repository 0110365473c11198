#include "dialect/endings.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>

#include "core/json.h"
#include "core/limits.h"
#include "core/sse.h"
#include "core/text.h"
#include "dialect/anthropic/parts.h"
#include "dialect/data_lines.h"
#include "dialect/gemini/parts.h"
#include "dialect/ollama/wire.h"
#include "dialect/openai_chat/finish.h"

namespace ccrules::dialect {
namespace {

using chat::StopReason;
using json::Type;

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// What is known so far of how an answer ends.
class Ends {
 public:
  /// There is such a choice, which has to end.
  void open(std::int64_t choice) {
    if (choice < 0 || choice >= limits::kChoices) return hold(StopReason::kOther);
    if (std::find(opened_.begin(), opened_.end(), choice) == opened_.end()) opened_.push_back(choice);
  }
  void end(std::int64_t choice, StopReason why) {
    open(choice);
    if (std::find(ended_.begin(), ended_.end(), choice) == ended_.end()) ended_.push_back(choice);
    hold(why);
  }
  /// Whatever the ends say.
  void hold(StopReason why) {
    if (std::find(all_.begin(), all_.end(), why) == all_.end()) all_.push_back(why);
  }
  [[nodiscard]] std::vector<StopReason> all() && {
    if (all_.empty() || ended_.size() < opened_.size()) hold(StopReason::kOther);
    return std::move(all_);
  }

 private:
  std::vector<std::int64_t> opened_;
  std::vector<std::int64_t> ended_;
  std::vector<StopReason> all_;
};

/// One JSON text of an answer.
struct Piece {
  std::string_view event;  ///< the name of its event; empty: it has none
  bool whole = false;      ///< it is all of the answer
};

template <class Take>
void each_member(json::Value& value, Ends& ends, const Take& take) {
  if (!value.is(Type::kObject)) return;
  auto object = value.object();
  while (object.ok() && object->next()) take(object->key(), object->value());
  if (!object.ok() || !object->done().ok()) ends.hold(StopReason::kOther);
}

/// @param take  gets each item and its place
template <class Take>
void each_item(json::Value& value, Ends& ends, const Take& take) {
  if (!value.is(Type::kArray)) return;
  auto array = value.array();
  std::int64_t place = 0;
  while (array.ok() && array->next()) take(array->value(), place++);
  if (!array.ok() || !array->done().ok()) ends.hold(StopReason::kOther);
}

/// The text of a string; empty for anything else. Lives as long as the document.
std::string_view word_of(json::Value& value) {
  if (!value.is(Type::kString)) return {};
  const auto text = value.string();
  return text.ok() ? *text : std::string_view();
}

/// The number of a choice; -1, which no choice has, for anything but a whole number.
std::int64_t index_of(json::Value& value) {
  const auto index = value.integer();
  return index.ok() ? *index : -1;
}

/// Null, "" and [] are nothing.
bool is_something(json::Value& value) {
  if (value.is(Type::kString)) return !word_of(value).empty();
  if (!value.is(Type::kArray)) return !value.is_null();
  auto array = value.array();
  return array.ok() && array->next();
}

void hold_if_something(json::Value& value, StopReason why, Ends& ends) {
  if (is_something(value)) ends.hold(why);
}

// --- chat completions and what else answers in their form

StopReason chat_end(std::string_view word) {
  if (is_one_of(word, {"tool_calls", "function_call"})) return StopReason::kToolUse;
  const openai::Finish finish = openai::finish_of(word, false, {});
  return finish.failed ? StopReason::kOther : finish.reason;
}

void read_chat_message(json::Value& message, Ends& ends) {
  each_member(message, ends, [&ends](std::string_view key, json::Value& value) {
    if (key == "refusal") {
      hold_if_something(value, StopReason::kRefusal, ends);
    } else if (key == "tool_calls" || key == "function_call") {
      hold_if_something(value, StopReason::kToolUse, ends);
    } else if (key == "content") {
      each_item(value, ends, [&ends](json::Value& part, std::int64_t) {
        if (part.is(Type::kObject) && part.peek("refusal")) ends.hold(StopReason::kRefusal);
      });
    }
  });
}

void read_chat(json::Value& root, const Piece& piece, Ends& ends) {
  each_member(root, ends, [&](std::string_view key, json::Value& value) {
    if (key == "error") hold_if_something(value, StopReason::kOther, ends);
    if (key != "choices") return;
    each_item(value, ends, [&](json::Value& choice, std::int64_t place) {
      std::int64_t index = place;
      std::string_view end;
      each_member(choice, ends, [&](std::string_view name, json::Value& member) {
        if (name == "index" && member.is(Type::kNumber) && !piece.whole) {
          index = index_of(member);
        } else if (name == "finish_reason") {
          end = word_of(member);
        } else if (name == "message" || name == "delta") {
          read_chat_message(member, ends);
        }
      });
      ends.open(index);
      if (!end.empty()) ends.end(index, chat_end(end));
    });
  });
}

void read_vectors(json::Value& root, const Piece& /*piece*/, Ends& ends) {
  each_member(root, ends, [&ends](std::string_view key, json::Value& value) {
    if (key == "error") hold_if_something(value, StopReason::kOther, ends);
    if (key == "data" && is_something(value)) ends.end(0, StopReason::kEndTurn);
  });
}

// --- Responses

void read_part(json::Value& part, Ends& ends) {
  const std::string_view type = part.is(Type::kObject) ? part.peek_string("type").value_or("") : "";
  if (type == "refusal") return ends.hold(StopReason::kRefusal);
  if (type != "output_text") ends.hold(StopReason::kOther);
}

/// What only tells of an answer, or of what the provider has done for it, may be kept; a call that the client must answer is one,
/// and of what is not known here it cannot be told.
void read_item(json::Value& item, Ends& ends) {
  const std::string type(item.is(Type::kObject) ? item.peek_string("type").value_or("") : "");
  if (is_one_of(type, {"reasoning", "web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_call",
                       "mcp_list_tools", "tool_search_output", "compaction"})) {
    return;
  }
  if (is_one_of(type, {"function_call", "custom_tool_call", "computer_call", "local_shell_call", "shell_call", "apply_patch_call",
                       "mcp_approval_request"})) {
    return ends.hold(StopReason::kToolUse);
  }
  if (type == "tool_search_call") {
    if (item.peek_string("execution") != "server") ends.hold(StopReason::kToolUse);
    return;
  }
  if (type != "message") return ends.hold(StopReason::kOther);
  each_member(item, ends, [&ends](std::string_view key, json::Value& value) {
    if (key == "content") each_item(value, ends, [&ends](json::Value& part, std::int64_t) { read_part(part, ends); });
  });
}

StopReason response_end(std::string_view status, std::string_view incomplete_reason) {
  if (status == "completed") return StopReason::kEndTurn;
  if (status != "incomplete") return StopReason::kOther;
  if (incomplete_reason == "max_output_tokens") return StopReason::kMaxTokens;
  return incomplete_reason == "content_filter" ? StopReason::kRefusal : StopReason::kOther;
}

void read_response(json::Value& response, std::string_view status, Ends& ends) {
  std::string_view incomplete_reason;
  each_member(response, ends, [&](std::string_view key, json::Value& value) {
    if (key == "status") {
      status = word_of(value);
    } else if (key == "incomplete_details") {
      each_member(value, ends, [&](std::string_view name, json::Value& member) {
        if (name == "reason") incomplete_reason = word_of(member);
      });
    } else if (key == "output") {
      each_item(value, ends, [&ends](json::Value& item, std::int64_t) { read_item(item, ends); });
    } else if (key == "error") {
      hold_if_something(value, StopReason::kOther, ends);
    }
  });
  ends.end(0, response_end(status, incomplete_reason));
}

void read_responses(json::Value& root, const Piece& piece, Ends& ends) {
  if (piece.whole) return read_response(root, {}, ends);
  const std::string type(root.peek_string("type").value_or(piece.event));
  if (type == "error" || type == "response.error" || type == "response.failed") return ends.hold(StopReason::kOther);
  if (type.starts_with("response.refusal.")) return ends.hold(StopReason::kRefusal);
  const bool ends_it = is_one_of(type, {"response.completed", "response.incomplete", "response.done"});
  const bool has_item = type.starts_with("response.output_item.");
  each_member(root, ends, [&](std::string_view key, json::Value& value) {
    if (key == "item" && has_item) read_item(value, ends);
    // Some servers say only by the event's name that it is complete.
    if (key == "response" && ends_it) read_response(value, type == "response.completed" ? "completed" : "", ends);
  });
}

// --- Anthropic

void read_block(json::Value& block, Ends& ends) {
  const std::string_view type = block.is(Type::kObject) ? block.peek_string("type").value_or("") : "";
  if (type == "tool_use") return ends.hold(StopReason::kToolUse);
  const bool known = type.ends_with("_tool_result") ||
                     is_one_of(type, {"text", "thinking", "redacted_thinking", "server_tool_use", "mcp_tool_use", "mcp_tool_listing",
                                      "container_upload", "compaction", "fallback"});
  if (!known) ends.hold(StopReason::kOther);
}

void end_message(json::Value& stop_reason, Ends& ends) {
  const std::string_view word = word_of(stop_reason);
  if (!word.empty()) ends.end(0, anthropic_messages::stop_reason_from(word));
}

void read_anthropic(json::Value& root, const Piece& piece, Ends& ends) {
  if (piece.whole) {
    ends.open(0);
    return each_member(root, ends, [&ends](std::string_view key, json::Value& value) {
      if (key == "stop_reason") end_message(value, ends);
      if (key == "content") each_item(value, ends, [&ends](json::Value& block, std::int64_t) { read_block(block, ends); });
    });
  }
  const std::string type(root.peek_string("type").value_or(piece.event));
  if (type == "error") return ends.hold(StopReason::kOther);
  if (type == "message_start") return ends.open(0);
  if (type != "content_block_start" && type != "message_delta") return;
  each_member(root, ends, [&](std::string_view key, json::Value& value) {
    if (key == "content_block" && type == "content_block_start") read_block(value, ends);
    if (key != "delta" || type != "message_delta") return;
    each_member(value, ends, [&ends](std::string_view name, json::Value& member) {
      if (name == "stop_reason") end_message(member, ends);
    });
  });
}

// --- Gemini

void read_gemini_part(json::Value& part, Ends& ends) {
  each_member(part, ends, [&ends](std::string_view key, json::Value& /*value*/) {
    if (key == "functionCall") return ends.hold(StopReason::kToolUse);
    const bool known = is_one_of(key, {"text", "thought", "thoughtSignature", "inlineData", "fileData", "executableCode",
                                       "codeExecutionResult", "toolCall", "toolResponse", "partMetadata", "videoMetadata"});
    if (!known) ends.hold(StopReason::kOther);
  });
}

StopReason gemini_end(std::string_view word) {
  const gemini::Finish finish = gemini::finish_of(word, {}, false);
  return finish.failed ? StopReason::kOther : finish.reason;
}

void read_candidate(json::Value& candidate, std::int64_t place, const Piece& piece, Ends& ends) {
  std::int64_t index = place;
  std::string_view end;
  each_member(candidate, ends, [&](std::string_view key, json::Value& value) {
    if (key == "index" && value.is(Type::kNumber) && !piece.whole) {
      index = index_of(value);
    } else if (key == "finishReason") {
      end = value.is(Type::kNumber) ? "OTHER" : word_of(value);
    } else if (key == "content") {
      each_member(value, ends, [&ends](std::string_view name, json::Value& member) {
        if (name != "parts") return;
        each_item(member, ends, [&ends](json::Value& part, std::int64_t) { read_gemini_part(part, ends); });
      });
    }
  });
  ends.open(index);
  if (!end.empty() && end != "FINISH_REASON_UNSPECIFIED") ends.end(index, gemini_end(end));
}

void read_gemini(json::Value& root, const Piece& piece, Ends& ends) {
  each_member(root, ends, [&](std::string_view key, json::Value& value) {
    if (key == "error") {
      hold_if_something(value, StopReason::kOther, ends);
    } else if (key == "promptFeedback") {
      each_member(value, ends, [&ends](std::string_view name, json::Value& member) {
        if (name == "blockReason") hold_if_something(member, StopReason::kRefusal, ends);
      });
    } else if (key == "candidates") {
      each_item(value, ends, [&](json::Value& candidate, std::int64_t place) { read_candidate(candidate, place, piece, ends); });
    }
  });
}

// --- Ollama

void read_ollama(json::Value& root, const Piece& /*piece*/, Ends& ends) {
  bool done = false;
  std::string_view end;
  ends.open(0);
  each_member(root, ends, [&](std::string_view key, json::Value& value) {
    if (key == "done" && value.is(Type::kBool)) {
      const auto said = value.boolean();
      done = said.ok() && *said;
    } else if (key == "done_reason") {
      end = word_of(value);
    } else if (key == "message") {
      read_chat_message(value, ends);
    } else if (key == "error") {
      hold_if_something(value, StopReason::kOther, ends);
    }
  });
  if (done) ends.end(0, ollama::stop_reason_of(end, false));
}

using Read = void (*)(json::Value&, const Piece&, Ends&);

constexpr std::array<std::pair<std::string_view, Read>, 7> kReads = {{{"anthropic", read_anthropic},
                                                                      {"openai_chat", read_chat},
                                                                      {"openai_completions", read_chat},
                                                                      {"openai_embeddings", read_vectors},
                                                                      {"openai_responses", read_responses},
                                                                      {"gemini", read_gemini},
                                                                      {"ollama", read_ollama}}};

void read_texts(std::string_view bytes, Piece piece, Read read, Ends& ends) {
  DataLines lines(bytes);
  std::string_view text;
  while (lines.next(text)) {
    if (text == "[DONE]") continue;
    auto document = json::Document::open_view(text, json::Escapes::kUnchecked);
    auto root = document.ok() ? document->root() : Result<json::Value>(document.error());
    if (!root.ok() || !root->is(Type::kObject)) return ends.hold(StopReason::kOther);
    read(*root, piece, ends);
  }
}

}  // namespace

std::vector<StopReason> endings(std::string_view dialect, std::string_view bytes) {
  const auto known = std::find_if(kReads.begin(), kReads.end(), [dialect](const auto& row) { return row.first == dialect; });
  if (known == kReads.end()) return {StopReason::kOther};
  Ends ends;
  Piece piece;
  if (text::trim(bytes).starts_with('{')) {  // one text, or Ollama's one a line
    piece.whole = true;
    read_texts(bytes, piece, known->second, ends);
    return std::move(ends).all();
  }
  sse::Decoder decoder;
  sse::Event event;
  sse::Step step = sse::Step::kEvent;
  decoder.feed(bytes);
  while ((step = decoder.next(event)) == sse::Step::kEvent) {
    piece.event = event.name;
    read_texts(event.data, piece, known->second, ends);
  }
  if (step == sse::Step::kTooLarge) ends.hold(StopReason::kOther);
  // Some servers forget the last blank line.
  if (step == sse::Step::kStarved && decoder.finish(event)) {
    piece.event = event.name;
    read_texts(event.data, piece, known->second, ends);
  }
  return std::move(ends).all();
}

}  // namespace ccrules::dialect
