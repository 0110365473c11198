#include "dialect/openai_chat/chunk.h"

#include "dialect/openai_chat/usage.h"
#include "dialect/repeated_usage.h"

namespace ccrules::dialect::openai {
namespace {

std::string_view text_of(json::Value& value) {
  if (!value.is(json::Type::kString)) return {};
  const auto text = value.string();
  return text ? *text : std::string_view();
}

/// A string member and where it stands.
struct Words {
  std::string_view text;
  std::size_t at = 0;
};
Words words_of(json::Value& value) {
  if (!value.is(json::Type::kString)) return {};
  Words words;
  words.at = value.offset();
  words.text = text_of(value);
  return words;
}

/// Vendors' three names for reasoning; some send the same text under two of them.
struct Reasoning {
  Words reasoning_content, reasoning, reasoning_text;
  [[nodiscard]] const Words& first() const {
    if (!reasoning_content.text.empty()) return reasoning_content;
    return reasoning.text.empty() ? reasoning_text : reasoning;
  }
};

void read_parts(json::Value& value, bool reasoning, Chunk& chunk);

/// One part of a content array: {type:"text", text} or Mistral's {type:"thinking", thinking:[...] }.
void read_part(json::Value& value, bool reasoning, Chunk& chunk) {
  if (value.is(json::Type::kString)) {
    if (const std::string_view text = text_of(value); !text.empty()) chunk.texts.push_back({text, reasoning});
    return;
  }
  if (!value.is(json::Type::kObject)) return;
  auto object = value.object();
  while (object && object->next()) {
    const std::string_view key = object->key();
    if (key == "text" || key == "refusal") {
      const std::string_view text = text_of(object->value());
      if (text.empty()) continue;
      chunk.extras.refusal = chunk.extras.refusal || key == "refusal";
      chunk.texts.push_back({text, reasoning});
    } else if (key == "thinking") {
      read_parts(object->value(), true, chunk);
    }
  }
}

void read_parts(json::Value& value, bool reasoning, Chunk& chunk) {
  if (!value.is(json::Type::kArray)) {
    read_part(value, reasoning, chunk);
    return;
  }
  auto array = value.array();
  while (array && array->next()) read_part(array->value(), reasoning, chunk);
}

void read_function(json::Value& value, ToolDelta& tool, Chunk& chunk) {
  if (!value.is(json::Type::kObject)) return;
  auto object = value.object();
  while (object && object->next()) {
    const std::string_view key = object->key();
    json::Value& member = object->value();
    if (key == "name") {
      tool.name = text_of(member);
    } else if (key == "arguments" || key == "input") {
      if (member.is(json::Type::kString)) {
        const Words words = words_of(member);
        tool.arguments = words.text;
        chunk.literal_at = words.at;
      } else if (member.is(json::Type::kObject)) {
        if (const auto raw = member.raw()) tool.arguments = *raw;
      }
    }
  }
}

/// What Google's address for OpenAI clients says of a call besides: {"google":{"thought_signature":"..."}}.
std::string_view thought_signature_in(json::Value& value) {
  std::string_view signature;
  if (!value.is(json::Type::kObject)) return signature;
  auto vendors = value.object();
  while (vendors && vendors->next()) {
    if (vendors->key() != "google" || !vendors->value().is(json::Type::kObject)) continue;
    auto google = vendors->value().object();
    while (google && google->next()) {
      if (google->key() == "thought_signature") signature = text_of(google->value());
    }
  }
  return signature;
}

void read_tool(json::Value& value, Chunk& chunk) {
  if (!value.is(json::Type::kObject)) return;
  ToolDelta tool;
  auto object = value.object();
  while (object && object->next()) {
    const std::string_view key = object->key();
    json::Value& member = object->value();
    if (key == "index") {
      if (member.is(json::Type::kNumber)) {
        if (const auto index = member.integer()) tool.index = *index;
      }
    } else if (key == "id") {
      tool.id = text_of(member);
    } else if (key == "function" || key == "custom") {
      read_function(member, tool, chunk);
    } else if (key == "extra_content") {
      tool.thought_signature = thought_signature_in(member);
    }
  }
  chunk.tools.push_back(tool);
}

/// What was said in sound: its words. @return none when there is no sound
Words read_audio(json::Value& value, Chunk& chunk) {
  Words words;
  if (!value.is(json::Type::kObject)) return words;
  chunk.extras.audio = true;
  auto object = value.object();
  while (object && object->next()) {
    if (object->key() == "transcript") words = words_of(object->value());
  }
  return words;
}

bool holds_any(json::Value& value) {
  const auto raw = value.raw();
  return raw && raw->starts_with('[') && *raw != "[]";
}

/// A delta, or the message of a whole reply: the same members.
void read_delta(json::Value& value, Chunk& chunk) {
  if (!value.is(json::Type::kObject)) return;
  Reasoning reasoning;
  Words content;
  Words refusal;
  Words spoken;
  const std::size_t first_part = chunk.texts.size();
  auto object = value.object();
  while (object && object->next()) {
    const std::string_view key = object->key();
    json::Value& member = object->value();
    if (key == "content") {
      if (member.is(json::Type::kString))
        content = words_of(member);
      else
        read_parts(member, false, chunk);
    } else if (key == "reasoning_content") {
      reasoning.reasoning_content = words_of(member);
    } else if (key == "reasoning") {
      reasoning.reasoning = words_of(member);
    } else if (key == "reasoning_text") {
      reasoning.reasoning_text = words_of(member);
    } else if (key == "refusal") {
      refusal = words_of(member);
    } else if (key == "audio") {
      spoken = read_audio(member, chunk);
    } else if (key == "annotations") {
      chunk.extras.annotations = holds_any(member) || chunk.extras.annotations;
    } else if (key == "tool_calls") {
      if (!member.is(json::Type::kArray)) continue;
      auto calls = member.array();
      while (calls && calls->next()) read_tool(calls->value(), chunk);
    } else if (key == "function_call") {
      if (!member.is(json::Type::kObject)) continue;
      ToolDelta tool;
      tool.index = 0;
      read_function(member, tool, chunk);
      chunk.tools.push_back(tool);
    } else if (key == "reasoning_details") {
      if (!member.is(json::Type::kArray)) continue;
      auto details = member.array();
      while (details && details->next()) {
        if (const auto raw = details->value().raw(); raw && raw->starts_with('{'))
          chunk.details.push_back(*raw);
      }
    }
  }
  if (const Words& thought = reasoning.first(); !thought.text.empty()) {
    chunk.texts.insert(chunk.texts.begin() + static_cast<std::ptrdiff_t>(first_part),
                       TextPiece{thought.text, true});
    chunk.literal_at = thought.at;
  }
  chunk.extras.refusal = chunk.extras.refusal || !refusal.text.empty();
  if (!content.text.empty()) spoken = {};  // the same words
  for (const Words& words : {content, refusal, spoken}) {
    if (words.text.empty()) continue;
    chunk.texts.push_back({words.text, false});
    chunk.literal_at = words.at;
  }
}

/// What a chunk held before a part of it that may turn out not to count.
class Mark {
 public:
  explicit Mark(const Chunk& chunk)
      : texts_(chunk.texts.size()), tools_(chunk.tools.size()), details_(chunk.details.size()), extras_(chunk.extras) {}
  void restore(Chunk& chunk) const {
    chunk.texts.resize(texts_);
    chunk.tools.resize(tools_);
    chunk.details.resize(details_);
    chunk.extras = extras_;
  }
  /// Bytes of what has come since.
  [[nodiscard]] std::int64_t text_bytes(const Chunk& chunk) const {
    std::size_t bytes = 0;
    for (std::size_t i = texts_; i < chunk.texts.size(); ++i) bytes += chunk.texts[i].text.size();
    for (std::size_t i = tools_; i < chunk.tools.size(); ++i) bytes += chunk.tools[i].name.size() + chunk.tools[i].arguments.size();
    return static_cast<std::int64_t>(bytes);
  }

