#include "tokens/ceiling.h"

#include <algorithm>
#include <array>

#include "core/json.h"
#include "core/json_recall.h"
#include "core/limits.h"
#include "core/search.h"
#include "tokens/family.h"

namespace ccrules::tokens {
namespace {

/// Frames around messages are shorter than their JSON; this is for the answer's start and words around a very short prompt.
constexpr std::int64_t kFrameTokens = 64;
/// What a provider says to a model that has tools, and about a form of the answer (Anthropic: at most 804 and 150, 2026-11).
constexpr std::int64_t kToolPromptTokens = 1000;
constexpr std::int64_t kSchemaTokens = 200;

/// Where a model's context is not known.
constexpr std::int64_t kUnknownContextTokens = 1'000'000;
/// What one tool that a provider runs itself (web search) may add to the prompt: a rule of thumb.
constexpr std::int64_t kServerToolTokens = 100'000;
/// Of one tool that asks a model of its own.
constexpr std::int64_t kMostUses = 1000;
/// Models of one request that are looked up: a list may be as long as the body.
constexpr std::size_t kMostModels = 100;
/// What a header makes of the context of Claude Sonnet 4 and 4.5 (`anthropic-beta: context-1m-2025-08-07`).
constexpr std::int64_t kLongContextTokens = 1'000'000;

/// The most one picture is billed as. Claude's cap is documented; OpenAI's newest take 30 000 patches at 1.2 tokens, its tile
/// models 2833 + 8 × 5667 at most; Gemini's tile pictures of 8000 × 8000 pixels.
std::int64_t image_tokens(const Family& family) {
  constexpr std::int64_t kPatchTokens = 36'000;
  constexpr std::int64_t kTileTokens = 48'200;
  if (family.image_rule == ImageRule::kClaude) return family.image_cap;
  return family.image_rule == ImageRule::kTile ? kTileTokens : kPatchTokens;
}

/// Members that name what the provider has and the request does not show, or that it adds to the prompt by itself.
bool names_more(std::string_view key) {
  constexpr std::array<std::string_view, 6> kNames = {"previous_response_id", "conversation", "cachedContent",
                                                      "cached_content",       "mcp_servers",  "container"};
  return std::find(kNames.begin(), kNames.end(), key) != kNames.end();
}

/// True when a service_tier or a speed is none that costs more than the standard one.
bool is_standard(const json::Value& value) {
  constexpr std::array<std::string_view, 3> kStandard = {"\"default\"", "\"standard\"", "\"standard_only\""};
  return std::find(kStandard.begin(), kStandard.end(), value.peek_raw()) != kStandard.end();
}

/// Anthropic's `compaction`, and an edit that compacts among those of `context_management`, where other edits cost nothing.
bool may_sum_up(std::string_view key, const json::Value& value) {
  if (key == "compaction") return true;
  if (key != "context_management") return false;
  const std::string_view edits = value.peek_raw();
  return edits.find("compact") != std::string_view::npos || edits.find('\\') != std::string_view::npos;
}

void add_name(json::Value& name, Ceiling& ceiling) {
  const auto model = name.string();
  if (model.ok() && ceiling.other_models.size() < kMostModels) ceiling.other_models.emplace_back(*model);
}

/// A model that the provider may run by itself, with what it is asked: {"model": …, "max_tokens": …}.
void add_model(json::Object& members, Ceiling& ceiling) {
  json::Value& value = members.value();
  if (members.key() == "model" && value.is(json::Type::kString)) {
    add_name(value, ceiling);
  } else if (members.key() == "max_tokens" && value.is(json::Type::kNumber)) {
    const auto tokens = value.integer();
    if (tokens.ok()) ceiling.other_output_tokens = std::max(ceiling.other_output_tokens, *tokens);
  } else if (members.key() == "speed") {
    ceiling.names_speed = ceiling.names_speed || !is_standard(value);
  }
}

/// What Anthropic is known to choose for "fallbacks": "default", by what was refused (for Fable 5 and Opus 5, GET /v1/models, 2026-07).
/// It costs more than newer models that may refuse.
constexpr std::string_view kDefaultFallback = "claude-opus-4-8";

/// Anthropic's `fallbacks`: [{"model": …}] or "default". @return how many.
std::int64_t add_fallbacks(json::Value& value, Ceiling& ceiling) {
  if (!value.is(json::Type::kArray)) {
    if (ceiling.other_models.size() < kMostModels) ceiling.other_models.emplace_back(kDefaultFallback);
    return 1;
  }
  std::int64_t count = 0;
  auto fallbacks = value.array();
  while (fallbacks.ok() && fallbacks->next()) {
    ++count;
    if (!fallbacks->value().is(json::Type::kObject)) continue;
    auto members = fallbacks->value().object();
    while (members.ok() && members->next()) add_model(*members, ceiling);
  }
  return count;
}

/// OpenRouter's `models`: one of them answers.
void add_choices(json::Value& value, Ceiling& ceiling) {
  auto models = value.array();
  while (models.ok() && models->next()) {
    if (models->value().is(json::Type::kString)) add_name(models->value(), ceiling);
  }
}

/// Tools that the client runs: their results come with the next request. What a provider runs itself is read and billed within
/// this one.
bool runs_here(std::string_view type) {
  constexpr std::array<std::string_view, 11> kHere = {"function", "custom",      "bash_",        "text_editor_", "computer",   "memory_",
                                                      "shell",    "local_shell", "apply_patch", "namespace",    "tool_search"};
  return std::any_of(kHere.begin(), kHere.end(), [&](std::string_view known) { return type.starts_with(known); });
}

/// {"environment": {"type": "local"}}: whoever asks runs it.
bool is_local(json::Value& value) {
  bool local = false;
  if (!value.is(json::Type::kObject)) return false;
  auto members = value.object();
  while (members.ok() && members->next()) {
    if (members->key() != "type" || !members->value().is(json::Type::kString)) continue;
    const auto word = members->value().string();
    local = word.ok() && *word == "local";
  }
  return local;
}

/// One tool: true when the provider runs it. Names may be written with escapes, and the last `type` of several is the one that counts.
/// With a model of its own (Anthropic's advisor) it is asked as often as `max_uses` says, once where nothing is said.
bool runs_there(json::Value& value, Ceiling& ceiling) {
  std::string type;
  bool named = false;
  bool local = false;
  bool more = false;  // Gemini's {"googleSearch": {}}, perhaps beside {"functionDeclarations": [...]}
  std::int64_t uses = 1;
  bool asks_model = false;
  auto members = value.object();
  while (members.ok() && members->next()) {
    const std::string_view key = members->key();
    if (key == "type" && members->value().is(json::Type::kString)) {
      const auto word = members->value().string();
      type = word.ok() ? *word : std::string_view("?");
    } else if (key == "environment") {
      local = is_local(members->value());
    } else if (key == "name" || key == "function") {
      named = true;
    } else if (key == "max_uses" && members->value().is(json::Type::kNumber)) {
      const auto told = members->value().integer();
      uses = told.ok() ? std::clamp<std::int64_t>(*told, 1, kMostUses) : kMostUses;
    } else if (key == "model") {
      asks_model = members->value().is(json::Type::kString);
      if (asks_model) add_name(members->value(), ceiling);
    } else if (key != "functionDeclarations" && key != "function_declarations") {
      more = true;
    }
  }
  if (asks_model) ceiling.runs += uses;
  if (type == "shell") return !local;
  return type.empty() ? !named && more : !runs_here(type);
}

std::int64_t tools_run_there(json::Value& value, Ceiling& ceiling) {
  if (value.is(json::Type::kObject)) return runs_there(value, ceiling) ? 1 : 0;  // Gemini: one needs no brackets
  std::int64_t count = 0;
  auto tools = value.array();
  while (tools.ok() && tools->next()) {
    if (tools->value().is(json::Type::kObject) && runs_there(tools->value(), ceiling)) ++count;
  }
  return count;
}

/// The same, for tools that came before: how many of them run there, where that is all there is to be said of them.
std::int64_t known_tools_run_there(json::Value& value, Ceiling& ceiling) {
  thread_local json::Recall<std::int64_t> recall;
  if (const std::int64_t* known = recall.pass_again(value, "tools")) return *known;
  const std::int64_t runs = ceiling.runs;
  const std::size_t models = ceiling.other_models.size();
  const std::int64_t count = tools_run_there(value, ceiling);
  const bool names_none = ceiling.other_models.size() == models && models < kMostModels;  // a full list hides what they name
  if (ceiling.runs == runs && names_none) recall.keep(value, "tools", count);
  return count;
}

/// True when an item of OpenAI's Responses only names what the provider has kept, or holds pictures where nobody counts them.
bool names_kept(json::Value& item) {
  std::string type;
  bool whole = false;
  auto members = item.object();
  while (members.ok() && members->next()) {
    const std::string_view key = members->key();
    if (key == "type" && members->value().is(json::Type::kString)) {
      const auto word = members->value().string();
      type = word.ok() ? *word : std::string_view();
    } else if ((key == "encrypted_content" || key == "content") && !members->value().is_null()) {
      whole = true;
    }
  }
  return type == "item_reference" || type == "image_generation_call" || type == "computer_call_output" || (type == "reasoning" && !whole);
}

bool any_names_kept(json::Value& input) {
  bool found = false;
  auto items = input.array();
  while (items.ok() && items->next()) found = (items->value().is(json::Type::kObject) && names_kept(items->value())) || found;
  return found;
}

}  // namespace

Ceiling ceiling_of(const chat::Outline& outline, json::Document& document) {
  const std::string_view body = document.text();
  Ceiling ceiling;
  ceiling.open = outline.documents > 0;
  ceiling.images = outline.images;
  ceiling.text_tokens = static_cast<std::int64_t>(body.size()) + kFrameTokens;
  // A member's name may be hidden behind escapes; then pictures are billed byte by byte.
  if (outline.media_bytes > 0 && !holds_rare(body, "\\u0")) ceiling.text_tokens -= std::min(outline.media_bytes, ceiling.text_tokens);
  if (outline.tools > 0) ceiling.text_tokens += kToolPromptTokens;
  if (outline.json_schema_answer) ceiling.text_tokens += kSchemaTokens;
  bool sums_up = false;
  std::optional<bool> standard_tier;
  document.rewind(json::Escapes::kUnchecked);
  auto root = document.root_object();
  while (root.ok() && root->next()) {
    json::Value& value = root->value();
    if (value.is_null()) continue;
    const std::string_view key = root->key();
    if (key == "service_tier") standard_tier = is_standard(value) && standard_tier.value_or(true);
    if (key == "speed") ceiling.names_speed = ceiling.names_speed || !is_standard(value);
    sums_up = sums_up || may_sum_up(key, value);
    if (key == "fallbacks") ceiling.runs += add_fallbacks(value, ceiling);
    if (key == "models" && value.is(json::Type::kArray)) add_choices(value, ceiling);
    // OpenAI's stored prompts; /v1/completions has its text there.
    if (names_more(key) || (key == "prompt" && value.is(json::Type::kObject))) {
      ceiling.open = true;
      ceiling.all_here = false;
    } else if (key == "input" && value.is(json::Type::kArray)) {
      if (!any_names_kept(value)) continue;
      ceiling.open = true;
      ceiling.all_here = false;
    } else if (key == "web_search_options" || key == "plugins") {
      ceiling.text_tokens += kServerToolTokens;
      ceiling.all_here = false;
    } else if (key == "tools" && (value.is(json::Type::kArray) || value.is(json::Type::kObject))) {
      const std::int64_t there = known_tools_run_there(value, ceiling);
      ceiling.text_tokens += there * kServerToolTokens;
      ceiling.all_here &= there == 0;
    }
  }
  ceiling.standard_tier = standard_tier.value_or(false);
  if (sums_up) ceiling.runs *= 2;
  return ceiling;
}

std::int64_t most_tokens(const Ceiling& ceiling, std::string_view model, std::optional<std::int64_t> context_tokens) {
  std::int64_t context = std::clamp<std::int64_t>(context_tokens.value_or(kUnknownContextTokens), 1, limits::kUsageTokens);
  if (bare_model(model).find("sonnet-4") != std::string_view::npos) context = std::max(context, kLongContextTokens);
  if (ceiling.open) return context;
  const std::int64_t told = std::min(ceiling.text_tokens, limits::kUsageTokens) +
                            std::min(ceiling.images, limits::kUsageTokens) * image_tokens(family_of(model));
  return context_tokens && !ceiling.each_alone ? std::min(told, context) : told;
}

std::optional<std::int64_t> most_tokens(const Prompt& prompt, std::int64_t body_bytes, std::string_view target,
                                        const std::vector<digest::Hash128>& chain, const Calibration& calibration) {
  std::int64_t not_counted = body_bytes;
  for (const Part& part : prompt.parts) not_counted -= part.bytes;
  not_counted = std::max<std::int64_t>(not_counted, 0) + kFrameTokens;
  if (prompt.grade == Grade::kExact) return prompt.tokens + not_counted;
  for (std::size_t known = prompt.messages.size(); known > 0; --known) {
    const auto anchor = calibration.find(target, chain[known]);
    if (!anchor) continue;
    // What was thought for that answer may be part of the prompt now; encrypted blocks do not show how much of it.
    std::int64_t tokens = anchor->prompt_tokens + anchor->output_tokens + not_counted + kToolPromptTokens;
    for (const Part& part : prompt.parts) {
      if (part.message < static_cast<std::int32_t>(known)) continue;
      if (part.has_media) return std::nullopt;
      tokens += part.bytes;
    }
    return tokens;
  }
  return std::nullopt;
}

}  // namespace ccrules::tokens
