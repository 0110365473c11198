#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/interpolate.h"
#include "config/load.h"
#include "config/settings.h"
#include "config/source.h"
#include "config/vendors.h"

namespace ccrules::config {

/// One load: reads everything, keeps going after an error, and remembers where each value came from. load.cc
/// tells the story, load_providers.cc, load_routes.cc and load_money.cc the chapters with their own rules, load_finish.cc the end.
class Loader {
 public:
  Loader(const Files& files, const Environment& environment, const Options& options);
  Loaded run();

 private:
  /// Where a value was written: a position in the file, or a variable or flag by name.
  struct Place {
    std::optional<std::size_t> offset;
    std::string label;
    static Place in_file(std::size_t offset) { return {offset, {}}; }
    static Place named(std::string label) { return {std::nullopt, std::move(label)}; }
  };
  void error(const Place& place, std::string message, std::string hint = {});
  void warning(const Place& place, std::string message, std::string hint = {});
  [[nodiscard]] Where where(const Place& place) const;

  // load.cc
  bool find_file();
  void read_sections(const Node& root);
  void read_section(const Node& node, const std::string& path);
  void read_environment();
  void read_overrides();
  void check_variable_names();
  /// What an environment variable says; `otherwise`, when it is unset or empty.
  [[nodiscard]] std::string variable_or(std::string_view name, std::string otherwise = {}) const;
  /// Where a setting was set; by its name, where it was not.
  [[nodiscard]] Place set_place(const std::string& setting) const;
  void refuse_duplicates(const Node& node);
  void unknown(const Node::Member& member, const std::string& path, std::span<const std::string> known);
  template <class Section>
  bool set(const Setting<Section>& setting, Section& section, const std::string& path, const Node& node);
  template <class Section>
  bool set(const Setting<Section>& setting, Section& section, const std::string& path, std::string_view text,
           const Place& place);
  /// The text with `${...}` replaced; nullopt after an error was reported.
  std::optional<std::string> text_of(const Node& node, const std::string& path);
  [[nodiscard]] const Node* section(std::string_view name) const;

  // load_money.cc
  void read_prices(const Node& node);
  void read_budgets(const Node& node);
  void read_rate_limits(const Node& node);
  void read_rate_limit(const Node& node, const std::string& path);
  void read_scope(const std::string& text, const Place& at, const std::string& path, const char* what, std::string& by,
                  std::string& key);
  void read_budget(const Node& node, const std::string& path);

  // load_finish.cc
  void finish_paths();
  void load_zone();
  void load_models();
  void name_models();
  void check_listen();
  void check_retry();
  /// $XDG_STATE_HOME or ~/.local/state; empty when neither is known.
  [[nodiscard]] std::string state_directory() const;

  // load_providers.cc
  void read_providers();
  void read_provider(const Node::Member& member);
  void read_provider_members(Provider& provider, const Node& node, const std::string& path,
                             const std::string& prefix);
  void read_switches(Provider& provider, const Node& node, const std::string& path);
  void read_headers(Provider& provider, const Node& node, const std::string& path);
  void set_api_key(Provider& provider, const Node& node, const std::string& path);
  void take_firsts(Provider& provider);
  void make_lanes(Provider& provider);
  void add_automatic_providers();
  void apply_provider_variables();
  void apply_provider_text(const std::string& path, std::string_view text, const Place& place);
  void find_key(Provider& provider);
  void check_provider(Provider& provider);
  void check_cloud(const Provider& provider);
  void check_url(const Provider& provider, const Place& place);
  void find_proxy(Provider& provider);
  void add_simulator();
  [[nodiscard]] Provider made_from(const Vendor& vendor, const std::string& dialect, Place place);
  [[nodiscard]] const std::string* key_in_environment(const Vendor& vendor) const;
  [[nodiscard]] Place place_of(const std::string& path, const Provider& provider) const;
  [[nodiscard]] bool automatic() const;

  // load_routes.cc
  void read_routes();
  void add_automatic_routes();
  std::optional<Route> read_route(const Node& node, const std::string& path);
  /// `provider,model`, or the name of a route or tier where `alias_allowed`; reports what is wrong.
  std::optional<Route> read_target(std::string_view text, const std::string& path, const Place& place,
                                   bool alias_allowed);
  void read_targets(std::string_view section_name, std::map<std::string, std::string>& targets,
                    bool only_tiers);
  void read_fallbacks();
  void check_alias(const std::string& name, const std::string& path, const Place& place);

  const Files& files_;
  Environment environment_;
  const Options& options_;
  std::optional<Source> source_;
  std::optional<Node> root_;
  std::string directory_;  ///< of the configuration file, or the working directory
  std::shared_ptr<Snapshot> snapshot_ = std::make_shared<Snapshot>();
  std::vector<Diagnostic> diagnostics_;
  std::map<std::string, Place> set_at_;  ///< "listen.port", "providers.groq.base_url" -> where it was set
  std::map<std::string, std::string> key_missing_;  ///< provider id -> the variable that would enable it
};

}  // namespace ccrules::config
