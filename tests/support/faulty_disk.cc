#include "support/faulty_disk.h"

#include <atomic>
#include <cstring>
#include <limits>
#include <new>
#include <stdexcept>
#include <thread>

#include <sqlite3.h>

namespace ccrules::test {
namespace {

constexpr std::int64_t kForEver = std::numeric_limits<std::int64_t>::max();

struct Plan {
  std::atomic<unsigned> failing{0}, slow{0};
  std::atomic<int> code{SQLITE_OK};
  std::atomic<std::int64_t> after{0}, until{kForEver}, calls{0}, failed{0}, slow_ms{0};
};
Plan& plan() {
  static Plan only;
  return only;
}

/// SQLITE_OK: let it through.
int strike(unsigned call) {
  Plan& now = plan();
  if ((now.slow.load() & call) != 0) std::this_thread::sleep_for(std::chrono::milliseconds(now.slow_ms.load()));
  if ((now.failing.load() & call) == 0) return SQLITE_OK;
  const std::int64_t number = now.calls.fetch_add(1);
  if (number < now.after.load() || number >= now.until.load()) return SQLITE_OK;
  now.failed.fetch_add(1);
  return now.code.load();
}

sqlite3_vfs* real = nullptr;

/// SQLite's file, with the real one behind it in the same memory.
struct File {
  sqlite3_file base;
  [[nodiscard]] sqlite3_file* inner() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
sqlite3_file* inner(sqlite3_file* file) { return reinterpret_cast<File*>(file)->inner(); }

#define CCR_THROUGH(call, expression)             \
  if (const int code = strike(call); code != 0) { \
    return code;                                  \
  }                                               \
  return expression

int close_file(sqlite3_file* file) {
  sqlite3_file* of = inner(file);
  return of->pMethods == nullptr ? SQLITE_OK : of->pMethods->xClose(of);  // closing always works
}
int read_file(sqlite3_file* file, void* into, int bytes, sqlite3_int64 at) {
  CCR_THROUGH(FaultyDisk::kRead, inner(file)->pMethods->xRead(inner(file), into, bytes, at));
}
int write_file(sqlite3_file* file, const void* from, int bytes, sqlite3_int64 at) {
  CCR_THROUGH(FaultyDisk::kWrite, inner(file)->pMethods->xWrite(inner(file), from, bytes, at));
}
int truncate(sqlite3_file* file, sqlite3_int64 bytes) {
  CCR_THROUGH(FaultyDisk::kWrite, inner(file)->pMethods->xTruncate(inner(file), bytes));
}
int sync(sqlite3_file* file, int flags) { CCR_THROUGH(FaultyDisk::kSync, inner(file)->pMethods->xSync(inner(file), flags)); }
int size(sqlite3_file* file, sqlite3_int64* bytes) {
  CCR_THROUGH(FaultyDisk::kOther, inner(file)->pMethods->xFileSize(inner(file), bytes));
}
int lock(sqlite3_file* file, int level) { CCR_THROUGH(FaultyDisk::kLock, inner(file)->pMethods->xLock(inner(file), level)); }
int unlock(sqlite3_file* file, int level) { return inner(file)->pMethods->xUnlock(inner(file), level); }
int is_reserved(sqlite3_file* file, int* reserved) { return inner(file)->pMethods->xCheckReservedLock(inner(file), reserved); }
int control(sqlite3_file* file, int what, void* argument) { return inner(file)->pMethods->xFileControl(inner(file), what, argument); }
int sector_size(sqlite3_file* file) { return inner(file)->pMethods->xSectorSize(inner(file)); }
int characteristics(sqlite3_file* file) { return inner(file)->pMethods->xDeviceCharacteristics(inner(file)); }
int map_shared(sqlite3_file* file, int page, int bytes, int extend, void volatile** at) {
  if (const int code = strike(FaultyDisk::kSharedMemory); code != 0) {
    *at = nullptr;
    return code == SQLITE_READONLY ? SQLITE_IOERR_SHMMAP : code;  // to SQLite "read-only" means mapped, but not to be written
  }
  return inner(file)->pMethods->xShmMap(inner(file), page, bytes, extend, at);
}
int lock_shared(sqlite3_file* file, int offset, int count, int flags) {
  // Those of readers alone: SQLite would try them again for ten seconds.
  if ((flags & SQLITE_SHM_UNLOCK) != 0 || (flags & SQLITE_SHM_SHARED) != 0) return inner(file)->pMethods->xShmLock(inner(file), offset, count, flags);
  CCR_THROUGH(FaultyDisk::kSharedMemory, inner(file)->pMethods->xShmLock(inner(file), offset, count, flags));
}
void barrier(sqlite3_file* file) { inner(file)->pMethods->xShmBarrier(inner(file)); }
int unmap_shared(sqlite3_file* file, int erase) { return inner(file)->pMethods->xShmUnmap(inner(file), erase); }

const sqlite3_io_methods* methods() {
  static const sqlite3_io_methods all = [] {
    sqlite3_io_methods made{};
    made.iVersion = 2;  // without mmap, which would go past us
    made.xClose = &close_file;
    made.xRead = &read_file;
    made.xWrite = &write_file;
    made.xTruncate = &truncate;
    made.xSync = &sync;
    made.xFileSize = &size;
    made.xLock = &lock;
    made.xUnlock = &unlock;
    made.xCheckReservedLock = &is_reserved;
    made.xFileControl = &control;
    made.xSectorSize = &sector_size;
    made.xDeviceCharacteristics = &characteristics;
    made.xShmMap = &map_shared;
    made.xShmLock = &lock_shared;
    made.xShmBarrier = &barrier;
    made.xShmUnmap = &unmap_shared;
    return made;
  }();
  return &all;
}

int open_file(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* given) {
  std::memset(file, 0, sizeof(File));
  if (const int code = strike(FaultyDisk::kOpen); code != 0) return code;
  const int code = real->xOpen(real, name, inner(file), flags, given);
  if (code == SQLITE_OK) file->pMethods = methods();
  return code;
}
int remove_file(sqlite3_vfs*, const char* name, int sync_folder) {
  CCR_THROUGH(FaultyDisk::kOther, real->xDelete(real, name, sync_folder));
}
int access_file(sqlite3_vfs*, const char* name, int flags, int* yes) {
  CCR_THROUGH(FaultyDisk::kOther, real->xAccess(real, name, flags, yes));
}

#undef CCR_THROUGH

/// SQLite waits before it tries a locked file again, and adds up what it waited: nobody has to live through it. But a lock that another
/// thread really has takes its time.
int pass_time(sqlite3_vfs*, int microseconds) {
  if (plan().failing.load() == 0) return real->xSleep(real, microseconds);
  std::this_thread::yield();
  return microseconds;
}

sqlite3_vfs& faulty() {
  static sqlite3_vfs made{};
  return made;
}

}  // namespace

FaultyDisk::FaultyDisk() {
  heal();
  real = sqlite3_vfs_find(nullptr);
  if (real == nullptr) throw std::runtime_error("SQLite has no file system");
  sqlite3_vfs& ours = faulty();
  ours = *real;  // what is not about files stays as it is: names, the clock, randomness
  ours.pNext = nullptr;
  ours.zName = "ccrules-faulty";
  ours.szOsFile = static_cast<int>(sizeof(File)) + real->szOsFile;
  ours.xOpen = &open_file;
  ours.xDelete = &remove_file;
  ours.xAccess = &access_file;
  ours.xSleep = &pass_time;
  if (sqlite3_vfs_register(&ours, 1) != SQLITE_OK) throw std::runtime_error("SQLite does not take another file system");
}

FaultyDisk::~FaultyDisk() {
  heal();
  sqlite3_vfs_unregister(&faulty());
  sqlite3_vfs_register(real, 1);
}

void FaultyDisk::fail(unsigned calls, int code, std::int64_t after) {
  Plan& now = plan();
  now.failing = 0;
  now.calls = 0;
  now.failed = 0;
  now.code = code;
  now.after = after;
  now.until = kForEver;
  now.failing = calls;
}
void FaultyDisk::fail_once(unsigned calls, int code, std::int64_t after) {
  fail(0, code, after);
  plan().until = after + 1;
  plan().failing = calls;
}
void FaultyDisk::slow_down(unsigned calls, std::chrono::milliseconds each) {
  plan().slow_ms = each.count();
  plan().slow = calls;
}
void FaultyDisk::heal() {
  plan().failing = 0;
  plan().slow = 0;
}
std::int64_t FaultyDisk::calls() const { return plan().calls; }
std::int64_t FaultyDisk::failed() const { return plan().failed; }

}  // namespace ccrules::test
