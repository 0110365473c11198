#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

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

/// Requests under way and what they may cost at most, in a file of this process beside the ledger's ("ledger.db-holds-..."). What
/// has been written is the kernel's when the process is killed; only a loss of power takes it. One small write on the caller's
/// thread, in place of a transaction that another thread makes (docs/adr/0011). The file is locked as long as its process lives.
/// Any thread.
class HoldFile {
 public:
  static constexpr std::size_t kSlotBytes = 4096;  ///< of one request: one page
  static constexpr std::uint32_t kSlots = 16384;   ///< requests at once; more of them wait for the database

  /// Null: no such file can be made here.
  static std::unique_ptr<HoldFile> create(const std::string& ledger_path);
  ~HoldFile();  ///< takes the file away, or leaves in it what is held still and nothing else
  HoldFile(const HoldFile&) = delete;
  HoldFile& operator=(const HoldFile&) = delete;

  /// Remembers the request; replaces what was held for its id. False: it could not be written, or is too long.
  bool put(const Record& row, std::int64_t nanousd);
  /// The request has its row. Nothing happens when it is not held here.
  void release(const std::string& id);
  /// The same for those of the rows that are held here and are in the ledger: their slots are free at once,
  /// and mostly other requests overwrite them. What they say until then does no harm: whoever takes the file
  /// over leaves out requests that have their rows.
  void release_written(std::span<const Record> rows);
  /// Clears the slots that are free since before the last call, so that they say nothing any more when the rows that explain them
  /// are deleted for their age. True when some are left for the next call. One thread at a time.
  bool clear_idle();

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
  HoldFile(FileHandle file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
  [[nodiscard]] bool write(std::uint32_t slot, std::string_view bytes) const;
  void clear(std::uint32_t slot) const;

  const FileHandle file_;
  const std::string path_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::uint32_t> slots_;  ///< by the request's id
  std::vector<std::uint32_t> free_;  ///< the last one is taken first
  std::size_t clear_ = 0;            ///< so many of the first free ones say nothing
  std::size_t idle_ = 0;             ///< so many were there all the time since clear_idle()
  std::uint32_t used_ = 0;           ///< slots that the file has
};

}  // namespace ccrules::ledger
