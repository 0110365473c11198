#include "proxy/batch_sorting.h"

#include <algorithm>
#include <set>
#include <utility>

#include "core/json.h"
#include "core/limits.h"
#include "core/text.h"
#include "proxy/handed_on.h"
#include "proxy/native.h"
#include "proxy/plan.h"

namespace ccrules::proxy {

Result<std::vector<ledger::BatchItem>> read_items(std::string_view body) {
  CCR_TRY(document, json::Document::open_view(body));
  CCR_TRY(root, document.root_object());
  std::vector<ledger::BatchItem> items;
  std::set<std::string> known;
  while (root.next()) {
    if (root.key() != "requests") return bad_request("a batch has no member '" + text::to_valid_utf8(root.key()) + "': send requests");
    CCR_TRY(requests, root.value().array());
    while (requests.next()) {
      const std::string where = "requests[" + std::to_string(items.size()) + "]";
      if (items.size() >= limits::kBatchItems)
        return bad_request("a batch holds at most " + std::to_string(limits::kBatchItems) + " requests: send several");
      ledger::BatchItem item;
      CCR_TRY(request, requests.value().object());
      while (request.next()) {
        if (request.key() == "custom_id") {
          CCR_TRY(id, request.value().string());
          item.custom_id = id;
        } else if (request.key() == "params") {
          if (!request.value().is(json::Type::kObject)) return bad_request(where + ".params must be a Messages request");
          CCR_TRY(params, request.value().raw());
          item.params_json = params;
        }
      }
      CCR_CHECK(request.done());
      if (item.custom_id.empty() || item.custom_id.size() > limits::kBatchIdBytes)
        return bad_request(where + ".custom_id must be a text of 1 to " + std::to_string(limits::kBatchIdBytes) + " bytes");
      if (item.params_json.empty()) return bad_request(where + ".params is missing: send a Messages request");
      if (!known.insert(item.custom_id).second)
        return bad_request(where + ".custom_id '" + text::to_valid_utf8(item.custom_id) + "' is there twice: each must be its own");
      items.push_back(std::move(item));
    }
    CCR_CHECK(requests.done());
  }
  CCR_CHECK(root.done());
  CCR_CHECK(document.at_end());
  if (items.empty()) return bad_request("requests is missing or empty: send [{\"custom_id\": ..., \"params\": {...}}]");
  return items;
}

BatchSorting::BatchSorting(Worker& worker, const Policy& policy, const http::RequestHead& head)
    : worker_(worker), policy_(policy), head_(head) {
  const auto& providers = policy.config->providers;
  asks_for_keys_ =
      std::any_of(providers.begin(), providers.end(), [](const config::Provider& provider) { return provider.auth == "passthrough"; });
}

Result<void> BatchSorting::look_at(ledger::BatchItem& item, std::size_t number) {
  auto outline = dialect::anthropic().outline(json::padded(item.params_json));
  if (!outline) {
    outline.error().message = "requests[" + std::to_string(number) + "].params: " + outline.error().message;
    return std::move(outline).error();
  }
  if (outline->stream) return bad_request("requests[" + std::to_string(number) + "].params.stream cannot be true: a batch has no stream");
  if (!together_ && !asks_for_keys_) return {};
  rules::Identity who;
  const rules::Decision decision = would_decide(worker_, policy_, head_, dialect::anthropic(), *outline, who);
  const rules::Target target = decision.targets.empty() || decision.deny ? rules::Target() : decision.targets.front();
  const config::Provider* provider = policy_.config->provider(target.provider);
  if (keyless_.empty() && provider != nullptr && provider->auth == "passthrough") {
    keyless_ = "requests[" + std::to_string(number) + "] goes to provider '" + provider->id +
               "', which is asked with each client's own credential, and a batch that waits here keeps none; give providers." +
               provider->id + " an api_key, or send these requests one by one";
  }
  together_ = together_ && provider != nullptr && takes_batches(*provider) && (provider_ == nullptr || provider_ == provider);
  if (!together_) return {};
  provider_ = provider;
  OutgoingRequest outgoing;
  outgoing.body = item.params_json;
  outgoing.outline = &*outline;
  outgoing.spoken = &dialect::anthropic();
  outgoing.provider = provider;
  outgoing.model = target.model;
  outgoing.models = &policy_.config->models();
  outgoing.edits = &decision.edits;
  std::vector<dialect::RenamedTool> renamed;
  chat::LossNotes losses;
  CCR_TRY(written, outgoing_body(outgoing, renamed, losses));
  together_ = losses.empty();
  params_.push_back(written.empty() ? item.params_json : std::move(written));
  return {};
}

std::string BatchSorting::body(const std::vector<ledger::BatchItem>& items) const {
  std::string text;
  json::Writer out(text);
  out.begin_object().key("requests").begin_array();
  for (std::size_t i = 0; i < items.size(); ++i)
    out.begin_object().member("custom_id", items[i].custom_id).member_raw("params", params_[i]).end_object();
  out.end_array().end_object();
  return text;
}

}  // namespace ccrules::proxy
