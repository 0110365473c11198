#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "async/task.h"
#include "chat/event.h"
#include "chat/outline.h"
#include "http/message.h"
#include "ledger/record.h"
#include "proxy/token_count.h"
#include "proxy/budget.h"
#include "proxy/rate_limit.h"
#include "proxy/tried.h"
#include "proxy/worker.h"
#include "rules/decision.h"
#include "rules/facts.h"

namespace ccrules::proxy {

/// What one request gathers on its way until it becomes its ledger row.
class Visit {
 public:
  Visit(Worker& worker, const http::RequestHead& head, std::string_view dialect);

  ledger::Record row;
  std::shared_ptr<Policy> policy;  ///< pinned for the whole request
  std::optional<VerbatimFailure> verbatim;  ///< of the last attempt
  std::int64_t estimated_input_tokens = 0;
  std::int64_t cheap_estimate = 0;       ///< by bytes, not corrected: what ratios are learned from
  std::optional<CountedPrompt> counted;  ///< set when the decision needed a close count
  std::int64_t output_text_bytes = 0;  ///< of a stream, for the estimate when it is cut before its usage
  std::string answered_model;          ///< that the reply names; empty: it names none, or it is not here yet
  bool message_over = false;           ///< the provider ended its message: its usage is final
  bool include_usage = true;           ///< the client wants usage in its stream
  std::int64_t choices = 1;            ///< chat::Outline::choices
  std::vector<std::string> custom_tools;  ///< chat::Outline::custom_tools
  std::string loss;                    ///< x-ccrules-loss
  bool as_array = false;  ///< a Gemini client that wants its stream as one JSON array
  std::string refused;    ///< what the last attempt's provider said it does not take; the next one goes without
  bool without_reasoning = false;  ///< the provider cannot read what it thought in earlier turns
  Reservation reservation;             ///< money set aside until the cost is known
  RateLease rate_lease;                ///< of rate limits; ends with the request
  std::vector<ledger::Cap> caps;       ///< all budgets that apply, soft ones too
  MostBilled most_billed;              ///< where a hard budget applies
  /// What answers cost that the client did not get.
  struct Waste {
    std::int64_t nanousd = 0;  ///< at most; where `bounded` is false, at least
    bool known = true;         ///< it is what they cost
    bool bounded = true;       ///< not even that much is known: all that is set aside counts
  };
  Waste wasted;
  int answered = 0;                    ///< the status of the last attempt's answer, as the provider sent it; 0: none came
  bool told_bill = false;              ///< the last attempt broke off, and what it had cost by then is in `wasted`
  bool asked_provider = false;         ///< the last attempt's request was on its way to the provider
  bool cut = false;                    ///< by us: its budget is used up
  std::int64_t look_at_spending_at_bytes = 0;  ///< of output_text_bytes: the next time a stream's cost is worked out
  http::Headers more_headers;          ///< of a refusal

  void asked(const chat::Outline& outline);
  void belongs_to(const rules::Identity& who);
  void decided(const rules::Decision& decision);
  /// What rules on an attempt add: tags, and failures to the log.
  void decided(const rules::AttemptDecision& decision);
  /// An attempt is over: its target becomes the row's, and what it says of itself the last attempt's.
  void tried(Tried attempt);
  [[nodiscard]] std::int64_t elapsed_ms() const;
  /// Notes what an event says about usage, stop reason and time to first token.
  void observe(const chat::Event& event);
  /// Notes a whole reply.
  void observe(const chat::Reply& reply);
  /// What such usage costs at the model that answers; unset as in ledger/cost.h.
  [[nodiscard]] std::optional<std::int64_t> price_of(const chat::Usage& usage) const;
  /// The same where budgets count it: what is not known is taken for as much as it can be, as far as that is known.
  [[nodiscard]] std::int64_t counted_price_of(const chat::Usage& usage) const;
  /// A paid answer that the client does not get: its cost counts all the same.
  void waste(const chat::Usage& usage);
  /// The last attempt was given up while its provider was at work, and said nothing of a bill: its prompt was read.
  void waste_prompt();
  /// The client left while a provider was at work: its prompt was read, whatever there was of the answer.
  void abandon();
  /// What the answer cost; unset when the price is not known. Call once all usage is in.
  std::optional<std::int64_t> cost_nanousd();
  /// The x-ccrules-* headers of an answer.
  void describe(http::Headers& headers) const;
  /// Where the ledger is durable, the row must be on the disk before the client has the last bytes of its
  /// answer (security.md 28): true when commit() has to be awaited before they go out.
  [[nodiscard]] bool must_commit() const noexcept { return durable_ && !recorded_; }
  /// Hands the row to the ledger and waits until it is committed (a ledger in trouble is not waited for).
  Task<void> commit();
  /// Hands the row to the ledger unless commit() has. Call last.
  void record();

 private:
  /// The model whose price the answer has; lives as long as the row.
  [[nodiscard]] std::string_view priced_model() const;
  void first_content();
  /// What is known of the bill of an attempt whose answer is of no use; empty: nothing.
  [[nodiscard]] chat::Usage bill_of(Tried& attempt) const;
  /// Works out cost and duration.
  void close();
  void estimate_usage();
  void settle();
  /// The provider is at work in the background and has not said what that costs.
  [[nodiscard]] bool runs_on() const noexcept;
  /// What budgets count for a cost that is not known.
  void count_unknown_cost();
  void tag(const std::map<std::string, std::string>& tags);
  void tell_failed(const std::vector<std::string>& rules) const;
  std::map<std::string, std::string> tags_;
  Worker& worker_;
  std::int64_t started_ns_;
  bool durable_;
  bool recorded_ = false;
};

/// Name of a stop reason as the ledger keeps it: Anthropic's words.
const char* stop_reason_name(chat::StopReason reason) noexcept;

}  // namespace ccrules::proxy
