#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "cache/store.h"
#include "core/result.h"
#include "core/world.h"

namespace ccrules::proxy {

/// The response cache's file (`cache.persist`): complete answers, for the time after a restart. It is read and written on a thread
/// of its own; nobody ever waits for it, and what it cannot take is simply not kept. It holds prompts and answers, no
/// credentials; only its owner may read it.
class CacheFile final : public cache::Keeper {
 public:
  struct Settings {
    std::string path;
    const Clock* clock = nullptr;            ///< any thread
    std::function<std::int64_t()> now_ms;    ///< as the store's callers tell the time; any thread
  };
  /// Opens or makes the file, gives the store its secret, and begins to fill the store with what the file has. Before the store is
  /// used. A file that is broken is moved aside, to PATH.broken, and the log says so. Error: the file cannot be made, or belongs
  /// to another program; then nothing has changed.
  static Result<std::unique_ptr<CacheFile>> open(Settings settings, cache::Store& store);
  /// Writes what has been kept so far. The store must not be used any more.
  ~CacheFile() override;
  CacheFile(const CacheFile&) = delete;
  CacheFile& operator=(const CacheFile&) = delete;

  void keep(std::shared_ptr<const cache::Answer> answer, std::chrono::milliseconds ttl) override;
  void forget(const cache::Question& question) override;
  void clear() override;

  /// Returns when everything asked for before has been done; tests need it.
  void settle();

 private:
  struct Inside;
  explicit CacheFile(std::unique_ptr<Inside> inside);
  std::unique_ptr<Inside> inside_;
};

}  // namespace ccrules::proxy
