#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "async/loop.h"
#include "config/snapshot.h"
#include "core/world.h"
#include "http/client.h"
#include "ledger/ledger.h"
#include "provider/provider.h"
#include "provider/refused_fields.h"
#include "proxy/rule_counters.h"
#include "proxy/vitals.h"
#include "rules/agents.h"
#include "rules/counters.h"
#include "rules/engine.h"
#include "tokens/calibration.h"
#include "rules/shadow.h"

namespace ccrules::ledger {
class Batches;  // ledger/batches.h
}

namespace ccrules::proxy {

class Board;        // proxy/board.h
class BatchRunner;  // proxy/batch_runner.h

/// Configuration and rules that belong together. A request pins the one it started with; a reload puts a new
/// one beside it.
struct Policy {
  std::shared_ptr<const config::Snapshot> config;
  std::unique_ptr<rules::Engine> rules;
  std::unique_ptr<rules::Shadow> shadow;  ///< null: no candidate is compared
};

/// What workers ask of the process they belong to. Any thread.
class Control {
 public:
  virtual ~Control() = default;
  /// Reads configuration and rules again; `accept`: hash of rules that no gate shall hold. `done` gets to_json(ReloadReport),
  /// on some other thread.
  virtual void reload(std::string accept, std::function<void(std::string report_json)> done) = 0;
};

/// What a worker stands on; tests put a world of their own underneath.
struct World {
  Loop* loop = nullptr;
  const Clock* clock = nullptr;
  Random* random = nullptr;
  const Files* files = nullptr;  ///< of agents, in folders that clients name
  const Files* rule_files = nullptr;  ///< of the operator; null: the system's
  Dialer* dialer = nullptr;
  ledger::Ledger* ledger = nullptr;  ///< null: nothing is recorded
  ledger::Batches* batches = nullptr;  ///< null: batches for other providers than Anthropic are refused
  Tallies* tallies = nullptr;        ///< shared by all workers; null: the worker counts for itself
  const rules::Counters* counters = nullptr;  ///< null: the worker's own, over `tallies`
  Board* board = nullptr;            ///< shared by all workers; null: nobody looks
  Control* control = nullptr;        ///< null: no reloading
  Vitals* vitals = nullptr;
  std::string home;                  ///< the user's home directory (agent files)
  std::shared_ptr<tokens::Calibration> calibration;  ///< shared by all workers; null: one of its own
};

/// One thread's state: everything a request needs, nothing shared but the ledger's queue and
/// a few counters.
struct Worker {
  Worker(const World& world, std::shared_ptr<Policy> first_policy)
      : loop(*world.loop),
        clock(*world.clock),
        random(*world.random),
        client(loop, *world.dialer),
        sender(loop, client),
        agents(*world.files, world.home),
        rule_files(world.rule_files != nullptr ? *world.rule_files : system_files()),
        ledger(world.ledger),
        batches(world.batches),
        board(world.board),
        control(world.control),
        tallies(world.tallies != nullptr ? *world.tallies : own_tallies),
        live_counters(tallies),
        counters(world.counters != nullptr ? world.counters : &live_counters),
        vitals(*world.vitals),
        calibration(world.calibration ? world.calibration : std::make_shared<tokens::Calibration>()),
        policy(std::move(first_policy)) {}

  Loop& loop;
  const Clock& clock;
  Random& random;
  http::Client client;
  provider::Sender sender;
  provider::RefusedFields refused;
  rules::AgentFinder agents;
  const Files& rule_files;  ///< any thread
  ledger::Ledger* ledger;
  ledger::Batches* batches;
  BatchRunner* batch_runner = nullptr;  ///< owned by whoever owns the worker
  Board* board;
  Control* control;
  Tallies own_tallies;
  Tallies& tallies;
  RuleCounters live_counters;
  const rules::Counters* counters;
  Vitals& vitals;
  std::shared_ptr<tokens::Calibration> calibration;
  std::shared_ptr<Policy> policy;
};

}  // namespace ccrules::proxy
