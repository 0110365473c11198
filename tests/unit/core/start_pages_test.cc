#include <catch2/catch.hpp>

#include <fstream>
#include <string>

#include "core/start_pages.h"

using namespace ccrules;

namespace {

/// Pages of files that this process has mapped in, in KB.
long mapped_kb() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    long kb = 0;
    if (word == "RssFile:" && status >> kb) return kb;
  }
  return 0;
}

}  // namespace

TEST_CASE("code that has run is given back, and runs again when it is called") {
  const long before = mapped_kb();
  give_back_start_pages();
  const long after = mapped_kb();
  CHECK(after < before);
  give_back_start_pages();
  CHECK(std::to_string(7) + "!" == "7!");
}
