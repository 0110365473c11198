#include "cli/write_file.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

namespace ccrules::cli {
namespace {

Error cannot_write(const std::string& path, int number) {
  return bad_request("cannot write " + path + ": " + std::strerror(number));
}

bool write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace

Result<void> write_file(const std::string& path, std::string_view bytes) {
  constexpr mode_t kNewFile = 0644;
  std::error_code failed;
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder, failed);
  if (failed) return cannot_write(folder.string(), failed.value());
  struct stat old = {};
  const bool exists = ::stat(path.c_str(), &old) == 0;
  const std::string draft = path + ".ccrules-new";
  const int file = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kNewFile);
  if (file < 0) return cannot_write(path, errno);
  bool done = write_all(file, bytes) && (!exists || ::fchmod(file, old.st_mode & 07777U) == 0);
  int number = done ? 0 : errno;
  if (::close(file) != 0 && done) {
    done = false;
    number = errno;
  }
  if (done && ::rename(draft.c_str(), path.c_str()) != 0) {
    done = false;
    number = errno;
  }
  if (done) return {};
  (void)::unlink(draft.c_str());  // what was written of it is of no use
  return cannot_write(path, number);
}

}  // namespace ccrules::cli
