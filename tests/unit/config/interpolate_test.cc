#include "config/interpolate.h"

#include <catch2/catch.hpp>

#include "support/memory_files.h"

using namespace ccrules;

namespace {

config::Interpolated interpolate(std::string_view text) {
  const test::MemoryFiles files({{"/etc/key", "from file\n"}, {"/conf/rel", "relative"}});
  const Environment environment = {{"A", "1"}, {"EMPTY", ""}, {"TRICK", "${A}"}, {"HOME", "/h"}};
  return config::interpolate(text, {files, environment, "/conf"});
}

}  // namespace

TEST_CASE("variables, defaults and files are put into texts") {
  CHECK(interpolate("x${A}y").text == "x1y");
  CHECK(interpolate("${A}${A}").text == "11");
  CHECK(interpolate("${B:-other}").text == "other");
  CHECK(interpolate("${EMPTY:-other}").text == "other");
  CHECK(interpolate("${EMPTY}").text.empty());
  CHECK(interpolate("${B:-}").text.empty());
  CHECK(interpolate("${file:/etc/key}").text == "from file");
  CHECK(interpolate("${file:rel}").text == "relative");
  CHECK(interpolate("$A and $ and }").text == "$A and $ and }");
}

TEST_CASE("what a variable holds is not looked into again, and $${ is a literal ${") {
  CHECK(interpolate("${TRICK}").text == "${A}");
  CHECK(interpolate("$${A}").text == "${A}");
}

TEST_CASE("what is missing is named") {
  CHECK(interpolate("${B}").unset_variable == "B");
  CHECK(interpolate("${file:/no}").problem.find("cannot read /no") == 0);
  CHECK(interpolate("${A").problem.find("'${' is not closed") == 0);
}

TEST_CASE("a file in a text is a plain one of a size that values have") {
  const Environment none;
  const auto problem = [&none](const std::string& text) { return config::interpolate(text, {system_files(), none, "/"}).problem; };
  CHECK(problem("${file:/dev/zero}") == "cannot read /dev/zero: it is no plain file");
  CHECK_FALSE(problem("${file:/proc/self/fd}").empty());
  const test::MemoryFiles files({{"/large", std::string(256 * 1024 + 1, 'x')}, {"/most", std::string(256 * 1024, 'x')}});
  CHECK(config::interpolate("${file:/large}", {files, none, "/"}).problem == "cannot read /large: it has more than 262144 bytes");
  CHECK(config::interpolate("${file:/most}", {files, none, "/"}).text.size() == 256 * 1024);
}

TEST_CASE("a .env file is read with comments, quotes and export") {
  const Environment variables =
      config::parse_dotenv("# a comment\nA=1\nexport B = 'two words' \r\nC=\"x=y\"\nnonsense\n=no\nD=\n");
  CHECK(variables == Environment{{"A", "1"}, {"B", "two words"}, {"C", "x=y"}, {"D", ""}});
}

TEST_CASE("paths are seen from the configuration's directory") {
  const Environment environment = {{"HOME", "/h"}};
  CHECK(config::resolve_path("rules/a.lua", "/conf", environment) == "/conf/rules/a.lua");
  CHECK(config::resolve_path("../a.lua", "/conf/x", environment) == "/conf/a.lua");
  CHECK(config::resolve_path("/a", "/conf", environment) == "/a");
  CHECK(config::resolve_path("~/a", "/conf", environment) == "/h/a");
  CHECK(config::resolve_path("", "/conf", environment).empty());
}
