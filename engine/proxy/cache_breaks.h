#pragma once
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "chat/outline.h"
#include "chat/usage.h"
#include "core/digest.h"
#include "rules/decision.h"
#include "rules/facts.h"

namespace ccrules::proxy {

struct FirstReply;  // proxy/one_attempt.h
struct Plan;        // proxy/plan.h
class Visit;        // proxy/visit.h
struct Worker;      // proxy/worker.h

/// Why a provider wrote to its prompt cache what a session had there before.
enum class BreakCause : std::uint8_t { kExpired, kToolsReordered, kToolsChanged, kAttribution, kSystem, kMessages };
/// As the ledger keeps it: "expired", "tools reordered", "tools changed", "attribution line", "system changed",
/// "early messages changed".
const char* break_cause_name(BreakCause cause) noexcept;

/// Fingerprints of what stands before the messages.
struct PrefixParts {
  std::uint64_t tools = 0;        ///< in their order
  std::uint64_t tool_set = 0;     ///< in any order
  std::uint64_t attribution = 0;  ///< the line that heads Claude Code's system prompt
  std::uint64_t system = 0;       ///< without that line
};
/// Reads the whole body once more: for the few requests whose prefix is new.
PrefixParts prefix_parts(const chat::Outline& outline, std::string_view body);

/// What was before the messages when an agent's session wrote to a target's prompt cache last: tells what has changed when
/// the cache is not read. Bounded memory; any thread.
class CacheBreaks {
 public:
  struct Use {
    const rules::Identity& who;
    const rules::Target& target;
    const chat::Usage& usage;
    std::int64_t arrived_us = 0;  ///< of the request
    std::int64_t wall_us = 0;     ///< of its answer
  };
  struct Break {
    BreakCause cause = BreakCause::kMessages;
    std::int64_t tokens = 0;  ///< written though the cache had held as many that were not read
  };
  /// Notes an answer. Nothing without a session, when all was read that was held, when little was, and when the request had
  /// come before the answer that wrote. The body is looked at only when not all was read.
  std::optional<Break> answered(const Use& use, const chat::Outline& outline, std::string_view body);

 private:
  struct Cache {
    std::int64_t tokens = 0;
    std::int64_t written_us = 0;   ///< when the answer came
    std::int64_t lifetime_us = 0;  ///< since its last use
    std::int64_t until_us = 0;
    PrefixParts parts;
  };
  struct ByLow {
    std::size_t operator()(const digest::Hash128& key) const noexcept { return key.low; }
  };

  std::mutex mutex_;
  std::unordered_map<digest::Hash128, Cache, ByLow> caches_;
};

/// Notes in the row what broke the prompt cache, where the answer says by now what was read and written: in whole replies, and
/// in streams that begin with it (Anthropic's). Call while the plan's body is there.
void note_cache_use(Worker& worker, const Plan& plan, const FirstReply& reply, Visit& visit);

}  // namespace ccrules::proxy
