#include "rules/recorded.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/json.h"
#include "core/limits.h"
#include "core/text.h"
#include "rules/given.h"
#include "rules/json_tree.h"
#include "rules/sample.h"

namespace ccrules::rules {
namespace {

constexpr std::string_view kCounters = "counters";
constexpr std::string_view kHealth = "health";
constexpr std::string_view kWarm = "warm";
constexpr std::string_view kMove = "move";

/// Facts that are not recorded: a trace names the parts of some with a dot.
constexpr std::array<std::string_view, 5> kNeverKept = {"text", "body", "messages", "tools", "system_hash"};

constexpr std::array<std::string_view, 4> kPeriodNames = {"hour", "day", "week", "month"};

std::string spend_key(const Scope& scope, Period period) {
  std::string key = "spend.";
  key.append(scope.by.empty() ? "all" : scope.by).append(".").append(kPeriodNames[static_cast<std::size_t>(period)]);
  return key;
}
std::string left_key(const Scope& scope) {
  std::string key = "budget_left.";
  return key.append(scope.by.empty() ? "all" : scope.by).append(":").append(scope.key);
}
std::string rate_key(const Scope& scope, std::chrono::milliseconds window) {
  std::string key = "rate.";
  return key.append(scope.by.empty() ? "all" : scope.by).append(".").append(std::to_string(window.count()));
}

std::string move_key(const Target& from, const Target& to) { return target_text(from) + " > " + target_text(to); }

/// Names under which clients send credentials, or may.
bool may_be_secret(std::string_view name) {
  for (const std::string_view word : {"auth", "key", "token", "cookie", "secret", "credential"}) {
    if (name.find(word) != std::string_view::npos) return true;
  }
  return false;
}

/// Counters that answer as they did when they were recorded; what was not asked then is not known.
class RecordedCounters final : public Counters {
 public:
  explicit RecordedCounters(const Tree& recorded) : recorded_(recorded) {}
  [[nodiscard]] std::optional<double> spend_usd(Scope scope, Period period) const override {
    return number(spend_key(scope, period));
  }
  [[nodiscard]] std::optional<double> budget_left_usd(Scope scope) const override { return number(left_key(scope)); }
  [[nodiscard]] std::optional<double> requests(Scope scope, std::chrono::milliseconds window) const override {
    return number(rate_key(scope, window));
  }
  [[nodiscard]] std::string_view health(std::string_view provider) const override {
    const Tree::Member* all = recorded_.find(kHealth);
    const Tree::Member* one = all == nullptr ? nullptr : all->value.find(provider);
    return one == nullptr ? std::string_view() : std::string_view(one->value.text);
  }
  [[nodiscard]] std::optional<Warmth> warm(const Target& target, std::string_view) const override {
    const Tree::Member* all = recorded_.find(kWarm);
    const Tree::Member* one = all == nullptr ? nullptr : all->value.find(target_text(target));
    if (one == nullptr) return std::nullopt;
    Warmth warmth;
    for (const Tree::Member& part : one->value.members) {
      if (part.key == "warm") warmth.warm = part.value.flag;
      if (part.key == "tokens") warmth.tokens = static_cast<std::int64_t>(part.value.number);
      if (part.key == "cost_usd") warmth.cost_usd = part.value.number;
    }
    return warmth;
  }
  [[nodiscard]] std::optional<Move> move(const Target& from, const Target& to, std::string_view) const override {
    const Tree::Member* all = recorded_.find(kMove);
    const Tree::Member* one = all == nullptr ? nullptr : all->value.find(move_key(from, to));
    if (one == nullptr) return std::nullopt;
    Move move{std::numeric_limits<double>::infinity(), 0};
    for (const Tree::Member& part : one->value.members) {
      if (part.key == "turns") move.turns = part.value.number;
      if (part.key == "cost_usd") move.cost_usd = part.value.number;
    }
    return move;
  }

