#include <catch2/catch.hpp>

#include "cli/command.h"
#include "core/json.h"
#include "unit/cli/run_cli.h"

using ccrules::cli::Command;
using ccrules::cli::commands;
using ccrules::cli::Flag;
using ccrules::test::CliResult;
using ccrules::test::run_cli;

TEST_CASE("every command has a summary without a full stop, a function, and flags that say what they do") {
  for (const Command& command : commands()) {
    INFO(command.name);
    CHECK_FALSE(command.summary.empty());
    CHECK(command.summary.back() != '.');
    CHECK(command.run != nullptr);
    CHECK(command.least <= command.most);
    CHECK((command.most == 0) == command.arguments.empty());
    for (const Flag& flag : command.flags) {
      INFO(flag.name);
      CHECK_FALSE(flag.help.empty());
      CHECK((flag.choices.empty() || !flag.value.empty()));
      for (const Flag& global : ccrules::cli::global_flags()) CHECK(global.name != flag.name);
    }
  }
}

TEST_CASE("help names every command, and help of a command every flag") {
  const CliResult overview = run_cli({"help"});
  CHECK(overview.code == 0);
  for (const Command& command : commands()) {
    CHECK_THAT(overview.out, Catch::Contains(command.name) && Catch::Contains(command.summary));
    const CliResult one = run_cli({"help", command.name});
    CHECK(one.code == 0);
    CHECK(run_cli({command.name, "--help"}).out == one.out);
    for (const Flag& flag : command.flags) CHECK_THAT(one.out, Catch::Contains("--" + flag.name));
    for (const auto& example : command.examples) CHECK_THAT(one.out, Catch::Contains(example.line));
  }
}

TEST_CASE("without a command the overview goes to stderr and the exit code is 2") {
  const CliResult nothing = run_cli({});
  CHECK(nothing.code == 2);
  CHECK(nothing.out.empty());
  CHECK_THAT(nothing.err, Catch::Contains("usage: ccrules COMMAND"));
}

TEST_CASE("help of an unknown command suggests the one that was meant") {
  const CliResult unknown = run_cli({"help", "statz"});
  CHECK(unknown.code == 2);
  CHECK(unknown.err == "error: there is no command 'statz'; did you mean 'stats'?\n");
}

TEST_CASE("the reference and the version are JSON with a schema id when asked") {
  for (const char* name : {"help", "version"}) {
    const CliResult shown = run_cli({name, "--json"});
    CHECK(shown.code == 0);
    CHECK(ccrules::json::is_valid(shown.out));
    CHECK_THAT(shown.out, Catch::Contains("\"schema\":\"ccrules."));
  }
}

TEST_CASE("completions know every command and every flag in every shell") {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const CliResult script = run_cli({"completion", shell});
    CHECK(script.code == 0);
    const std::string dashes = std::string(shell) == "fish" ? "-l " : "--";
    for (const Command& command : commands()) {
      CHECK_THAT(script.out, Catch::Contains(command.name));
      for (const Flag& flag : command.flags) CHECK_THAT(script.out, Catch::Contains(dashes + flag.name));
    }
  }
  CHECK(run_cli({"completion", "tcsh"}).code == 2);
}