 private:
  std::size_t texts_, tools_, details_;
  Extras extras_;
};

/// vLLM says which sequence stopped it; others put a reason of their own there, or a token number.
std::string_view stop_sequence_in(json::Value& value) {
  const std::string_view text = text_of(value);
  for (const std::string_view reason :
       {"stop", "end_turn", "eos", "length", "max_tokens", "tool_use", "tool_calls", "content_filter"}) {
    if (text == reason) return {};
  }
  return text;
}

/// Only choice 0 is read: the neutral reply has one answer, and requests for more are never sent translated. The others are
/// billed all the same, so their texts are counted.
void read_choice(json::Value& value, Chunk& chunk) {
  if (!value.is(json::Type::kObject)) return;
  const Mark before(chunk);
  std::int64_t index = 0;
  std::string_view finish_reason;
  std::string_view stop_sequence;
  bool message_seen = false;
  bool delta_seen = false;
  Words text;  // of /v1/completions; Together repeats the delta there
  auto object = value.object();
  while (object && object->next()) {
    const std::string_view key = object->key();
    json::Value& member = object->value();
    if (key == "delta") {
      delta_seen = true;
      if (!member.is(json::Type::kObject) || message_seen) continue;
      before.restore(chunk);  // Perplexity repeats the whole message so far beside each delta
      read_delta(member, chunk);
    } else if (key == "message") {
      delta_seen = true;
      message_seen = chunk.whole_reply;  // and has an empty delta beside the message of a whole reply
      if (message_seen) before.restore(chunk);
      read_delta(member, chunk);
    } else if (key == "text") {
      text = words_of(member);
    } else if (key == "finish_reason") {
      finish_reason = text_of(member);
    } else if (key == "index") {
      if (!member.is(json::Type::kNumber)) continue;
      if (const auto number = member.integer()) index = *number;
    } else if (key == "stop_reason" || key == "matched_stop") {
      stop_sequence = stop_sequence_in(member);
    } else if (key == "usage") {
      merge_repeated(chunk.usage, read_usage(member));  // Moonshot puts it here
    } else if (key == "error") {
      if (const auto raw = member.raw(); raw && *raw != "null") chunk.error_json = *raw;
    }
  }
  if (index != 0) {
    const std::int64_t said = before.text_bytes(chunk) + (delta_seen ? 0 : static_cast<std::int64_t>(text.text.size()));
    chunk.other_text_bytes += said;
    before.restore(chunk);
    chunk.extras.other_choice = chunk.extras.other_choice || said > 0;
    return;
  }
  chunk.has_choice = true;
  if (!delta_seen && !text.text.empty()) {
    chunk.texts.push_back({text.text, false});
    chunk.literal_at = text.at;
  }
  if (!finish_reason.empty()) chunk.finish_reason = finish_reason;
  if (!stop_sequence.empty()) chunk.stop_sequence = stop_sequence;
}

void read_choices(json::Value& value, Chunk& chunk) {
  if (!value.is(json::Type::kArray)) return;
  auto choices = value.array();
  while (choices && choices->next()) read_choice(choices->value(), chunk);
}

/// Groq's older streams: {"x_groq":{"usage":{...}}}.
void read_groq(json::Value& value, Chunk& chunk) {
  if (!value.is(json::Type::kObject)) return;
  auto object = value.object();
  while (object && object->next()) {
    if (object->key() == "usage") merge_repeated(chunk.usage, read_usage(object->value()));
    if (object->key() == "error" && object->value().is(json::Type::kString)) {
      if (const auto raw = object->value().raw()) chunk.error_json = *raw;
    }
  }
}

}  // namespace

void Chunk::clear() {
  id = model = finish_reason = stop_sequence = error_json = {};
  has_choice = false;
  other_text_bytes = 0;
  extras = {};
  literal_at.reset();
  texts.clear();
  tools.clear();
  details.clear();
  if (!usage.empty() || usage.service_tier) usage = {};  // most chunks say nothing of it
}

Result<void> read_chunk(json::Document& document, Chunk& chunk) {
  chunk.clear();
  auto root = document.root_object();
  if (!root) return std::move(root).error();
  bool is_error_object = false;
  chat::Usage timings;
  std::optional<std::string> tier;
  while (root->next()) {
    const std::string_view key = root->key();
    json::Value& member = root->value();
    if (key == "id") {
      chunk.id = text_of(member);
    } else if (key == "model") {
      chunk.model = text_of(member);
    } else if (key == "choices") {
      read_choices(member, chunk);
    } else if (key == "usage") {
      merge_repeated(chunk.usage, read_usage(member));
    } else if (key == "error") {
      if (const auto raw = member.raw(); raw && *raw != "null") chunk.error_json = *raw;
    } else if (key == "object") {
      is_error_object = text_of(member) == "error";
    } else if (key == "x_groq") {
      read_groq(member, chunk);
    } else if (key == "timings") {
      timings = read_usage(member);
    } else if (key == "service_tier") {
      tier = chat::tier_named(text_of(member));
    }
  }
  CCR_CHECK(root->done());
  if (is_error_object && chunk.error_json.empty()) chunk.error_json = document.text();
  if (chunk.usage.empty()) chunk.usage = timings;
  chunk.usage.service_tier = std::move(tier);
  return {};
}

}  // namespace ccrules::dialect::openai
