#include <filesystem>
#include <map>
#include <string>

#include <catch2/catch.hpp>

#include "support/files.h"
#include "unit/cli/scratch.h"

using namespace ccrules;
using Catch::Matchers::Contains;
using ccrules::test::CliResult;
using ccrules::test::Scratch;

namespace {

/// A mistake in one file, and what is said about it. Mistakes in packs: pack_test.cc.
struct Mistake {
  const char* what;
  const char* command;
  const char* file;
  const char* text;
  const char* place;  ///< file:line:column of the message
  const char* says;
};

constexpr Mistake kMistakes[] = {
    {"a Lua syntax error", "check", "rules.lua", "rule \"a\" {\n  to = \"sim,hello\",\n", "rules.lua:2:20:", "before the file ends"},
    {"a JSON syntax error", "check", "rules.json", "{\n  \"rules\": [ }\n", "rules.json:2:", "expected"},
    {"an unknown fact", "check", "rules.lua", "rule \"a\" {\n  when = { tokns = 5 }, to = \"sim,x\" }", "rules.lua:2:12:", "did you mean 'tokens'?"},
    {"an unknown fact in JSON", "check", "rules.json", "{\"rules\":[\n{\"name\":\"a\",\"when\":{\"tokns\":5},\"to\":\"sim,x\"}]}", "rules.json:2:21:", "did you mean 'tokens'?"},
    {"an unknown effect", "check", "rules.lua", "rule \"a\" { too = \"sim,x\" }", "rules.lua:1:12:", "did you mean 'to'?"},
    {"a rule that says nonsense", "check", "rules.lua", "rule \"a\" { to = 5 }", "rules.lua:1:17:", "to "},
    {"a model of nobody", "check", "rules.lua", "rule \"a\" { to = \"nobody,x\" }", "rules.lua:1:17:", "nobody"},
    {"a file that fails while it loads", "check", "rules.lua", "\nerror('no')", "rules.lua:2:", "no"},
    {"a file that never ends loading", "check", "rules.lua", "while true do end", "rules.lua:1:1: ", "was stopped"},
    {"a configuration with a mistake", "check", "ccrules.json", "{ \"routs\": {} }", "ccrules.json:1:3:", "did you mean 'routes'?"},
    {"an unknown expectation", "test", "a_test.lua", "case \"a\" {\n  expect = { too = \"sim,x\" } }", "a_test.lua:2:14:", "did you mean 'to'?"},
    {"an unknown given fact", "test", "a_test.lua", "case \"a\" { given = { tokns = 5 }, expect = {} }", "a_test.lua:1:22:", "did you mean 'tokens'?"},
    {"a test whose sample is missing", "test", "a_test.lua", "\ncase \"a\" { request = \"samples/none.json\", expect = {} }", "a_test.lua:2:", "samples/none.json"},
    {"a line of tests that is no JSON", "test", "a.jsonl", "{\"name\":\"a\",\"expect\":{}}\n{oh\n", "a.jsonl:2:", "JSON"},
};

std::map<std::string, std::string> everything_in(const Scratch& scratch) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(scratch.path(""))) {
    if (entry.is_regular_file()) files[entry.path().string()] = ccrules::test::read_file(entry.path().string());
  }
  return files;
}

}  // namespace

TEST_CASE("bad input is one message with its place, exit code 2, and nothing changed on disk") {
  for (const Mistake& mistake : kMistakes) {
    INFO(mistake.what);
    const Scratch scratch;
    const std::string file = mistake.file;
    const std::string rules = file.starts_with("rules.") ? file : "rules.lua";
    scratch.write("ccrules.json", "{ \"rules\": [\"" + rules + "\"] }");
    scratch.write("rules.lua", "rule \"fine\" { to = \"sim,hello\" }");
    scratch.write(file, mistake.text);
    const auto before = everything_in(scratch);
    const CliResult told = scratch.run({mistake.command});
    const std::string said = told.out + told.err;
    INFO(said);
    CHECK(told.code == 2);
    CHECK_THAT(said, Contains(std::string(mistake.place)) && Contains(mistake.says) && Contains("error: "));
    CHECK(everything_in(scratch) == before);
  }
}
