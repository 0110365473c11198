#pragma once
#include <cstddef>
#include <string>

namespace ccrules {

/// Makes a text longer by bytes that hold whatever the memory held: for who fills them in at once, and does not want them written
/// twice.
void append_unset(std::string& text, std::size_t count);

}  // namespace ccrules
