#pragma once
#include <memory>

#include "dialect/dialect.h"

namespace ccrules::dialect::openai {

/// Writes chat.completion.chunk events and [DONE].
std::unique_ptr<StreamWriter> make_stream_writer(const StreamWriterOptions& options);

}  // namespace ccrules::dialect::openai
