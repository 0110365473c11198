#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "async/task.h"
#include "http/server.h"
#include "support/proxy_world.h"

/// Providers that answer as a test tells them, and what the ledger says of their bills.
namespace ccrules::test {

/// What a provider says to one request, and how fast.
struct ScriptedAnswer {
  static constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();
  std::chrono::milliseconds silent{0};  ///< before it says anything
  std::chrono::milliseconds pause{0};   ///< before each event but the first
  int status = 200;                     ///< 400 and more: an error of Anthropic's
  bool hangs_up = false;                ///< instead of an answer
  std::string whole;                    ///< where no stream is asked for
  std::vector<std::string> events;      ///< where one is
  std::size_t breaks_off_after = kAll;  ///< events
};
/// Gives it to a request whose body has been read. @return false when the client did not take all of it, or there was not all of it
Task<bool> give(Loop& loop, http::Exchange& exchange, const std::string& body, ScriptedAnswer answer);

/// The same for a request that nothing else is known of.
Task<void> answer_with(Loop& loop, http::Exchange& exchange, ScriptedAnswer answer);

/// A small complete Anthropic answer.
std::string anthropic_reply(std::string_view text, std::int64_t input_tokens, std::int64_t output_tokens);

/// Nano-USD; 0 where the price is not known.
std::int64_t cost_of(const Row& row);
std::int64_t settled(const std::vector<Row>& rows);
std::size_t distinct_ids(const std::vector<Row>& rows);

}  // namespace ccrules::test
