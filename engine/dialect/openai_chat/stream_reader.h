#pragma once
#include <memory>

#include "dialect/dialect.h"

namespace ccrules::dialect::openai {

/// Reads a stream of chat.completion.chunk events, or a JSON body that a server sent instead of one.
std::unique_ptr<StreamReader> make_stream_reader(const ReaderOptions& options);
/// The same for bytes that are forwarded as they are: chunks that only continue the answer are not parsed.
std::unique_ptr<StreamReader> make_stream_listener();

}  // namespace ccrules::dialect::openai
