#pragma once
#include "chat/outline.h"
#include "chat/request.h"
#include "core/json.h"
#include "core/result.h"

namespace ccrules::dialect::ollama {

Result<chat::Outline> read_outline(json::Document& body);
Result<chat::Request> read_request(json::Document& body);

}  // namespace ccrules::dialect::ollama
