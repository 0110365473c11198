#pragma once
#include <functional>
#include <memory>

#include "async/uv_loop.h"

namespace ccrules {

/// SIGTERM, SIGINT and SIGHUP as calls on a loop, while it lives; SIGPIPE and SIGXFSZ (a file that may not
/// grow) are ignored for good: what failed says so itself. One per process.
class Signals {
 public:
  Signals(UvLoop& loop, std::function<void(int signal)> received);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ccrules
