#include "dialect/refused_field.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/json.h"
#include "core/text.h"
#include "dialect/failure.h"

namespace ccrules::dialect {
namespace {

/// What stands in refusals of a member, in lower case.
constexpr std::array<std::string_view, 18> kRefusals = {
    "unsupported parameter",            // OpenAI
    "unsupported value",                // OpenAI: the member's value; without it there is a default
    "unknown parameter",                // OpenAI
    "unrecognized request argument",    // OpenAI, older
    "extra inputs are not permitted",   // Anthropic, FastAPI
    "extra fields not permitted",       // FastAPI, older
    "unknown name",                     // Google
    "cannot find field",                // Google
    "unknown field",
    "unrecognized field",
    "unexpected keyword argument",
    "is unsupported",                   // Groq: property 'x' is unsupported
    "is not supported",
    "are not supported",
    "does not support",                 // Ollama: "m" does not support thinking
    "is deprecated for this model",     // Anthropic
    "cannot both be specified",         // Anthropic: `temperature` and `top_p`
    "is not allowed",
};

/// What a request cannot do without, or what the client's program relies on.
constexpr std::array<std::string_view, 20> kKept = {
    "model",    "messages",           "contents",     "input",          "prompt",          "system",  "systeminstruction",
    "tools",    "instructions",       "stream",       "responseformat", "format",          "text",    "responsejsonschema",
    "maxtokens", "maxcompletiontokens", "maxoutputtokens", "responseschema", "responsemimetype", "generationconfig"};

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

/// Google answers in snake_case to requests in camelCase.
std::string plain(std::string_view name) {
  std::string out = text::lower(name);
  std::erase(out, '_');
  return out;
}

bool is_kept(std::string_view name) {
  return std::find(kKept.begin(), kKept.end(), plain(name)) != kKept.end();
}

/// The path of a member, each name as it stands in the text; nothing when there is none.
std::optional<std::vector<std::string>> find_member(std::string_view body, const std::vector<std::string>& names) {
  auto document = json::Document::open_view(body);
  if (!document) return std::nullopt;
  auto object = document->root_object();
  std::vector<std::string> path;
  for (const std::string& name : names) {
    bool found = false;
    while (object.ok() && !found && object->next()) {
      if (plain(object->key()) != plain(name)) continue;
      found = true;
      path.emplace_back(object->key());
      if (path.size() == names.size()) return path;
      if (!object->value().is(json::Type::kObject)) return std::nullopt;
      object = object->value().object();
    }
    if (!found) return std::nullopt;
  }
  return std::nullopt;
}

/// A name of the answer's text, taken as a member: "thinking.display", "body.stream_options", "generation_config.x".
std::optional<std::vector<std::string>> as_member(std::string_view name, std::string_view body) {
  if (name.starts_with("body.")) name.remove_prefix(5);
  if (name.empty() || is_kept(name)) return std::nullopt;
  std::vector<std::string> names;
  for (const std::string_view part : text::split(name, '.')) names.emplace_back(part);
  auto path = find_member(body, names);
  if (path && is_kept(path->back())) return std::nullopt;
  return path;
}

/// A word of the answer's text that may name a member.
struct Word {
  std::string_view name;
  bool quoted = false;
  std::size_t begin = 0;
  std::size_t end = 0;
};

std::vector<Word> words_of(std::string_view message) {
  std::vector<Word> words;
  for (std::size_t at = 0; at < message.size();) {
    if (!is_name_char(message[at])) {
      ++at;
      continue;
    }
    Word word;
    word.begin = at;
    while (at < message.size() && is_name_char(message[at])) ++at;
    while (at > word.begin + 1 && message[at - 1] == '.') --at;  // the sentence's
    word.end = at;
    word.name = message.substr(word.begin, word.end - word.begin);
    const auto is_quote = [&](std::size_t i) {
      return i < message.size() && (message[i] == '\'' || message[i] == '"' || message[i] == '`');
    };
    word.quoted = word.begin > 0 && is_quote(word.begin - 1) && is_quote(word.end);
    words.push_back(word);
  }
  return words;
}

/// `Unknown name "thinkingLevel" at 'generation_config.thinking_config': Cannot find field.`
std::optional<std::vector<std::string>> google_member(const std::vector<Word>& words, std::string_view message, std::string_view body) {
  for (std::size_t i = 0; i + 2 < words.size(); ++i) {
    if (!words[i].quoted || words[i + 1].name != "at" || !words[i + 2].quoted) continue;
    if (message.substr(0, words[i].begin).find("nknown name") == std::string_view::npos) continue;
    return as_member(std::string(words[i + 2].name) + "." + std::string(words[i].name), body);
  }
  return std::nullopt;
}

/// The name behind "Use 'max_completion_tokens' instead".
std::string replacement(const std::vector<Word>& words) {
  for (std::size_t i = 0; i + 2 < words.size(); ++i) {
    if (text::equals_ignore_case(words[i].name, "use") && words[i + 1].quoted && words[i + 2].name == "instead")
      return std::string(words[i + 1].name);
  }
  return {};
}

}  // namespace

std::string RefusedField::name() const {
  std::string joined;
  for (const std::string& part : path) joined += (joined.empty() ? "" : ".") + part;
  return joined;
}

std::optional<RefusedField> refused_field(const UpstreamFailure& failure, std::string_view sent) {
  if (failure.status != 400 && failure.status != 422) return std::nullopt;
  const FailureText told = parse_failure(failure.body);
  const std::string& message = told.message;
  const std::string lower = text::lower(message);
  std::size_t says = std::string::npos;
  std::size_t says_end = 0;
  for (const std::string_view refusal : kRefusals) {
    const std::size_t at = lower.find(refusal);
    if (at == std::string::npos || at >= says) continue;
    says = at;
    says_end = at + refusal.size();
  }
  if (says == std::string::npos) return std::nullopt;
  const std::vector<Word> words = words_of(message);

  RefusedField refused;
  if (const std::string instead = replacement(words); !instead.empty()) {
    for (const Word& word : words) {
      if (!word.quoted || word.name == instead) continue;
      if (auto path = find_member(sent, {std::string(word.name)})) {
        refused.path = *std::move(path);
        refused.instead = instead;
        return refused;
      }
    }
  }
  if (auto path = google_member(words, message, sent)) {
    refused.path = *std::move(path);
    return refused;
  }
  if (lower.find("does not support thinking") != std::string::npos) {
    if (auto path = find_member(sent, {"think"})) {
      refused.path = *std::move(path);
      return refused;
    }
  }
  // Of two members that exclude each other the second goes.
  const bool last = lower.find("cannot both be specified") != std::string::npos;
  for (const Word& word : words) {
    // A word of the sentence is no name, unless it stands next to the refusal or looks like nothing else.
    const bool beside = (word.end <= says && says - word.end <= 2) || (word.begin >= says_end && word.begin - says_end <= 12 &&
                                                                       lower.find("supplied: ", says_end) == word.begin - 10);
    if (!word.quoted && !beside && word.name.find('_') == std::string_view::npos) continue;
    if (auto path = as_member(word.name, sent)) {
      refused.path = *std::move(path);
      if (!last) return refused;
    }
  }
  return refused.path.empty() ? std::nullopt : std::optional(std::move(refused));
}

bool refuses_reasoning(const UpstreamFailure& failure) {
  if (failure.status != 400 && failure.status != 404 && failure.status != 422) return false;
  const FailureText told = parse_failure(failure.body);
  if (told.type == "invalid_encrypted_content") return true;
  const std::string lower = text::lower(told.message);
  const auto says = [&lower](std::string_view words) { return lower.find(words) != std::string::npos; };
  if (says("encrypted content") && (says("could not be verified") || says("could not be decrypted"))) return true;
  if (says("item 'rs_") || says("item with id 'rs_")) return says("not found") || says("without its required");
  if (says("thought signature") || says("thought_signature")) return says("invalid") || says("not valid") || says("corrupt");
  return says("signature") && says("thinking") && says("invalid");
}

}  // namespace ccrules::dialect
