#include "tokens/prompt.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/json.h"
#include "core/limits.h"
#include "core/splice.h"
#include "tokens/block_cache.h"
#include "tokens/image.h"
#include "tokens/seed.h"
#include "tokens/texture.h"
#include "tokens/tokenizer.h"

namespace ccrules::tokens {
namespace {

using json::Type;

constexpr std::int64_t kPageTokens = 2000;  ///< a dense page of a PDF, its picture included
constexpr std::int64_t kPageBase64Bytes =
    80000;  ///< of a usual PDF: how many pages there are is not looked up

BlockCache& cache() {
  static BlockCache blocks;
  return blocks;
}

/// What one block is billed as, and what its hash is made of.
class BlockCounter {
 public:
  explicit BlockCounter(const Family& family)
      : family_(family), tokenizer_(Tokenizer::local(family.encoding)) {}

  std::int64_t text(std::string_view utf8) {
    if (utf8.empty()) return 0;
    const std::int64_t tokens = tokenizer_.count(utf8);
    return std::llround(static_cast<double>(tokens) * ratio_of(family_, utf8, tokens));
  }

  /// A block, or a list of blocks, or a text; whatever it is, what it holds is found. Pictures are counted as
  /// such.
  Result<std::int64_t> block(json::Value& value, std::size_t depth = 0) {
    if (depth > limits::kPromptDepth || value.is_null()) return std::int64_t{0};
    if (value.is(Type::kString)) {
      CCR_TRY(words, value.string());
      return text(words);
    }
    if (value.is(Type::kArray)) {
      CCR_TRY(items, value.array());
      std::int64_t total = 0;
      while (items.next()) {
        CCR_TRY(tokens, block(items.value(), depth + 1));
        total += tokens;
      }
      CCR_CHECK(items.done());
      return total;
    }
    if (!value.is(Type::kObject)) {
      CCR_TRY(raw, value.raw());
      return text(raw);
    }
    const std::string_view type = value.peek_string("type").value_or(std::string_view());
    const bool is_image = type == "image" || type == "image_url" || type == "input_image";
    const bool is_document = type == "document" || type == "file" || type == "input_file" || type == "container_upload";
    met_media_ |= is_image || is_document || type == "input_audio";
    if (is_image) return image(value);
    if (is_document) return document(value, depth);
    if (type == "input_audio" || type == "redacted_thinking") return skip(value);
    return members(value, depth);
  }

  /// Whether pictures, pages or sound were counted since the last call.
  bool take_media() { return std::exchange(met_media_, false); }

 private:
  /// JSON as a model is shown it.
  Result<std::int64_t> raw(json::Value& value) {
    CCR_TRY(bytes, value.raw());
    return text(bytes);
  }

  static Result<std::int64_t> skip(json::Value& value) {
    CCR_TRY(bytes, value.raw());
    // What is encrypted or heard is not told by its base64; a share of it is nearer than nothing.
    return static_cast<std::int64_t>(bytes.size()) / 8;
  }

  /// text, thinking, tool_use, tool_result, refusal, function calls: the members that are shown to the model.
  Result<std::int64_t> members(json::Value& value, std::size_t depth) {
    CCR_TRY(object, value.object());
    std::int64_t total = 0;
    while (object.next()) {
      const std::string_view key = object.key();
      json::Value& member = object.value();
      if (key == "text" || key == "thinking" || key == "name" || key == "arguments" || key == "refusal" ||
          key == "title" || key == "context") {
        if (!member.is(Type::kString)) continue;
        CCR_TRY(words, member.string());
        total += text(words);
      } else if (key == "content" || key == "function" || key == "output") {
        CCR_TRY(tokens, block(member, depth + 1));
        total += tokens;
      } else if (key == "input" || key == "parameters") {
        CCR_TRY(tokens, raw(member));
        total += tokens;
      }
    }
    CCR_CHECK(object.done());
    return total;
  }

  Result<std::int64_t> image(json::Value& value) {
    CCR_TRY(object, value.object());
    std::string_view base64;
    bool low = false;
    while (object.next()) {
      json::Value& member = object.value();
      if (object.key() == "source" && member.is(Type::kObject)) {  // Anthropic
        CCR_TRY(source, member.object());
        while (source.next()) {
          if (source.key() != "data" || !source.value().is(Type::kString)) continue;
          CCR_TRY(data, source.value().string());
          base64 = data;
        }
        CCR_CHECK(source.done());
      } else if (object.key() == "image_url" && member.is(Type::kObject)) {  // OpenAI
        CCR_TRY(source, member.object());
        while (source.next()) {
          if (!source.value().is(Type::kString)) continue;
          CCR_TRY(word, source.value().string());
          if (source.key() == "url") base64 = behind_comma(word);
          if (source.key() == "detail") low = word == "low";
        }
        CCR_CHECK(source.done());
      } else if (object.key() == "image_url" && member.is(Type::kString)) {
        CCR_TRY(url, member.string());
        base64 = behind_comma(url);
      }
    }
    CCR_CHECK(object.done());
    return image_tokens(family_, image_size(base64), low);
  }

