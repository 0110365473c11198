#include "core/world.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "core/limits.h"

extern char** environ;

namespace ccrules {
namespace {

class SystemClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t wall_us() const override {
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
};

class SystemRandom final : public Random {
 public:
  SystemRandom() {
    std::random_device device;
    state_ = (static_cast<std::uint64_t>(device()) << 32) ^ device();
  }
  std::uint64_t next() override {  // splitmix64
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_ = 0;
};

class SystemFiles final : public Files {
 public:
  [[nodiscard]] Result<std::string> read(const std::string& path) const override {
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) return bad_request("cannot read " + path + ": is a directory");
    std::ifstream stream(path, std::ios::binary);
    if (!stream) return bad_request("cannot read " + path + ": " + std::strerror(errno));
    std::string text;
    std::array<char, 64 * 1024> piece;
    while (stream.read(piece.data(), piece.size()) || stream.gcount() > 0) {
      text.append(piece.data(), static_cast<std::size_t>(stream.gcount()));
      if (text.size() > limits::kFileBytes) return bad_request("cannot read " + path + ": it has more than 256 MB");
    }
    if (stream.bad()) return bad_request("cannot read " + path + ": " + std::strerror(errno));
    return text;
  }
  [[nodiscard]] bool exists(const std::string& path) const override {
    std::error_code ignored;
    return std::filesystem::exists(path, ignored);
  }
  [[nodiscard]] std::vector<std::string> list(const std::string& directory) const override {
    std::vector<std::string> names;
    std::error_code failed;
    for (const auto& entry : std::filesystem::directory_iterator(directory, failed)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  [[nodiscard]] std::string behind_links(const std::string& path) const override {
    std::error_code failed;
    const std::filesystem::path real = std::filesystem::weakly_canonical(path, failed);
    return failed ? path : real.string();
  }
  [[nodiscard]] Entry look(const std::string& path) const override {
    std::error_code failed;
    switch (std::filesystem::symlink_status(path, failed).type()) {
      case std::filesystem::file_type::regular: {
        const std::uintmax_t bytes = std::filesystem::file_size(path, failed);
        return {Kind::kFile, failed ? 0 : bytes};
      }
      case std::filesystem::file_type::directory: return {Kind::kFolder, 0};
      case std::filesystem::file_type::symlink: return {Kind::kLink, 0};
      case std::filesystem::file_type::none:
      case std::filesystem::file_type::not_found: return {Kind::kNone, 0};
      default: return {Kind::kOther, 0};
    }
  }
};

}  // namespace

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

Random& system_random() {
  thread_local SystemRandom random;
  return random;
}

const Files& system_files() {
  static const SystemFiles files;
  return files;
}

Environment system_environment() {
  Environment environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view line = *entry;
    const auto equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    environment.emplace(line.substr(0, equals), line.substr(equals + 1));
  }
  return environment;
}

}  // namespace ccrules
