#include <catch2/catch.hpp>

#include "cli/command.h"

using ccrules::cli::parse;
using ccrules::cli::Parsed;

TEST_CASE("flags may stand before and after the command and its arguments") {
  const Parsed parsed = parse({"--json", "help", "--config", "x.json", "version"});
  REQUIRE(parsed.error.empty());
  CHECK(parsed.command->name == "help");
  CHECK(parsed.arguments.json());
  CHECK(parsed.arguments.value("config") == "x.json");
  CHECK(parsed.arguments.words() == std::vector<std::string>{"version"});
}

TEST_CASE("a flag's value is not taken for the command") {
  const Parsed parsed = parse({"--config", "help", "version"});
  REQUIRE(parsed.error.empty());
  CHECK(parsed.command->name == "version");
  CHECK(parsed.arguments.value("config") == "help");
}

TEST_CASE("a value may be joined by an equals sign and may itself hold one") {
  const Parsed parsed = parse({"version", "--config=a=b.json"});
  REQUIRE(parsed.error.empty());
  CHECK(parsed.arguments.value("config") == "a=b.json");
}

TEST_CASE("after two dashes everything is an argument") {
  const Parsed parsed = parse({"help", "--", "--json"});
  REQUIRE(parsed.error.empty());
  CHECK_FALSE(parsed.arguments.json());
  CHECK(parsed.arguments.words() == std::vector<std::string>{"--json"});
}

TEST_CASE("a wrong command line says in one sentence what is wrong and what was meant") {
  struct Case {
    std::vector<std::string> line;
    std::string error, hint;
  };
  const std::vector<Case> cases = {
      {{"verison"}, "there is no command 'verison'", "did you mean 'version'?"},
      {{"version", "--jsn"}, "'version' has no flag --jsn", "did you mean '--json'?"},
      {{"--bogus-thing"}, "there is no flag --bogus-thing", ""},
      {{"version", "--json=yes"}, "--json takes no value", ""},
      {{"version", "--config"}, "--config needs a value: --config FILE", ""},
      {{"version", "extra"}, "'version' does not take 'extra'", ""},
      {{"completion"}, "'completion' needs bash|zsh|fish", ""},
  };
  for (const Case& wanted : cases) {
    const Parsed parsed = parse(wanted.line);
    CHECK(parsed.error == wanted.error);
    CHECK(parsed.hint == wanted.hint);
    CHECK(parsed.command == nullptr);
  }
}

TEST_CASE("asking for help beats missing arguments") {
  const Parsed parsed = parse({"completion", "-h"});
  REQUIRE(parsed.error.empty());
  CHECK(parsed.command->name == "completion");
  CHECK(parsed.arguments.has("help"));
}

TEST_CASE("a single dash is an argument: standard input") {
  const Parsed parsed = parse({"help", "-"});
  REQUIRE(parsed.error.empty());
  CHECK(parsed.arguments.words() == std::vector<std::string>{"-"});
}
