#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "chat/event.h"
#include "chat/request.h"
#include "core/result.h"
#include "provider/sim_marker.h"

namespace ccrules::provider::sim {

/// What the simulator will do with one request.
struct Scene {
  /// The parts of the reply in order. Tool parts are resolved: one name, its input as JSON.
  std::vector<Part> parts;
  std::optional<chat::StopReason> reason;  ///< absent: what follows from the parts and max_tokens
  std::string stop_details_json;
  std::chrono::milliseconds wait{0};       ///< before the first event
  std::chrono::milliseconds pause{0};      ///< before every further event
  std::optional<std::int64_t> fail_after;  ///< so many events, then an overloaded error
  std::optional<std::int64_t> cut_after;   ///< so many events, then the connection breaks
  bool heeds_stop_sequences = true;
  bool hangs = false;                        ///< nothing after the head, for ever
  bool garbage = false;                      ///< 200 with a web page
  std::optional<std::int64_t> input_tokens;  ///< absent: from the body's size
  std::optional<std::int64_t> cache_read_tokens;
  std::optional<std::int64_t> cache_write_tokens;

  struct Failure {
    int status = 529;
    std::string type;
    std::string message;
    std::int64_t retry_after_s = -1;
    std::optional<bool> should_retry;
    bool html = false;  ///< a web page instead of the JSON body
  };
  std::optional<Failure> failure;  ///< an error status instead of a reply
};

/// Reads the marker in the request's current turn and decides. A 400 when the marker makes no sense.
Result<Scene> direct(const chat::Request& request);

}  // namespace ccrules::provider::sim
