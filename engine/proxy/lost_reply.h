#pragma once
#include <string_view>

#include "chat/usage.h"
#include "core/error.h"
#include "dialect/dialect.h"
#include "proxy/one_attempt.h"
#include "proxy/tried.h"

namespace ccrules::proxy {

/// Notes what is known of the bill of an answer that began well, with a status of 2xx, and ended in `error` before it could be used.
/// A provider that says itself that it failed bills what it has told, if anything; a page that is no provider's answer, nothing.
void note_lost(const FirstReply& attempt, const Error& error, Tried& tried);

/// What a body says of its bill that is no reply, or only the beginning of one. Empty: nothing that can be read.
chat::Usage usage_in(std::string_view body, const dialect::Dialect& upstream);

}  // namespace ccrules::proxy
