#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/result.h"

namespace ccrules::ledger {

/// How many of a batch's requests are where.
struct BatchCounts {
  std::int64_t processing = 0, succeeded = 0, errored = 0, canceled = 0, expired = 0;
};

/// One message batch, as a client asks about it. Times in microseconds since 1970; 0: not yet.
struct Batch {
  std::string id;
  std::string owner;     ///< fingerprint of the credential that made it; others do not see it
  std::string provider;  ///< where it was handed on to; empty: its requests wait here
  std::int64_t created_us = 0, expires_us = 0, canceled_us = 0, ended_us = 0;
  BatchCounts counts;  ///< of one that waits here
};

struct BatchItem {
  std::string custom_id;
  std::string params_json;  ///< a Messages request
};

/// A request of a batch that is about to be sent.
struct BatchJob {
  std::string batch, owner;
  std::int64_t at = 0;  ///< its place in the batch
  std::string headers;  ///< of the request that made the batch, "name: value" lines, without credentials
  std::string params_json;
  int tries = 0;  ///< before this one
};

enum class BatchState : std::uint8_t { kWaiting, kRunning, kSucceeded, kErrored, kCanceled, kExpired };

struct BatchResult {
  std::string custom_id;
  BatchState state = BatchState::kWaiting;
  std::string body_json;  ///< the message, or the error's answer
};

/// Where one page of a list begins. Both empty: with the newest.
struct BatchPage {
  std::string after_id, before_id;
  std::int64_t most = 20;
};

/// Batches that wait for their requests to be sent, in tables of their own in the ledger's file: they survive a restart, and a
/// request that was under way then is sent again. Any thread; every call takes its time on the disk.
class Batches {
 public:
  /// The ledger must have been opened there before. What ended before `forget_us` is deleted.
  static Result<std::unique_ptr<Batches>> open(const std::string& path, std::int64_t forget_us);
  ~Batches();
  Batches(const Batches&) = delete;
  Batches& operator=(const Batches&) = delete;

  /// @param items none for a batch that was handed on
  Result<void> add(const Batch& batch, const std::string& headers, const std::vector<BatchItem>& items);
  Result<std::optional<Batch>> find(const std::string& id, const std::string& owner, std::int64_t now_us);
  /// Newest first, of those that wait here.
  Result<std::vector<Batch>> list(const std::string& owner, const BatchPage& page, std::int64_t now_us);
  /// What has not begun will not.
  Result<void> cancel(const std::string& id, std::int64_t now_us);
  Result<void> remove(const std::string& id);
  /// Of a batch that was handed on: true once, when its results come for the first time.
  Result<bool> first_results(const std::string& id, std::int64_t now_us);
  /// In the order of the requests, from the `from`-th on.
  Result<std::vector<BatchResult>> results(const std::string& id, std::int64_t from, std::int64_t most);

  /// The next request that may be sent, of the oldest batch; it counts as under way from now on.
  Result<std::optional<BatchJob>> claim(std::int64_t now_us);
  Result<void> finish(const BatchJob& job, BatchState state, const std::string& body_json, std::int64_t now_us);
  /// It was not answered: again at `due_us`. `tried`: that counts as a try.
  Result<void> put_back(const BatchJob& job, std::int64_t due_us, bool tried);
  /// When the next one that waits may be sent.
  Result<std::optional<std::int64_t>> next_due_us();

 private:
  struct Impl;
  explicit Batches(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ccrules::ledger
