#pragma once
#include <functional>

#include "async/loop.h"
#include "async/stop.h"
#include "async/task.h"
#include "ledger/batches.h"
#include "proxy/worker.h"

namespace ccrules::proxy {

/// Sends the requests of batches that wait (ledger/batches.h), a few at a time, each as if it had come alone: rules, budgets, rate
/// limits and the ledger see it. One per worker, on its thread.
class BatchRunner {
 public:
  explicit BatchRunner(Worker& worker);
  /// There may be something to do.
  void wake();
  /// What is under way is given up and waits for the next start. `idle` is called once nothing is, perhaps at once.
  void stop(std::function<void()> idle);
  BatchRunner(const BatchRunner&) = delete;
  BatchRunner& operator=(const BatchRunner&) = delete;
  ~BatchRunner() = default;

 private:
  Task<void> lane();
  Task<void> run(ledger::BatchJob job);
  void rest();

  struct Alarm : Timer {
    explicit Alarm(BatchRunner& runner);
    BatchRunner& owner;
  };
  Worker& worker_;
  StopSource stop_;
  Alarm alarm_{*this};
  int lanes_ = 0;
  bool stopping_ = false;
  std::function<void()> idle_;
};

}  // namespace ccrules::proxy
