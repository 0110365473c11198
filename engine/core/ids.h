#pragma once
#include <string>
#include <string_view>

#include "core/world.h"

namespace ccrules::ids {

/// `prefix` + 24 characters of [0-9A-Za-z]: "req_", "msg_", "toolu_", "chatcmpl-".
std::string make(std::string_view prefix, Random& random);

}  // namespace ccrules::ids
