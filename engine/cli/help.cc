#include "cli/help.h"

#include "cli/commands.h"
#include "core/json.h"
#include "core/text.h"

namespace ccrules::cli {
namespace {

std::string flag_text(const Flag& flag) {
  return "--" + flag.name + (flag.is_switch() || flag.value_is_optional() ? "" : " ") + flag.value;
}

std::string flag_help(const Flag& flag) {
  if (flag.choices.empty()) return flag.help;
  std::string out = flag.help + " (";
  for (std::size_t i = 0; i < flag.choices.size(); ++i) out += (i > 0 ? " | " : "") + flag.choices[i];
  return out + ")";
}

std::string usage_of(const Command& command) {
  return "ccrules " + command.name + (command.flags.empty() ? "" : " [flags]") +
         (command.arguments.empty() ? std::string() : " " + command.arguments);
}

void print_flags(std::ostream& out, const Paint& paint, const std::vector<Flag>& flags) {
  Table table({Table::Align::kLeft, Table::Align::kLeft});
  for (const Flag& flag : flags) table.row({paint.cyan(flag_text(flag)), flag_help(flag)});
  table.print(out, "  ");
}

void write_flags(json::Writer& writer, const std::vector<Flag>& flags) {
  writer.begin_array();
  for (const Flag& flag : flags) {
    writer.begin_object().member("name", flag.name).member("value", flag.value).member("help", flag.help);
    writer.key("choices").begin_array();
    for (const std::string& choice : flag.choices) writer.string(choice);
    writer.end_array().end_object();
  }
  writer.end_array();
}

void print_json(std::ostream& out) {
  std::string text;
  json::Writer writer(text);
  writer.begin_object().member("schema", "ccrules.commands/1");
  writer.key("global_flags");
  write_flags(writer, global_flags());
  writer.key("commands").begin_array();
  for (const Command& command : commands()) {
    writer.begin_object()
        .member("name", command.name)
        .member("summary", command.summary)
        .member("usage", usage_of(command))
        .member("about", command.about)
        .key("flags");
    write_flags(writer, command.flags);
    writer.end_object();
  }
  writer.end_array().end_object();
  out << text << "\n";
}

void print_markdown_flags(std::ostream& out, const std::vector<Flag>& flags) {
  out << "| flag | |\n|---|---|\n";
  for (const Flag& flag : flags) {
    std::string help;
    for (const char c : flag_help(flag)) help += c == '|' ? std::string("\\|") : std::string(1, c);
    out << "| `" << flag_text(flag) << "` | " << help << " |\n";
  }
  out << "\n";
}

/// The reference part of docs/commands.md; a test compares them.
void print_markdown(std::ostream& out) {
  out << "## Flags of every command\n\n";
  print_markdown_flags(out, global_flags());
  for (const Command& command : commands()) {
    out << "## ccrules " << command.name << "\n\n`" << usage_of(command) << "` — " << command.summary
        << ".\n\n";
    if (!command.about.empty()) out << command.about << "\n\n";
    if (!command.flags.empty()) print_markdown_flags(out, command.flags);
    for (const Example& example : command.examples)
      out << "- `" << example.line << "`: " << example.says << "\n";
    if (!command.examples.empty()) out << "\n";
  }
}

Exit run_help(const Arguments& arguments, Io& io) {
  if (arguments.json()) {
    print_json(io.out);
    return Exit::kOk;
  }
  if (arguments.has("markdown")) {
    print_markdown(io.out);
    return Exit::kOk;
  }
  const Paint paint = paint_for_out(io);
  if (arguments.words().empty()) {
    print_overview(io.out, paint);
    return Exit::kOk;
  }
  const std::string& name = arguments.words().front();
  const Command* command = find_command(name);
  if (command == nullptr) {
    std::vector<std::string> names;
    for (const Command& known : commands()) names.push_back(known.name);
    const std::string near = text::did_you_mean(name, names);
    io.err << paint_for_err(io).red("error:") << " there is no command '" << name << "'"
           << (near.empty() ? std::string() : "; did you mean '" + near + "'?") << "\n";
    return Exit::kUsage;
  }
  print_command(io.out, paint, *command);
  return Exit::kOk;
}

}  // namespace

void print_overview(std::ostream& out, const Paint& paint) {
  out << paint.bold("ccrules") << " " << CCR_VERSION
      << " — a local proxy for coding agents whose every routing decision is a rule you can read and test\n\n"
      << paint.bold("usage:") << " ccrules COMMAND [flags]\n\n";
  Table table({Table::Align::kLeft, Table::Align::kLeft});
  for (const Command& command : commands()) table.row({paint.cyan(command.name), command.summary});
  table.print(out, "  ");
  out << "\n" << paint.bold("every command takes:") << "\n";
  print_flags(out, paint, global_flags());
  out << "\n" << paint.dim("more about one: ccrules help COMMAND") << "\n";
}

void print_command(std::ostream& out, const Paint& paint, const Command& command) {
  out << paint.bold("ccrules " + command.name) << " — " << command.summary << "\n\n"
      << paint.bold("usage:") << " " << usage_of(command) << "\n";
  if (!command.about.empty()) out << "\n" << command.about << "\n";
  out << "\n" << paint.bold("flags:") << "\n";
  std::vector<Flag> flags = command.flags;
  flags.insert(flags.end(), global_flags().begin(), global_flags().end());
  print_flags(out, paint, flags);
  if (command.examples.empty()) return;
  out << "\n" << paint.bold("examples:") << "\n";
  Table examples({Table::Align::kLeft, Table::Align::kLeft}, Table::Long::kWhole);
  for (const Example& example : command.examples) examples.row({paint.cyan(example.line), example.says});
  examples.print(out, "  ");
}

Command help_command() {
  Command command;
  command.name = "help";
  command.summary = "What the commands do and take";
  command.arguments = "[COMMAND]";
  command.flags = {{"markdown", "", "the whole reference as Markdown", {}}};
  command.most = 1;
  command.run = &run_help;
  return command;
}

}  // namespace ccrules::cli
