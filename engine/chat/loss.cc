#include "chat/loss.h"

#include <algorithm>

namespace ccrules::chat {

// Names may be a client's: neither a header nor the time to look through them may grow with a hostile body.
constexpr std::size_t kMostLosses = 64;
constexpr std::size_t kLongestName = 128;

void LossNotes::add(std::string what, std::string why) {
  if (what.size() > kLongestName) what.resize(kLongestName);
  if (losses_.size() >= kMostLosses) {
    if (losses_.back().what == "others") return;
    what = "others";
    why = "too many to name them all";
  }
  const bool known = std::any_of(losses_.begin(), losses_.end(), [&](const Loss& loss) { return loss.what == what; });
  if (!known) losses_.push_back({std::move(what), std::move(why)});
}

std::string LossNotes::header_value() const {
  std::string out;
  for (const Loss& loss : losses_) {
    if (!out.empty()) out += ", ";
    // A slug may end in a type name the client wrote: only bytes that are safe in a header pass.
    for (const char c : loss.what) out += c > ' ' && c < 0x7f && c != ',' ? c : '_';
  }
  return out;
}

}  // namespace ccrules::chat
