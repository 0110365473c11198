#include <algorithm>
#include <set>

#include <catch2/catch.hpp>

#include "config/settings.h"
#include "config/source.h"
#include "support/files.h"

using namespace ccrules;

namespace {

const config::Node* member(const config::Node& node, std::string_view name) {
  for (const config::Node::Member& child : node.members) {
    if (child.key == name) return &child.value;
  }
  return nullptr;
}

config::Node read(const std::string& path) {
  std::vector<config::Diagnostic> diagnostics;
  auto tree = config::Source(path, test::read_file(path)).parse(diagnostics);
  REQUIRE(tree);
  return *std::move(tree);
}

/// Every path of the schema below `node` that has one value: name -> kind, as values.h calls kinds.
void leaves(const config::Node& node, const std::string& path, std::map<std::string, std::string>& out) {
  const config::Node* properties = member(node, "properties");
  if (properties == nullptr) return;
  for (const config::Node::Member& child : properties->members) {
    const std::string name = path.empty() ? child.key : path + "." + child.key;
    if (member(child.value, "properties") != nullptr) {
      leaves(child.value, name, out);
    } else if (const config::Node* reference = member(child.value, "$ref")) {
      out[name] = reference->text.substr(reference->text.rfind('/') + 1);
    } else if (const config::Node* type = member(child.value, "type")) {
      out[name] = type->is(json::Type::kArray) ? type->items.front().text : type->text;
    }
  }
}

template <class Section>
void compare(std::span<const config::Setting<Section>> settings, std::map<std::string, std::string> listed,
             const std::set<std::string>& others) {
  Section section;
  for (const config::Setting<Section>& setting : settings) {
    const std::string name(setting.name);
    INFO(name);
    REQUIRE(listed.contains(name));
    CHECK(listed[name] == config::kind_of(setting.slot(section)));
    listed.erase(name);
  }
  for (const auto& [name, kind] : listed) {
    INFO(name);
    CHECK(others.contains(name.substr(0, name.find('.'))));
  }
}

}  // namespace

TEST_CASE("the JSON Schema lists exactly the names and kinds that the loader knows") {
  const config::Node schema = read(std::string(CCR_SOURCE_DIR) + "/config/schema/ccrules.schema.json");
  std::map<std::string, std::string> top;
  leaves(schema, "", top);
  std::set<std::string> others(config::section_names().begin(), config::section_names().end());
  compare(config::settings(), top, others);
  const config::Node* properties = member(schema, "properties");
  REQUIRE(properties != nullptr);
  for (const std::string& name : others) {
    INFO(name);
    CHECK(member(*properties, name) != nullptr);
  }
  const config::Node* provider = member(*member(schema, "$defs"), "provider");
  REQUIRE(provider != nullptr);
  std::map<std::string, std::string> inner;
  leaves(*provider, "", inner);
  std::set<std::string> switches;
  std::erase_if(inner, [&](const auto& leaf) {
    if (!leaf.first.starts_with("switches.")) return false;
    switches.insert(leaf.first.substr(9));
    return true;
  });
  CHECK(switches == std::set<std::string>(config::switch_names().begin(), config::switch_names().end()));
  compare(config::provider_settings(), inner, {"headers"});
}

TEST_CASE("names of variables follow from names of settings") {
  CHECK(config::variable_name("timeouts.first_byte") == "TIMEOUTS_FIRST_BYTE");
  CHECK(config::variable_name("thresholds.longContext") == "THRESHOLDS_LONG_CONTEXT");
  CHECK(config::variable_name("my.provider-2") == "MY_PROVIDER_2");
}
