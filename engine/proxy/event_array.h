#pragma once
#include <string>
#include <string_view>

#include "core/sse.h"

namespace ccrules::proxy {

/// A stream of server-sent events as one JSON array of their data: how Google streams without alt=sse.
class EventArray {
 public:
  /// @param events whole events
  /// @return what goes on the array; white space for what is no event, so that a silent stream stays alive. Valid until
  /// the next call.
  std::string_view take(std::string_view events);
  /// The same, and the array's end.
  std::string_view end(std::string_view events);
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  void put(std::string_view data);

  sse::Decoder decoder_;
  std::string out_;
  bool begun_ = false;
  bool ended_ = false;
};

}  // namespace ccrules::proxy
