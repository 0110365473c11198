#include <utility>

#include "chat/event.h"
#include "core/json.h"

namespace ccrules::chat {
namespace {

/// Hands out a text's citations as the deltas a stream would have had, and takes them out of the opened block.
void unroll_citations(const std::string& extra_json, std::uint32_t index, std::string& kept_json,
                      std::vector<Event>& out) {
  kept_json.clear();
  auto document = json::Document::open_view(extra_json);
  if (!document.ok()) return;
  auto members = document->root_object();
  if (!members.ok()) return;
  std::string kept;
  json::Writer writer(kept);
  writer.begin_object();
  while (members->next()) {
    if (members->key() != "citations" || !members->value().is(json::Type::kArray)) {
      if (const auto raw = members->value().raw(); raw.ok()) writer.member_raw(members->key(), *raw);
      continue;
    }
    auto citations = members->value().array();
    while (citations.ok() && citations->next()) {
      const auto raw = citations->value().raw();
      if (!raw.ok()) break;
      std::string delta;
      json::Writer(delta).begin_object().member("type", "citations_delta").member_raw("citation", *raw).end_object();
      out.emplace_back(BlockDelta{index, DeltaKind::kOpaque, std::move(delta)});
    }
  }
  writer.end_object();
  if (kept != "{}") kept_json = std::move(kept);
}

void unroll_block(const Block& block, std::uint32_t index, std::vector<Event>& out) {
  const auto delta = [&](DeltaKind kind, std::string_view text) {
    if (!text.empty()) out.emplace_back(BlockDelta{index, kind, std::string(text)});
  };
  const auto open = [&](auto start) { out.emplace_back(BlockStart{index, Block{std::move(start)}}); };
  if (const auto* text = std::get_if<Text>(&block.value)) {
    Text start;
    std::vector<Event> citations;
    if (!text->extra_json.empty()) unroll_citations(text->extra_json, index, start.extra_json, citations);
    open(std::move(start));
    delta(DeltaKind::kText, text->text);
    for (Event& citation : citations) out.push_back(std::move(citation));
  } else if (const auto* thinking = std::get_if<Thinking>(&block.value); thinking != nullptr && !thinking->redacted) {
    open(Thinking{});
    delta(DeltaKind::kThinking, thinking->text);
    delta(DeltaKind::kSignature, thinking->signature);
  } else if (const auto* call = std::get_if<ToolCall>(&block.value)) {
    ToolCall start = *call;
    start.arguments_json.clear();
    open(std::move(start));
    delta(DeltaKind::kArguments, call->arguments_json);
  } else {
    out.emplace_back(BlockStart{index, block});
  }
  out.emplace_back(BlockEnd{index});
}

}  // namespace

std::vector<Event> unroll(const Reply& reply) {
  std::vector<Event> out;
  MessageStart start;
  start.id = reply.id;
  start.model = reply.model;
  start.usage = reply.usage;
  start.usage.output_tokens.reset();
  start.usage.reasoning_tokens.reset();
  start.usage.cost_nanousd.reset();
  start.usage.iterations.clear();
  out.emplace_back(std::move(start));
  std::uint32_t index = 0;
  for (const Block& block : reply.blocks) unroll_block(block, index++, out);
  MessageEnd end;
  end.reason = reply.reason;
  end.stop_sequence = reply.stop_sequence;
  end.stop_details_json = reply.stop_details_json;
  end.usage = reply.usage;
  end.losses = reply.losses;
  out.emplace_back(std::move(end));
  return out;
}

}  // namespace ccrules::chat
