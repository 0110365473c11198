#include "proxy/cache_question.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "cache/key.h"
#include "core/hmac.h"
#include "core/json.h"
#include "core/json_escapes.h"
#include "core/limits.h"
#include "proxy/native.h"

namespace ccrules::proxy {
namespace {

constexpr std::size_t kContextBytes = 256;  ///< An ordinary one.
constexpr std::size_t kHashedBytes = 128;   ///< What is hashed besides a context, texts aside.

void add_number(std::string& out, std::uint64_t number) {
  std::array<char, sizeof(number)> bytes;
  std::memcpy(bytes.data(), &number, sizeof(number));
  out.append(bytes.data(), bytes.size());
}

/// Texts one behind the other, each with its length.
void add(std::string& out, std::string_view text) {
  add_number(out, text.size());
  out += text;
}

void add_hash(std::string& out, const digest::Hash128& hash) {
  add_number(out, hash.high);
  add_number(out, hash.low);
}

/// Who shares the answer. False when that cannot be told: then nobody does.
bool add_scope(std::string& out, const std::string& scope, const http::Headers& headers, const Visit& visit, std::uint64_t seed) {
  add(out, scope);
  if (scope == "all") return true;
  if (scope == "project") {
    add(out, visit.row.project);
    return !visit.row.project.empty();
  }
  std::string credentials;
  for (const std::string_view name : {"x-api-key", "authorization", "x-goog-api-key", "api-key"}) add(credentials, headers.get(name));
  add_hash(out, digest::hash128(credentials, seed));
  add(out, visit.row.user);
  if (scope == "user") return true;
  add(out, visit.row.session);
  return !visit.row.session.empty();
}

void add_edits(std::string& out, const rules::Decision& decision) {
  add_number(out, decision.edits.size());
  for (const rules::FieldEdit& edit : decision.edits) {
    add(out, edit.field);
    add_number(out, static_cast<std::uint64_t>(edit.kind));
    add(out, edit.value_json);
  }
  add_number(out, decision.headers.size());
  for (const rules::HeaderEdit& edit : decision.headers) {
    add(out, edit.name);
    add(out, edit.value ? "=" + *edit.value : std::string());
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

std::uint64_t family_of(const std::string& context, const chat::Outline& outline, std::uint64_t seed) {
  const std::string_view first = plain_start(outline.first_user_json);
  const std::string_view last = plain_start(outline.last_user_json);
  std::string parts;
  parts.reserve(context.size() + first.size() + last.size() + kHashedBytes);
  add(parts, context);
  add(parts, first);
  add(parts, last);
  const std::int64_t most = outline.max_tokens.value_or(-1);
  for (const std::int64_t count : {outline.images, outline.documents, outline.tools, outline.tool_results, most}) {
    add_number(parts, static_cast<std::uint64_t>(count));
  }
  return digest::hash64(parts, seed);
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

}  // namespace

std::optional<std::string> context_of(const Worker& worker, const http::RequestHead& head, const dialect::Dialect& spoken,
                                      const Visit& visit, const rules::Decision& decision, const rules::CachePolicy& policy) {
  std::string context;
  context.reserve(kContextBytes);
  if (!add_scope(context, policy.scope, head.headers, visit, worker.tallies.answers.seed())) return std::nullopt;
  const rules::Target& target = decision.targets.front();
  const config::Provider* provider = visit.policy->config->provider(target.provider);
  if (provider == nullptr) return std::nullopt;
  add(context, target.provider);
  add(context, provider->base_url);
  add(context, target.model);
  add_edits(context, decision);
  for (const std::string_view name : {"anthropic-beta", "openai-beta"}) add(context, head.headers.get(name));
  const std::string_view version = head.headers.get("anthropic-version");
  add(context, version == "2023-06-01" ? std::string_view() : version);  // the one there is
  add(context, spoken.model_in_path() ? std::string() : forwarded_query(head.query()));
  // Who does not want such answers does not get those that another rule keeps.
  for (const std::string& reason : policy.keep) add(context, reason);
  return context;
}

bool hangs_on_kept_state(Plan& plan) {
  const std::string_view name = plan.spoken == &dialect::openai_responses() ? "conversation"
                                : plan.spoken == &dialect::anthropic()      ? "container"
                                                                            : "";
  if (name.empty()) return false;
  if (!plan.document) return true;
  plan.document->rewind(json::Escapes::kUnchecked);
  auto root = plan.document->root_object();
  while (root.ok() && root->next()) {
    if (root->key() == name && !root->value().is_null()) return true;
  }
  return false;
}

digest::Hash128 letter_of(const std::string& context, std::string_view dialect, std::string_view body, std::uint64_t seed) {
  std::string parts;
  parts.reserve(context.size() + kHashedBytes);
  add(parts, context);
  add(parts, dialect);
  add_hash(parts, digest::hash128(body, seed));
  return digest::hash128(parts, seed);
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
  std::shared_ptr<cache::Answer> same = store.same(asked.question.letter, age);
  if (same && asked.same_words(same->question(), store)) return same;
  if (asked.question.family == 0) asked.question.family = family_of(asked.question.context, asked.plan->outline, store.seed());
  return find_similar(store, asked, age);
}

}  // namespace ccrules::proxy
