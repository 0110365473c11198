#include "proxy/cache_question.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/key.h"
#include "core/hmac.h"
#include "core/json.h"
#include "core/json_escapes.h"
#include "core/limits.h"
#include "core/text.h"
#include "proxy/gate.h"
#include "proxy/native.h"

namespace ccrules::proxy {
namespace {

/// Texts one behind the other, each with its length. What a question takes but for its body fits in here
/// mostly.
class Parts {
 public:
  void add(std::uint64_t number) { put(&number, sizeof(number)); }
  void add(std::string_view text) {
    add(std::uint64_t{text.size()});
    put(text.data(), text.size());
  }
  void add(const digest::Hash128& hash) {
    add(hash.high);
    add(hash.low);
  }
  [[nodiscard]] std::string_view all() const {
    return more_.empty() ? std::string_view(few_.data(), few_bytes_) : std::string_view(more_);
  }

 private:
  void put(const void* bytes, std::size_t size) {
    if (size == 0) return;  // nobody knows where nothing stands
    if (more_.empty() && size <= few_.size() - few_bytes_) {
      std::memcpy(few_.data() + few_bytes_, bytes, size);
      few_bytes_ += size;
      return;
    }
    if (more_.empty()) more_.assign(few_.data(), few_bytes_);
    more_.append(static_cast<const char*>(bytes), size);
  }
  std::array<char, 4096> few_;
  std::size_t few_bytes_ = 0;
  std::string more_;  ///< all of it, when it is too much for `few_`
};

/// Who shares the answer. False when that cannot be told: then nobody does.
bool add_scope(Parts& parts, const std::string& scope, const http::RequestHead& head, const Visit& visit,
               std::uint64_t seed) {
  parts.add(scope);
  if (scope == "all") return true;
  if (scope == "project") {
    parts.add(visit.row.project);
    return !visit.row.project.empty();
  }
  Parts brought;
  for (const std::string_view credential : credentials(head)) brought.add(credential);
  parts.add(digest::hash128(brought.all(), seed));
  parts.add(visit.row.user);
  if (scope == "user") return true;
  parts.add(visit.row.session);
  return !visit.row.session.empty();
}

void add_edits(Parts& parts, const rules::Decision& decision) {
  parts.add(std::uint64_t{decision.edits.size()});
  for (const rules::FieldEdit& edit : decision.edits) {
    parts.add(edit.field);
    parts.add(static_cast<std::uint64_t>(edit.kind));
    parts.add(edit.value_json);
  }
  parts.add(std::uint64_t{decision.headers.size()});
  for (const rules::HeaderEdit& edit : decision.headers) {
    parts.add(edit.name);
    parts.add(edit.value ? "=" + *edit.value : std::string());
  }
}

/// Headers that go to the provider with the client's bytes and may change what it answers, other than by who asks.
bool says_how_to_answer(std::string_view name) {
  constexpr std::array<std::string_view, 6> kFamilies = {"anthropic-",      "openai-",  "x-goog-",
                                                         "x-amzn-bedrock-", "azureml-", "extra-parameters"};
  // Who asks, which add_scope() has or no provider gets; what a client says of itself; and the version, of which there is one.
  constexpr std::array<std::string_view, 6> kNot = {"anthropic-version",   "anthropic-dangerous-direct-browser-access",
                                                    "openai-organization", "openai-project",
                                                    "x-goog-api-key",      "x-goog-api-client"};
  const auto begins = [name](std::string_view family) { return text::starts_with_ignore_case(name, family); };
  const auto is = [name](std::string_view other) { return text::equals_ignore_case(name, other); };
  return std::any_of(kFamilies.begin(), kFamilies.end(), begins) && std::none_of(kNot.begin(), kNot.end(), is);
}

/// All of them, a header that comes twice too, by name.
void add_headers(Parts& parts, const http::Headers& headers) {
  std::vector<std::pair<std::string, std::string_view>> all;
  for (std::size_t i = 0; i < headers.size(); ++i) {
    const auto [name, value] = headers.at(i);
    if (says_how_to_answer(name)) all.emplace_back(text::lower(name), value);
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  parts.add(std::uint64_t{all.size()});
  for (const auto& [name, value] : all) {
    parts.add(name);
    parts.add(value);
  }
}

/// The start of a JSON string that is the same however the client escapes the rest.
std::string_view plain_start(std::string_view literal) {
  constexpr std::size_t kMost = 1024;
  if (literal.starts_with('"')) literal.remove_prefix(1);
  const char* const end =
      json::find_unplain(literal.data(), literal.data() + std::min(kMost, literal.size()));
  return literal.substr(0, static_cast<std::size_t>(end - literal.data()));
}

std::shared_ptr<cache::Answer> find_similar(cache::Store& store, Asked& asked, cache::Store::Age age) {
  std::size_t bytes = 0;
  bool compared = false;
  for (std::shared_ptr<cache::Answer>& similar : store.similar(asked.question.family, age)) {
    if (!similar || bytes > limits::kCacheComparedBytes) break;
    bytes += similar->question().body.size();
    const bool is_same = asked.same_meaning(similar->question(), store);
    compared = compared || !asked.meaning.empty();
    if (!is_same) continue;
    store.compared(asked.question.family, true);
    return std::move(similar);
  }
  if (compared) store.compared(asked.question.family, false);
  return nullptr;
}

/// A part of a body that tells most bodies apart: its beginning, its end, and a little of what is between, evenly. All of a
/// short one.
class Sample {
 public:
  explicit Sample(std::string_view body) {
    if (body.size() <= room_.size()) {
      take(body.data(), body.size());
      return;
    }
    take(body.data(), kEnd);
    const std::size_t apart = (body.size() - 2 * kEnd) / kPieces;
    for (std::size_t i = 0; i < kPieces; ++i) take(body.data() + kEnd + i * apart, kPiece);
    take(body.data() + body.size() - kEnd, kEnd);
  }
  [[nodiscard]] std::string_view bytes() const { return {room_.data(), size_}; }

 private:
  static constexpr std::size_t kEnd = 1024;
  static constexpr std::size_t kPiece = 64;  ///< a line of the processor's cache
  static constexpr std::size_t kPieces = 32;

  void take(const char* from, std::size_t size) {
    std::memcpy(room_.data() + size_, from, size);
    size_ += size;
  }
  std::array<char, 2 * kEnd + kPieces * kPiece> room_;
  std::size_t size_ = 0;
};

}  // namespace

std::optional<std::string> context_of(const Worker& worker, const http::RequestHead& head, const dialect::Dialect& spoken,
                                      const Visit& visit, const rules::Decision& decision, const rules::CachePolicy& policy) {
  Parts context;
  if (!add_scope(context, policy.scope, head, visit, worker.tallies.answers.seed()))
    return std::nullopt;
  const rules::Target& target = decision.targets.front();
  const config::Provider* provider = visit.policy->config->provider(target.provider);
  if (provider == nullptr) return std::nullopt;
  context.add(target.provider);
  context.add(provider->base_url);
  context.add(target.model);
  add_edits(context, decision);
  add_headers(context, head.headers);
  const std::string_view version = head.headers.get("anthropic-version");
  context.add(version == "2023-06-01" ? std::string_view() : version);  // the one there is
  context.add(spoken.model_in_path() ? std::string() : forwarded_query(head.query()));
  // Who does not want such answers does not get those that another rule keeps.
  for (const std::string& reason : policy.keep) context.add(reason);
  return std::string(context.all());
}

bool hangs_on_kept_state(Plan& plan) {
  const bool responses = plan.spoken == &dialect::openai_responses();
  const std::string_view name = responses ? "conversation"
                                : plan.spoken == &dialect::anthropic() ? "container"
                                                                       : "";
  if (name.empty()) return false;
  if (!plan.document) return true;
  plan.document->rewind(json::Escapes::kUnchecked);
  auto root = plan.document->root_object();
  while (root.ok() && root->next()) {
    if (root->key() == name && !root->value().is_null()) return true;
    if (responses && root->key() == "background" && root->value().peek_raw() == "true") return true;
  }
  return false;
}

std::uint64_t family_of(const std::string& context, const chat::Outline& outline, std::uint64_t seed) {
  const std::string_view first = plain_start(outline.first_user_json);
  const std::string_view last = plain_start(outline.last_user_json);
  Parts parts;
  parts.add(context);
  parts.add(first);
  parts.add(last);
  const std::int64_t most = outline.max_tokens.value_or(-1);
  for (const std::int64_t count :
       {outline.images, outline.documents, outline.tools, outline.tool_results, most}) {
    parts.add(static_cast<std::uint64_t>(count));
  }
  return digest::hash64(parts.all(), seed);
}

digest::Hash128 sample_of(std::uint64_t family, std::string_view dialect, std::string_view body, std::uint64_t seed) {
  const Sample sample(body);
  Parts parts;
  parts.add(family);
  parts.add(dialect);
  parts.add(std::uint64_t{body.size()});
  parts.add(digest::hash128(sample.bytes(), seed));
  return digest::hash128(parts.all(), seed);
}

digest::Hash128 letter_of(const std::string& context, std::string_view dialect, std::string_view body, std::uint64_t seed) {
  Parts parts;
  parts.add(context);
  parts.add(dialect);
  parts.add(digest::hash128(body, seed));
  return digest::hash128(parts.all(), seed);
}

bool Asked::same_words(const cache::Question& other, const cache::Store& store) {
  return other.body == body && other.dialect == question.dialect && same_context(other, store);
}

bool Asked::same_context(const cache::Question& other, const cache::Store& store) {
  if (!other.sealed) return other.context == question.context;
  if (sealed_context.empty()) sealed_context = digest::hmac_sha256(store.secret(), question.context);
  return other.context == sealed_context;
}

bool Asked::same_meaning(const cache::Question& other, const cache::Store& store) {
  if (!same_context(other, store)) return false;
  const std::int64_t apart = std::abs(other.text_bytes - question.text_bytes);
  if (other.dialect == question.dialect && apart > limits::kCacheStrangerBytes) return false;
  const dialect::Dialect* spoken = dialect::by_name(other.dialect);
  if (spoken == nullptr) return false;
  if (meaning.empty()) {
    const chat::Request* request = plan->request();
    if (request == nullptr) return false;
    meaning = cache::meaning(*request);
  }
  const Result<chat::Request> theirs = spoken->read_request(std::string_view(other.body));
  return theirs.ok() && cache::meaning(*theirs) == meaning;
}

std::shared_ptr<cache::Answer> find_answer(cache::Store& store, Asked& asked, cache::Store::Age age) {
  cache::Question& question = asked.question;
  cache::Store::Sampled sampled = store.sampled(question.sample, age);
  asked.compared.is_same = sampled.unnamed && asked.same_words(sampled.unnamed->question(), store);
  asked.compared.with = std::move(sampled.unnamed);
  if (asked.compared.is_same && sampled.fresh) return asked.compared.with;
  if (sampled.some && !asked.compared.is_same) {
    if (!question.letter) question.letter = letter_of(question.context, question.dialect, asked.body, store.seed());
    std::shared_ptr<cache::Answer> same = store.same(*question.letter, age);
    if (same && asked.same_words(same->question(), store)) return same;
  }
  return find_similar(store, asked, age);
}

}  // namespace ccrules::proxy
