#include "config/vendors.h"

#include <catch2/catch.hpp>

#include "config/load.h"
#include "config/models.h"
#include "support/memory_files.h"

using namespace ccrules;

TEST_CASE("every vendor row is valid and loads as a provider in each of its dialects") {
  CHECK(config::vendors().size() >= 20);
  for (const config::Vendor& vendor : config::vendors()) {
    for (const auto& [dialect, endpoint] : vendor.endpoints) {
      INFO(vendor.id + " " + dialect);
      const test::MemoryFiles files({{"/f.json", R"({"providers":{")" + vendor.id + R"(":{"dialect":")" +
                                                     dialect + R"(","api_key":"k"}}})"}});
      config::Options options;
      options.config_path = "/f.json";
      const config::Loaded loaded = config::load(files, {}, options);
      REQUIRE(loaded.snapshot);
      CHECK(loaded.diagnostics.empty());
      CHECK(loaded.snapshot->providers[0].base_url == endpoint.base_url);
    }
  }
}

TEST_CASE("a vendor's models are ones it lists, and those that stand in for Claude's have a known price") {
  const auto& table = config::ModelTable::built_in();
  for (const config::Vendor& vendor : config::vendors()) {
    if (vendor.big.empty()) continue;
    for (const std::string& model : {vendor.big, vendor.small}) {
      INFO(vendor.id + " " + model);
      const config::Model* found = table.find(model, vendor.id);
      REQUIRE(found != nullptr);
      CHECK(found->rates.input_picousd.has_value());
    }
  }
}
