#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "chat/outline.h"
#include "chat/request.h"
#include "chat/usage.h"
#include "rules/counters.h"

namespace ccrules::rules {

/// Who a request comes from and what it belongs to; worked out once per request by proxy/identity.cc.
struct Identity {
  std::string client;         ///< "claude-code", "anthropic-sdk", "openai-sdk", or the user-agent's product name
  std::string session;
  std::string user;
  std::string project;        ///< the working directory, or the x-ccrules-project header
  std::string agent;          ///< subagent's name, "main" for the main loop, empty when unknown
  std::string agent_id;
  std::string request_class;  ///< main, subagent, background, compaction, ..., empty when unknown
};

/// Whether a decision hangs on how exact `tokens` is: filled while rules are read.
struct TokensUse {
  std::int64_t low = 0, high = 0;  ///< within these the count may really be
  bool near = false;               ///< a condition compares it with a number in between
  bool seen = false;               ///< a rule's own code or text read it
};

/// Everything a rule may read about one request. Cheap to fill; texts are views that must outlive the decision.
/// Facts that cost something (time, tools, system_hash) are worked out when a rule reads them.
struct Facts {
  const chat::Outline* outline = nullptr;
  const Identity* identity = nullptr;
  std::string_view dialect;
  std::string_view path;
  std::int64_t tokens = 0;
  bool tokens_exact = false;
  std::int64_t tokens_p95 = 0;                  ///< how far `tokens` may be off
  std::string_view tokens_grade = "estimated";  ///< exact, anchored, estimated
  TokensUse* tokens_use = nullptr;              ///< null: nobody asks
  std::int64_t wall_us = 0;
  std::function<std::string_view(std::string_view)> header;  ///< request header by lower-case name; empty when absent
  std::optional<double> bucket;  ///< tests: what every bucket() gives
  std::string_view body;  ///< the request's JSON; empty: not at hand, then `body` and `messages` are absent
  std::function<const chat::Request*()> request;  ///< reads all of it, called at most once; null when it cannot be read
  const Counters* counters = nullptr;             ///< null: spending, rates, health and warmth are not known
  // on = "error" and on = "response"
  int attempt = 0;  ///< 1 for the first
  int status = 0;
  std::string_view error;     ///< error_code_name()
  std::string_view provider;  ///< of the attempt
  // on = "response"
  std::string_view stop_reason;        ///< Anthropic's words; empty while the answer still runs
  const chat::Usage* usage = nullptr;  ///< as far as it is known
  std::int64_t ttft_ms = 0;
};

}  // namespace ccrules::rules
