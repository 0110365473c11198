#pragma once
#include <string>
#include <string_view>

#include "core/result.h"

namespace ccrules::cli {

/// Replaces a file as a whole: readers see the old text or the new one, never a part. Missing folders are
/// made. The mode of an existing file is kept. On failure nothing has changed; the error names the path and
/// the reason.
Result<void> write_file(const std::string& path, std::string_view bytes);

}  // namespace ccrules::cli
