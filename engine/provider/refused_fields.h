#pragma once
#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "dialect/refused_field.h"

namespace ccrules::provider {

/// What providers have said they do not take, by provider and model. Forgets the oldest model beyond
/// limits::kRefusedModels, and with the process. One per worker; not thread-safe.
class RefusedFields {
 public:
  /// True when it is left out from now on, so that the request is worth another try: also when it was known, for it may have
  /// been learned while that request was under way. False when the model has refused limits::kRefusedFields already; values make
  /// room, the oldest first.
  bool add(std::string_view provider, std::string_view model, const dialect::RefusedField& field);
  /// In the order in which they were refused; nullptr: nothing.
  [[nodiscard]] const std::vector<dialect::RefusedField>* find(std::string_view provider, std::string_view model) const;

 private:
  struct Row {
    std::string provider;
    std::string model;
    std::vector<dialect::RefusedField> fields;
  };
  std::deque<Row> rows_;  ///< nearly always few: providers whose row in config/providers is right refuse nothing
};

}  // namespace ccrules::provider
