#include "dialect/kept_state.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "core/json.h"

namespace ccrules::dialect {
namespace {

struct KeptState {
  std::string_view name;     ///< a member of the request, or the type of one of its items
  std::string_view problem;  ///< ends where the provider's name follows
  std::string_view remedy;
  std::string_view error_code;  ///< by which the client's SDK knows what to do; may be empty
};

constexpr std::array<KeptState, 6> kMembers = {{
    {"thread", "message threads are not kept by this proxy", "send the whole conversation without thread",
     "thread_unsupported_request"},
    {"safeguards", "safeguards is not supported", "send the request without safeguards", ""},
    {"previous_response_id", "earlier responses are not kept by this proxy",
     "send the whole conversation in input, with store:false, instead of previous_response_id",
     "previous_response_not_found"},
    {"conversation", "conversations are not kept by this proxy",
     "send the whole conversation in input instead of conversation", ""},
    {"prompt", "stored prompts are not kept by this proxy", "send instructions and input instead of prompt",
     ""},
    {"background", "answers cannot be fetched later", "send the request without background", ""},
}};
constexpr std::array<KeptState, 2> kItems = {{
    {"item_reference", "earlier items are not kept by this proxy", "send the items themselves", ""},
    {"compaction", "only the provider that compacted the conversation can read it",
     "send the conversation's own items or go back to that provider's model", ""},
}};

Error refusal(const KeptState& state, const Capabilities& target) {
  Error error = bad_request(std::string(state.problem) + " for provider \"" + target.provider + "\"; " +
                            std::string(state.remedy));
  error.type = state.error_code;
  return error;
}

}  // namespace

Result<void> refuse_kept_state(const chat::Request& request, const Capabilities& target) {
  if (!request.extra_json.empty()) {
    CCR_TRY(document, json::Document::open_view(request.extra_json));
    CCR_TRY(members, document.root_object());
    while (members.next()) {
      for (const KeptState& state : kMembers) {
        if (members.key() == state.name) return refusal(state, target);
      }
    }
    CCR_CHECK(members.done());
  }
  if (request.dialect != "openai_responses") return {};
  for (const chat::Message& message : request.messages) {
    for (const chat::Block& block : message.blocks) {
      const auto* opaque = std::get_if<chat::Opaque>(&block.value);
      if (opaque == nullptr) continue;
      for (const KeptState& state : kItems) {
        if (opaque->type == state.name) return refusal(state, target);
      }
    }
  }
  return {};
}

}  // namespace ccrules::dialect
