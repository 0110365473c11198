#pragma once
#include <string>
#include <string_view>

/// The process log (spdlog behind it; log.cc is the only file that includes it). Any thread. Text or one JSON
/// object a line, on stderr or a file. Callers never pass keys or prompt text.
namespace ccrules::log {

enum class Level : unsigned char { kDebug, kInfo, kWarn, kError, kOff };

struct Settings {
  Level level = Level::kInfo;
  bool json = false;
  std::string file;  ///< Empty: stderr.
};

/// Call once at start and again on reload; an unwritable file falls back to stderr and says so.
void configure(const Settings& settings);
[[nodiscard]] bool enabled(Level level) noexcept;
/// `request_id` may be empty. Control characters in `message` are escaped.
void write(Level level, std::string_view message, std::string_view request_id = {});
inline void debug(std::string_view message, std::string_view request_id = {}) { write(Level::kDebug, message, request_id); }
inline void info(std::string_view message, std::string_view request_id = {}) { write(Level::kInfo, message, request_id); }
inline void warn(std::string_view message, std::string_view request_id = {}) { write(Level::kWarn, message, request_id); }
inline void error(std::string_view message, std::string_view request_id = {}) { write(Level::kError, message, request_id); }

}  // namespace ccrules::log
