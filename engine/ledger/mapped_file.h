#pragma once
#include <cstddef>
#include <memory>

namespace ccrules::ledger {

/// The first bytes of a file as memory. What has been stored there is the kernel's when the process is killed, in the order of the
/// stores. Only pages that the file has may be touched. Where the kernel cannot give one of them after all (the file has been cut,
/// a copying file system is full, a disk fails) the process lives on: the page becomes memory of its own, which no file has, and
/// is_lost() says so from then on. Takes SIGBUS for the whole process, and leaves other causes of it to whoever had it before.
class MappedFile {
 public:
  /// `fd` is open for reading and writing, and may be closed afterwards. Null: it cannot be mapped.
  static std::unique_ptr<MappedFile> map(int fd, std::size_t bytes);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] char* bytes() const noexcept { return bytes_; }
  /// True when something has been stored in a page that the file could not give. Any thread.
  [[nodiscard]] bool is_lost() const noexcept;

 private:
  MappedFile(char* bytes, std::size_t size, std::size_t place) noexcept : bytes_(bytes), size_(size), place_(place) {}

  char* const bytes_;
  const std::size_t size_;
  const std::size_t place_;  ///< among the process's mapped files
};

}  // namespace ccrules::ledger
