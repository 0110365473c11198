#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "async/task.h"
#include "core/digest.h"
#include "core/result.h"
#include "dialect/dialect.h"
#include "proxy/worker.h"
#include "rules/decision.h"
#include "tokens/counter.h"

namespace ccrules::ledger {
struct Record;
}

namespace ccrules::proxy {

/// What a close count leaves for the answer's usage to teach.
struct CountedPrompt {
  digest::Hash128 chain;      ///< of the whole prompt
  std::string ratio_kinds;    ///< of tokens::ratio_key(), without the target
  std::int64_t estimate = 0;  ///< without corrections
};

struct CloseCount {
  tokens::Count count;
  CountedPrompt prompt;
};

/// The cheap count of every request: bytes per token of the model's family, corrected by what its provider
/// billed before.
struct CheapCount {
  tokens::Count count;
  std::int64_t estimate = 0;  ///< tokens, without corrections
};
CheapCount cheap_count(Worker& worker, const chat::Outline& outline);

/// A request whose blocks are to be counted; all of it must live until then.
struct Countable {
  const dialect::Dialect* spoken = nullptr;
  std::string_view body;
  std::string_view model;
  std::string_view conversation;  ///< whose count shall be steady while it grows: SessionModels::conversation(); may be empty
};
/// Counts block by block; bodies that take longer than a millisecond are counted on the pool.
Task<Result<CloseCount>> close_count(Worker& worker, Countable request);

/// The most that a prompt can be billed as, where a close count says more than its bytes do (tokens/ceiling.h).
struct CloseLimits {
  std::vector<std::optional<std::int64_t>> tokens;  ///< at each of the targets
  std::optional<CountedPrompt> prompt;
};
Task<CloseLimits> close_limits(Worker& worker, Countable request, std::span<const rules::Target> targets);

/// Lets the billed size of an answered prompt improve later counts and puts the estimate beside it in the
/// row; only when the model asked for answered, or one of its family.
void learn_count(Worker& worker, ledger::Record& row, std::int64_t cheap_estimate,
                 const std::optional<CountedPrompt>& counted);

}  // namespace ccrules::proxy
