#include <algorithm>

#include "cli/command.h"
#include "core/text.h"

namespace ccrules::cli {
namespace {

const Flag* find_flag(const Command* command, std::string_view name) {
  const auto named = [&](const Flag& flag) { return flag.name == name; };
  if (command != nullptr) {
    const auto own = std::find_if(command->flags.begin(), command->flags.end(), named);
    if (own != command->flags.end()) return &*own;
  }
  const auto global = std::find_if(global_flags().begin(), global_flags().end(), named);
  return global != global_flags().end() ? &*global : nullptr;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += ", ";
    out += word;
  }
  return out;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates,
                         std::string_view dashes) {
  const std::string near = text::did_you_mean(word, candidates);
  return near.empty() ? std::string() : "did you mean '" + std::string(dashes) + near + "'?";
}

}  // namespace

std::string Arguments::value(std::string_view flag) const {
  const Given* given = find(flag);
  return given != nullptr ? given->value : std::string();
}

std::vector<std::string> Arguments::values(std::string_view flag) const {
  std::vector<std::string> out;
  for (const Given& given : given_) {
    if (given.flag == flag) out.push_back(given.value);
  }
  return out;
}

const Arguments::Given* Arguments::find(std::string_view flag) const {
  const auto last =
      std::find_if(given_.rbegin(), given_.rend(), [&](const Given& given) { return given.flag == flag; });
  return last != given_.rend() ? &*last : nullptr;
}

/// One walk over a command line. The command is looked for first, so that its flags may stand before its
/// name.
struct Parser {
  const std::vector<std::string>& line;
  Parsed parsed{};
  std::size_t at = 0;

  bool fail(std::string error, std::string hint = {}) {
    parsed.command = nullptr;
    parsed.error = std::move(error);
    parsed.hint = std::move(hint);
    return false;
  }

  bool unknown_flag(const Command* command, const std::string& name) {
    std::vector<std::string> names;
    for (const Flag& flag : global_flags()) names.push_back(flag.name);
    if (command != nullptr) {
      for (const Flag& flag : command->flags) names.push_back(flag.name);
    }
    std::string hint = did_you_mean(name, names, "--");
    const std::string whose =
        command != nullptr ? "'" + command->name + "' has no flag --" : "there is no flag --";
    return fail(whose + name, std::move(hint));
  }

  bool read_flag(const Command* command, const std::string& token) {
    std::string name = token == "-h" ? "help" : token == "-V" ? "version" : token;
    name.erase(0, name.find_first_not_of('-'));
    const std::size_t equals = name.find('=');
    const bool inline_value = equals != std::string::npos;
    std::string value = inline_value ? name.substr(equals + 1) : std::string();
    if (inline_value) name.resize(equals);
    const Flag* flag = find_flag(command, name);
    if (flag == nullptr) return unknown_flag(command, name);
    if (flag->value_is_optional()) {
      if (inline_value && value.empty()) return fail("--" + name + "= needs a value, or leave the = out");
    } else if (flag->is_switch()) {
      if (inline_value) return fail("--" + name + " takes no value");
    } else if (!inline_value) {
      if (at + 1 >= line.size()) return fail("--" + name + " needs a value: --" + name + " " + flag->value);
      value = line[++at];
    }
    if (!flag->choices.empty() &&
        std::find(flag->choices.begin(), flag->choices.end(), value) == flag->choices.end()) {
      return fail("--" + name + " must be one of " + joined(flag->choices) + " (got '" + value + "')",
                  did_you_mean(value, flag->choices, ""));
    }
    parsed.arguments.given_.push_back({std::move(name), std::move(value)});
    return true;
  }

  static bool is_flag(const std::string& token) { return token.size() > 1 && token[0] == '-'; }

  /// The first word that is neither a flag nor a flag's value, and the command it names.
  bool find_named(const Command*& command, std::size_t& index) const {
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (line[i] == "--") return false;
      if (!is_flag(line[i])) {
        index = i;
        command = find_command(line[i]);
        return true;
      }
      const Flag* flag = find_flag(nullptr, line[i].substr(std::min<std::size_t>(2, line[i].size())));
      if (flag != nullptr && !flag->is_switch() && !flag->value_is_optional()) ++i;
    }
    return false;
  }

  bool run() {
    const Command* command = nullptr;
    std::size_t named_at = line.size();
    if (find_named(command, named_at) && command == nullptr) {
      std::vector<std::string> names;
      for (const Command& known : commands()) names.push_back(known.name);
      return fail("there is no command '" + line[named_at] + "'", did_you_mean(line[named_at], names, ""));
    }
    bool flags_end = false;
    for (at = 0; at < line.size(); ++at) {
      if (at == named_at) continue;
      if (flags_end || !is_flag(line[at])) {
        parsed.arguments.words_.push_back(line[at]);
      } else if (line[at] == "--") {
        flags_end = true;
      } else if (!read_flag(command, line[at])) {
        return false;
      }
    }
    parsed.command = command;
    if (command == nullptr || parsed.arguments.has("help")) return true;
    const std::size_t count = parsed.arguments.words_.size();
    if (count < command->least) return fail("'" + command->name + "' needs " + command->arguments);
    if (count > command->most) {
      return fail("'" + command->name + "' does not take '" + parsed.arguments.words_[command->most] + "'");
    }
    return true;
  }
};

Parsed parse(const std::vector<std::string>& line) {
  Parser parser{line};
  (void)parser.run();  // what went wrong stands in `parsed`
  return std::move(parser.parsed);
}

}  // namespace ccrules::cli
