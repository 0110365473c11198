#pragma once
#include <ostream>
#include <string>
#include <vector>

#include "cli/paint.h"
#include "cli/pack/trial.h"
#include "core/json.h"

namespace ccrules::cli {

/// Rules as a table: name, condition, effects.
void print_rules(std::ostream& out, const Paint& paint, const std::vector<rules::RuleLine>& rules, std::string_view indent);
void write_rules(json::Writer& writer, const std::vector<rules::RuleLine>& rules);

/// What changed, a line each; changed rules show their conditions and effects before and after.
void print_changes(std::ostream& out, const Paint& paint, const std::vector<rules::RuleChange>& changes, std::string_view indent);
void write_changes(json::Writer& writer, const std::vector<rules::RuleChange>& changes);

/// "to: default#explicit, default#think and 8 more", one line a slot.
void print_shadows(std::ostream& out, const Paint& paint, const std::vector<rules::Shadow>& shadows, std::string_view indent);
void write_shadows(json::Writer& writer, const std::vector<rules::Shadow>& shadows);

void write_texts(json::Writer& writer, const std::vector<std::string>& texts);
std::string joined(const std::vector<std::string>& texts, const char* between = ", ");

/// "12 passed", or which failed.
std::string outcome_of(const rules::TestReport& report);
/// Failed cases, one line each with what was expected and what came.
void print_failures(std::ostream& out, const Paint& paint, const rules::TestReport& report, std::string_view indent);

}  // namespace ccrules::cli
