#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "dialect/dialect.h"
#include "support/validators.h"

namespace ccrules::test {

/// The strict validators of one dialect.
struct Judge {
  Seen (*stream)(std::string_view bytes, bool include_usage, bool may_be_cut);
  Seen (*reply)(std::string_view json);
  Seen (*error)(std::string_view json);
  std::vector<std::string> (*request)(std::string_view json);
  /// The pieces of a stream that can be compared one by one.
  std::vector<SseEvent> (*split)(std::string_view bytes);
  const char* stream_suffix;  ///< of golden files: ".sse"
};

/// Aborts when the dialect has none.
const Judge& judge_of(std::string_view dialect);

/// How tests read what a provider says, and write what a client gets: the same names, seed and time whenever they run.
dialect::ReaderOptions reading_from(std::string_view provider, std::string_view model = {});
dialect::StreamWriterOptions writing_as_asked();

}  // namespace ccrules::test
