#include "dialect/openai_responses/assembler.h"

#include <algorithm>
#include <utility>

#include "core/limits.h"
#include "core/text.h"
#include "dialect/broken.h"
#include "dialect/stop_losses.h"
#include "dialect/tools.h"

namespace ccrules::dialect::responses {

Result<void> Assembler::apply(const Wire& wire, std::vector<chat::Event>& out) {
  const std::string_view type = wire.type;
  if (wire.response) note(*wire.response, out);
  if (type == "response.output_item.added") {
    add(wire, out);
  } else if (type == "response.output_item.done") {
    finish_item(wire, out);
  } else if (type == "response.output_text.delta" || type == "response.refusal.delta") {
    refused_ = refused_ || type == "response.refusal.delta";
    take(wire, Item::Kind::kMessage, wire.delta, out);
  } else if (type == "response.function_call_arguments.delta") {
    take(wire, Item::Kind::kCall, wire.delta, out);
  } else if (type == "response.custom_tool_call_input.delta") {
    take(wire, Item::Kind::kCustomCall, wire.delta, out);
  } else if (type == "response.reasoning_summary_text.delta") {
    take_reasoning(wire, Entry::Source::kSummary, wire.delta, out);
  } else if (type == "response.reasoning_text.delta") {
    take_reasoning(wire, Entry::Source::kText, wire.delta, out);
  } else if (type == "response.output_text.done" || type == "response.refusal.done") {
    refused_ = refused_ || type == "response.refusal.done";
    take_whole(wire, Item::Kind::kMessage, out);
  } else if (type == "response.function_call_arguments.done") {
    take_whole(wire, Item::Kind::kCall, out);
  } else if (type == "response.custom_tool_call_input.done") {
    take_whole(wire, Item::Kind::kCustomCall, out);
  } else if (type == "response.reasoning_summary_text.done" || type == "response.reasoning_text.done") {
    take_whole(wire, Item::Kind::kReasoning, out);
  } else if (type == "response.completed" || type == "response.incomplete" || type == "response.done") {
    end(wire.response ? *wire.response : Envelope{}, out);
  }
  return check_size();
}

void Assembler::fail(chat::StreamError error, std::vector<chat::Event>& out) {
  if (ended_) return;
  ended_ = true;
  out.emplace_back(std::move(error));
}

void Assembler::end(const Envelope& envelope, std::vector<chat::Event>& out) {
  if (ended_) return;
  start(out);
  add_untold(envelope);
  for (Entry& entry : entries_) entry.done = true;
  pump(out);
  if (ended_) return;
  if (next_index_ == 0) {
    out.emplace_back(chat::BlockStart{next_index_++, chat::Block{chat::Text{}}});
    out.emplace_back(chat::BlockEnd{0});
  }
  chat::MessageEnd event;
  event.reason = stop_reason_of(envelope, called_, refused_);
  if (event.reason == chat::StopReason::kRefusal && envelope.incomplete_reason == "content_filter") {
    event.stop_details_json = kFilteredDetails;
  }
  event.usage = envelope.usage;
  event.losses = std::move(losses_);
  ended_ = true;
  out.emplace_back(std::move(event));
}

void Assembler::cut(const UnstreamedBody& start, std::vector<chat::Event>& out) {
  fail(cut_stream(next_index_ > 0, start), out);
}

void Assembler::note(const Envelope& envelope, std::vector<chat::Event>& out) {
  if (id_.empty()) id_ = envelope.id;
  if (model_.empty()) model_ = envelope.model;
  start(out);
}

void Assembler::start(std::vector<chat::Event>& out) {
  if (started_) return;
  started_ = true;
  chat::MessageStart event;
  event.id = id_;
  event.model = model_;
  out.emplace_back(std::move(event));
}

// --- items

Entry* Assembler::find(const Wire& wire) {
  for (Entry& entry : entries_) {
    if (wire.output_index && entry.output_index) {
      if (*wire.output_index == *entry.output_index) return &entry;
    } else if (!wire.item_id.empty() && entry.item_id == wire.item_id) {
      return &entry;
    }
  }
  const bool says_nothing = !wire.output_index && wire.item_id.empty();
  return says_nothing && !entries_.empty() ? &entries_.back() : nullptr;
}

Entry& Assembler::new_entry(const Wire& wire, Item::Kind kind) {
  // Servers that never end an item: the next one shows that it was over.
  for (Entry& entry : entries_) entry.done = entry.done || entry.nearly_done;
  Entry& entry = entries_.emplace_back();
  entry.output_index = wire.output_index;
  entry.item_id = wire.item_id;
  entry.kind = kind;
  return entry;
}

Entry& Assembler::entry_for(const Wire& wire, Item::Kind kind) {
  Entry* found = find(wire);
  return found != nullptr ? *found : new_entry(wire, kind);
}

void Assembler::describe(Entry& entry, const Item& item) {
  entry.kind = item.kind;
  if (!item.id.empty()) entry.item_id = item.id;
  if (!item.call_id.empty()) entry.call_id = item.call_id;
  if (!item.name.empty()) entry.name = item.name;
  if (!item.extra_json.empty()) entry.extra_json = item.extra_json;
  note_losses(item, losses_);
}

void Assembler::add(const Wire& wire, std::vector<chat::Event>& out) {
  start(out);
  const Item item = read_item(wire.item_json);
  Wire named = wire;
  if (named.item_id.empty()) named.item_id = item.id;
  Entry* entry = named.output_index || !named.item_id.empty() ? find(named) : nullptr;
  if (entry == nullptr) entry = &new_entry(named, item.kind);
  if (entry->kind != item.kind && entry->told) return;
  describe(*entry, item);
  pump(out);
}

void Assembler::finish_item(const Wire& wire, std::vector<chat::Event>& out) {
  start(out);
  const Item item = read_item(wire.item_json);
  Wire named = wire;
  if (named.item_id.empty()) named.item_id = item.id;
  Entry& entry = entry_for(named, item.kind);
  settle(entry, item, wire.item_json);
  pump(out);
}

void Assembler::settle(Entry& entry, const Item& item, std::string_view item_json) {
  if (entry.done) return;
  if (!entry.told) entry.kind = item.kind;
  describe_if_same(entry, item);
  entry.done = true;
  if (entry.kind == Item::Kind::kReasoning || entry.kind == Item::Kind::kOther) {
    entry.final_json = item_json;
    held_bytes_ += item_json.size();
  }
  if (entry.told) return;
  if (entry.kind == Item::Kind::kMessage) {
    for (std::size_t i = 0; i < item.parts.size(); ++i) {
      refused_ = refused_ || item.parts[i].refusal;
      hold(entry, static_cast<std::int64_t>(i), item.parts[i].text);
    }
  } else if (entry.kind == Item::Kind::kReasoning) {
    hold(entry, 0, item.reasoning);
  } else if (entry.kind != Item::Kind::kOther) {
    hold(entry, 0, item.arguments);
  }
}

void Assembler::describe_if_same(Entry& entry, const Item& item) {
  if (entry.kind == item.kind) describe(entry, item);
}

void Assembler::add_untold(const Envelope& envelope) {
  for (std::size_t place = 0; place < envelope.items.size(); ++place) {
    const Item item = read_item(envelope.items[place]);
    const auto same = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
      if (entry.output_index) return *entry.output_index == static_cast<std::int64_t>(place);
      return !entry.item_id.empty() && !item.id.empty()
                 ? entry.item_id == item.id
                 : static_cast<std::size_t>(&entry - entries_.data()) == place;
    });
    if (same == entries_.end()) {
      Wire wire;
      wire.output_index = static_cast<std::int64_t>(place);
      wire.item_id = item.id;
      settle(new_entry(wire, item.kind), item, envelope.items[place]);
    } else if (same->kind == item.kind) {
      settle(*same, item, envelope.items[place]);
    }
  }
}

