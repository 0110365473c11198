#pragma once
#include <string>
#include <string_view>

#include "core/error.h"
#include "dialect/dialect.h"

/// Errors as OpenAI's clients read them.
namespace ccrules::dialect::openai {

/// `code` alone, never empty: what the events of responses carry.
std::string_view error_code(std::string_view message, std::string_view anthropic_type);
/// {"error":{"message","type","param":null,"code"}} for an Anthropic error type.
std::string error_body(std::string_view message, std::string_view anthropic_type);
std::string error_body(const Error& error, std::string_view request_id);
/// 503 in place of 529, which only Anthropic's clients know.
int error_status(const Error& error);

/// GET /v1/models.
std::string models_body(const ModelPage& page);
/// GET /v1/models/{id}.
std::string model_body(const ListedModel& model);

}  // namespace ccrules::dialect::openai
