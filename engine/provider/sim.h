#pragma once
#include <memory>
#include <string_view>

#include "async/loop.h"
#include "http/message.h"

namespace ccrules::provider {

/// The built-in provider `sim`: deterministic answers without a key, in the Anthropic dialect, with the same
/// ReplyStream as a real upstream. What it answers is chosen by a marker in the last user text (docs/sim.md).
/// `body` is an Anthropic Messages request; it need not live longer than the call.
std::unique_ptr<http::ReplyStream> simulate(Loop& loop, std::string_view body);

}  // namespace ccrules::provider
