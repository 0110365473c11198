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

dialect::RefusedField value(const std::string& name, const std::string& json) {
  dialect::RefusedField made = field(name);
  made.value_json = json;
  return made;
}

}  // namespace

TEST_CASE("what a model refuses is remembered for it alone, once, and is worth another try each time it is told") {
  provider::RefusedFields refused;
  CHECK(refused.find("p", "m") == nullptr);
  CHECK(refused.add("p", "m", field("temperature")));
  CHECK(refused.add("p", "m", field("temperature")));  // a request that was under way when it was learned
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

TEST_CASE("refused values never take the room of refused fields, and the oldest value goes first") {
  provider::RefusedFields refused;
  for (std::size_t i = 0; i + 1 < limits::kRefusedFields; ++i) CHECK(refused.add("p", "m", field("f" + std::to_string(i))));
  for (int i = 0; i < 100; ++i) CHECK(refused.add("p", "m", value("effort", std::to_string(i))));
  REQUIRE(refused.find("p", "m")->size() == limits::kRefusedFields);
  CHECK(refused.find("p", "m")->back() == value("effort", "99"));
  CHECK(refused.add("p", "m", field("last")));
  CHECK_FALSE(refused.add("p", "m", value("effort", "100")));
  CHECK(refused.find("p", "m")->size() == limits::kRefusedFields);
  CHECK(refused.find("p", "m")->back() == field("last"));
}

TEST_CASE("a field that is refused whatever its value is makes its refused values needless") {
  provider::RefusedFields refused;
  CHECK(refused.add("p", "m", value("effort", "1")));
  CHECK(refused.add("p", "m", value("effort", "2")));
  CHECK(refused.add("p", "m", field("effort")));
  CHECK(refused.find("p", "m")->size() == 1);
  CHECK(refused.add("p", "m", value("effort", "3")));
  CHECK(refused.find("p", "m")->size() == 1);
}
