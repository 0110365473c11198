#pragma once
#include <string_view>

#include "dialect/dialect.h"
#include "http/server.h"
#include "proxy/worker.h"

/// The endpoints that need no provider: model lists, token counts, greetings.
namespace ccrules::proxy {

/// GET /v1/models, /v1/models/{id} and /api/tags, in the shape of the client's dialect (anthropic-version header:
/// Anthropic's).
Task<Result<void>> list_models(Worker& worker, http::Exchange& exchange, const dialect::Route& route);
/// POST /v1/messages/count_tokens and its like in other dialects: asks the provider where it counts, else counts block by block.
Task<Result<void>> count_tokens(Worker& worker, http::Exchange& exchange, const dialect::Route& route);
/// POST /api/show: what is known of a model, as Ollama's clients ask for it.
Task<Result<void>> show_model(Worker& worker, http::Exchange& exchange);
/// GET /api/version.
Task<Result<void>> tell_version(http::Exchange& exchange);
/// POST /reload, with a body such as {"accept": "<hash of held rules>"}: to_json(ReloadReport).
Task<Result<void>> reload(Worker& worker, http::Exchange& exchange);
/// GET /api/cache/stats: {hits, misses, hitRate (0..1), size and maxSize (MB), entries, savedCost (USD), evicted, rejected}.
/// POST /api/cache/clear: {status, cleared, freedMemory}. GET /api/cache/top-prompts?limit=10: [{hash, hits, savedCost, preview}].
Task<Result<void>> tell_cache(Worker& worker, http::Exchange& exchange);
[[nodiscard]] bool is_cache_call(const http::RequestHead& head);
/// Of those, the one that is for the operator.
[[nodiscard]] bool changes_cache(const http::RequestHead& head);
/// HEAD / and HEAD /api/hello.
Task<Result<void>> greet(http::Exchange& exchange);

/// Answers with an error in a client dialect's own shape. Nothing when the head is already out or nobody is
/// left.
Task<void> tell_error(http::Exchange& exchange, const dialect::Dialect& spoken, const Error& error,
                      const http::Headers& extra, std::string_view request_id);

}  // namespace ccrules::proxy
