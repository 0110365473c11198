#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/limits.h"

namespace ccrules::json {

/// True when these bytes, which are not empty, stand in the text at `at`.
[[nodiscard]] bool stands_at(std::string_view text, std::size_t at, std::string_view bytes) noexcept;

/// A large container that came with earlier texts, and where its structural characters are: the same wherever a value may begin.
struct KnownContainer {
  std::string bytes;
  std::vector<std::uint32_t> positions;  ///< counted from its beginning
  std::size_t before = 0;                ///< bytes of the text in front of it, where it came last
  std::size_t behind = 0;
};

/// Some containers of the texts of a thread. An agent's requests grow in the middle: its tools stand as far from the beginning, or from
/// the end, as in the one before. Bounded: limits::kRecalled containers, each with no more positions than take the memory of its
/// bytes; the oldest makes room. One thread.
class KnownContainers {
 public:
  /// The one that stands in `text` where it came last, with something before and behind it; its `before` says where. Null: none, or not
  /// there. Lives until keep().
  [[nodiscard]] const KnownContainer* find(std::string_view text) noexcept;
  /// `positions`, of `text`, are those of a container from its first bracket to its last.
  void keep(std::string_view text, std::span<const std::uint32_t> positions);

 private:
  std::array<KnownContainer, limits::kRecalled> kept_;  ///< without bytes: none
  std::size_t next_ = 0;
};

}  // namespace ccrules::json
