#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ccrules {

/// Lets the connections of one loop do the same thing one after the other within a turn: first all are read, then what came is
/// worked on, then all are written. The kernel's code and ours then each find themselves in the processor's caches, and what one
/// connection sends in several small pieces leaves in one. What a turn holds is copied and bounded (limits::kTurnBytes); large pieces
/// are not worth the copy and do not come here. One thread.
class Turn {
 public:
  /// A connection; it must leave() before it is destroyed.
  class Member {
   public:
    virtual ~Member() = default;
    Member() = default;
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;
    /// Bytes that receive() took. They live until it returns.
    virtual void came(char* bytes, std::size_t size) = 0;
    /// Sends, or keeps for later itself. Calls nobody back.
    virtual void send(std::string_view bytes) noexcept = 0;
    /// All that was to be sent in this turn has gone through send().
    virtual void sent() = 0;

   private:
    friend class Turn;
    static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
    std::size_t came_at_ = kNone;
    std::size_t send_at_ = kNone;
    std::size_t told_at_ = kNone;
  };

  /// Takes bytes for later; false when they are too many, or come behind others: take_received() those first.
  bool receive(Member& member, std::string_view bytes);
  /// True when receive() took something that nobody got yet.
  [[nodiscard]] static bool holds_received(const Member& member) noexcept { return member.came_at_ != Member::kNone; }
  /// What receive() took and nobody got yet, in a place that the next call of receive() overwrites.
  std::span<char> take_received(Member& member) noexcept;

  /// Takes `pieces` from `offset` on, `total` bytes, for later; false when they are too many.
  bool post(Member& member, std::span<const std::string_view> pieces, std::size_t offset, std::size_t total);
  /// What post() took and was not sent yet; lives until the next call of post().
  std::string_view take_posted(Member& member) noexcept;
  [[nodiscard]] std::size_t posted(const Member& member) const noexcept {
    return member.send_at_ == Member::kNone ? 0 : out_.entries[member.send_at_].size;
  }

  /// Forgets the member.
  void leave(Member& member) noexcept;
  /// At the end of a turn, and before the loop waits: everything taken goes where it belongs.
  void finish();

 private:
  struct Entry {
    Member* member = nullptr;  ///< null: left, or taken back
    std::size_t begin = 0, size = 0;
  };
  struct Side {
    std::string bytes;
    std::vector<Entry> entries;
  };
  void deliver();
  void send_all();

  Side in_, out_;
  std::vector<Member*> told_;  ///< whose sent() is to be called; null: left meanwhile
};

}  // namespace ccrules