  static std::string_view behind_comma(std::string_view url) {
    if (!url.starts_with("data:")) return {};
    const std::size_t comma = url.find(',');
    return comma == std::string_view::npos ? std::string_view() : url.substr(comma + 1);
  }

  Result<std::int64_t> document(json::Value& value, std::size_t depth) {
    CCR_TRY(object, value.object());
    std::int64_t total = 0;
    while (object.next()) {
      json::Value& member = object.value();
      if (object.key() == "title" || object.key() == "context" || object.key() == "filename") {
        CCR_TRY(tokens, block(member, depth + 1));
        total += tokens;
      } else if ((object.key() == "source" || object.key() == "file") && member.is(Type::kObject)) {
        const std::string_view type = member.peek_string("type").value_or(std::string_view());
        CCR_TRY(source, member.object());
        while (source.next()) {
          if (source.key() == "content") {  // blocks
            CCR_TRY(tokens, block(source.value(), depth + 1));
            total += tokens;
          } else if (source.key() == "data" && type == "text") {
            CCR_TRY(tokens, block(source.value(), depth + 1));
            total += tokens;
          } else if (source.key() == "data" || source.key() == "file_data") {
            const auto bytes = static_cast<std::int64_t>(source.value().peek_raw().size());
            total +=
                kPageTokens * std::max<std::int64_t>(1, (bytes + kPageBase64Bytes / 2) / kPageBase64Bytes);
          } else if (source.key() == "url" || source.key() == "file_id") {
            total += kPageTokens;
          }
        }
        CCR_CHECK(source.done());
      }
    }
    CCR_CHECK(object.done());
    return total;
  }

  const Family& family_;
  Tokenizer& tokenizer_;
  bool met_media_ = false;
};

/// What the cache keeps of a block: its tokens, and in the top bit whether it has media.
constexpr std::uint32_t kMediaBit = 1U << 31;

std::uint32_t packed(const Part& part) {
  const auto tokens = static_cast<std::uint32_t>(std::min<std::int64_t>(part.tokens, kMediaBit - 1));
  return part.has_media ? tokens | kMediaBit : tokens;
}

PartKind kind_of(std::string_view type) {
  if (type == "text" || type == "input_text" || type == "refusal") return PartKind::kText;
  if (type == "thinking" || type == "redacted_thinking") return PartKind::kThinking;
  if (type == "tool_use" || type == "server_tool_use" || type == "mcp_tool_use") return PartKind::kToolCall;
  if (type.ends_with("tool_result")) return PartKind::kToolResult;
  if (type == "image" || type == "image_url" || type == "input_image") return PartKind::kImage;
  if (type == "document" || type == "file" || type == "input_file") return PartKind::kDocument;
  return PartKind::kOther;
}

class PromptReader {
 public:
  PromptReader(const Family& family, std::string_view model)
      : family_(family), model_(model), blocks_(family) {
    prompt_.family = &family;
  }

  Result<Prompt> read(std::string_view body) {
    CCR_TRY(document, json::Document::open_view(body, json::Escapes::kUnchecked));
    CCR_TRY(root, document.root_object());
    bool any_tool = false;
    while (root.next()) {
      json::Value& value = root.value();
      if (root.key() == "messages" && value.is(Type::kArray)) {
        CCR_CHECK(messages(value));
      } else if (root.key() == "system") {
        CCR_CHECK(list(value, PartKind::kSystem, -1, system_));
      } else if ((root.key() == "tools" || root.key() == "functions") && value.is(Type::kArray)) {
        CCR_CHECK(list(value, PartKind::kTool, -1, tools_));
      } else if (root.key() == "tool_choice" && value.is(Type::kObject)) {
        const std::string_view type = value.peek_string("type").value_or(std::string_view());
        any_tool = type == "any" || type == "tool";
      } else if (root.key() == "context_management" && !value.is_null()) {
        prompt_.context_edits = digest::hash128(value.peek_raw(), process_seed());
      } else if (holds_schema(root.key()) && value.is(Type::kObject)) {
        CCR_CHECK(output_schema(value));
      } else if (is_claude() && root.key() == "thinking" && value.is(Type::kObject)) {
        if (value.peek_string("type").value_or(std::string_view()) == "enabled") extra_tokens_ += kClaudeThinkingTokens;
      }
    }
    CCR_CHECK(root.done());
    CCR_CHECK(document.at_end());
    finish(any_tool);
    return std::move(prompt_);
  }

