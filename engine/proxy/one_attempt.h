#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "async/frame_pool.h"
#include "async/loop.h"
#include "cache/answer.h"
#include "chat/event.h"
#include "chat/loss.h"
#include "core/json.h"
#include "dialect/dialect.h"
#include "http/message.h"
#include "http/server.h"
#include "proxy/lanes.h"
#include "proxy/visit.h"
#include "proxy/worker.h"
#include "rules/decision.h"
#include "rules/facts.h"

namespace ccrules::proxy {

class Asking;     // proxy/asking.h
class Recording;  // likewise
struct Plan;      // proxy/plan.h

/// What the client asks for; views into the exchange and the plan.
struct Ask {
  const http::RequestHead* head = nullptr;
  const http::Exchange* exchange = nullptr;  ///< only for what it accepts
  const std::string* body = nullptr;  ///< released once an attempt is committed
  /// The body as it was indexed for the outline; empty once an attempt is on its way, for its memory.
  std::optional<json::Document>* document = nullptr;
  const chat::Outline* outline = nullptr;
  const dialect::Dialect* spoken = nullptr;
  const rules::Decision* decision = nullptr;
  const rules::Facts* facts = nullptr;
  Asking* asking = nullptr;  ///< null: nobody else wants the answer
};

/// What is asked as the plan has it, with the body where it lies now. Nobody reads along.
Ask ask_of(const http::Exchange& exchange, Plan& plan);

/// One attempt's right to run: stops with the request, when its deadline passes, or after the time it may take in all.
struct AttemptClock : Pooled {
  /// @param total zero: no limit
  AttemptClock(Loop& on, StopToken of_request, std::chrono::milliseconds total = {})
      : loop(on), request(of_request), stop(of_request), deadline(on, stop), whole(on, stop) {
    if (total.count() <= 0) return;
    ends_ms = on.now_ms() + total.count();
    whole.set(total);
  }
  Loop& loop;
  StopToken request;
  StopSource stop;
  Deadline deadline;  ///< of what is waited for now
  Deadline whole;
  std::int64_t ends_ms = -1;
};

/// A reply whose first real content has arrived (or that was silent for limits::kCommitTime after a good
/// head). Until now nothing has gone to the client; from now on there is no way back.
struct FirstReply : Pooled {
  const config::Provider* provider = nullptr;
  LaneLease lane;  ///< held until the reply is over
  std::string model;
  const dialect::Dialect* upstream = nullptr;
  bool native = false;  ///< same dialect: bytes go through as they come
  std::unique_ptr<StopSource> alone;  ///< what `clock` stops with, where another attempt ran beside this one
  std::unique_ptr<AttemptClock> clock;
  std::unique_ptr<http::ReplyStream> stream;
  Recording* recording = nullptr;  ///< what `stream` is where others may read along; else null
  chat::LossNotes losses;
  dialect::ReaderOptions reading;  ///< what a reader of the reply must know of the request

  // A reply that streams:
  std::unique_ptr<dialect::StreamReader> reader;  ///< null: a whole reply
  std::string held;                               ///< native: bytes that arrived so far
  std::vector<chat::Event> events;                ///< what they meant
  bool upstream_ended = false;

  // A whole reply:
  std::string whole;                 ///< native: its bytes
  std::string encoded;               ///< native: as they came, when the client takes that coding; else empty
  std::optional<chat::Reply> reply;  ///< its meaning (native: only id, usage and stop reason)
};

/// The error with the provider named, in its message too.
Error name_provider(Error error, const config::Provider& provider);

/// What a failed wait for the provider means: a deadline that passed is a timeout, anything else is what it
/// says.
Error explain_stop(Error error, const AttemptClock& clock, const config::Provider& provider,
                   const char* waiting_for);

/// One target (`tried.target`), once: writes the request, sends it and reads up to the first content. Notes in `tried` how far it came,
/// what was refused and the provider's verbatim answer if the client speaks its dialect. Nothing else changes: two may run at once.
Task<Result<std::unique_ptr<FirstReply>>> try_target(Worker& worker, const Ask& ask, const Visit& visit, LaneLease lane, Tried& tried,
                                                     StopToken stop);

/// A reply that another request got, as it was sent.
struct Replayed {
  std::unique_ptr<http::ReplyStream> stream;
  const cache::Source* source = nullptr;
  std::string loss;  ///< what the question lost on its way to the provider
};
/// The same up to its first content; the provider is one that the configuration has.
Task<Result<std::unique_ptr<FirstReply>>> reread(Worker& worker, const Ask& ask, Replayed from, Visit& visit, StopToken stop);

}  // namespace ccrules::proxy
