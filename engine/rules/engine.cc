#include "rules/engine.h"

#include <array>
#include <chrono>
#include <utility>

#include "rules/judge.h"
#include "rules/review.h"
#include "rules/ruleset.h"

namespace ccrules::rules {
namespace {

template <class Decide>
auto timed(const RuleSet& set, api::On on, Trace* trace, Decide&& decide) {
  if (trace == nullptr) return decide();
  trace->on = api::on_name(on);
  const auto begin = std::chrono::steady_clock::now();
  auto decision = decide();
  trace->time_ns = std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin).count();
  trace->ruleset = set.ref->hash;
  trace->rule_set = set.ref;
  return decision;
}

}  // namespace

struct Engine::Impl {
  explicit Impl(std::unique_ptr<RuleSet> rules) : set(std::move(rules)), sieve(set->on_request), quarantine(set->rule_count) {}
  std::unique_ptr<RuleSet> set;
  Sieve sieve;
  Quarantine quarantine;
};

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

std::unique_ptr<Engine> Engine::load(const config::Snapshot& snapshot, const Files& files,
                                     std::vector<config::Diagnostic>& diagnostics, const LoadHooks* hooks) {
  const std::size_t before = diagnostics.size();
  std::vector<RuleSource> sources = rule_sources(snapshot, files, diagnostics);
  std::unique_ptr<Engine> engine = load(snapshot, files, std::move(sources), diagnostics, hooks);
  for (std::size_t i = before; i < diagnostics.size(); ++i) {
    if (!diagnostics[i].warning) return nullptr;
  }
  return engine;
}

std::unique_ptr<Engine> Engine::load(const config::Snapshot& snapshot, const Files& files, std::vector<RuleSource> sources,
                                     std::vector<config::Diagnostic>& diagnostics, const LoadHooks* hooks) {
  std::unique_ptr<RuleSet> set = load_rules(snapshot, files, std::move(sources), diagnostics, hooks);
  if (set == nullptr) return nullptr;
  return std::unique_ptr<Engine>(new Engine(std::make_unique<Impl>(std::move(set))));
}

Decision Engine::decide(const Facts& facts, Trace* trace) {
  Impl& impl = *impl_;
  return timed(*impl.set, api::On::kRequest, trace,
               [&impl, &facts, trace] { return decide_request(*impl.set, impl.sieve, impl.quarantine, facts, trace); });
}

AttemptDecision Engine::decide_error(const Facts& facts, Trace* trace) {
  Impl& impl = *impl_;
  return timed(*impl.set, api::On::kError, trace, [&impl, &facts, trace] {
    return decide_attempt(*impl.set, impl.quarantine, facts, api::On::kError, trace);
  });
}

AttemptDecision Engine::decide_response(const Facts& facts, Trace* trace) {
  Impl& impl = *impl_;
  return timed(*impl.set, api::On::kResponse, trace, [&impl, &facts, trace] {
    return decide_attempt(*impl.set, impl.quarantine, facts, api::On::kResponse, trace);
  });
}

const RuleSet& Engine::rules() const noexcept { return *impl_->set; }

bool Engine::has_error_rules() const noexcept { return !impl_->set->on_error.empty(); }
bool Engine::has_response_rules() const noexcept { return !impl_->set->on_response.empty(); }
std::string_view Engine::hash() const noexcept { return impl_->set->ref->hash; }
std::size_t Engine::rule_count() const noexcept { return impl_->set->rule_count; }

std::optional<Target> Engine::resolve(std::string_view name) const {
  TargetProblem problem;
  const RuleSet& set = *impl_->set;
  std::optional<Choice> choice = set.targets.resolve(name, problem);
  for (auto pack = set.pack_targets.begin(); !choice && pack != set.pack_targets.end(); ++pack) choice = (*pack)->resolve(name, problem);
  if (!choice) return std::nullopt;
  return std::move(choice->target);
}

std::vector<config::Diagnostic> Engine::review() const { return review_rules(*impl_->set); }

EngineStatus Engine::status() const {
  EngineStatus status;
  status.rule_set = impl_->set->ref;
  status.rules = impl_->set->rule_count;
  const RuleSet& set = *impl_->set;
  for (const std::vector<Rule>* rules : std::array{&set.on_request, &set.about_target, &set.on_error, &set.on_response}) {
    for (const Rule& rule : *rules) impl_->quarantine.describe(rule, status.troubled);
  }
  return status;
}

}  // namespace ccrules::rules