 private:
  Result<void> messages(json::Value& value) {
    CCR_TRY(items, value.array());
    for (std::int32_t index = 0; items.next(); ++index) {
      json::Value& item = items.value();
      prompt_.messages.emplace_back();
      if (!item.is(Type::kObject)) continue;
      const std::string_view role = item.peek_string("role").value_or(std::string_view());
      Message& message = prompt_.messages.back();
      message.assistant = role == "assistant";
      const PartKind content = role == "tool"                            ? PartKind::kToolResult
                               : role == "system" || role == "developer" ? PartKind::kSystem
                                                                         : PartKind::kText;
      const std::size_t before = said_.size();
      CCR_TRY(object, item.object());
      while (object.next()) {
        if (object.key() == "content") {
          CCR_CHECK(list(object.value(), content, index, said_));
        } else if (object.key() == "tool_calls" && object.value().is(Type::kArray)) {
          CCR_CHECK(list(object.value(), PartKind::kToolCall, index, said_));
        } else if (object.key() == "reasoning_content" && object.value().is(Type::kString)) {
          CCR_CHECK(part(object.value(), PartKind::kThinking, index, 0, said_));
        }
      }
      CCR_CHECK(object.done());
      message.user_text =
          role == "user" && std::any_of(said_.begin() + static_cast<std::ptrdiff_t>(before), said_.end(),
                                        [](const Part& said) { return said.kind == PartKind::kText; });
    }
    return items.done();
  }

  [[nodiscard]] bool is_claude() const {
    return family_.kind == FamilyKind::kClaudeNew || family_.kind == FamilyKind::kClaudeOld;
  }

  static bool holds_schema(std::string_view key) {
    return key == "output_config" || key == "output_format" || key == "response_format";
  }

  /// The schema that the answer must keep to: in `output_config.format`, in `output_format` of earlier clients, or in OpenAI's
  /// `response_format.json_schema`.
  Result<void> output_schema(json::Value& value) {
    CCR_TRY(object, value.object());
    while (object.next()) {
      if ((object.key() == "format" || object.key() == "json_schema") && object.value().is(Type::kObject)) {
        CCR_CHECK(output_schema(object.value()));
      } else if (object.key() == "schema") {
        CCR_CHECK(part(object.value(), PartKind::kSchema, -1, 0, formats_));
        if (is_claude()) extra_tokens_ += kClaudeSchemaTokens;
      }
    }
    return object.done();
  }

  /// A text or a list of blocks; each becomes a part.
  Result<void> list(json::Value& value, PartKind kind, std::int32_t message, std::vector<Part>& out) {
    if (value.is_null()) return {};
    if (!value.is(Type::kArray)) return part(value, kind, message, 0, out);
    CCR_TRY(items, value.array());
    for (std::int32_t index = 0; items.next(); ++index)
      CCR_CHECK(part(items.value(), kind, message, index, out));
    return items.done();
  }

  Result<void> part(json::Value& value, PartKind kind, std::int32_t message, std::int32_t index,
                    std::vector<Part>& out) {
    Part part;
    part.kind = kind;
    part.message = message;
    part.block = index;
    const std::string_view raw = value.peek_raw();
    part.bytes = static_cast<std::int64_t>(raw.size());
    std::string_view said = raw;
    std::string unmarked;  // cache marks move from request to request and are not billed
    std::string_view type;
    if (value.is(Type::kObject)) {
      type = value.peek_string("type").value_or(std::string_view());
      if (kind == PartKind::kTool && is_claude()) extra_tokens_ += server_tool_tokens(type);
      if (kind == PartKind::kText || (kind == PartKind::kSystem && type != "text")) part.kind = kind_of(type);
      if (raw.find("\"cache_control\"") != std::string_view::npos) {
        CCR_TRY(without, json::splice(raw, {{{"cache_control"}, {}}}));
        unmarked = std::move(without);
        said = unmarked;
      }
    }
    // A text is the same whether it stands alone or in a block of its own.
    if (const auto words =
            value.is(Type::kObject) && part.kind == PartKind::kText ? value.peek("text") : std::nullopt) {
      said = words->peek_raw();
    }
    part.hash = digest::hash128(said, process_seed() + static_cast<std::uint64_t>(part.kind) * 64 +
                                          static_cast<std::uint64_t>(family_.kind) * 8 +
                                          static_cast<std::uint64_t>(family_.image_rule));
    if (const auto known = cache().find(part.hash)) {
      part.tokens = *known & ~kMediaBit;
      part.has_media = (*known & kMediaBit) != 0;
    } else {
      if (kind == PartKind::kTool || kind == PartKind::kSchema) {
        part.tokens = blocks_.text(said);  // JSON as a model is shown it
      } else {
        CCR_TRY(tokens, blocks_.block(value));
        part.tokens = tokens;
      }
      part.has_media = blocks_.take_media();
      cache().keep(part.hash, packed(part));
    }
    prompt_.has_media |= part.has_media;
    // What is encrypted is guessed from its size.
    only_text_ &= !part.has_media && type != "redacted_thinking";
    out.push_back(part);
    return {};
  }

