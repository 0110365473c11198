#pragma once
#include <string_view>

#include "chat/outline.h"
#include "chat/request.h"
#include "core/json.h"
#include "core/result.h"

/// Bodies of POST /v1/chat/completions.
namespace ccrules::dialect::openai {

/// Everything the format has; members this build does not model are kept in extra_json of the request or the
/// message, parts it does not model as Opaque blocks of dialect "openai_chat". @return a 400 that says what
/// is wrong and where
Result<chat::Request> read_request(json::Document& body);

/// The facts that rules decide on, in one pass that validates all of the JSON. Views point into
/// the text the document was opened over.
Result<chat::Outline> read_outline(json::Document& body);

}  // namespace ccrules::dialect::openai
