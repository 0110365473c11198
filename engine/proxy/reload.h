#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "config/load.h"
#include "core/world.h"
#include "proxy/board.h"
#include "proxy/worker.h"

/// The way of new configuration and rules into force: load, their tests, their impact on recent decisions
/// (rules.md, chapter "Reload").
namespace ccrules::proxy {

/// Everything that goes live together.
struct Candidate {
  std::shared_ptr<const config::Snapshot> config;
  std::vector<std::shared_ptr<Policy>> policies;  ///< one per worker: rule engines are not shared
  std::unique_ptr<rules::Engine> witness;         ///< the same rules once more, to compare later ones with
};

/// Builds what a configuration asks for; `why` says what is wrong when there is an error. Rules of `shadow` that do not load
/// are left out with a line in `why`: they must not keep the live ones from working.
Result<Candidate> build(std::shared_ptr<const config::Snapshot> config, const Files& files, std::size_t workers,
                        std::vector<std::string>& why);

struct ReloadOrder {
  config::Options config;
  std::string file, dotenv;  ///< of the configuration in force; empty: there was none
  const Files* files = nullptr;
  Environment environment;
  std::size_t workers = 1;
  std::int64_t now_us = 0;
  rules::Engine* live = nullptr;  ///< the witness of the rules in force; used by nobody else meanwhile
  std::string accept;             ///< hash of rules that a person has accepted: no gate holds these
};

/// Reads everything anew and tries it. `out` is filled when the report says kLive. Takes as long as the rules' tests; any
/// thread.
ReloadReport prepare(const ReloadOrder& order, Candidate& out);

}  // namespace ccrules::proxy
