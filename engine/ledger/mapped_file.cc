#include "ledger/mapped_file.h"

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <sys/mman.h>
#include <unistd.h>

#include "core/limits.h"

namespace ccrules::ledger {
namespace {

/// What the signal's handler knows of a mapped file; no address: the place is free.
struct Place {
  std::atomic<std::uintptr_t> from{0};
  std::atomic<std::uintptr_t> to{0};
  std::atomic<bool> lost{false};
};
static_assert(std::atomic<std::uintptr_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

std::array<Place, limits::kMappedFiles> places;
std::mutex places_mutex;  // for who takes and leaves them
std::uintptr_t page_bytes = 0;
struct sigaction before;

/// In place of a page that the file cannot give. Touches nothing but atomics: any thread may have been anywhere.
bool replace_page(std::uintptr_t address) {
  for (Place& place : places) {
    const std::uintptr_t from = place.from.load(std::memory_order_acquire);
    if (from == 0 || address < from || address >= place.to.load(std::memory_order_acquire)) continue;
    place.lost.store(true, std::memory_order_release);
    void* const page = reinterpret_cast<void*>(address - address % page_bytes);  // NOLINT(performance-no-int-to-ptr)
    return ::mmap(page, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page;
  }
  return false;
}

void on_signal(int signal, siginfo_t* info, void* context) {
  const bool is_fault = info->si_code > 0;  // else somebody sent it, and there is no address
  if (is_fault && replace_page(reinterpret_cast<std::uintptr_t>(info->si_addr))) return;
  if ((before.sa_flags & SA_SIGINFO) != 0) {
    before.sa_sigaction(signal, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal);
  } else {
    ::sigaction(signal, &before, nullptr);
    (void)::raise(signal);  // once this returns
  }
}

bool take_signal() {
  page_bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  struct sigaction action {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  return ::sigaction(SIGBUS, &action, &before) == 0;
}

}  // namespace

std::unique_ptr<MappedFile> MappedFile::map(int fd, std::size_t bytes) {
  static const bool kTaken = take_signal();
  if (!kTaken) return nullptr;
  const std::lock_guard lock(places_mutex);
  std::size_t free = 0;
  while (free < places.size() && places.at(free).from.load(std::memory_order_relaxed) != 0) ++free;
  if (free == places.size()) return nullptr;
  void* const mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) return nullptr;
  Place& place = places.at(free);
  const auto from = reinterpret_cast<std::uintptr_t>(mapped);
  place.lost.store(false, std::memory_order_relaxed);
  place.to.store(from + bytes, std::memory_order_relaxed);
  place.from.store(from, std::memory_order_release);
  return std::unique_ptr<MappedFile>(new MappedFile(static_cast<char*>(mapped), bytes, free));
}

MappedFile::~MappedFile() {
  const std::lock_guard lock(places_mutex);
  places.at(place_).from.store(0, std::memory_order_release);
  ::munmap(bytes_, size_);
}

bool MappedFile::is_lost() const noexcept { return places[place_].lost.load(std::memory_order_acquire); }

}  // namespace ccrules::ledger
