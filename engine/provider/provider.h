#pragma once
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "async/loop.h"
#include "config/models.h"
#include "config/snapshot.h"
#include "dialect/dialect.h"
#include "http/client.h"
#include "http/message.h"

/// Sending one attempt to one provider: base URL, credential, capability switches, the built-in simulator.
namespace ccrules::provider {

/// The dialect a provider speaks; the simulator speaks Anthropic's.
const dialect::Dialect& dialect_of(const config::Provider& provider);
/// The dialect in which it is asked what a client says in `spoken`: its own, or `spoken` where that is passed on as it is and the
/// provider has OpenAI's endpoints.
const dialect::Dialect& dialect_for(const config::Provider& provider, const dialect::Dialect& spoken);

/// What `model` at `provider` takes: the model table, then the provider's switches.
/// @param models config::Snapshot::models()
dialect::Capabilities capabilities(const config::Provider& provider, std::string_view model, const config::ModelTable& models);
/// What the provider's own row says, without the model table: for a client that names its model itself and knows what that takes.
dialect::Capabilities own_capabilities(const config::Provider& provider, std::string_view model);
/// False when own_capabilities() are the usual ones, whatever the model.
[[nodiscard]] bool has_own_capabilities(const config::Provider& provider);

/// `text` with every copy of the provider's keys taken out: what a provider says may repeat it. Keys shorter than
/// limits::kSecretBytes stay, here and below: taking them out would break words, and JSON.
std::string without_key(std::string text, const config::Provider& provider);
/// True when one of the provider's keys stands in `text`.
bool holds_key(std::string_view text, const config::Provider& provider);

struct Attempt {
  const config::Provider* provider = nullptr;
  const config::Lane* lane = nullptr;  ///< one of the provider's, when it has any
  std::string model;
  bool stream = false;    ///< the client asked for a stream; some dialects say so in the path
  std::string_view body;  ///< in the provider's dialect; must live until the reply's head has arrived
  std::string_view method = "POST";
  std::string_view path;   ///< instead of the generation endpoint's ("/embeddings"); nearly always empty
  std::string_view below;  ///< a path below the generation endpoint ("/count_tokens"); a literal
  std::string query;      ///< the client's query string, native lane only
  http::Headers headers;  ///< forwarded and edited headers; credentials are added here
  std::int64_t wall_us = 0;  ///< now, for signatures
  std::string_view client_authorization;  ///< only used by auth "passthrough"
  std::string_view client_api_key;        ///< only used by auth "passthrough"
  bool on_its_way = false;                ///< out: the provider may have seen the request
};

/// One per worker.
class Sender {
 public:
  Sender(Loop& loop, http::Client& client) : loop_(loop), client_(client) {}
  /// Returns when the reply's head has arrived, whatever its status. Errors carry the provider's id.
  /// `attempt`'s headers get the credentials.
  Task<Result<std::unique_ptr<http::ReplyStream>>> send(Attempt& attempt, StopToken stop);

 private:
  Result<const http::BaseUrl*> base_of(const config::Provider& provider, const std::string& url);

  struct Base {
    [[nodiscard]] bool fits(const config::Provider& provider, const std::string& wanted_url) const;
    std::string url, ca_file, http2;  ///< as written in the configuration
    config::ForwardProxy via;
    http::BaseUrl base;
  };
  std::list<Base> bases_;  ///< few: one per configured base_url, ca_file, http2 and proxy
  Loop& loop_;
  http::Client& client_;
};

}  // namespace ccrules::provider
