#pragma once
#include <map>
#include <string>
#include <string_view>

#include "core/result.h"
#include "rules/facts.h"
#include "rules/fixed_counters.h"

namespace ccrules::rules {

/// A request for dry runs: read from a sample file, invented by a test case, or both. Facts point into it.
struct Sample {
  Sample();
  Sample(const Sample&) = delete;
  Sample& operator=(const Sample&) = delete;

  /// Takes an Anthropic or OpenAI request body (told apart by its members), or a saved .http file with head and body.
  Result<void> read(std::string_view bytes);

  std::string body;  ///< what the outline's views point into
  chat::Outline outline;
  Identity identity;
  std::map<std::string, std::string> headers;  ///< by lower-case name
  std::string dialect = "anthropic";
  std::string path = "/v1/messages";
  std::string error;
  std::string provider;
  std::string system_text, last_user_text, first_user_text;  ///< JSON literals that test cases gave
  std::vector<std::string> tool_names;
  std::string stop_reason;
  chat::Usage usage;
  FixedCounters counters;
  chat::Request whole;  ///< once a rule asked for the messages
  Facts facts;

  /// Points the facts at the members again; call after changing them.
  void refresh();
};

}  // namespace ccrules::rules
