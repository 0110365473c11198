#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/usage.h"
#include "config/models.h"
#include "config/snapshot.h"

namespace ccrules::ledger {

/// Cost of a request, rounded to the nearest nano-USD. In this order: what the provider says it charged, zero
/// for a provider marked local, the configuration's prices over the built-in table (docs/models.md). Parts of the
/// bill that name another model (Usage::billed) have that one's price, when it is known, and each its own tier. Unset
/// when nothing was reported, or when a count that is not zero has no known rate: unknown is unknown, never
/// zero.
std::optional<std::int64_t> cost_nanousd(const chat::Usage& usage, std::string_view provider,
                                         std::string_view model, const config::Snapshot& snapshot);

/// The tier of an answer (Usage::tier()) whose price nobody knows, so that its cost is the standard tier's; empty: there is none.
/// `prices` of ccrules.json may name it: "model@tier". Batches have half the price where it does not.
std::string unpriced_tier(const chat::Usage& usage, std::string_view provider, std::string_view model, const config::Snapshot& snapshot);

/// What the answer's bill has beside its tokens, or above their plain price, and nobody knows the price of, so that it is not in the
/// cost: "web_search 3, inference_geo 1", names and counts of chat::Fee. Empty: there is nothing, or the provider says what it charged.
std::string unpriced_fees(const chat::Usage& usage, std::string_view provider, const config::Snapshot& snapshot);

/// What each token costs there when nothing else is reported: cost_at() with it is cost_nanousd(). Rates that are not known are
/// unset.
/// @param prompt of the request, in tokens: decides the price tier
/// @param service_tier of the answer (Usage::tier()); empty: the standard one
config::Rates rates_at(std::int64_t prompt, std::string_view provider, std::string_view model, const config::Snapshot& snapshot,
                       std::string_view service_tier = {});
/// True when a row of `prices` is for the model (at the standard tier).
bool has_configured_price(std::string_view provider, std::string_view model, const config::Snapshot& snapshot);
/// The service tiers for which `prices` has a row for the model. Views into the snapshot.
std::vector<std::string_view> priced_tiers(std::string_view provider, std::string_view model, const config::Snapshot& snapshot);

/// The model whose price an answer has. `answered`, which the reply names, when its price is known and it is another model than
/// `asked` (a router's choice, a provider's own fallback, what stands behind a deployment's name), not the same by another name;
/// else `asked`. A price that the configuration sets for `asked` and not for `answered` stays. The view is one of the two given.
std::string_view priced_model(std::string_view provider, std::string_view asked, std::string_view answered,
                              const config::Snapshot& snapshot);

/// What the same tokens would have cost without our routing: at `requested_model` ("model" or
/// "provider,model"), or at the `price_like` model of the provider that answered when it has one (the savings
/// of a local model). List prices only. Unset as above, and for answers of the simulator: they replace nothing.
std::optional<std::int64_t> requested_cost_nanousd(const chat::Usage& usage,
                                                   std::string_view answering_provider,
                                                   std::string_view requested_model,
                                                   const config::Snapshot& snapshot);

/// What is known of a cost, whether all of it is or not: budgets go by it where cost_nanousd() is unset.
struct CostRange {
  std::int64_t least_nanousd = 0;            ///< of the counts whose rates are known
  std::optional<std::int64_t> most_nanousd;  ///< with rates_at_most(); unset: not even then
};
CostRange cost_range(const chat::Usage& usage, std::string_view provider, std::string_view model, const config::Snapshot& snapshot);
/// The same with a rate for each way of billing a prompt, where there is one at all: a missing one is no higher than that of plain input
/// for what was read from a cache, than the dearest that is known for anything else. What no prompt is billed as stays unset.
config::Rates rates_at_most(config::Rates rates) noexcept;

/// Tokens times rates; pure. Unset as above.
std::optional<std::int64_t> cost_at(const chat::Usage& usage, const config::Rates& rates);

/// All prompt tokens: uncached, cache reads and cache writes. Decides the price tier. Saturates.
std::int64_t prompt_tokens(const chat::Usage& usage) noexcept;

}  // namespace ccrules::ledger
