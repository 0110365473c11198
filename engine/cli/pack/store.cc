#include "cli/pack/store.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/world.h"

namespace ccrules::cli {
namespace {

namespace fs = std::filesystem;

Error cannot(const char* what, const std::string& path, int code) {
  return bad_request(std::string("cannot ") + what + " " + path + ": " + std::strerror(code));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool open() const { return fd_ >= 0; }

 private:
  int fd_;
};

/// Files are new: an existing one (or a link somebody put there) is an error.
Result<void> write_new(const std::string& path, std::string_view bytes) {
  constexpr int kMode = 0644;
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, kMode));
  if (!file.open()) return cannot("write", path, errno);
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(file.get(), bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return cannot("write", path, errno);
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
  if (::fsync(file.get()) != 0) return cannot("write", path, errno);
  return {};
}

void sync_folder(const std::string& directory) {
  const Descriptor folder(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.open()) (void)::fsync(folder.get());  // some file systems cannot; the files themselves are written
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string(".") : slash == 0 ? std::string("/") : path.substr(0, slash);
}

Result<void> make_folders(const std::string& path) {
  std::error_code failed;
  fs::create_directories(path, failed);
  if (failed) return cannot("make the folder", path, failed.value());
  return {};
}

Result<void> fill_folder(const std::string& directory, const packs::Folder& folder) {
  CCR_CHECK(make_folders(directory));
  for (const auto& [path, bytes] : folder) {
    const std::string file = directory + "/" + path;
    CCR_CHECK(make_folders(folder_of(file)));
    CCR_CHECK(write_new(file, bytes));
  }
  return {};
}

void remove(const std::string& path) {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

/// Folders put into their places; taken out again unless keep() was called.
class Placing {
 public:
  explicit Placing(std::string mark) : mark_(std::move(mark)) {}
  ~Placing() {
    for (const std::string& path : made_) remove(path);
    for (const auto& [aside, home] : aside_) {
      std::error_code ignored;
      if (!kept_) fs::rename(aside, home, ignored);
      if (kept_) remove(aside);
    }
  }
  Placing(const Placing&) = delete;
  Placing& operator=(const Placing&) = delete;

  Result<void> place(const Placement& placement) {
    const std::string& home = placement.directory;
    const Result<packs::Folder> there = packs::read_folder(system_files(), home);
    if (there.ok() && *there == *placement.folder) return {};
    const std::string draft = home + ".new" + mark_;
    made_.push_back(draft);
    CCR_CHECK(fill_folder(draft, *placement.folder));
    std::error_code failed;
    if (fs::exists(fs::symlink_status(home, failed))) {
      const std::string aside = home + ".old" + mark_;
      fs::rename(home, aside, failed);
      if (failed) return cannot("replace", home, failed.value());
      aside_.emplace_back(aside, home);
    }
    fs::rename(draft, home, failed);
    if (failed) return cannot("write", home, failed.value());
    made_.back() = home;
    sync_folder(folder_of(home));
    return {};
  }
  void keep() {
    kept_ = true;
    made_.clear();
  }

 private:
  std::string mark_;
  std::vector<std::string> made_;
  std::vector<std::pair<std::string, std::string>> aside_;
  bool kept_ = false;
};

}  // namespace

Result<void> replace_file(const std::string& path, std::string_view bytes) {
  CCR_CHECK(make_folders(folder_of(path)));
  const std::string draft = path + ".new" + std::to_string(::getpid());
  ::unlink(draft.c_str());
  if (const Result<void> wrote = write_new(draft, bytes); !wrote.ok()) {
    ::unlink(draft.c_str());
    return wrote;
  }
  if (::rename(draft.c_str(), path.c_str()) != 0) {
    const int code = errno;
    ::unlink(draft.c_str());
    return cannot("write", path, code);
  }
  sync_folder(folder_of(path));
  return {};
}

Result<void> create_folder(const std::string& directory, const packs::Folder& folder) {
  std::error_code failed;
  if (fs::exists(fs::symlink_status(directory, failed))) return bad_request(directory + " exists already");
  Placing placing(std::to_string(::getpid()));
  CCR_CHECK(placing.place({directory, &folder}));
  placing.keep();
  return {};
}

Result<void> commit(const std::string& lock_path, const std::string& old_lock, const std::string& new_lock,
                    const std::vector<Placement>& placements) {
  const std::string directory = folder_of(lock_path);
  const Descriptor guard(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!guard.open()) return cannot("open", directory, errno);
  if (::flock(guard.get(), LOCK_EX | LOCK_NB) != 0) {
    return bad_request("another ccrules is changing the packs of " + directory + "; try again when it is done");
  }
  const Result<std::string> now = system_files().read(lock_path);
  if ((now.ok() ? *now : std::string()) != old_lock) {
    return bad_request(lock_path + " has changed meanwhile; try again");
  }
  std::error_code ignored;
  const bool had_packs = fs::exists(directory + "/packs", ignored);
  Result<void> done;
  {
    Placing placing(std::to_string(::getpid()));
    for (const Placement& placement : placements) {
      done = placing.place(placement);
      if (!done.ok()) break;
    }
    if (done.ok()) done = replace_file(lock_path, new_lock);
    if (done.ok()) placing.keep();
  }
  if (!done.ok() && !had_packs) ::rmdir((directory + "/packs").c_str());
  return done;
}

}  // namespace ccrules::cli
