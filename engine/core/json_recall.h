#pragma once
#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

#include "core/json.h"
#include "core/limits.h"

namespace ccrules::json {

/// What a few large containers said that stood in the root of documents, kept for later ones that hold the very same bytes there: an
/// agent sends its tools with every request. Bounded: kRecalled containers of at most kRecalledBytes, the oldest makes room. One
/// thread.
template <class Found>
class Recall {
 public:
  /// What was found in the same container before, which has been passed over now; lives until keep(). Null: it has to be read.
  const Found* pass_again(Value& value, std::string_view kind) {
    for (std::size_t i = 0; i < kept_.size(); ++i) {
      const std::size_t at = (last_ + i) % kept_.size();
      const std::optional<Kept>& kept = kept_.at(at);
      if (!kept || kept->kind != kind || !value.pass_again(kept->passage)) continue;
      last_ = at;
      return &kept->found;
    }
    return nullptr;
  }

  /// `value` has just been read or passed over, and this is what it said to a reader of this kind, a name that lives for ever. What
  /// is too small to be worth it is not kept.
  void keep(const Value& value, std::string_view kind, Found found) {
    std::optional<Passage> passage = value.passage(limits::kRecalledLeastBytes, limits::kRecalledBytes);
    if (!passage) return;
    next_ = (next_ + 1) % kept_.size();
    last_ = next_;
    kept_.at(next_).emplace(Kept{*std::move(passage), kind, std::move(found)});
  }

 private:
  struct Kept {
    Passage passage;
    std::string_view kind;
    Found found;
  };
  std::array<std::optional<Kept>, limits::kRecalled> kept_;
  std::size_t last_ = 0;  ///< the one that was asked for last
  std::size_t next_ = 0;
};

}  // namespace ccrules::json
