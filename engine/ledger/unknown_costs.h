#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"

namespace ccrules::ledger {

/// True for a row that has tokens whose price nobody knows, or whose bill is still to come; a failure that nobody billed is none.
inline constexpr char kCostIsUnknown[] =
    "(cost_nanousd IS NULL AND coalesce(budget_nanousd, input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens)"
    " IS NOT NULL)";

/// Requests with tokens whose price nobody knows: what was spent is more than the sums say.
struct UnknownCosts {
  std::int64_t requests = 0;
  std::vector<std::pair<std::string, std::int64_t>> models;  ///< "provider,model" and its requests, the most frequent first
};

/// Those that count in a scope, as far back as the ledger's rows go (`ledger.keep_days`). Reads every row of unknown cost since then.
/// @param by one of kScopes and `key`, as in Cap; empty: all requests
/// @param since_us those that came from then on
Result<UnknownCosts> unknown_costs(const std::string& path, std::string_view by, std::string_view key, std::int64_t since_us);

}  // namespace ccrules::ledger