 private:
  [[nodiscard]] std::optional<double> number(const std::string& key) const {
    const Tree::Member* member = recorded_.find(key);
    return member == nullptr ? std::nullopt : std::optional(member->value.number);
  }
  const Tree& recorded_;
};

bool thinks(const chat::ThinkingMode& thinking) {
  return thinking.kind == chat::ThinkingKind::kEnabled || thinking.kind == chat::ThinkingKind::kAdaptive;
}

std::vector<std::string> never_kept(const Trace& trace) {
  std::vector<std::string> names;
  for (const auto& [name, value] : trace.facts_read) {
    const std::string_view first = std::string_view(name).substr(0, name.find('.'));
    if (std::find(kNeverKept.begin(), kNeverKept.end(), first) != kNeverKept.end()) names.push_back(name);
  }
  return names;
}

}  // namespace

void FactRecorder::listen(Facts& facts) {
  real_ = facts.counters;
  if (real_ != nullptr) facts.counters = this;
  ask_header_ = std::move(facts.header);
  facts.header = [this](std::string_view name) { return header(name); };
}

std::string_view FactRecorder::header(std::string_view name) const {
  const std::string_view value = ask_header_ ? ask_header_(name) : std::string_view();
  if (!value.empty() && value.size() <= limits::kTraceTextBytes && !may_be_secret(name)) headers_.emplace(name, value);
  return value;
}

std::optional<double> FactRecorder::spend_usd(Scope scope, Period period) const {
  const auto value = real_->spend_usd(scope, period);
  if (value) numbers_.emplace(spend_key(scope, period), *value);
  return value;
}

std::optional<double> FactRecorder::budget_left_usd(Scope scope) const {
  const auto value = real_->budget_left_usd(scope);
  if (value) numbers_.emplace(left_key(scope), *value);
  return value;
}

std::optional<double> FactRecorder::requests(Scope scope, std::chrono::milliseconds window) const {
  const auto value = real_->requests(scope, window);
  if (value) numbers_.emplace(rate_key(scope, window), *value);
  return value;
}

std::string_view FactRecorder::health(std::string_view provider) const {
  const std::string_view value = real_->health(provider);
  if (!value.empty()) health_.emplace(provider, value);
  return value;
}

std::optional<Warmth> FactRecorder::warm(const Target& target, std::string_view session) const {
  const auto value = real_->warm(target, session);
  if (value) warmth_.emplace(target_text(target), *value);
  return value;
}

std::optional<Move> FactRecorder::move(const Target& from, const Target& to, std::string_view session) const {
  const auto value = real_->move(from, to, session);
  if (value) moves_.emplace(move_key(from, to), *value);
  return value;
}

std::string FactRecorder::json(const Facts& facts) const {
  std::string out;
  out.reserve(192);
  json::Writer writer(out);
  writer.begin_object();
  const auto count = [&writer](std::string_view name, std::int64_t value) {
    if (value != 0) writer.member(name, value);
  };
  const chat::Outline& outline = *facts.outline;
  count("tokens", facts.tokens);
  if (facts.tokens_exact) writer.member("tokens_exact", true);
  count("tokens_p95", facts.tokens_p95);
  if (!facts.tokens_exact && facts.tokens_grade != "estimated") writer.member("tokens_grade", facts.tokens_grade);
  if (outline.max_tokens) writer.member("max_tokens", *outline.max_tokens);
  if (thinks(outline.thinking)) writer.member("thinking", true);
  if (outline.thinking.budget_tokens) writer.member("thinking_budget", *outline.thinking.budget_tokens);
  if (!outline.effort.empty()) writer.member("effort", outline.effort);
  count("turns", outline.messages);
  count("images", outline.images);
  count("documents", outline.documents);
  count("tool_count", outline.tools);
  count("tool_results", outline.tool_results);
  if (!outline.last_role.empty()) writer.member("last_role", outline.last_role);
  if (!headers_.empty()) {
    writer.key("headers").begin_object();
    for (const auto& [name, value] : headers_) writer.member(name, std::string_view(value));
    writer.end_object();
  }
  if (!numbers_.empty() || !health_.empty() || !warmth_.empty() || !moves_.empty()) {
    writer.key(kCounters).begin_object();
    for (const auto& [name, value] : numbers_) writer.member(name, value);
    if (!health_.empty()) {
      writer.key(kHealth).begin_object();
      for (const auto& [name, value] : health_) writer.member(name, std::string_view(value));
      writer.end_object();
    }
    if (!warmth_.empty()) {
      writer.key(kWarm).begin_object();
      for (const auto& [name, value] : warmth_) {
        writer.key(name).begin_object();
        writer.member("warm", value.warm).member("tokens", value.tokens).member("cost_usd", value.cost_usd).end_object();
      }
      writer.end_object();
    }
    if (!moves_.empty()) {
      writer.key(kMove).begin_object();
      for (const auto& [name, value] : moves_) {
        writer.key(name).begin_object();
        if (std::isfinite(value.turns)) writer.member("turns", value.turns);  // absent: never
        writer.member("cost_usd", value.cost_usd).end_object();
      }
      writer.end_object();
    }
    writer.end_object();
  }
  writer.end_object();
  return out;
}

Result<Redecision> decide_again(Engine& engine, const RecordedRequest& request) {
  CCR_TRY(recorded, read_json(request.facts_json, Spot{1, 1}));
  Tree counters;
  const auto kept = std::find_if(recorded.members.begin(), recorded.members.end(),
                                 [](const Tree::Member& member) { return member.key == kCounters; });
  if (kept != recorded.members.end()) {
    counters = std::move(kept->value);
    recorded.members.erase(kept);
  }
  Sample sample;
  sample.identity = request.identity;
  sample.dialect = request.dialect;
  sample.path = request.path;
  sample.outline.model = request.model;
  sample.outline.stream = request.stream;
  Problems problems;
  apply_given(recorded, sample, problems);
  if (!problems.empty()) return bad_request("the recorded facts cannot be read: " + problems.front().message);
  sample.refresh();
  sample.facts.wall_us = request.wall_us;
  const RecordedCounters answers(counters);
  sample.facts.counters = &answers;
  Redecision again;
  again.decision = engine.decide(sample.facts, &again.trace);
  again.not_kept = never_kept(again.trace);
  return again;
}

}  // namespace ccrules::rules
