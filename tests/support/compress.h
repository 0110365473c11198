#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace ccrules::test {

/// The pieces compressed as one body, each flushed, so that what comes of it can be decoded by itself; the
/// last one ends it. With the libraries' own functions, not with the code under test.
std::vector<std::string> compressed(http::Coding coding, const std::vector<std::string>& pieces);
/// One piece.
std::string compressed(http::Coding coding, std::string_view text);

}  // namespace ccrules::test
