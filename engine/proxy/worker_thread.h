#pragma once
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <thread>

#include "async/uv_loop.h"
#include "http/server.h"
#include "ledger/ledger.h"
#include "proxy/worker.h"

namespace ccrules {
class TlsContext;
}

namespace ccrules::proxy {

/// What the configuration says of client connections.
http::ServerLimits server_limits(const config::Snapshot& config);

/// One worker on a thread of its own: loop, upstream dialer, client connections. Members may be called from
/// the acceptor's thread; they post to the worker's loop.
class WorkerThread {
 public:
  struct Setup {
    std::shared_ptr<Policy> policy;
    ledger::Ledger* ledger = nullptr;
    ledger::Batches* batches = nullptr;
    Tallies* tallies = nullptr;
    Vitals* vitals = nullptr;
    Board* board = nullptr;
    Control* control = nullptr;
    std::string home;
    std::shared_ptr<tokens::Calibration> calibration;
    std::function<void()> drained;  ///< called on the worker's thread once nothing is left after drain()
  };
  explicit WorkerThread(Setup setup);
  /// Ends what still runs, then joins.
  ~WorkerThread();
  WorkerThread(const WorkerThread&) = delete;
  WorkerThread& operator=(const WorkerThread&) = delete;

  /// Serves an accepted connection; takes ownership of the descriptor.
  void adopt(int descriptor);
  /// Requests from now on use this policy; running ones keep theirs.
  void use(std::shared_ptr<Policy> policy);
  /// No further requests; tells `drained` when the last one is done.
  void drain();
  /// Ends running requests: their tokens fire kShutdown.
  void shutdown();
  /// Connections handed over and not yet closed.
  [[nodiscard]] std::size_t connections() const noexcept {
    return connections_.load(std::memory_order_relaxed);
  }

 private:
  struct Inside;
  void run(Setup setup);

  UvLoop loop_;
  std::atomic<std::size_t> connections_{0};
  std::unique_ptr<Inside> inside_;  ///< lives on the worker's thread
  std::thread thread_;
};

}  // namespace ccrules::proxy
