#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

namespace ccrules::rules {

/// Short texts that were seen before, each in a slot that it alone says: whoever worked something out about a text keeps it by
/// that number. A text that needs a slot takes it from the one before, so what strangers send costs at most the work.
class TextSlots {
 public:
  static constexpr std::size_t kSlots = 64;
  static constexpr std::size_t kLongestText = 63;  ///< bytes; longer ones are not kept

  static std::size_t slot_of(std::string_view text) noexcept {
    constexpr std::uint64_t kMix = 0x9E3779B97F4A7C15U;
    constexpr unsigned kTopBits = 58;  // leaves kSlots
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    if (text.size() >= sizeof first) {
      std::memcpy(&first, text.data(), sizeof first);
      std::memcpy(&last, text.data() + text.size() - sizeof last, sizeof last);
    } else {
      for (const char c : text) first = first << 8U | static_cast<unsigned char>(c);
    }
    return ((first ^ (last + text.size()) * kMix) * kMix) >> kTopBits;
  }
  [[nodiscard]] bool holds(std::size_t slot, std::string_view text) const noexcept {
    const Kept& kept = (*kept_)[slot];
    return kept.bytes == text.size() + 1 && std::memcmp(kept.text.data(), text.data(), text.size()) == 0;
  }
  /// False when the text is too long to be kept.
  bool keep(std::size_t slot, std::string_view text) noexcept {
    if (text.size() > kLongestText) return false;
    Kept& kept = (*kept_)[slot];
    kept.bytes = static_cast<std::uint8_t>(text.size() + 1);
    if (!text.empty()) std::memcpy(kept.text.data(), text.data(), text.size());
    return true;
  }
  void forget(std::size_t slot) noexcept { (*kept_)[slot].bytes = 0; }

 private:
  struct alignas(64) Kept {
    std::array<char, kLongestText> text{};
    std::uint8_t bytes = 0;  ///< and one more; 0: nothing is kept
  };
  std::unique_ptr<std::array<Kept, kSlots>> kept_ = std::make_unique<std::array<Kept, kSlots>>();
};

}  // namespace ccrules::rules
