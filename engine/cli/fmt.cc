#include <algorithm>
#include <sstream>

#include "cli/commands.h"
#include "cli/load.h"
#include "cli/paint.h"
#include "cli/write_file.h"
#include "core/limits.h"
#include "core/text.h"
#include "rules/format.h"

namespace ccrules::cli {
namespace {

bool is_rule_file(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  return name.ends_with(".lua") || name == "rules.json" || name.ends_with(".rules.json");
}

void find_in(const Files& files, const std::string& folder, std::size_t depth, std::vector<std::string>& out) {
  for (const std::string& name : files.list(folder)) {
    if (name.starts_with('.') || name == "node_modules" || name == "build" || out.size() > limits::kRules) continue;
    const std::string path = folder + "/" + name;
    if (is_rule_file(path)) {
      out.push_back(path);
    } else if (depth < limits::kTestFolderDepth && name.find('.') == std::string::npos) {
      find_in(files, path, depth + 1, out);
    }
  }
}

Result<std::string> format(const std::string& path, const std::string& text) {
  return path.ends_with(".json") ? rules::format_json(text) : rules::format_lua(text);
}

/// "12: unexpected symbol" of a file as a person reads it.
void print_problem(Io& io, const std::string& path, const std::string& text, const std::string& message) {
  config::Diagnostic diagnostic;
  diagnostic.where.file = shown_path(io, path);
  const std::size_t colon = message.find(": ");
  const std::int64_t line =
      colon == std::string::npos ? 0 : text::to_int(std::string_view(message).substr(0, colon)).value_or(0);
  diagnostic.message = line > 0 ? message.substr(colon + 2) : message;
  diagnostic.hint = "the file was left as it is";
  if (line > 0) {
    diagnostic.where.line = static_cast<int>(line);
    diagnostic.where.column = 1;
    const auto lines = text::split(text, '\n');
    if (static_cast<std::size_t>(line) <= lines.size()) diagnostic.source_line = lines[static_cast<std::size_t>(line) - 1];
  }
  io.err << config::render(diagnostic, paint_for_err(io).on());
}

Exit from_input(Io& io) {
  std::ostringstream read;
  read << io.in.rdbuf();
  const std::string text = std::move(read).str();
  const Result<std::string> formatted = rules::format_lua(text);
  if (!formatted.ok()) {
    print_problem(io, "stdin", text, formatted.error().message);
    return Exit::kUsage;
  }
  io.out << *formatted;
  return Exit::kOk;
}

Exit run_fmt(const Arguments& arguments, Io& io) {
  if (arguments.words().size() == 1 && arguments.words().front() == "-") return from_input(io);
  std::vector<std::string> paths;
  std::vector<std::string> asked = arguments.words();
  if (asked.empty()) asked.push_back(io.working_directory);
  for (const std::string& word : asked) {
    if (is_rule_file(word) || word.ends_with(".json")) {
      paths.push_back(word);
    } else {
      if (io.files.list(word).empty()) return usage_error(io, word + ": there is no such folder; rule files end in .lua or are called rules.json");
      find_in(io.files, word, 0, paths);
    }
  }
  const bool check = arguments.has("check");
  bool broken = false;
  std::vector<std::string> changed;
  for (const std::string& path : paths) {
    const Result<std::string> text = io.files.read(path);
    if (!text.ok()) return usage_error(io, text.error().message);
    const Result<std::string> formatted = format(path, *text);
    if (!formatted.ok()) {
      print_problem(io, path, *text, formatted.error().message);
      broken = true;
      continue;
    }
    if (*formatted == *text) continue;
    changed.push_back(path);
    if (check) continue;
    const Result<void> written = write_file(path, *formatted);
    if (!written.ok()) return usage_error(io, written.error().message);
  }
  for (const std::string& path : changed) io.out << shown_path(io, path) << "\n";
  if (broken) return Exit::kUsage;
  return check && !changed.empty() ? Exit::kFailed : Exit::kOk;
}

}  // namespace

Command fmt_command() {
  Command command;
  command.name = "fmt";
  command.summary = "Lay out rule files";
  command.arguments = "[PATH...|-]";
  command.about =
      "Indents Lua rule and test files and rules.json, and puts one blank where one belongs. Line breaks, comments, quotes and\n"
      "columns that were aligned stay. The meaning never changes: the laid out file must compile to the same code, else it is\n"
      "left alone. Prints the names of files it changed. A folder is searched for *.lua and rules.json; without a PATH, this one.";
  command.flags = {{"check", "", "change nothing; exit code 1 when a file would change", {}}};
  command.examples = {{"ccrules fmt", "every rule file below this folder"},
                      {"ccrules fmt - < rules.lua", "from standard input to standard output"},
                      {"ccrules fmt --check", "for CI"}};
  command.most = 1000;
  command.run = &run_fmt;
  return command;
}

}  // namespace ccrules::cli
