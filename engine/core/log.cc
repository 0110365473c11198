#include "core/log.h"

#include <atomic>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace ccrules::log {
namespace {

struct State {
  std::mutex mutex;
  std::shared_ptr<spdlog::logger> logger;
  bool json = false;
};

State& state() {
  static State instance;
  return instance;
}

std::atomic<Level>& threshold() {
  static std::atomic<Level> level{Level::kInfo};
  return level;
}

const char* name(Level level) {
  switch (level) {
    case Level::kDebug: return "debug";
    case Level::kInfo: return "info";
    case Level::kWarn: return "warn";
    case Level::kError: return "error";
    case Level::kOff: return "off";
  }
  return "info";
}

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::kDebug: return spdlog::level::debug;
    case Level::kInfo: return spdlog::level::info;
    case Level::kWarn: return spdlog::level::warn;
    case Level::kError: return spdlog::level::err;
    case Level::kOff: return spdlog::level::off;
  }
  return spdlog::level::info;
}

/// A file that is not there yet becomes its owner's alone: messages name projects and models. One that is there keeps its mode.
void make_private(const spdlog::filename_t& file) {
  std::error_code failed;  // told when the file cannot be opened
  std::filesystem::create_directories(std::filesystem::path(file).parent_path(), failed);
  const int fd = ::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (fd >= 0) ::close(fd);
}

std::shared_ptr<spdlog::logger> make_logger(const Settings& settings, std::string& complaint) {
  spdlog::sink_ptr sink;
  if (!settings.file.empty()) {
    try {
      spdlog::file_event_handlers handlers;
      handlers.before_open = make_private;
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(settings.file, false, handlers);
    } catch (const spdlog::spdlog_ex& failed) {
      complaint = failed.what();
    }
  }
  if (!sink) sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  auto logger = std::make_shared<spdlog::logger>("ccrules", std::move(sink));
  logger->set_level(spdlog::level::trace);
  logger->flush_on(spdlog::level::info);
  logger->set_pattern(settings.json ? "{\"time\":\"%Y-%m-%dT%H:%M:%S.%f%z\",%v}" : "%Y-%m-%d %H:%M:%S.%e %^%-5l%$ %v");
  return logger;
}

/// The marks that turn the direction of what follows, so that a line reads other than it is: U+202A to U+202E, U+2066 to U+2069.
bool turns_direction(std::string_view three) {
  if (three.size() < 3 || three[0] != '\xe2') return false;
  const auto last = static_cast<unsigned char>(three[2]);
  return (three[1] == '\x80' && last >= 0xaa && last <= 0xae) || (three[1] == '\x81' && last >= 0xa6 && last <= 0xa9);
}

/// One line, nothing that a terminal or a JSON reader would take for more than text.
std::string escaped(std::string_view text, bool json) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(text.size() + 2);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    auto byte = static_cast<unsigned char>(c);
    // U+0080 to U+009F, two bytes in UTF-8, are control characters too.
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : '\0');
    const bool two = byte == 0xc2 && next >= 0x80 && next < 0xa0;
    if (two) {
      byte = next;
      ++i;
    }
    if (turns_direction(text.substr(i, 3))) {
      byte = static_cast<unsigned char>(text[i + 2] & 0x3f) | (text[i + 1] == '\x80' ? 0x00 : 0x40);
      out += "\\u20";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
      i += 2;
    } else if (two || byte < 0x20 || byte == 0x7f) {
      out += json ? "\\u00" : "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      if (json && (c == '"' || c == '\\')) out += '\\';
      out += c;
    }
  }
  return out;
}

}  // namespace

void configure(const Settings& settings) {
  std::string complaint;
  auto logger = make_logger(settings, complaint);
  {
    const std::lock_guard lock(state().mutex);
    state().logger = std::move(logger);
    state().json = settings.json;
    threshold() = settings.level;
  }
  if (!complaint.empty()) write(Level::kError, "cannot write the log file, logging to stderr: " + complaint);
}

bool enabled(Level level) noexcept { return level >= threshold().load(std::memory_order_relaxed) && level != Level::kOff; }

void write(Level level, std::string_view message, std::string_view request_id) {
  if (!enabled(level)) return;
  std::shared_ptr<spdlog::logger> logger;
  bool json = false;
  {
    const std::lock_guard lock(state().mutex);
    if (!state().logger) {
      std::string complaint;
      state().logger = make_logger(Settings{}, complaint);
    }
    logger = state().logger;
    json = state().json;
  }
  std::string line;
  if (json) {
    line = std::string("\"level\":\"") + name(level) + "\",\"message\":\"" + escaped(message, true) + '"';
    if (!request_id.empty()) line += ",\"request_id\":\"" + escaped(request_id, true) + '"';
  } else {
    line = escaped(message, false);
    if (!request_id.empty()) line += "  [" + escaped(request_id, false) + ']';
  }
  logger->log(to_spdlog(level), "{}", line);
}

}  // namespace ccrules::log