// --- texts

void Assembler::hold(Entry& entry, std::int64_t part, std::string_view text) {
  if (text.empty()) return;
  entry.told = true;
  held_bytes_ += text.size();
  entry.waiting.push_back({part, std::string(text)});
}

void Assembler::take(const Wire& wire, Item::Kind kind, std::string_view text, std::vector<chat::Event>& out) {
  start(out);
  if (text.empty()) return;
  Entry& entry = entry_for(wire, kind);
  if (entry.done || entry.kind != kind) return;
  entry.told = true;
  const bool first = entries_.size() == current_ + 1 && entry.waiting.empty();
  if (first && show(entry, wire.part, text, out)) return;
  hold(entry, wire.part, text);
  pump(out);
}

void Assembler::take_reasoning(const Wire& wire, Entry::Source source, std::string_view text,
                    std::vector<chat::Event>& out) {
  if (text.empty()) return;
  Entry& entry = entry_for(wire, Item::Kind::kReasoning);
  if (entry.source == Entry::Source::kNone) entry.source = source;
  if (entry.source == source) take(wire, Item::Kind::kReasoning, text, out);
}

void Assembler::take_whole(const Wire& wire, Item::Kind kind, std::vector<chat::Event>& out) {
  start(out);
  Entry& entry = entry_for(wire, kind);
  if (!entry.told && !entry.done && entry.kind == kind) {
    hold(entry, wire.part, wire.whole);
    pump(out);
  }
  entry.nearly_done = true;
}

// --- blocks

void Assembler::pump(std::vector<chat::Event>& out) {
  while (current_ < entries_.size()) {
    Entry& entry = entries_[current_];
    std::size_t shown = 0;
    while (shown < entry.waiting.size() &&
           show(entry, entry.waiting[shown].part, entry.waiting[shown].text, out)) {
      ++shown;
    }
    entry.waiting.erase(entry.waiting.begin(), entry.waiting.begin() + static_cast<std::ptrdiff_t>(shown));
    if (is_call(entry) && !entry.block_open && !entry.name.empty()) open_call(entry, out);
    if (!entry.done) return;
    if (is_call(entry) && entry.name.empty()) return fail(unnamed_call(), out);
    close(entry, out);
    ++current_;
  }
}

