#pragma once
#include <ostream>
#include <string>

#include "cli/paint.h"
#include "rules/decision.h"

namespace ccrules::cli {

/// Marks for what passed or matched and what did not, by what the terminal can show.
struct Marks {
  std::string yes, no;
};
Marks marks_for(const Io& io, const Paint& paint);

/// One line: "anthropic,claude-opus-5-5", "denied (403)", "bad request", "no target".
std::string outcome(const rules::Decision& decision);
/// Why: each rule with its result and, when it did not match, the condition and the actual value; then what overrides switched
/// off, and the claims. `after_rules`: a line below the rules, such as how many are left out; may be empty.
void print_trace(std::ostream& out, const Paint& paint, const Marks& marks, const rules::Trace& trace,
                 std::string_view indent, const std::string& after_rules = {});

}  // namespace ccrules::cli
