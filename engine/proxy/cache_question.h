#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cache/answer.h"
#include "cache/store.h"
#include "core/digest.h"
#include "dialect/dialect.h"
#include "http/message.h"
#include "proxy/plan.h"
#include "proxy/visit.h"
#include "proxy/worker.h"
#include "rules/decision.h"

/// When two requests ask the same, for the response cache: docs/cache.md. Never waits; the loop's thread.
namespace ccrules::proxy {

/// What may change an answer besides the body; nothing when that cannot be told or must not be shared.
std::optional<std::string> context_of(const Worker& worker, const http::RequestHead& head, const dialect::Dialect& spoken,
                                      const Visit& visit, const rules::Decision& decision, const rules::CachePolicy& policy);

/// True with a conversation or a machine that the provider keeps: what is asked is not all in the request; and with a job that it
/// does in the background: who asks again wants one of his own.
bool hangs_on_kept_state(Plan& plan);

/// Equal for questions that mean the same in whatever words, and for some that do not.
std::uint64_t family_of(const std::string& context, const chat::Outline& outline, std::uint64_t seed);

/// The hash of a part of a question in its words: of both ends of its body, a little of what is between, and its family, which
/// stands for the context and for where conversations mostly differ.
digest::Hash128 sample_of(std::uint64_t family, std::string_view dialect, std::string_view body, std::uint64_t seed);

/// The hash of all of a question in its words.
digest::Hash128 letter_of(const std::string& context, std::string_view dialect, std::string_view body, std::uint64_t seed);

/// One request as the cache sees it.
struct Asked {
  cache::Question question;  ///< without its body until that is asked for
  std::string_view body;
  Plan* plan = nullptr;
  cache::Store::Compared compared;
  std::string meaning;         ///< worked out when needed
  std::string sealed_context;  ///< likewise

  [[nodiscard]] bool same_words(const cache::Question& other, const cache::Store& store);
  bool same_context(const cache::Question& other, const cache::Store& store);
  /// Reads both requests: only for those that may well be the same.
  bool same_meaning(const cache::Question& other, const cache::Store& store);
};

/// The answer to what means the same, kept or on its way; null: there is none.
std::shared_ptr<cache::Answer> find_answer(cache::Store& store, Asked& asked, cache::Store::Age age);

}  // namespace ccrules::proxy
