#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "ledger/mapped_file.h"
#include "ledger/record.h"

namespace ccrules::ledger {

/// An open file; closes itself.
class FileHandle {
 public:
  explicit FileHandle(int fd = -1) noexcept : fd_(fd) {}
  ~FileHandle();
  FileHandle(FileHandle&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FileHandle& operator=(FileHandle&&) = delete;
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }

 private:
  int fd_;
};

/// Requests under way and what they may cost at most, in a file of this process beside the ledger's ("ledger.db-holds-..."). The file
/// is mapped: what has been stored there is the kernel's when the process is killed; only a loss of power takes it. Some stores on the
/// caller's thread, in place of a transaction that another thread makes (docs/adr/0011). The file is locked as long as its process
/// lives. Any thread.
class HoldFile {
 public:
  static constexpr std::size_t kSlotBytes = 4096;  ///< of one request
  static constexpr std::uint32_t kSlots = 16384;   ///< requests at once; more of them wait for the database
  static constexpr std::uint32_t kNone = 0;        ///< no slot; they are counted from 1

  /// Null: no such file can be made here, or not mapped.
  static std::unique_ptr<HoldFile> create(const std::string& ledger_path);
  ~HoldFile();  ///< takes the file away unless something is held still
  HoldFile(const HoldFile&) = delete;
  HoldFile& operator=(const HoldFile&) = delete;

  /// Remembers the request. `before` is the slot in which it is held already, or kNone: it is free when this returns another one.
  /// @return its slot; kNone: it could not be kept (the file has been cut or deleted), or is too long, and `before` is as it was
  std::uint32_t put(const Record& row, std::int64_t nanousd, std::uint32_t before);
  /// The rows are in the ledger: what was held for them (Record::held_slot) is not any more.
  void release(std::span<const Record> rows);

  /// What a process that is gone has left.
  struct Left {
    std::string path;
    FileHandle locked;         ///< nobody else takes it over meanwhile
    std::vector<Record> rows;  ///< `cost_nanousd` is what each may cost at most
  };
  static std::vector<Left> left_behind(const std::string& ledger_path);
  /// All of it has its place in the ledger.
  static void remove(const Left& left);

 private:
  HoldFile(FileHandle file, std::string path, std::unique_ptr<MappedFile> mapped)
      : file_(std::move(file)), path_(std::move(path)), mapped_(std::move(mapped)) {}
  void look_after();
  [[nodiscard]] bool is_lost() const;  ///< it takes nothing more
  [[nodiscard]] std::uint32_t take();
  void give_back(std::uint32_t slot);
  [[nodiscard]] char* at(std::uint32_t slot) const;

  const FileHandle file_;
  const std::string path_;
  const std::unique_ptr<MappedFile> mapped_;
  std::mutex mutex_;
  std::vector<std::uint32_t> free_;  ///< the last one is taken first; they say nothing
  std::uint32_t used_ = 0;           ///< slots that the file has
  std::atomic<bool> is_cut_{false};  ///< or deleted, by somebody
};

}  // namespace ccrules::ledger
