#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "chat/usage.h"
#include "http/message.h"
#include "rules/decision.h"

namespace ccrules::proxy {

/// An upstream's error answer that the client shall see unchanged (same dialect: the client recovers by its
/// wording).
struct VerbatimFailure {
  int status = 0;
  http::Headers headers;
  std::string body;
};

/// What one attempt leaves behind, whatever became of it. It belongs to that attempt alone: the request's Visit takes it over when the
/// attempt is over.
struct Tried {
  rules::Target target;
  bool without_reasoning = false;  ///< in and out: the provider cannot read what it thought in earlier turns
  bool may_be_beside = false;      ///< in: another attempt may run at the same time, so the cache waits for the one that wins
  std::string refused;             ///< what the provider said it does not take; the next attempt goes without
  std::optional<VerbatimFailure> verbatim;
  int answered = 0;             ///< the status of the answer, as the provider sent it; 0: none came
  bool asked_provider = false;  ///< the request was on its way to the provider
  chat::Usage wasted;           ///< what an answer has told of its bill that is of no use
  bool lost = false;            ///< such an answer began well and was not told to have failed: its prompt was read, at the least
  std::int64_t lost_text_bytes = 0;  ///< of it, where `wasted` does not speak of its output
};

}  // namespace ccrules::proxy
