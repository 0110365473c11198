#include "core/json_known.h"

#include <algorithm>
#include <cstring>

namespace ccrules::json {

bool stands_at(std::string_view text, std::size_t at, std::string_view bytes) noexcept {
  // What is not the same mostly begins alike: its end is another one.
  constexpr std::size_t kEnd = 64;
  if (text.size() < at || text.size() - at < bytes.size()) return false;
  const char* begin = text.data() + at;
  const std::size_t end = std::min(kEnd, bytes.size());
  const std::size_t rest = bytes.size() - end;
  return std::memcmp(begin + rest, bytes.data() + rest, end) == 0 && std::memcmp(begin, bytes.data(), rest) == 0;
}

const KnownContainer* KnownContainers::find(std::string_view text) noexcept {
  if (text.size() < limits::kRecalledLeastBytes) return nullptr;
  for (KnownContainer& one : kept_) {
    const std::size_t size = one.bytes.size();
    if (size == 0 || text.size() <= size + std::max(one.before, one.behind)) continue;
    for (const std::size_t before : {one.before, text.size() - size - one.behind}) {
      if (!stands_at(text, before, one.bytes)) continue;
      one.before = before;
      one.behind = text.size() - size - before;
      return &one;
    }
  }
  return nullptr;
}

void KnownContainers::keep(std::string_view text, std::span<const std::uint32_t> positions) {
  const std::size_t before = positions.front();
  const std::size_t behind = text.size() - positions.back() - 1;
  const std::string_view bytes = text.substr(before, positions.back() + 1 - before);
  if (before == 0 || behind == 0 || positions.size_bytes() > bytes.size()) return;
  auto known = std::find_if(kept_.begin(), kept_.end(), [bytes](const KnownContainer& one) { return one.bytes == bytes; });
  if (known == kept_.end()) {
    next_ = (next_ + 1) % kept_.size();
    known = kept_.begin() + static_cast<std::ptrdiff_t>(next_);
    known->bytes.clear();  // nothing is known while it changes
    known->positions.assign(positions.begin(), positions.end());
    for (std::uint32_t& position : known->positions) position -= positions.front();
    known->bytes = bytes;
  }
  known->before = before;
  known->behind = behind;
}

}  // namespace ccrules::json