  void finish(bool any_tool) {
    prompt_.has_tools = !tools_.empty();
    std::int32_t last_turn = -1;  // thinking before it belongs to earlier turns
    for (std::size_t i = 0; i < prompt_.messages.size(); ++i) {
      if (prompt_.messages[i].user_text) last_turn = static_cast<std::int32_t>(i);
    }
    const bool drops = !keeps_thinking(family_, model_);
    std::int64_t uncertain = 0;  // tokens that are a rule of thumb
    prompt_.parts.reserve(tools_.size() + system_.size() + said_.size() + formats_.size());
    for (std::vector<Part>* group : {&tools_, &system_, &formats_, &said_}) {
      for (Part& part : *group) {
        if (part.kind == PartKind::kThinking && drops && part.message < last_turn) {
          prompt_.dropped_thinking_tokens += part.tokens;
          part.tokens = 0;
        }
        prompt_.tokens += part.tokens;
        if (part.has_media || part.kind == PartKind::kTool || part.kind == PartKind::kSchema) uncertain += part.tokens;
        prompt_.parts.push_back(part);
      }
    }
    prompt_.frame_tokens = static_cast<std::int64_t>(prompt_.messages.size()) * family_.message_tokens +
                           family_.reply_tokens +
                           static_cast<std::int64_t>(tools_.size()) * family_.tool_tokens;
    prompt_.frame_tokens += extra_tokens_;
    if (prompt_.has_tools) prompt_.frame_tokens += tool_prompt_tokens(model_, family_, any_tool);
    prompt_.tokens = std::max<std::int64_t>(1, prompt_.tokens + prompt_.frame_tokens);
    if (family_.exact && !prompt_.has_tools && formats_.empty() && only_text_) {
      prompt_.grade = Grade::kExact;
    } else if (family_.exact) {
      prompt_.p95 = (uncertain * 3 + 9) / 10;
    } else {
      // docs/tokens.md: what the ratios by kind of text leave open.
      const std::int64_t percent = is_claude() ? 15 : family_.kind == FamilyKind::kGemini ? 12 : 30;
      prompt_.p95 = (prompt_.tokens * percent + 99) / 100;
    }
  }

  const Family& family_;
  std::string_view model_;
  BlockCounter blocks_;
  Prompt prompt_;
  std::vector<Part> tools_, system_, said_, formats_;
  std::int64_t extra_tokens_ = 0;  ///< what the provider adds for what the request asks for
  bool only_text_ = true;
};

/// The body's `model`, without a pass over the rest where it stands first.
std::string model_in(std::string_view body) {
  auto document = json::Document::open_view(body, json::Escapes::kUnchecked);
  if (!document.ok()) return {};
  auto root = document->root_object();
  if (!root.ok()) return {};
  while (root->next()) {
    if (root->key() != "model" || !root->value().is(Type::kString)) continue;
    auto model = root->value().string();
    return model.ok() ? std::string(*model) : std::string();
  }
  return {};
}

}  // namespace

std::string_view part_kind_name(PartKind kind) noexcept {
  switch (kind) {
    case PartKind::kTool:
      return "tool";
    case PartKind::kSystem:
      return "system";
    case PartKind::kText:
      return "text";
    case PartKind::kThinking:
      return "thinking";
    case PartKind::kToolCall:
      return "tool_call";
    case PartKind::kToolResult:
      return "tool_result";
    case PartKind::kImage:
      return "image";
    case PartKind::kDocument:
      return "document";
    case PartKind::kSchema:
      return "schema";
    case PartKind::kOther:
      break;
  }
  return "other";
}

Result<Prompt> read_prompt(std::string_view body, std::string_view model) {
  std::string own;
  if (model.empty()) {
    own = model_in(body);
    model = own;
  }
  return PromptReader(family_of(model), model).read(body);
}

std::int64_t count_plain(std::string_view utf8, std::string_view model) {
  return BlockCounter(family_of(model)).text(utf8);
}

}  // namespace ccrules::tokens
