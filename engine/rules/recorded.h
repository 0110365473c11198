#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "rules/counters.h"
#include "rules/engine.h"
#include "rules/facts.h"

/// What the ledger keeps of a request so that its decision can be made again (`ccrules why`, `replay`): numbers, names of
/// kinds, what counters answered and the headers that rules asked for. No text of the request, no names of tools, no
/// header that may hold a credential.
namespace ccrules::rules {

/// Stands between the rules and what they may ask beyond the request itself, and remembers the answers.
class FactRecorder final : public Counters {
 public:
  FactRecorder() = default;
  FactRecorder(const FactRecorder&) = delete;
  FactRecorder& operator=(const FactRecorder&) = delete;

  /// From now on `facts` asks through this recorder, which must outlive its use.
  void listen(Facts& facts);
  /// After the decision: a JSON object, what is 0 or absent left out.
  [[nodiscard]] std::string json(const Facts& facts) const;

  [[nodiscard]] std::optional<double> spend_usd(Scope scope, Period period) const override;
  [[nodiscard]] std::optional<double> budget_left_usd(Scope scope) const override;
  [[nodiscard]] std::optional<double> requests(Scope scope, std::chrono::milliseconds window) const override;
  [[nodiscard]] std::string_view health(std::string_view provider) const override;
  [[nodiscard]] std::optional<Warmth> warm(const Target& target, std::string_view session) const override;
  [[nodiscard]] std::optional<Move> move(const Target& from, const Target& to, std::string_view session) const override;

 private:
  std::string_view header(std::string_view name) const;

  const Counters* real_ = nullptr;
  std::function<std::string_view(std::string_view)> ask_header_;
  mutable std::map<std::string, std::string, std::less<>> headers_;
  mutable std::map<std::string, double, std::less<>> numbers_;      ///< "spend.project.day", "rate.session.60000", ...
  mutable std::map<std::string, std::string, std::less<>> health_;  ///< by provider
  mutable std::map<std::string, Warmth, std::less<>> warmth_;       ///< by "provider,model"
  mutable std::map<std::string, Move, std::less<>> moves_;          ///< by "provider,model > provider,model"
};

/// A request as the ledger remembers it.
struct RecordedRequest {
  Identity identity;
  std::string model;
  std::string dialect;
  std::string path;
  bool stream = false;
  std::int64_t wall_us = 0;
  std::string facts_json;  ///< FactRecorder::json()
};

struct Redecision {
  Decision decision;
  Trace trace;
  std::vector<std::string> not_kept;  ///< facts the rules asked for that are never recorded: they were absent here
};

/// Makes the decision again, with the rules of `engine`. Error when the facts are not what json() writes.
Result<Redecision> decide_again(Engine& engine, const RecordedRequest& request);

}  // namespace ccrules::rules
