#include "config/vendors.h"

#include <catch2/catch.hpp>

#include "config/load.h"
#include "config/models.h"
#include "support/memory_files.h"

using namespace ccrules;

TEST_CASE("every vendor row is valid and loads as a provider in each of its dialects") {
  CHECK(config::vendors().size() >= 30);
  for (const config::Vendor& vendor : config::vendors()) {
    for (const auto& [dialect, endpoint] : vendor.endpoints) {
      INFO(vendor.id + " " + dialect);
      if (vendor.needs_address(dialect)) continue;
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

TEST_CASE("a vendor's quirks all say what shows them") {
  for (const config::Vendor& vendor : config::vendors()) {
    for (const auto& [dialect, endpoint] : vendor.endpoints) {
      INFO(vendor.id + " " + dialect);
      for (const auto& [name, on] : endpoint.switches) {
        INFO(name);
        CHECK(vendor.evidence.contains(name));
      }
      if (!endpoint.cloud.empty()) CHECK(vendor.evidence.contains("cloud"));
      if (!endpoint.reasoning_style.empty()) CHECK(vendor.evidence.contains("reasoning_style"));
      if (!endpoint.reasoning_replay.empty()) CHECK(vendor.evidence.contains("reasoning_replay"));
    }
  }
}

TEST_CASE("vendors whose messages hold no documents are known") {
  for (const char* id : {"groq", "vllm", "ollama"}) {
    INFO(id);
    CHECK_FALSE(config::find_vendor(id)->endpoints.at("openai_chat").switches.at("documents"));
  }
}

TEST_CASE("a vendor whose address is the user's own is refused until its base_url is set") {
  const auto load = [](const std::string& more) {
    const test::MemoryFiles files({{"/f.json", R"({"providers":{"azure":{"api_key":"k")" + more + "}}}"}});
    config::Options options;
    options.config_path = "/f.json";
    return config::load(files, {}, options);
  };
  const config::Loaded without = load("");
  REQUIRE_FALSE(without.diagnostics.empty());
  CHECK(without.diagnostics.front().message.find("must name your own resource") != std::string::npos);
  const config::Loaded with = load(R"(,"base_url":"https://mine.openai.azure.com/openai/v1")");
  REQUIRE(with.snapshot);
  CHECK(with.diagnostics.empty());
  CHECK(with.snapshot->providers[0].auth == "api-key");
}
