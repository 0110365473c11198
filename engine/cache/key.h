#pragma once
#include <string>

#include "chat/request.h"

namespace ccrules::cache {

/// The request's whole meaning as bytes: two requests have the same ones exactly when a provider could not tell them apart by
/// what they ask for, whatever dialects they came in. Every member of chat::Request but those that say how the answer travels or
/// who asks (stream, include_usage, user_id), the model (who answers is the caller's to compare), prompt-cache marks and the form
/// of a text (a string or one block). Members that the model does not know count with their dialect. Pure.
std::string meaning(const chat::Request& request);

}  // namespace ccrules::cache
