#include "provider/refused_fields.h"

#include <catch2/catch.hpp>

#include <string>

#include "core/limits.h"

using namespace ccrules;

namespace {

dialect::RefusedField field(const std::string& name) {
  dialect::RefusedField made;
  made.path.push_back(name);
  return made;
}

}  // namespace

TEST_CASE("what a model refuses is remembered for it alone, once") {
  provider::RefusedFields refused;
  CHECK(refused.find("p", "m") == nullptr);
  CHECK(refused.add("p", "m", field("temperature")));
  CHECK_FALSE(refused.add("p", "m", field("temperature")));
  CHECK(refused.add("p", "m", field("top_p")));
  REQUIRE(refused.find("p", "m") != nullptr);
  CHECK(refused.find("p", "m")->size() == 2);
  CHECK(refused.find("p", "other") == nullptr);
  CHECK(refused.find("other", "m") == nullptr);
}

TEST_CASE("what is remembered is bounded, by field and by model") {
  provider::RefusedFields refused;
  for (std::size_t i = 0; i < limits::kRefusedFields; ++i) CHECK(refused.add("p", "m", field(std::to_string(i))));
  CHECK_FALSE(refused.add("p", "m", field("one more")));
  for (std::size_t i = 0; i < limits::kRefusedModels; ++i) CHECK(refused.add("p", std::to_string(i), field("x")));
  CHECK(refused.find("p", "m") == nullptr);  // the oldest went
  CHECK(refused.find("p", std::to_string(limits::kRefusedModels - 1)) != nullptr);
}
