#include "cli/commands.h"

namespace ccrules::cli {
namespace {

std::string names_of_flags(const Command& command) {
  std::string out;
  for (const auto* flags : {&command.flags, &global_flags()}) {
    for (const Flag& flag : *flags) out += (out.empty() ? "--" : " --") + flag.name;
  }
  return out;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

std::string names_of_commands() {
  std::string out;
  for (const Command& command : commands()) out += (out.empty() ? "" : " ") + command.name;
  return out;
}

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

void print_bash(std::ostream& out) {
  out << "# bash completion of ccrules; load with: source <(ccrules completion bash)\n"
         "_ccrules() {\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} "
         "command=${COMP_WORDS[1]}\n"
         "  COMPREPLY=()\n"
         "  if ((COMP_CWORD == 1)); then\n"
         "    mapfile -t COMPREPLY < <(compgen -W '"
      << names_of_commands()
      << "' -- \"$word\")\n"
         "    return\n"
         "  fi\n"
         "  case \"$command $before\" in\n";
  for (const Command& command : commands()) {
    for (const Flag& flag : command.flags) {
      if (flag.choices.empty()) continue;
      out << "    '" << command.name << " --" << flag.name << "') mapfile -t COMPREPLY < <(compgen -W '"
          << joined(flag.choices) << "' -- \"$word\"); return ;;\n";
    }
  }
  out << "  esac\n"
         "  case \"$command\" in\n";
  for (const Command& command : commands()) {
    out << "    " << command.name << ") mapfile -t COMPREPLY < <(compgen -W '" << names_of_flags(command)
        << (command.words.empty() ? "" : " ") << joined(command.words) << "' -- \"$word\") ;;\n";
  }
  out << "  esac\n"
         "  [[ ${#COMPREPLY[@]} -gt 0 || $word == -* ]] || mapfile -t COMPREPLY < <(compgen -f -- "
         "\"$word\")\n"
         "}\n"
         "complete -o filenames -F _ccrules ccrules\n";
}

void print_zsh(std::ostream& out) {
  out << "#compdef ccrules\n"
         "# zsh completion of ccrules; load with: source <(ccrules completion zsh)\n"
         "_ccrules() {\n"
         "  if ((CURRENT == 2)); then\n"
         "    local -a all=(\n";
  for (const Command& command : commands())
    out << "      " << quoted(command.name + ":" + command.summary) << "\n";
  out << "    )\n"
         "    _describe command all\n"
         "    return\n"
         "  fi\n"
         "  case $words[2] in\n";
  for (const Command& command : commands()) {
    out << "    " << command.name << ") compadd -- " << names_of_flags(command)
        << (command.words.empty() ? "" : " ") << joined(command.words) << " ;;\n";
  }
  out << "  esac\n"
         "  _files\n"
         "}\n"
         "compdef _ccrules ccrules\n";
}

void print_fish(std::ostream& out) {
  out << "# fish completion of ccrules; load with: ccrules completion fish | source\n";
  for (const Command& command : commands()) {
    out << "complete -c ccrules -n __fish_use_subcommand -a " << command.name << " -d "
        << quoted(command.summary) << "\n";
    const std::string here = "complete -c ccrules -n '__fish_seen_subcommand_from " + command.name + "' ";
    for (const auto* flags : {&command.flags, &global_flags()}) {
      for (const Flag& flag : *flags) {
        out << here << "-l " << flag.name;
        if (!flag.choices.empty()) out << " -x -a " << quoted(joined(flag.choices));
        if (flag.choices.empty() && !flag.is_switch() && !flag.value_is_optional()) out << " -r";
        out << " -d " << quoted(flag.help) << "\n";
      }
    }
    if (!command.words.empty()) out << here << "-f -a " << quoted(joined(command.words)) << "\n";
  }
}

Exit run_completion(const Arguments& arguments, Io& io) {
  const std::string& shell = arguments.words().front();
  if (shell == "bash") {
    print_bash(io.out);
  } else if (shell == "zsh") {
    print_zsh(io.out);
  } else if (shell == "fish") {
    print_fish(io.out);
  } else {
    io.err << "error: completions exist for bash, zsh and fish (got '" << shell << "')\n";
    return Exit::kUsage;
  }
  return Exit::kOk;
}

}  // namespace

Command completion_command() {
  Command command;
  command.name = "completion";
  command.summary = "Completions for your shell";
  command.arguments = "bash|zsh|fish";
  command.about =
      "Prints a script to source: `source <(ccrules completion bash)`, or `ccrules completion fish | "
      "source`.";
  command.words = {"bash", "zsh", "fish"};
  command.least = 1;
  command.most = 1;
  command.run = &run_completion;
  return command;
}

}  // namespace ccrules::cli
