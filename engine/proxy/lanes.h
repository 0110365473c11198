#pragma once
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "config/snapshot.h"

namespace ccrules::proxy {

/// The lanes of providers with several keys or addresses (config::Provider::lanes): which of them are busy, which rest after a
/// refusal, and which one a session is on. A session stays on its lane, where its prompt cache is warm, until that lane rests or
/// the session has been silent for limits::kLaneSeatTime; whoever has none gets the lane with the fewest requests under way.
/// Times are of a loop's monotonic clock. Bounded memory; any thread.
class Lanes {
 public:
  /// Takes a lane for one request: give_back() must follow.
  /// @param session empty: the request belongs to none
  /// @param tried lanes that this request shall not get again
  /// @return its index; nothing when all others rest
  [[nodiscard]] std::optional<std::size_t> take(const config::Provider& provider, std::string_view session,
                                                const std::vector<std::size_t>& tried, std::int64_t now_ms);
  void give_back(const config::Lane& lane);

  void answered(const config::Lane& lane);
  /// The lane is left alone for so long.
  void rest(const config::Lane& lane, std::int64_t time_ms, std::int64_t now_ms);
  /// One more failure in a row; `rules.failures` of them make the lane rest for `rules.open_for`.
  void failed(const config::Lane& lane, const config::Circuit& rules, std::int64_t now_ms);

  /// True when a request that has not had those `tried` could take a lane.
  [[nodiscard]] bool has_free(const config::Provider& provider, const std::vector<std::size_t>& tried, std::int64_t now_ms) const;
  /// Until the first lane has rested; 0: one is free.
  [[nodiscard]] std::int64_t wait_ms(const config::Provider& provider, std::int64_t now_ms) const;
  /// Requests under way on a lane.
  [[nodiscard]] std::int64_t under_way(const config::Lane& lane) const;
  /// How a lane is, for people.
  struct Seen {
    std::int64_t under_way = 0;
    std::int64_t rests_ms = 0;  ///< so much longer; 0: it takes requests
    int failures = 0;           ///< in a row
  };
  [[nodiscard]] Seen seen(const config::Lane& lane, std::int64_t now_ms) const;

 private:
  struct State {
    std::int64_t under_way = 0;
    std::int64_t rests_until_ms = 0;
    int failures = 0;             ///< in a row
    std::uint64_t last_taken = 0;  ///< a count that grows: of equals the one that was not taken for longest
  };
  struct Seat {
    std::uint64_t lane = 0;
    std::int64_t last_ms = 0;
  };
  [[nodiscard]] const State& of(const config::Lane& lane) const;
  [[nodiscard]] bool is_free(const config::Provider& provider, std::size_t lane, const std::vector<std::size_t>& tried,
                             std::int64_t now_ms) const;
  [[nodiscard]] std::optional<std::size_t> least_busy(const config::Provider& provider, const std::vector<std::size_t>& tried,
                                                      std::int64_t now_ms) const;
  void forget_seats(std::int64_t now_ms);

  mutable std::mutex mutex_;
  std::unordered_map<std::uint64_t, State> states_;  ///< by config::Lane::id; as many as are configured
  std::unordered_map<std::uint64_t, Seat> seats_;    ///< by session and provider
  std::uint64_t taken_ = 0;
};

/// A request's hold on a lane, given back at the end of its life; empty for providers with one lane.
class LaneLease {
 public:
  LaneLease() = default;
  LaneLease(Lanes& lanes, const config::Lane& lane) : lanes_(&lanes), lane_(&lane) {}
  LaneLease(LaneLease&& other) noexcept : lanes_(std::exchange(other.lanes_, nullptr)), lane_(std::exchange(other.lane_, nullptr)) {}
  LaneLease& operator=(LaneLease&& other) noexcept {
    end();
    lanes_ = std::exchange(other.lanes_, nullptr);
    lane_ = std::exchange(other.lane_, nullptr);
    return *this;
  }
  LaneLease(const LaneLease&) = delete;
  LaneLease& operator=(const LaneLease&) = delete;
  ~LaneLease() { end(); }
  /// Null: the provider's only one. Lives as long as the configuration it is of.
  [[nodiscard]] const config::Lane* lane() const { return lane_; }

 private:
  void end() noexcept {
    if (lanes_ != nullptr) lanes_->give_back(*lane_);
    lanes_ = nullptr;
  }
  Lanes* lanes_ = nullptr;
  const config::Lane* lane_ = nullptr;
};

/// The lanes that one request takes at one provider, one after the other.
class LaneChoice {
 public:
  LaneChoice(Lanes& lanes, const config::Provider& provider, std::string_view session)
      : lanes_(lanes), provider_(provider), session_(session) {}
  /// Another lane than before; nothing when all rest or were tried. Precondition: the provider has lanes.
  [[nodiscard]] std::optional<LaneLease> next(std::int64_t now_ms);
  [[nodiscard]] bool has_next(std::int64_t now_ms) const { return lanes_.has_free(provider_, tried_, now_ms); }

 private:
  Lanes& lanes_;
  const config::Provider& provider_;
  std::string_view session_;
  std::vector<std::size_t> tried_;
};

/// Notes what a failure says about the lane: a limit that was reached, or a key that was refused or has no money left, makes it
/// rest, other failures of the provider count. What is refused with a credential of the client's own (auth "passthrough") says
/// nothing about the lane; 403 may be about the model. True when the same request may well be answered on another lane.
/// @param answered the status as the provider sent it; 0: it sent none
bool note_lane_failure(Lanes& lanes, const config::Lane& lane, const config::Snapshot& config, const Error& error, int answered,
                       std::int64_t now_ms);

/// 429 for a request that finds all lanes resting; says when to come back.
Error lanes_rest(const std::string& provider, std::int64_t wait_ms);

}  // namespace ccrules::proxy
