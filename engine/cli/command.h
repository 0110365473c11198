#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "cli/io.h"

namespace ccrules::cli {

/// One `--flag`. Help, completions, parsing and docs/commands.md all read this row.
struct Flag {
  std::string name;   ///< without the dashes
  std::string value;  ///< what stands for its value in help ("PORT"); empty: a switch; "[=N]": may have one
  std::string help;   ///< one line
  std::vector<std::string> choices;  ///< the only values allowed; empty: any

  [[nodiscard]] bool is_switch() const { return value.empty(); }
  /// Takes a value only as --flag=value.
  [[nodiscard]] bool value_is_optional() const { return value.starts_with('['); }
};

struct Example {
  std::string line;
  std::string says;
};

class Arguments;

struct Command {
  std::string name;
  std::string summary;    ///< one line, no full stop
  std::string arguments;  ///< "[PATH...]", as help shows them
  std::string about;      ///< paragraphs for `ccrules help NAME`
  std::vector<Flag> flags;
  std::vector<Example> examples;
  std::vector<std::string> words;  ///< fixed words its arguments may be, for completion
  std::size_t least = 0;           ///< arguments
  std::size_t most = 0;
  Exit (*run)(const Arguments&, Io&) = nullptr;
};

/// A command line that fits its command: every flag is known, every value allowed, the arguments are as many
/// as wanted.
class Arguments {
 public:
  [[nodiscard]] bool has(std::string_view flag) const { return find(flag) != nullptr; }
  /// Value of the last use of `flag`; empty when it was not given.
  [[nodiscard]] std::string value(std::string_view flag) const;
  /// Values of all uses of `flag`, in order.
  [[nodiscard]] std::vector<std::string> values(std::string_view flag) const;
  [[nodiscard]] const std::vector<std::string>& words() const { return words_; }
  /// The global switch: JSON on stdout instead of text.
  [[nodiscard]] bool json() const { return has("json"); }

 private:
  friend struct Parser;
  struct Given {
    std::string flag, value;
  };
  [[nodiscard]] const Given* find(std::string_view flag) const;
  std::vector<Given> given_;
  std::vector<std::string> words_;
};

/// Every command, in the order help shows them.
const std::vector<Command>& commands();
/// Null when there is none of that name.
const Command* find_command(std::string_view name);
/// Flags that every command takes.
const std::vector<Flag>& global_flags();

struct Parsed {
  const Command* command = nullptr;  ///< null: none was named, or there is an error
  Arguments arguments;
  std::string error;  ///< one sentence; empty when all is well
  std::string hint;   ///< "did you mean --port?"; may be empty
};
/// `line` is argv without the program's name. Flags stand anywhere, `--flag value` or `--flag=value`; `--`
/// ends them.
Parsed parse(const std::vector<std::string>& line);

}  // namespace ccrules::cli
