#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

/// What the program knows about vendors: config/providers/*.json, compiled in.
namespace ccrules::config {

/// How to reach one vendor in one dialect.
struct Endpoint {
  std::string base_url;
  std::string auth = "default";
  std::map<std::string, bool, std::less<>> switches;
  std::string reasoning_replay;
  std::string reasoning_style;
  std::string cloud;  ///< config::Provider::cloud
};

struct Vendor {
  std::string id, name;
  int order = 0;  ///< place among the providers that the environment's keys make
  bool local = false;
  std::vector<std::string> api_key_env;  ///< variables that may hold the key, the first that is set wins
  std::string dialect;                   ///< the one used when nothing else is said
  std::map<std::string, Endpoint, std::less<>> endpoints;  ///< by dialect
  std::vector<std::string> models;                         ///< globs
  std::string big, small;  ///< models that stand in for opus and sonnet, and for haiku
  /// Why each switch, reasoning_replay and reasoning_style of its endpoints stands as it does: the document or the fault that shows it.
  std::map<std::string, std::string, std::less<>> evidence;
  /// True when an address names a resource or region of the user's own: base_url holds YOUR- and must be set.
  [[nodiscard]] bool needs_address(const std::string& dialect) const;
};

/// All rows, by `order`. Read on first use; a test asserts that every file is valid.
const std::vector<Vendor>& vendors();
const Vendor* find_vendor(std::string_view id);
Result<Vendor> parse_vendor(std::string_view text);

}  // namespace ccrules::config
