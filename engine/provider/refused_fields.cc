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
  const bool known = std::find(row->fields.begin(), row->fields.end(), field) != row->fields.end();
  if (known || row->fields.size() >= limits::kRefusedFields) return false;
  row->fields.push_back(field);
  return true;
}

const std::vector<dialect::RefusedField>* RefusedFields::find(std::string_view provider, std::string_view model) const {
  for (const Row& row : rows_) {
    if (row.provider == provider && row.model == model) return &row.fields;
  }
  return nullptr;
}

}  // namespace ccrules::provider
