#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"

namespace ccrules::dialect {

/// The body that some servers send where a stream was asked for: `stream` was ignored, an error came with
/// status 200, or a page of HTML. Told from a stream of events by the first byte that is neither blank nor a
/// byte order mark. The start of plain text is kept, to show it. The same for every cut of the bytes.
class UnstreamedBody {
 public:
  /// @return true when `bytes` belong to such a body and were kept; false: they belong to a stream of events,
  /// or say nothing yet. Error (502): the body is larger than limits::kReplyBytes.
  Result<bool> take(std::string_view bytes);

  /// A body came; it is never a stream any more.
  [[nodiscard]] bool came() const { return kind_ == Kind::kBody; }
  /// What came of it so far, from its first byte that says something.
  [[nodiscard]] std::string_view text() const { return came() ? std::string_view(text_) : std::string_view(); }
  /// The start of what does not begin as events do, yet was taken for a stream of them; empty: it does.
  [[nodiscard]] std::string_view strange() const { return came() ? std::string_view() : text_; }

 private:
  enum class Kind : std::uint8_t { kUnknown, kStart, kEvents, kBody };

  void watch(std::string_view bytes);

  Kind kind_ = Kind::kUnknown;
  std::string text_;
};

}  // namespace ccrules::dialect
