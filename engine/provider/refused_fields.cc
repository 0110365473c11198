#include "provider/refused_fields.h"

#include <algorithm>

#include "core/limits.h"

namespace ccrules::provider {

bool RefusedFields::add(std::string_view provider, std::string_view model, const dialect::RefusedField& field) {
  auto row = std::find_if(rows_.begin(), rows_.end(),
                          [&](const Row& one) { return one.provider == provider && one.model == model; });
  if (row == rows_.end()) {
    if (rows_.size() >= limits::kRefusedModels) rows_.pop_front();
    Row made;
    made.provider = provider;
    made.model = model;
    rows_.push_back(std::move(made));
    row = rows_.end() - 1;
  }
  std::vector<dialect::RefusedField>& fields = row->fields;
  const bool known = std::any_of(fields.begin(), fields.end(), [&field](const dialect::RefusedField& one) {
    return one == field || (field.value_json && one.path == field.path && !one.value_json && one.instead.empty());
  });
  if (known) return true;
  if (!field.value_json)
    std::erase_if(fields, [&field](const dialect::RefusedField& one) { return one.value_json && one.path == field.path; });
  if (fields.size() >= limits::kRefusedFields) {
    const auto value = std::find_if(fields.begin(), fields.end(),
                                    [](const dialect::RefusedField& one) { return one.value_json.has_value(); });
    if (value == fields.end()) return false;
    fields.erase(value);
  }
  fields.push_back(field);
  return true;
}

const std::vector<dialect::RefusedField>* RefusedFields::find(std::string_view provider, std::string_view model) const {
  for (const Row& row : rows_) {
    if (row.provider == provider && row.model == model) return &row.fields;
  }
  return nullptr;
}

}  // namespace ccrules::provider
