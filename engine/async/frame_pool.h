#pragma once
#include <array>
#include <cstddef>
#include <new>

namespace ccrules::detail {

/// Memory of finished coroutine frames, kept by size for the next ones: a request awaits some twenty tasks, and the
/// larger frames would each take the allocator's slow path (measured: 9 % of a small request's instructions). One
/// per thread; a frame may be given back on another thread than it was taken on. Sanitizer builds go to the
/// allocator each time, so that a frame used after its end is found.
class FramePool {
 public:
  FramePool() = default;
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;
  ~FramePool() {
    for (Free*& list : free_) {
      while (list != nullptr) ::operator delete(take(list));
    }
  }

  static void* allocate(std::size_t bytes) {
    const std::size_t size_class = class_of(bytes);
    if (!kPooled || size_class >= kClasses) return ::operator new(bytes);
    FramePool& pool = mine();
    if (pool.free_[size_class] == nullptr) return ::operator new((size_class + 1) * kStep);
    pool.kept_bytes_ -= (size_class + 1) * kStep;
    return take(pool.free_[size_class]);
  }

  static void release(void* frame, std::size_t bytes) noexcept {
    const std::size_t size_class = class_of(bytes);
    FramePool& pool = mine();
    if (!kPooled || size_class >= kClasses || pool.kept_bytes_ >= kMostKeptBytes) {
      ::operator delete(frame);
      return;
    }
    pool.kept_bytes_ += (size_class + 1) * kStep;
    pool.free_[size_class] = new (frame) Free{pool.free_[size_class]};
  }

 private:
  struct Free {
    Free* next;
  };
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  static constexpr bool kPooled = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  static constexpr bool kPooled = false;
#else
  static constexpr bool kPooled = true;
#endif
#else
  static constexpr bool kPooled = true;
#endif
  static constexpr std::size_t kStep = 64;
  static constexpr std::size_t kClasses = 64;                   ///< frames up to 4 KiB
  static constexpr std::size_t kMostKeptBytes = 512 * 1024;     ///< beyond it a burst's memory goes back

  static std::size_t class_of(std::size_t bytes) noexcept { return (bytes - 1) / kStep; }
  static void* take(Free*& list) noexcept {
    Free* first = list;
    list = first->next;
    return first;
  }
  static FramePool& mine() noexcept {
    static thread_local FramePool pool;
    return pool;
  }

  std::array<Free*, kClasses> free_{};
  std::size_t kept_bytes_ = 0;
};

}  // namespace ccrules::detail

namespace ccrules {

/// Base of what every request makes anew and is too large for the allocator's quick path: its memory comes from the frames'.
struct Pooled {
  static void* operator new(std::size_t bytes) { return detail::FramePool::allocate(bytes); }
  static void operator delete(void* memory, std::size_t bytes) noexcept { detail::FramePool::release(memory, bytes); }
};

}  // namespace ccrules
