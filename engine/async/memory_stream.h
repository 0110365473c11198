#pragma once
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "async/stream.h"

namespace ccrules {

/// How one direction of a memory connection treats its bytes.
struct Wire {
  std::chrono::milliseconds latency{0};  ///< between writing and arriving
  std::size_t cut =
      0;  ///< bytes arrive in pieces of at most this size, each in its own turn of the loop; 0: as written
  std::size_t window = 0;  ///< bytes under way before the writer must wait, as a socket's buffer; 0: no limit
  /// After so many bytes the connection breaks: with a reset, or with an orderly end when `break_orderly`.
  /// Default: never.
  std::size_t break_after = static_cast<std::size_t>(-1);
  bool break_orderly = false;
};

struct MemoryPair {
  std::unique_ptr<ByteStream> near;
  std::unique_ptr<ByteStream> far;
};

/// Two ends of a connection inside the process, for tests in virtual time. Everything arrives in a later turn
/// of the loop. Closing an end drops what it has not read and ends the other's reading; what it has written
/// still arrives.
MemoryPair memory_pair(Loop& loop, Wire near_to_far = {}, Wire far_to_near = {},
                       std::string peer = "127.0.0.1:9", std::string protocol = {});

}  // namespace ccrules
