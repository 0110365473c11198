#include "config/model_name.h"

namespace ccrules::config {

std::string_view model_name(const ModelTable& models, std::string_view model) {
  constexpr std::string_view kNoReseller = "-";
  constexpr std::string_view kLongContext = "[1m]";
  const Model* row = models.find(model, kNoReseller);
  if (row == nullptr) row = models.find(model);
  if (row != nullptr) return row->id;
  if (model.ends_with(kLongContext)) model.remove_suffix(kLongContext.size());
  return model;
}

std::string_view asked_model_name(const ModelTable& models, std::string_view asked) {
  const std::size_t comma = asked.find(',');
  return model_name(models, asked.substr(comma == std::string_view::npos ? 0 : comma + 1));
}

}  // namespace ccrules::config
