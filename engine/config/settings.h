#pragma once
#include <span>
#include <string>
#include <string_view>

#include "config/snapshot.h"
#include "config/values.h"

/// Every setting with one value, once: its name in the file, where it goes and what it may be. The loader,
/// the environment, flags and the test of the JSON Schema all read these tables.
namespace ccrules::config {

template <class Section>
struct Setting {
  std::string_view name;  ///< path below the section: "listen.port", "timeouts.first_byte"
  Slot (*slot)(Section&);
  Bounds bounds = {};
};

/// Of the whole configuration.
std::span<const Setting<Snapshot>> settings();
/// Of one provider.
std::span<const Setting<Provider>> provider_settings();

/// Names under `providers.<id>.switches`.
std::span<const std::string_view> switch_names();
/// Top-level names that are no plain settings: providers, routes, rules ...
std::span<const std::string_view> section_names();

/// "thresholds.longContext" -> "THRESHOLDS_LONG_CONTEXT"; "my.provider-2" -> "MY_PROVIDER_2".
std::string variable_name(std::string_view path);

}  // namespace ccrules::config
