#pragma once
#include <string_view>

#include "config/models.h"

namespace ccrules::config {

/// What a model is called, however it is spelt: the id of the row that ModelTable::find() has for it, of a reseller's only where its
/// maker has none; of an unknown model what is written, without `[1m]`. A view into the table or into `model`.
[[nodiscard]] std::string_view model_name(const ModelTable& models, std::string_view model);

/// The same of what a client or a budget names, `model` or `provider,model`.
[[nodiscard]] std::string_view asked_model_name(const ModelTable& models, std::string_view asked);

}  // namespace ccrules::config
