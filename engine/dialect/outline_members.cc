#include "dialect/outline_members.h"

namespace ccrules::dialect {

Result<void> read_model(json::Value& value, chat::Outline& outline) {
  CCR_TRY(model, value.string());
  outline.model = model;
  outline.model_json = value.peek_raw();
  return {};
}

Result<void> read_stream_options(json::Value& value, chat::Outline& outline) {
  CCR_TRY(options, value.object());
  while (options.next()) {
    if (options.key() != "include_usage" || !options.value().is(json::Type::kBool)) continue;
    CCR_TRY(include_usage, options.value().boolean());
    outline.include_usage = include_usage;
  }
  return options.done();
}

}  // namespace ccrules::dialect
