#pragma once
#include <chrono>
#include <cstdint>
#include <optional>

#include "chat/usage.h"
#include "core/error.h"
#include "proxy/one_attempt.h"
#include "proxy/visit.h"
#include "proxy/worker.h"
#include "rules/api.h"
#include "rules/decision.h"

/// What comes after an attempt, by the wish of the rules, else by what the error says of itself and what is configured. Judged
/// here, done in attempts.cc.
namespace ccrules::proxy {

/// What to do after an attempt that failed, or whose reply the client shall not get.
struct Next {
  bool give_up = false;
  bool same_target = false;
  bool other_lane = false;  ///< with same_target: on a lane that was not tried yet
  std::optional<rules::Target> to;
  std::chrono::milliseconds wait{0};
  chat::Usage wasted;         ///< of an answer that the client shall not get
  std::optional<Error> deny;  ///< a rule refuses the request now
};

/// True when rules, those in force or candidates, look at failed attempts or at replies.
bool is_judged(rules::api::On on, const Policy& policy);

/// @param tries_here attempts at this target so far, the failed one included
/// @param other_lane the same target may well answer on another of its provider's lanes
Next after_failure(Worker& worker, const Ask& ask, Visit& visit, const Error& error, int tries_here, bool other_lane);

/// What response rules make of a reply before any of it goes to the client; give_up: the client gets it.
/// @param usage out: what the answer is known to have cost
Next after_reply(const Ask& ask, Visit& visit, const FirstReply& attempt, std::int64_t ttft_ms, chat::Usage& usage);

/// What an answer is known to have cost when its first content is there.
chat::Usage usage_of(const FirstReply& reply);

}  // namespace ccrules::proxy
