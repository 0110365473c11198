#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

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
std::string models_body(const std::vector<std::string>& ids);

}  // namespace ccrules::dialect::openai
