#include "dialect/anthropic/history_writer.h"

#include <algorithm>
#include <utility>

#include "core/digest.h"
#include "core/text.h"
#include "dialect/anthropic/parts.h"
#include "dialect/signature.h"

namespace ccrules::dialect::anthropic_messages {
namespace {

chat::Block text_block(std::string words) {
  chat::Text text;
  text.text = std::move(words);
  return chat::Block{std::move(text)};
}

template <class Kind>
const Kind* as(const chat::Block& block) {
  return std::get_if<Kind>(&block.value);
}

bool is_blank(std::string_view words) {
  return text::trim(words).empty();
}

/// The id itself when Anthropic takes it; else one made from it, the same every time.
std::string valid_id(const std::string& id) {
  const bool valid = !id.empty() && id.size() <= 60 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  return valid ? id : "toolu_" + std::to_string(digest::hash64(id));
}

std::string text_of(const std::vector<chat::Block>& blocks) {
  std::string all;
  for (const chat::Block& block : blocks) {
    if (const auto* words = as<chat::Text>(block)) {
      if (!all.empty()) all += '\n';
      all += words->text.view();
    }
  }
  return all;
}

}  // namespace

HistoryWriter::HistoryWriter(std::string_view dialect, std::vector<chat::Message> messages, const Capabilities& target,
                             chat::LossNotes& losses)
    : own_(dialect == kName), target_(target), losses_(losses) {
  turns_.reserve(messages.size());
  for (chat::Message& message : messages) add(std::move(message));
  std::erase_if(turns_, [](const Turn& turn) { return turn.blocks.empty(); });
  if (!turns_.empty() && turns_.front().role == chat::Role::kAssistant) {
    Turn opening;
    opening.blocks.push_back(text_block("…"));  // the first message must be the user's (G-14)
    turns_.insert(turns_.begin(), std::move(opening));
  }
  answer_every_call();
  trim_prefill();
}

HistoryWriter::Turn& HistoryWriter::turn_of(chat::Role role) {
  if (turns_.empty() || turns_.back().role != role) {
    turns_.emplace_back();
    turns_.back().role = role;
    turns_.back().plain_string = true;
  }
  return turns_.back();
}

void HistoryWriter::add(chat::Message message) {
  chat::Role role = message.role;
  std::vector<chat::Block> blocks = std::move(message.blocks);
  std::erase_if(blocks, [this](chat::Block& block) { return !carry(block); });
  if (blocks.empty()) return;
  bool plain_string = message.plain_string;
  if (role == chat::Role::kSystem && !target_.mid_system) {  // G-15
    role = chat::Role::kUser;
    blocks = std::vector<chat::Block>{
        text_block("<system-reminder>\n" + text_of(blocks) + "\n</system-reminder>")};
    plain_string = false;
    losses_.add("messages[].role system", "sent as a user message in a <system-reminder>");
  }
  if (!message.name.empty()) losses_.add("messages[].name", "only chat completions have participant names");

  Turn& turn = turn_of(role);
  turn.plain_string = turn.plain_string && turn.blocks.empty() && plain_string;
  if (own_) {
    turn.extra_json = std::move(message.extra_json);
  } else if (!message.extra_json.empty()) {
    losses_.add("messages[] members", "unknown members of another dialect");
  }
  if (turn.blocks.empty()) {
    turn.blocks = std::move(blocks);
  } else {
    std::move(blocks.begin(), blocks.end(), std::back_inserter(turn.blocks));
  }
}

bool HistoryWriter::carry(chat::Block& block) {
  if (auto* words = std::get_if<chat::Text>(&block.value)) {
    if (!own_ && !words->extra_json.empty()) {
      losses_.add("messages[].content members", "unknown members of another dialect");
      words->extra_json.clear();
    }
    return !json::TextView(words->text).is_blank();  // white space alone is refused too (G-13)
  }
  if (const auto* thinking = as<chat::Thinking>(block)) {
    if (thinking->redacted) return true;  // only Anthropic makes it
    if (!thinking->signature.empty() && !signature::is_ours(thinking->signature)) return true;
    losses_.add("thinking", "reasoning of another provider cannot be replayed to Anthropic");
    return false;
  }
  if (auto* image = std::get_if<chat::Image>(&block.value)) {
    if (!target_.vision) {
      losses_.add("image", "the model has no vision");
      block = text_block("[image omitted: model has no vision]");
      return true;
    }
    if (image->kind == chat::SourceKind::kFile && !own_) {
      losses_.add("image.file", "an uploaded file is known to its own provider only");
      block = text_block("[image omitted: an uploaded file of another provider]");
      return true;
    }
    if (!image->detail.empty()) losses_.add("image.detail", "Anthropic has no detail setting");
    if (!own_) image->extra_json.clear();
    return true;
  }
  if (auto* document = std::get_if<chat::Document>(&block.value)) {
    const bool words = document->kind == chat::SourceKind::kText || document->kind == chat::SourceKind::kBlocks;
    if (!target_.documents && !words) {
      losses_.add("document", "the provider takes no documents");
      block = text_block("[document omitted: " + (document->title.empty() ? "document.pdf" : document->title) + "]");
      return true;
    }
    if (document->kind == chat::SourceKind::kFile && !own_) {
      losses_.add("document", "an uploaded file is known to its own provider only");
      block = text_block(
          "[document omitted: " + (document->title.empty() ? "document.pdf" : document->title) + "]");
      return true;
    }
    if (!own_) document->extra_json.clear();
    return true;
  }
  if (auto* call = std::get_if<chat::ToolCall>(&block.value)) {
    call->id = id_of_call(call->id);
    call->arguments_json = tool_input(std::move(call->arguments_json));
    if (!own_) {
      call->name = sent_tool_name(call->name);
      call->extra_json.clear();
    }
    return true;
  }
  if (auto* result = std::get_if<chat::ToolResult>(&block.value)) {
    result->call_id = id_of_result(result->call_id);
    if (!own_) result->extra_json.clear();
    std::erase_if(result->content, [this](chat::Block& inner) { return !carry(inner); });
    if (result->content.empty()) result->content_absent = true;
    return true;
  }
  if (const auto* opaque = as<chat::Opaque>(block); opaque != nullptr && opaque->dialect != kName) {
    losses_.add("block " + safe_name(opaque->type), "Anthropic has no such block");
    return false;
  }
  return true;
}

/// Right after an assistant turn with calls, the user's turn begins with one result per call; text follows
/// (G-5).
void HistoryWriter::answer_every_call() {
  for (std::size_t i = 0; i < turns_.size(); ++i) {
    std::vector<std::string_view> open;
    if (turns_[i].role == chat::Role::kAssistant) {
      for (const chat::Block& block : turns_[i].blocks) {
        if (const auto* call = as<chat::ToolCall>(block)) open.push_back(call->id);
      }
    }
    const auto answers_open_call = [&open](const chat::Block& block) {
      const auto* result = as<chat::ToolResult>(block);
      const auto wanted = result == nullptr ? open.end() : std::find(open.begin(), open.end(), result->call_id);
      if (wanted == open.end()) return false;
      open.erase(wanted);
      return true;
    };
    // Nearly always they stand where they belong.
    std::size_t in_place = 0;
    if (i + 1 < turns_.size() && turns_[i + 1].role == chat::Role::kUser) {
      const auto& blocks = turns_[i + 1].blocks;
      while (in_place < blocks.size() && answers_open_call(blocks[in_place])) ++in_place;
    }
    // The results may stand further on: after a system message or another user's words.
    std::vector<chat::Block> results;
    for (std::size_t j = i + 1;
         j < turns_.size() && !open.empty() && turns_[j].role != chat::Role::kAssistant; ++j) {
      auto& blocks = turns_[j].blocks;
      for (auto block = blocks.begin(); block != blocks.end();) {
        if (!answers_open_call(*block)) {
          ++block;
          continue;
        }
        results.push_back(std::move(*block));
        block = blocks.erase(block);
      }
    }
    const bool last = i + 1 == turns_.size();
    if (!open.empty() && !last) {
      for (const std::string_view id : open) {
        chat::ToolResult missing;
        missing.call_id = id;
        missing.content.push_back(text_block("[no result]"));
        results.push_back(chat::Block{std::move(missing)});
      }
    }
    if (!results.empty()) {
      if (turns_[i + 1].role != chat::Role::kUser)
        turns_.insert(turns_.begin() + static_cast<std::ptrdiff_t>(i) + 1, Turn{});
      Turn& next = turns_[i + 1];
      next.plain_string = false;
      next.blocks.insert(next.blocks.begin() + static_cast<std::ptrdiff_t>(in_place), std::make_move_iterator(results.begin()),
                         std::make_move_iterator(results.end()));
    }
    // Results that answer no call of the turn before would be refused: their text is kept.
    if (turns_[i].role == chat::Role::kUser) {
      const std::size_t answered =
          i == 0 ? 0
                 : static_cast<std::size_t>(std::count_if(
                       turns_[i - 1].blocks.begin(), turns_[i - 1].blocks.end(),
                       [](const chat::Block& block) { return as<chat::ToolCall>(block) != nullptr; }));
      std::size_t seen = 0;
      for (chat::Block& block : turns_[i].blocks) {
        const auto* result = as<chat::ToolResult>(block);
        if (result == nullptr || seen++ < answered) continue;
        block = text_block("Result of an earlier tool call: " + text_of(result->content));
      }
    }
  }
  std::erase_if(turns_, [](const Turn& turn) { return turn.blocks.empty(); });
  for (std::size_t i = 1; i < turns_.size();) {  // taking results out may have made neighbours of one role
    if (turns_[i].role != turns_[i - 1].role) {
      ++i;
      continue;
    }
    turns_[i - 1].plain_string = false;
    std::move(turns_[i].blocks.begin(), turns_[i].blocks.end(), std::back_inserter(turns_[i - 1].blocks));
    turns_.erase(turns_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

/// A prefill may not end in white space, and an empty one is none (G-16).
void HistoryWriter::trim_prefill() {
  if (turns_.empty() || turns_.back().role != chat::Role::kAssistant) return;
  auto* words = std::get_if<chat::Text>(&turns_.back().blocks.back().value);
  if (words == nullptr) return;
  std::string& last = words->text.edit();
  while (!last.empty() && is_blank(std::string_view(last).substr(last.size() - 1))) last.pop_back();
  if (!last.empty()) return;
  turns_.back().blocks.pop_back();
  if (turns_.back().blocks.empty()) turns_.pop_back();
}

std::string HistoryWriter::id_of_call(const std::string& id) {
  const std::string valid = valid_id(id);
  if (used_ids_.insert(valid).second) return valid;
  // Goes on where the last one of this id was found: thousands of calls may have the same.
  std::uint64_t& times = comes_again_[valid];
  std::string given;
  do {
    given = valid + "_" + std::to_string(++times + 1);
  } while (!used_ids_.insert(given).second);
  ids_[id] = given;
  return given;
}

std::string HistoryWriter::id_of_result(const std::string& id) {
  const auto known = ids_.find(id);
  return known == ids_.end() ? valid_id(id) : known->second;
}

bool HistoryWriter::continues_unthought_call() const {
  if (turns_.size() < 2 || turns_.back().role != chat::Role::kUser) return false;
  if (as<chat::ToolResult>(turns_.back().blocks.front()) == nullptr) return false;
  const Turn& before = turns_[turns_.size() - 2];
  return before.role == chat::Role::kAssistant && as<chat::Thinking>(before.blocks.front()) == nullptr;
}

void HistoryWriter::write(json::Writer& writer) {
  for (const Turn& turn : turns_) write(writer, turn);
}

void HistoryWriter::write(json::Writer& writer, const Turn& turn) {
  const std::string_view opening = turn.role == chat::Role::kAssistant ? R"({"role":"assistant")"
                                   : turn.role == chat::Role::kSystem  ? R"({"role":"system")"
                                                                       : R"({"role":"user")";
  writer.raw(opening).key("content");
  const auto* only = turn.blocks.size() == 1 ? as<chat::Text>(turn.blocks.front()) : nullptr;
  if (turn.plain_string && only != nullptr && only->cache_control_json.empty() && only->extra_json.empty()) {
    writer.string(only->text);
  } else {
    writer.begin_array();
    for (const chat::Block& block : turn.blocks) write_block(writer, block);
    writer.end_array();
  }
  write_members(writer, turn.extra_json);
  writer.out() += '}';
}

}  // namespace ccrules::dialect::anthropic_messages
