#include "dialect/refused_field.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/json.h"
#include "core/limits.h"
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
constexpr std::array<std::string_view, 25> kKept = {
    "model",        "messages",   "contents",   "input",          "prompt",         "system",           "systeminstruction",
    "tools",        "functions",  "toolchoice", "toolconfig",     "functioncall",   "instructions",     "stream",
    "format",       "text",       "maxtokens",  "responseformat", "responseschema", "responsemimetype", "responsejsonschema",
    "outputformat", "maxoutputtokens", "maxcompletiontokens", "generationconfig"};
/// Kept ones whose members may go, as long as these are not kept themselves.
constexpr std::array<std::string_view, 3> kContainers = {"generationconfig", "text", "outputconfig"};
/// How long an answer may be: kept, but under the provider's name for it.
constexpr std::array<std::string_view, 3> kLengths = {"maxtokens", "maxcompletiontokens", "maxoutputtokens"};

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

/// Google answers in snake_case to requests in camelCase.
std::string plain(std::string_view name) {
  std::string out = text::lower(name);
  std::erase(out, '_');
  return out;
}

template <std::size_t n>
bool is_in(const std::array<std::string_view, n>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), plain(name)) != names.end();
}

/// A member of the refused body.
struct Member {
  std::vector<std::string> path;  ///< each name as it stands in the body
  std::string value_json;
};

std::optional<Member> find_member(std::string_view body, const std::vector<std::string>& names) {
  auto document = json::Document::open_view(body);
  if (!document) return std::nullopt;
  auto object = document->root_object();
  Member member;
  for (const std::string& name : names) {
    bool found = false;
    while (object.ok() && !found && object->next()) {
      if (plain(object->key()) != plain(name)) continue;
      found = true;
      member.path.emplace_back(object->key());
      if (member.path.size() == names.size()) {
        const auto raw = object->value().raw();
        if (!raw) return std::nullopt;
        member.value_json = *raw;
        return member;
      }
      if (!object->value().is(json::Type::kObject)) return std::nullopt;
      object = object->value().object();
    }
    if (!found) return std::nullopt;
  }
  return std::nullopt;
}

/// A choice of tools that leaves all open, or how hard to think without a word on the answer's form.
bool asks_nothing_kept(const Member& member) {
  if (plain(member.path.back()) == "outputconfig") return !find_member(member.value_json, {"format"});
  if (plain(member.path.back()) != "toolchoice") return false;
  if (member.value_json == "\"auto\"") return true;
  const auto type = find_member(member.value_json, {"type"});
  return type && type->value_json == "\"auto\"";
}

/// True when the request would be another one without the member, whatever its value.
bool is_kept(const Member& member) {
  const bool inside = std::any_of(member.path.begin(), member.path.end() - 1, [](const std::string& name) {
    return is_in(kKept, name) && !is_in(kContainers, name);
  });
  return inside || is_in(kKept, member.path.back()) || plain(member.path.back()) == "outputconfig";
}

/// A name of the answer's text, taken as a member: "thinking.display", "body.stream_options", "generation_config.x".
std::optional<RefusedField> as_member(std::string_view name, std::string_view body) {
  if (name.starts_with("body.")) name.remove_prefix(5);
  if (name.empty()) return std::nullopt;
  std::vector<std::string> names;
  for (const std::string_view part : text::split(name, '.')) names.emplace_back(part);
  auto member = find_member(body, names);
  if (!member) return std::nullopt;
  RefusedField field;
  if (is_kept(*member)) {
    if (!asks_nothing_kept(*member)) return std::nullopt;
    field.value_json = std::move(member->value_json);
  }
  field.path = std::move(member->path);
  return field;
}

/// True when the answer is about the value that was sent, so that others may do.
bool is_of_value(std::string_view value_json, std::string_view message, std::string_view lower) {
  if (lower.find("only the default") != std::string_view::npos) return false;
  if (lower.find("unsupported value") != std::string_view::npos) return true;
  if (message.find("does not support " + std::string(value_json)) != std::string_view::npos) return true;
  if (value_json.size() <= 2 || value_json.front() != '"') return false;
  const std::string inside(value_json.substr(1, value_json.size() - 2));
  for (const char quote : {'\'', '"', '`'}) {
    if (message.find(quote + inside + quote) != std::string_view::npos) return true;
  }
  return false;
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
std::optional<RefusedField> google_member(const std::vector<Word>& words, std::string_view message, std::string_view body) {
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

/// The member that goes under another name from now on. What stands beside it in the sentence stays as it is.
std::optional<RefusedField> renamed(const std::vector<Word>& words, const std::string& instead, std::string_view sent) {
  for (const Word& word : words) {
    if (!word.quoted || word.name == instead) continue;
    auto member = find_member(sent, {std::string(word.name)});
    if (!member) continue;
    const bool length = is_in(kLengths, word.name);
    if (length ? !is_in(kLengths, instead) : is_kept(*member) || is_in(kKept, instead)) return std::nullopt;
    RefusedField field;
    field.path = std::move(member->path);
    field.instead = instead;
    return field;
  }
  return std::nullopt;
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

  if (const std::string instead = replacement(words); !instead.empty()) return renamed(words, instead, sent);
  if (auto field = google_member(words, message, sent)) return field;
  if (lower.find("does not support thinking") != std::string::npos) {
    if (auto field = as_member("think", sent)) return field;
  }
  // Of two members that exclude each other the second goes.
  const bool last = lower.find("cannot both be specified") != std::string::npos;
  std::optional<RefusedField> refused;
  for (const Word& word : words) {
    // A word of the sentence is no name, unless it stands next to the refusal or looks like nothing else.
    const bool beside = (word.end <= says && says - word.end <= 2) || (word.begin >= says_end && word.begin - says_end <= 12 &&
                                                                       lower.find("supplied: ", says_end) == word.begin - 10);
    if (!word.quoted && !beside && word.name.find('_') == std::string_view::npos) continue;
    auto field = as_member(word.name, sent);
    if (!field) continue;
    refused = std::move(field);
    if (!last) break;
  }
  if (!refused) return std::nullopt;
  const auto member = find_member(sent, refused->path);
  if (!last && member && is_of_value(member->value_json, message, lower)) refused->value_json = member->value_json;
  if (refused->value_json && refused->value_json->size() > limits::kRefusedValueBytes) return std::nullopt;
  return refused;
}

bool refuses_reasoning(const UpstreamFailure& failure) {
  if (failure.status != 400 && failure.status != 404 && failure.status != 422) return false;
  const FailureText told = parse_failure(failure.body);
  if (told.type == "invalid_encrypted_content") return true;
  const std::string lower = text::lower(told.message);
  const auto says = [&lower](std::string_view words) { return lower.find(words) != std::string::npos; };
  if (says("encrypted content") && (says("could not be verified") || says("could not be decrypted"))) return true;
  if (says("item 'rs_") || says("item with id 'rs_")) return says("not found") || says("without its required");
  if (says("thought signature") || says("thought_signature")) {
    return says("invalid") || says("not valid") || says("corrupt") || says("missing");
  }
  return says("signature") && says("thinking") && says("invalid");
}

}  // namespace ccrules::dialect
