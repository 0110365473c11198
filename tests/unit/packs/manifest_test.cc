#include <catch2/catch.hpp>

#include "packs/manifest.h"

using namespace ccrules;
using namespace ccrules::packs;
using Catch::Contains;

namespace {

constexpr const char* kGood = R"({
  "name": "acme/team-cost",
  "version": "1.2.0",
  "engine": ">=0.1 <1",
  "kind": "lua",
  "summary": "Cheap models first",
  "license": "Apache-2.0",
  "depends": { "acme/base": "^1.0" },
  "needs": ["text", "headers"],
  "models": { "cheap": "a small model", "deep": { "about": "a large one", "suggests": ["anthropic,claude-opus-5-5"] } }
})";

Folder pack(const std::string& manifest) {
  return {{"pack.json", manifest}, {"rules/b.lua", ""}, {"rules/a.lua", ""}, {"tests/a_test.lua", ""}};
}

std::string with(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

/// The first complaint as "line:col message | hint".
std::string complaint(const Folder& folder) {
  std::vector<config::Diagnostic> found;
  if (read_manifest(folder, "p/pack.json", found)) return "accepted";
  REQUIRE_FALSE(found.empty());
  const config::Diagnostic& first = found.front();
  return std::to_string(first.where.line) + ":" + std::to_string(first.where.column) + " " + first.message + " | " + first.hint;
}

Manifest named(const std::string& name, const std::string& version, const std::map<std::string, std::string>& depends) {
  Manifest manifest;
  manifest.name = name;
  manifest.version = Version::parse(version).value();
  manifest.place.where.file = name + "/pack.json";
  for (const auto& [other, range] : depends) manifest.depends[other] = {Range::parse(range).value(), {}};
  return manifest;
}

}  // namespace

TEST_CASE("a manifest says who the pack is, and rules and tests are found in their folders, sorted") {
  std::vector<config::Diagnostic> found;
  const std::optional<Manifest> manifest = read_manifest(pack(kGood), "p/pack.json", found);
  REQUIRE(manifest);
  CHECK(found.empty());
  CHECK(manifest->name == "acme/team-cost");
  CHECK(manifest->version.text() == "1.2.0");
  CHECK(manifest->needs == std::vector<std::string>{"headers", "text"});
  CHECK(manifest->rules == std::vector<std::string>{"rules/a.lua", "rules/b.lua"});
  CHECK(manifest->tests == std::vector<std::string>{"tests/a_test.lua"});
  CHECK(manifest->models.at("deep").suggests == std::vector<std::string>{"anthropic,claude-opus-5-5"});
}

TEST_CASE("every mistake in a manifest is named with its line, column and a way out") {
  CHECK_THAT(complaint(pack(with(kGood, "\"summary\"", "\"sumary\""))), Catch::StartsWith("6:3 unknown member 'sumary' | did you mean 'summary'?"));
  CHECK_THAT(complaint(pack(with(kGood, "1.2.0", "1.2"))), Catch::StartsWith("3:14 version must be a Semantic Version (got '1.2')"));
  CHECK_THAT(complaint(pack(with(kGood, ">=0.1 <1", "newest"))), Catch::StartsWith("4:13 engine must be a range"));
  CHECK_THAT(complaint(pack(with(kGood, "\"lua\"", "\"date\""))), Contains("5:11 kind must be") && Contains("did you mean 'data'?"));
  CHECK_THAT(complaint(pack(with(kGood, "acme/team-cost", "Acme"))), Contains("2:11 name must be lower-case"));
  CHECK_THAT(complaint(pack(with(kGood, "\"text\"", "\"txt\""))), Contains("unknown need 'txt'") && Contains("did you mean 'text'?"));
  CHECK_THAT(complaint(pack(with(kGood, "\"version\": \"1.2.0\",", ""))), Contains("'version' is missing"));
  CHECK_THAT(complaint(pack(with(kGood, "^1.0", "one"))), Contains("depends.acme/base must be a range"));
  CHECK_THAT(complaint(pack(with(kGood, "\"license\"", "\"rules\": [\"rules/c.lua\"], \"license\""))),
             Contains("there is no 'rules/c.lua' in the pack") && Contains("did you mean 'rules/"));
  CHECK_THAT(complaint(pack(with(kGood, "\"license\"", "\"rules\": [\"../c.lua\"], \"license\""))), Contains("leads out of it"));
  CHECK_THAT(complaint(pack(with(kGood, "Cheap models", "\\u001b[2J"))), Contains("summary holds a control character"));
  CHECK_THAT(complaint(pack("[]")), Contains("must be an object"));
  CHECK_THAT(complaint(pack("{ \"name\": ")), Contains("1:"));
  CHECK_THAT(complaint({{"rules/a.lua", ""}}), Contains("has no pack.json"));
  CHECK_THAT(complaint({{"pack.json", with(kGood, "\"license\"", "\"rules\": [], \"name\": \"x\", \"license\"")}}), Contains("stands here twice"));
}

