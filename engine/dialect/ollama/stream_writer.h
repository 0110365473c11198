#pragma once
#include <memory>

#include "dialect/dialect.h"

namespace ccrules::dialect::ollama {

std::unique_ptr<StreamWriter> make_stream_writer(const StreamWriterOptions& options);

}  // namespace ccrules::dialect::ollama
