#include "core/careful_files.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ccrules {
namespace {

constexpr std::size_t kFileBytes = 256 * 1024;
constexpr std::size_t kNames = 2000;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

class CarefulFiles final : public Files {
 public:
  [[nodiscard]] Result<std::string> read(const std::string& path) const override {
    const auto refuse = [&path](std::string_view why) { return bad_request("cannot read " + path + ": " + std::string(why)); };
    // Opening a pipe would wait for its writer, opening a terminal could make it ours.
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (file.get() < 0) return refuse(std::strerror(errno));
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return refuse(std::strerror(errno));
    if (!S_ISREG(status.st_mode)) return refuse("is no plain file");
    std::string text(kFileBytes + 1, '\0');  // not the size it says it has: /proc is full of files without one
    std::size_t size = 0;
    while (size < text.size()) {
      const ssize_t got = ::read(file.get(), text.data() + size, text.size() - size);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return refuse(std::strerror(errno));
      if (got == 0) break;
      size += static_cast<std::size_t>(got);
    }
    if (size > kFileBytes) return refuse("is too large");
    text.resize(size);
    return text;
  }
  [[nodiscard]] bool exists(const std::string& path) const override { return system_files().exists(path); }
  [[nodiscard]] std::vector<std::string> list(const std::string& directory) const override {
    std::vector<std::string> names;
    std::error_code failed;
    std::filesystem::directory_iterator entry(directory, failed);
    for (; !failed && entry != std::filesystem::directory_iterator() && names.size() < kNames; entry.increment(failed)) {
      names.push_back(entry->path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  [[nodiscard]] Entry look(const std::string& path) const override { return system_files().look(path); }
};

}  // namespace

const Files& careful_files() {
  static const CarefulFiles files;
  return files;
}

}  // namespace ccrules