TEST_CASE("all mistakes of a manifest come at once") {
  std::vector<config::Diagnostic> found;
  CHECK_FALSE(read_manifest(pack(R"({ "name": 1, "version": "x", "kinds": "lua" })"), "p/pack.json", found));
  CHECK(found.size() >= 6);
}

TEST_CASE("a data pack holds no Lua, neither as rules nor as tests nor hidden elsewhere") {
  const std::string data = with(kGood, "\"lua\"", "\"data\"");
  CHECK_THAT(complaint(pack(data)), Contains("5:11 a data pack holds no code, but there is 'rules/a.lua'"));
  CHECK(complaint({{"pack.json", data}, {"rules/a.json", "{}"}, {"tests/a.jsonl", ""}}) == "accepted");
  CHECK_THAT(complaint({{"pack.json", data}, {"rules/a.json", "{}"}, {"docs/x.lua", ""}}), Contains("docs/x.lua"));
}

TEST_CASE("settings become a Lua table of the right types, whatever was typed") {
  const std::string text = with(kGood, "\"needs\"", R"json("settings": { "projects": { "about": "where", "default": ["/a"] },
    "limit": { "default": 5 }, "hard": { "default": false }, "word": { "default": "x\"]] os.exit()" } }, "needs")json");
  std::vector<config::Diagnostic> found;
  const Manifest manifest = read_manifest(pack(text), "p/pack.json", found).value();
  CHECK(*settings_lua(manifest, {}) ==
        R"lua(settings = { ["hard"] = false, ["limit"] = 5, ["projects"] = { "/a", }, ["word"] = "x\034]] os.exit()", })lua" "\n");
  CHECK_THAT(*settings_lua(manifest, {{"projects", "/srv/*, /home/me"}, {"limit", "2.5"}}),
             Contains(R"(["projects"] = { "/srv/*", "/home/me", })") && Contains(R"(["limit"] = 2.5)"));
  CHECK(settings_lua(manifest, {{"limit", "os.exit()"}}).error().message == "setting 'limit' of acme/team-cost must be a number (got 'os.exit()')");
  CHECK_THAT(settings_lua(manifest, {{"limits", "1"}}).error().message, Contains("has no setting 'limits'; did you mean 'limit'?"));
}

TEST_CASE("a pack that works with other versions of ccrules says which") {
  std::vector<config::Diagnostic> found;
  const Manifest manifest = read_manifest(pack(kGood), "p/pack.json", found).value();
  CHECK_FALSE(check_engine(manifest, "0.1.0"));
  const auto refused = check_engine(manifest, "1.0.0");
  REQUIRE(refused);
  CHECK(refused->message == "acme/team-cost 1.2.0 works with ccrules >=0.1 <1, this is 1.0.0");
  CHECK(refused->where.line == 4);
}

TEST_CASE("packs stand after those they depend on; what is missing, too old or a circle is named") {
  std::vector<config::Diagnostic> found;
  const Manifest base = named("base", "1.4.0", {});
  const Manifest middle = named("middle", "2.0.0", {{"base", "^1.2"}});
  const Manifest top = named("top", "1.0.0", {{"middle", "2"}, {"base", "*"}});
  CHECK(in_dependency_order({&top, &middle, &base}, found) == std::vector<const Manifest*>{&base, &middle, &top});
  CHECK(found.empty());

  (void)in_dependency_order({&middle}, found);
  REQUIRE(found.size() == 1);
  CHECK(found.back().message == "middle depends on base ^1.2, which is not installed");
  const Manifest old_base = named("base", "1.0.0", {});
  (void)in_dependency_order({&middle, &old_base}, found);
  REQUIRE(found.size() == 2);
  CHECK(found.back().message == "middle depends on base ^1.2, but version 1.0.0 is there");

  const Manifest a = named("a", "1.0.0", {{"b", "*"}});
  const Manifest b = named("b", "1.0.0", {{"c", "*"}});
  const Manifest c = named("c", "1.0.0", {{"a", "*"}});
  found.clear();
  (void)in_dependency_order({&a, &b, &c}, found);
  REQUIRE(found.size() == 1);
  CHECK(found.back().message == "packs depend on each other in a circle: a -> b -> c -> a");
}
