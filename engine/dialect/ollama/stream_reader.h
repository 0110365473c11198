#pragma once
#include <memory>

#include "dialect/dialect.h"

namespace ccrules::dialect::ollama {

/// Reads newline-delimited JSON, in any cut of the bytes.
std::unique_ptr<StreamReader> make_stream_reader(const ReaderOptions& options);

}  // namespace ccrules::dialect::ollama
