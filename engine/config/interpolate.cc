#include "config/interpolate.h"

#include <filesystem>

#include "core/limits.h"
#include "core/text.h"

namespace ccrules::config {
namespace {

/// A key, a certificate: a file whose end is known, and not far.
Result<std::string> read_value(const std::string& path, const Files& files) {
  const Files::Entry entry = files.look(files.behind_links(path));
  const bool is_pipe = entry.kind == Files::Kind::kNone && files.exists(path);  // of /proc/self/fd
  if (is_pipe || entry.kind == Files::Kind::kOther) return bad_request("cannot read " + path + ": it is no plain file");
  const auto too_large = [&path] {
    return bad_request("cannot read " + path + ": it has more than " + std::to_string(limits::kConfigValueBytes) + " bytes");
  };
  if (entry.bytes > limits::kConfigValueBytes) return too_large();
  Result<std::string> text = files.read(path);
  if (text.ok() && text->size() > limits::kConfigValueBytes) return too_large();
  return text;
}

void replace_one(std::string_view reference, const Surroundings& surroundings, Interpolated& out) {
  if (reference.starts_with("file:")) {
    const std::string path =
        resolve_path(std::string(reference.substr(5)), surroundings.directory, surroundings.environment);
    Result<std::string> text = read_value(path, surroundings.files);
    if (!text) {
      if (out.problem.empty()) out.problem = text.error().message;
      return;
    }
    while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
    out.text += *text;
    return;
  }
  const auto separator = reference.find(":-");
  const std::string_view name = reference.substr(0, separator);
  const auto variable = surroundings.environment.find(name);
  const bool set = variable != surroundings.environment.end();
  if (separator != std::string_view::npos) {
    out.text += set && !variable->second.empty() ? std::string_view(variable->second)
                                                 : reference.substr(separator + 2);
  } else if (set) {
    out.text += variable->second;
  } else if (out.unset_variable.empty()) {
    out.unset_variable = name.empty() ? "${}" : std::string(name);
  }
}

}  // namespace

Interpolated interpolate(std::string_view text, const Surroundings& surroundings) {
  Interpolated out;
  while (!text.empty()) {
    const auto at = text.find("${");
    if (at == std::string_view::npos) {
      out.text += text;
      break;
    }
    if (at > 0 && text[at - 1] == '$') {
      out.text += text.substr(0, at - 1);
      out.text += "${";
      text.remove_prefix(at + 2);
      continue;
    }
    out.text += text.substr(0, at);
    const auto close = text.find('}', at);
    if (close == std::string_view::npos) {
      out.problem = "'${' is not closed by '}'; write $${ for a literal ${";
      return out;
    }
    replace_one(text.substr(at + 2, close - at - 2), surroundings, out);
    text.remove_prefix(close + 1);
  }
  return out;
}

Environment parse_dotenv(std::string_view text) {
  Environment variables;
  for (std::string_view line : text::split(text, '\n')) {
    line = text::trim(line);
    if (line.empty() || line.front() == '#') continue;
    if (line.starts_with("export ")) line = text::trim(line.substr(7));
    const auto equals = line.find('=');
    if (equals == std::string_view::npos || equals == 0) continue;
    std::string_view value = text::trim(line.substr(equals + 1));
    if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') &&
        value.back() == value.front()) {
      value = value.substr(1, value.size() - 2);
    }
    variables.insert_or_assign(std::string(text::trim(line.substr(0, equals))), std::string(value));
  }
  return variables;
}

std::string resolve_path(const std::string& path, const std::string& directory,
                         const Environment& environment) {
  if (path.empty()) return path;
  if (path.starts_with("~/")) {
    if (const auto home = environment.find("HOME"); home != environment.end())
      return home->second + path.substr(1);
  }
  const std::filesystem::path given(path);
  if (given.is_absolute() || directory.empty()) return given.lexically_normal().string();
  return (std::filesystem::path(directory) / given).lexically_normal().string();
}

}  // namespace ccrules::config
