#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "rules/decision.h"

namespace ccrules::rules {

/// Calendar periods, in UTC; a week begins on Monday.
enum class Period : std::uint8_t { kHour, kDay, kWeek, kMonth };
/// "hour", "day", "week", "month".
std::optional<Period> period_by_name(std::string_view name) noexcept;

/// Requests that belong together: the same session, project, user ... Empty `by`: all requests.
struct Scope {
  std::string_view by;   ///< name of a text fact: "session", "project", "user", "agent", "client", "model"
  std::string_view key;  ///< its value in this request
};

/// What leaving a target would give up.
struct Warmth {
  bool warm = false;          ///< the target's prompt cache holds this session's prefix, and has not run out
  std::int64_t tokens = 0;    ///< how much of the prompt it holds
  double cost_usd = 0;        ///< what reading those tokens uncached elsewhere costs more
};

/// What moving a session from the target that holds its prompt cache to another one brings, if its requests go on as the last one:
/// the new target has to write what the old one could read.
struct Move {
  double turns = 0;     ///< requests until it has paid, the first one there included: at least 1; infinite: never
  double cost_usd = 0;  ///< what the first of them costs more than staying; below zero when it costs less
};

/// What rules may know beyond the request: money, rates, health, prompt caches. The proxy gives the real ones, tests and replay
/// give fixed ones. Every answer must stay the same during one decision, come without I/O and within microseconds; "nothing"
/// means not known, and no condition holds on it. Called on the worker's thread.
class Counters {
 public:
  virtual ~Counters() = default;
  /// US dollars spent in the running period.
  [[nodiscard]] virtual std::optional<double> spend_usd(Scope scope, Period period) const;
  /// US dollars left of the tightest budget that applies to the scope; nothing when it has none.
  [[nodiscard]] virtual std::optional<double> budget_left_usd(Scope scope) const;
  /// Requests in the last `window`, this one included.
  [[nodiscard]] virtual std::optional<double> requests(Scope scope, std::chrono::milliseconds window) const;
  /// "ok", "trial", "down"; empty when not known.
  [[nodiscard]] virtual std::string_view health(std::string_view provider) const;
  [[nodiscard]] virtual std::optional<Warmth> warm(const Target& target, std::string_view session) const;
  /// Nothing when `from` has not answered the session lately, or a price is not known.
  [[nodiscard]] virtual std::optional<Move> move(const Target& from, const Target& to, std::string_view session) const;
};

}  // namespace ccrules::rules