bool Assembler::is_call(const Entry& entry) {
  return entry.kind == Item::Kind::kCall || entry.kind == Item::Kind::kCustomCall;
}

bool Assembler::show(Entry& entry, std::int64_t part, std::string_view text, std::vector<chat::Event>& out) {
  if (is_call(entry)) {
    if (!entry.block_open && entry.name.empty()) return false;
    if (!entry.block_open) open_call(entry, out);
    show_arguments(entry, text, out);
    return true;
  }
  if (entry.kind == Item::Kind::kReasoning) {
    if (!entry.block_open) open(entry, chat::Block{chat::Thinking{}}, out);
    if (entry.open_part >= 0 && entry.open_part != part) delta(chat::DeltaKind::kThinking, "\n\n", out);
    entry.open_part = part;
    delta(chat::DeltaKind::kThinking, text, out);
    return true;
  }
  if (entry.block_open && entry.open_part != part) close_block(entry, out);
  if (!entry.block_open) open(entry, chat::Block{chat::Text{}}, out);
  entry.open_part = part;
  delta(chat::DeltaKind::kText, text, out);
  return true;
}

void Assembler::open(Entry& entry, chat::Block block, std::vector<chat::Event>& out) {
  entry.block_open = true;
  out.emplace_back(chat::BlockStart{next_index_++, std::move(block)});
}

void Assembler::open_call(Entry& entry, std::vector<chat::Event>& out) {
  called_ = true;
  chat::ToolCall call;
  const std::string wire_id = !entry.call_id.empty() ? entry.call_id : entry.item_id;
  const std::string made = id_ + "/" + std::to_string(next_index_) + "/" + std::to_string(options_.seed);
  call.id = ids_.sent(wire_id.empty() ? made : wire_id);
  call.name = entry.name;
  for (const RenamedTool& renamed : options_.renamed_tools) {
    if (renamed.sent == entry.name) call.name = renamed.original;
  }
  call.extra_json = entry.extra_json;
  open(entry, chat::Block{std::move(call)}, out);
  if (entry.kind == Item::Kind::kCustomCall) delta(chat::DeltaKind::kArguments, "{\"input\":\"", out);
}

void Assembler::show_arguments(Entry& entry, std::string_view text, std::vector<chat::Event>& out) {
  if (entry.kind == Item::Kind::kCustomCall) {
    std::string escaped;
    json::append_escaped(escaped, text);
    delta(chat::DeltaKind::kArguments, escaped, out);
    return;
  }
  if (entry.passing) {
    delta(chat::DeltaKind::kArguments, text, out);
    return;
  }
  entry.odd_arguments += text;
  if (!starts_object(entry.odd_arguments)) return;
  entry.passing = true;
  delta(chat::DeltaKind::kArguments, std::exchange(entry.odd_arguments, {}), out);
}

void Assembler::close(Entry& entry, std::vector<chat::Event>& out) {
  if (entry.kind == Item::Kind::kReasoning) {
    close_reasoning(entry, out);
  } else if (entry.kind == Item::Kind::kOther) {
    if (entry.final_json.empty()) return;
    const Item item = read_item(entry.final_json);
    open(entry, chat::Block{chat::Opaque{std::string(kName), item.type, std::move(entry.final_json)}}, out);
    close_block(entry, out);
  } else if (entry.block_open) {
    if (entry.kind == Item::Kind::kCustomCall) delta(chat::DeltaKind::kArguments, "\"}", out);
    if (const std::string rest = unwrapped_arguments(entry.odd_arguments); !rest.empty())
      delta(chat::DeltaKind::kArguments, rest, out);
    close_block(entry, out);
  }
  entry.waiting.clear();
}

void Assembler::close_reasoning(Entry& entry, std::vector<chat::Event>& out) {
  if (!entry.block_open && !read_item(entry.final_json).has_encrypted) return;
  if (!entry.block_open) open(entry, chat::Block{chat::Thinking{}}, out);
  delta(chat::DeltaKind::kSignature, reasoning_signature(entry.final_json, options_), out);
  close_block(entry, out);
}

void Assembler::close_block(Entry& entry, std::vector<chat::Event>& out) {
  entry.block_open = false;
  out.emplace_back(chat::BlockEnd{next_index_ - 1});
}

void Assembler::delta(chat::DeltaKind kind, std::string_view text, std::vector<chat::Event>& out) const {
  out.emplace_back(chat::BlockDelta{next_index_ - 1, kind, std::string(text)});
}

Result<void> Assembler::check_size() const {
  if (entries_.size() > limits::kToolCalls)
    return broken_stream("holds more than " + std::to_string(limits::kToolCalls) + " items");
  if (held_bytes_ > limits::kReplyBytes)
    return broken_stream("holds more than " + std::to_string(limits::kReplyBytes >> 20) + " MiB out of order");
  return {};
}

}  // namespace ccrules::dialect::responses
