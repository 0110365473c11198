#pragma once
#include <string>
#include <vector>

#include "rules/tree.h"

namespace ccrules::rules {

/// Something wrong at a place of a file that the context knows.
struct Problem {
  Spot at;
  std::string message;
  std::string hint;
};
using Problems = std::vector<Problem>;

}  // namespace ccrules::rules
