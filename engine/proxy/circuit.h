#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "config/snapshot.h"
#include "core/result.h"

namespace ccrules::proxy {

/// Whether a failed attempt speaks against the provider: it could not be reached, broke off, was too slow or overloaded; not
/// that it disliked the request.
[[nodiscard]] bool speaks_against_provider(const Error& error) noexcept;

/// How providers have answered lately, and which of them are left alone for it. A provider's circuit opens after
/// `circuit.failures` failures or broken answers in a row, or when an overloaded provider says when to come back; it is asked nothing until
/// `circuit.open_for` has passed, or what it said. Then one request at a time may try: an answer closes the circuit, a failure
/// opens it again. Times are of a loop's monotonic clock. Any thread.
class Circuits {
 public:
  enum class Pass : std::uint8_t { kFree, kTrial, kClosed };
  struct Admission {
    Pass pass = Pass::kFree;  ///< kClosed: do not send
    std::int64_t wait_ms = 0;  ///< kClosed: when to ask again
  };
  /// Asks to send. Exactly one of answered(), failed() and left() must follow unless the pass is kClosed.
  [[nodiscard]] Admission admit(std::string_view provider, std::int64_t now_ms);
  /// It has answered, be it that it dislikes the request.
  void answered(std::string_view provider, Pass pass, std::int64_t now_ms, std::int64_t wall_us, std::int64_t took_ms);
  /// It has failed.
  /// @param retry_after_ms what it asked for; negative: nothing
  void failed(std::string_view provider, Pass pass, const config::Circuit& rules, std::int64_t retry_after_ms, std::int64_t now_ms,
              std::int64_t wall_us);
  /// An answer that had begun (answered()) broke off, or came to its end. Answers that break, one after the other, open the
  /// circuit like any other failures.
  void broke(std::string_view provider, const config::Circuit& rules, std::int64_t now_ms, std::int64_t wall_us);
  void finished(std::string_view provider);
  /// The attempt was given up for other reasons.
  void left(std::string_view provider, Pass pass);

  /// The configuration has no circuits any more (`circuit.failures` 0): all are closed.
  void set_free();

  /// "ok"; "down" while the circuit is open; "trial" when who asks now may try, or somebody does.
  [[nodiscard]] std::string_view state(std::string_view provider, std::int64_t now_ms) const;
  /// What is known of a provider that was asked; nothing of others.
  struct Seen {
    std::int64_t last_us = 0;  ///< wall clock
    std::int64_t took_ms = -1;  ///< of the last answer; -1: none yet
    int failures = 0;          ///< in a row
    int breaks = 0;            ///< answers that broke off, in a row
    std::int64_t opened = 0;   ///< how often the circuit has opened
  };
  [[nodiscard]] std::optional<Seen> seen(std::string_view provider) const;

 private:
  struct State {
    Seen seen;
    bool open = false;
    std::int64_t until_ms = 0;  ///< when it is `open`: who asks later may try
    bool trying = false;
  };
  State& of(std::string_view provider);

  mutable std::mutex mutex_;
  std::map<std::string, State, std::less<>> states_;  ///< as many as are configured
};

/// One attempt's pass; gives it back when nobody says how the attempt ended.
class CircuitPass {
 public:
  CircuitPass(Circuits& circuits, const std::string& provider, Circuits::Pass pass)
      : circuits_(circuits), provider_(provider), pass_(pass) {}
  ~CircuitPass() {
    if (pending_) circuits_.left(provider_, pass_);
  }
  CircuitPass(const CircuitPass&) = delete;
  CircuitPass& operator=(const CircuitPass&) = delete;
  void answered(std::int64_t now_ms, std::int64_t wall_us, std::int64_t took_ms) {
    pending_ = false;
    circuits_.answered(provider_, pass_, now_ms, wall_us, took_ms);
  }
  void failed(const config::Circuit& rules, std::int64_t retry_after_ms, std::int64_t now_ms, std::int64_t wall_us) {
    pending_ = false;
    circuits_.failed(provider_, pass_, rules, retry_after_ms, now_ms, wall_us);
  }

 private:
  Circuits& circuits_;
  std::string provider_;
  Circuits::Pass pass_;
  bool pending_ = true;
};

/// 503 for a request that cannot be sent anywhere; says when to come back.
Error circuit_open(const std::string& provider, std::int64_t wait_ms);

}  // namespace ccrules::proxy
