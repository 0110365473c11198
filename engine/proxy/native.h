#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chat/loss.h"
#include "chat/outline.h"
#include "chat/request.h"
#include "config/snapshot.h"
#include "core/json.h"
#include "core/result.h"
#include "dialect/dialect.h"
#include "dialect/refused_field.h"
#include "http/message.h"
#include "rules/decision.h"
#include "rules/sample.h"

/// What goes out when client and provider speak the same dialect (the original bytes with a few members
/// replaced) and how the rules' field edits are applied in either lane.
namespace ccrules::proxy {

struct NativeRequest {
  std::string_view body;  ///< as the client sent it
  const chat::Outline* outline = nullptr;
  const dialect::Dialect* spoken = nullptr;
  std::string_view model;  ///< the target's
  const std::vector<rules::FieldEdit>* edits = nullptr;
  bool ask_usage = false;  ///< OpenAI stream whose client did not ask for usage: we need it for the ledger
};

/// The original bytes with model and edited fields replaced; empty when nothing changes and the very same
/// bytes can go out.
Result<std::string> native_body(const NativeRequest& request);

/// One attempt's request before it is written in its provider's dialect.
struct OutgoingRequest {
  std::string_view body;               ///< as the client sent it
  json::Document* document = nullptr;  ///< over `body` when it is still indexed; saves translating that work
  const chat::Outline* outline = nullptr;
  const dialect::Dialect* spoken = nullptr;
  const config::Provider* provider = nullptr;
  std::string_view model;
  const config::ModelTable* models = nullptr;  ///< config::Snapshot::models()
  const std::vector<rules::FieldEdit>* edits = nullptr;
  std::int64_t estimated_input_tokens = 0;
  bool stream = false;  ///< where it is translated: ask for a stream
  bool without_reasoning = false;  ///< leave out what models thought in earlier turns
  std::int64_t foreign_messages = 0;  ///< so many at the start hold the thinking of another model than this one
};

/// The request in the provider's dialect; empty when the original bytes can go out as they are. `renamed` and
/// `losses` are filled when it was translated.
Result<std::string> outgoing_body(const OutgoingRequest& outgoing, std::vector<dialect::RenamedTool>& renamed,
                                  chat::LossNotes& losses);

/// A body in a provider's dialect without what the provider refuses, or with its own names for it; each change is a loss
/// note. Empty when nothing of it is there.
Result<std::string> without_refused(std::string_view body, const std::vector<dialect::RefusedField>& refused,
                                    chat::LossNotes& losses);

/// The body that would go to the decision's first target, for tests of rules.
Result<std::string> upstream_body(const config::Snapshot& config, const rules::Sample& sample,
                                  const rules::Decision& decision);

/// Applies the edits to the neutral request (translated lane).
void apply_edits(const std::vector<rules::FieldEdit>& edits, chat::Request& request);

/// The client's headers that a provider of the same dialect may see: everything but credentials, cookies,
/// hop-by-hop fields and what browsers add (claude-code-gateway 2.1-2.8).
http::Headers forwarded_headers(const http::Headers& from_client);
/// The client's query without its key ("key=..."): that one is for us (proxy/gate.h).
std::string forwarded_query(std::string_view from_client);

/// The provider's headers that the client may see in the native lane; none that repeats the provider's key.
/// Where the listener is shared, what is about the operator's account stays here (claude-code-gateway 4.8).
void forward_reply_headers(const http::Headers& from_provider, const config::Provider& provider, const config::Listen& listen,
                           http::Headers& to_client);

}  // namespace ccrules::proxy
