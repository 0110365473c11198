#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/forward_proxy.h"
#include "config/models.h"
#include "core/log.h"
#include "core/time_zone.h"

/// The whole configuration, immutable once loaded; requests pin the one they started with. Names are the keys
/// of ccrules.json in snake_case as product.md, chapter 3, lists them.
namespace ccrules::config {

/// Where a value was written, for messages that come later (a route that names an unknown provider).
struct Where {
  std::string file;
  int line = 0;
  int column = 0;
};

struct Listen {
  std::string host = "127.0.0.1";
  int port = 3456;  ///< 0: any free port
  std::string api_key;    ///< clients must have it; empty: this machine's need none
  std::string admin_key;  ///< who may change something must have it; empty: see proxy/gate.h
  std::vector<std::string> allowed_hosts;  ///< beyond loopback names
  std::string tls_cert, tls_key;           ///< PEM paths; both or none
  bool shared = false;  ///< a team's: what providers say of the account stays here (claude-code-gateway 4.8)
  std::string compress = "auto";  ///< answers: auto (to clients on other machines) | on | off
};

struct Timeouts {
  std::chrono::milliseconds connect{5000};
  std::chrono::milliseconds first_byte{60000};
  std::chrono::milliseconds idle{300000};
  std::chrono::milliseconds total{0};  ///< zero: none
};

/// When a slow attempt gets another one beside it.
struct Hedge {
  std::chrono::milliseconds after{0};  ///< without content; zero: never
};

/// One way to a provider: an address and a key.
struct Lane {
  std::string base_url;
  std::string api_key;
  std::uint64_t id = 0;  ///< the same for the same provider, address and key after a reload
};

/// One row of `providers`, merged over config/providers/<id>.json when that exists.
struct Provider {
  std::string id;
  std::string dialect;  ///< anthropic | openai_chat | sim (more later)
  std::string base_url;
  std::string api_key;  ///< empty: no credential is sent
  std::vector<std::string> base_urls, api_keys;  ///< as written, beside the two above
  std::vector<Lane> lanes;  ///< every address with every key; empty: base_url and api_key are the only ones
  std::string auth =
      "default";  ///< default (what the dialect uses) | bearer | x-api-key | none | passthrough
  std::vector<std::string> models;             ///< globs; empty: any
  std::map<std::string, std::string> headers;  ///< added to every upstream request
  Timeouts timeouts;
  Hedge hedge;
  int max_retries = 0;     ///< retries on the same target before the next fallback
  std::string price_like;  ///< savings comparison for local models
  bool local = false;      ///< a server of the user's own: price 0
  std::string ca_file;     ///< extra trust for TLS
  std::string compression = "auto";  ///< asked for: auto (whole answers over a network) | on | off
  std::string http2 = "auto";  ///< auto (where the server offers it over TLS) | off
  std::string proxy;       ///< as set: a URL, "off", or empty (the global one, else the environment's)
  ForwardProxy via;        ///< what connections go through
  std::map<std::string, bool, std::less<>>
      switches;  ///< capability switches: "vision", "developer_role", "stream_usage", ...
  std::string reasoning_replay;
  std::string reasoning_style;  ///< dialect::Capabilities::reasoning_style
  std::string cloud;      ///< whose paths and envelope the dialect wears there: "vertex"; empty: its own
  std::string aws_scope;  ///< auth "sigv4": "region/service" to sign for
  bool enabled = true;
  Where where;
};

/// `provider,model` split at the first comma, with the parameters a route may set where the request has none.
struct Route {
  std::string provider;
  std::string model;
  std::map<std::string, std::string> parameters_json;  ///< member name -> JSON value
  Where where;
};

struct Limits {
  std::size_t body = 32u * 1024 * 1024;
  std::size_t header = 64 * 1024;
  std::size_t connections = 10000;
};

struct Retry {
  int max_attempts = 3;  ///< over all targets of a request
  std::chrono::milliseconds base{250};
  std::chrono::milliseconds at_most{10000};
};

/// When a provider that fails is left alone.
struct Circuit {
  int failures = 5;  ///< in a row; 0: never
  std::chrono::milliseconds open_for{30000};
};

/// One row of `rate_limits`: at most so much within each stretch of time.
struct RateLimit {
  std::string by;   ///< as in Budget
  std::string key;  ///< whose; empty: each has this limit of its own
  std::int64_t requests = -1;    ///< -1: any number
  std::int64_t tokens = -1;      ///< of prompts and answers
  std::int64_t concurrent = -1;  ///< requests under way at one time
  std::chrono::milliseconds per{60000};
  std::chrono::milliseconds wait{0};  ///< so long a request may wait for its turn before it is refused
  bool fair = false;  ///< those who wait take turns by session; else first come, first served
  Where where;
};

/// Answers that are kept for requests that come again.
struct Cache {
  bool enabled = false;  ///< for requests of which no rule says something else
  std::size_t max_bytes = 500u * 1024 * 1024;
  std::chrono::milliseconds ttl{3600000};
  std::string persist;  ///< absolute path of the file that keeps answers across restarts; empty: none
};

/// One row of `prices`: over the built-in table, member by member.
struct Price {
  std::string model;  ///< glob over the model id, or over `provider,model` when it holds a comma
  Rates rates;
};

struct Ledger {
  std::string path;    ///< absolute; load() fills in $XDG_STATE_HOME/ccrules/ledger.db
  int keep_days = 90;  ///< 0: for ever
  bool durable = false;
  std::string bodies = "none";  ///< what is kept of prompts and answers; only "none" in this version
};

/// One row of `budgets`: at most so much in each calendar period of Snapshot::time_zone.
struct Budget {
  std::string by;   ///< "session", "user", "project", "client", "agent", "model", "key", "subagent", "tag"; empty: all requests
  std::string key;  ///< whose; empty: each has this budget of its own
  std::int64_t nanousd = 0;
  std::string per = "day";  ///< hour, day, week, month, total
  bool hard = true;         ///< requests that might overspend are refused; else only rules see it
  Where where;
};

/// What keeps new rules out when a running proxy reads its configuration again.
struct Reload {
  bool tests = true;             ///< the tests beside the rules must pass
  int decisions = 1000;          ///< so many recent decisions are made again by the new rules; 0: none
  int max_change_percent = 50;   ///< more of them decided otherwise hold the new rules until a person accepts them
  bool watch = true;             ///< read again when a file of the configuration or the rules changes
};

struct Snapshot {
  std::string file;    ///< the configuration file used; empty: none was found
  std::string dotenv;  ///< the `.env` beside it, whose variables count; empty: none was there
  Listen listen;
  int workers = 0;                      ///< 0: one per core
  std::string time_zone = "UTC";        ///< of the periods of budgets; a name of the IANA database or an offset
  TimeZone zone;                        ///< the same, loaded
  std::string models_dir;               ///< files as those of config/models; load() fills in $XDG_STATE_HOME/ccrules/models
  std::vector<Provider> providers;      ///< in file order, disabled ones too; `sim` is always last
  std::map<std::string, Route> routes;  ///< default, longContext, background, think and direct model routes
  std::int64_t long_context_tokens = 60000;
  std::map<std::string, std::string> agents;  ///< agent name -> "provider,model" or an alias
  std::vector<std::pair<std::string, std::vector<std::string>>>
      fallbacks;                             ///< model glob -> targets, in file order
  std::map<std::string, std::string> tiers;  ///< big, small -> "provider,model"
  std::vector<std::string> rules;            ///< paths, absolute
  std::vector<std::string> shadow;           ///< the same: rules that decide beside these, for comparing only
  Reload reload;
  std::shared_ptr<const ModelTable> newer_models;  ///< the built-in table with the rows of models_dir; null: there are none
  std::vector<Price> prices;  ///< most exact first: ids before globs, longer globs before shorter ones
  std::vector<Budget> budgets;
  std::string proxy;                  ///< for all providers; "off": not even the environment's
  std::vector<std::string> no_proxy;  ///< hosts that are reached without one; empty: the environment's
  Ledger ledger;
  log::Settings log;
  Timeouts timeouts;
  Limits limits;
  Retry retry;
  Hedge hedge;  ///< of providers that do not say it themselves
  Circuit circuit;
  std::vector<RateLimit> rate_limits;
  Cache cache;
  /// Globs of what no translation may lose, by the names of x-ccrules-loss; "!glob" takes some out again, the last one that
  /// matches counts. Empty: losses are only told.
  std::vector<std::string> strict;

  [[nodiscard]] const Provider* provider(std::string_view id) const;
  /// What is known of models and their prices, without `prices`.
  [[nodiscard]] const ModelTable& models() const { return newer_models ? *newer_models : ModelTable::built_in(); }
};

}  // namespace ccrules::config
