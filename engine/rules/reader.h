#pragma once
#include <bitset>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rules/api.h"
#include "rules/decision.h"
#include "rules/facts.h"
#include "rules/zone.h"

namespace ccrules::rules {

class Targets;

/// A fact's value. Views live as long as the Reader.
struct Value {
  enum class Kind : std::uint8_t { kNone, kFlag, kNumber, kText, kList };
  Kind kind = Kind::kNone;  ///< kNone: the request does not have it
  bool flag = false;
  double number = 0;
  std::string_view text;
  const std::vector<std::string_view>* list = nullptr;
};

/// One message of a request, as `req.messages` shows it.
struct MessageView {
  const char* role = "";
  std::string text;                ///< its text blocks, joined by newlines
  std::vector<std::string> tools;  ///< names of the tools it calls
};

/// Reads facts of one request: what costs something is worked out on the first read and kept. With a trace, notes what was read.
class Reader {
 public:
  explicit Reader(const Facts& facts, api::On on = api::On::kRequest, Trace* trace = nullptr)
      : facts_(facts), on_(on), trace_(trace), id_(++last_id_) {}
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  Value read(api::Fact fact) { return trace_ == nullptr ? value_of(fact) : read_noted(fact); }
  /// A text that the request says in a few bytes, for nobody's trace. Without data: the request does not have it. Only for facts
  /// of is_short_text().
  [[nodiscard]] std::string_view short_text(api::Fact fact) const;
  static bool is_short_text(api::Fact fact);
  /// `tokens`, to be compared with a number: notes when the count is not sure to be on one side of it.
  double tokens_against(double number) {
    if (trace_ != nullptr) note_tokens();
    compared_tokens_with(number);
    return static_cast<double>(facts_.tokens);
  }
  /// By lower-case name; nothing when absent.
  Value header(std::string_view name);
  /// From 0 to below 100; nothing when there is no key.
  Value bucket(std::string_view name, std::string_view key);
  /// A scalar of the request's JSON by dotted path ("metadata.tier", "messages.0.role"); nothing when it is not there.
  Value body(std::string_view path);
  /// Dollars spent by all requests whose fact `by` is this one's; `by` "all": by all.
  Value spend(std::string_view by, Period period);
  /// `scope` is "project:web", a fact ("project": this request's own) or "all".
  Value budget_left(std::string_view scope);
  Value rate(std::string_view by, std::chrono::milliseconds window);
  Value health(std::string_view provider);
  std::optional<Warmth> warm(const Target& target);
  std::optional<Move> move(const Target& from, const Target& to);
  /// Nothing when they cannot be read.
  [[nodiscard]] std::optional<std::size_t> message_count();
  /// From 0; null beyond the end. Valid until the next call.
  const MessageView* message(std::size_t index);

  /// kTimeHour or kTimeWday in a zone.
  Value clock(api::Fact part, const Zone& zone);
  [[nodiscard]] std::int64_t wall_us() const { return facts_.wall_us; }
  [[nodiscard]] api::On on() const { return on_; }
  /// Another one for every Reader of a thread.
  [[nodiscard]] std::uint64_t id() const { return id_; }
  /// The target the rules chose so far; it must stay where it is while it may be read.
  void set_target(const Target& target, const Targets& all) {
    target_ = &target;
    targets_ = &all;
  }
  [[nodiscard]] const Target* target() const { return target_; }
  void forget_target() { target_ = nullptr; }
  /// From now on rules about the target are judged, see Rule::about_target.
  void targets_are_known() { targets_known_ = true; }
  [[nodiscard]] bool targets_known() const { return targets_known_; }

 private:
  void compared_tokens_with(double number) {
    TokensUse* use = facts_.tokens_use;
    if (use == nullptr) return;
    if (number >= static_cast<double>(use->low) && number <= static_cast<double>(use->high)) use->near = true;
  }
  Value value_of(api::Fact fact);
  Value read_noted(api::Fact fact);
  void note_tokens();
  Value spent(std::string_view by, Period period);
  void note(std::string_view name, const Value& value);
  std::string_view keep(std::string text);
  /// The scope a rule names by a fact; nothing when the request does not have it.
  std::optional<Scope> own_scope(std::string_view by);
  const chat::Request* request();
  static std::string_view decoded(std::string_view literal, std::optional<std::string>& kept);
  std::string_view system();
  std::string_view system_hash();
  std::string_view iso();

  const Facts& facts_;
  api::On on_;
  Trace* trace_;
  inline static thread_local std::uint64_t last_id_ = 0;
  std::uint64_t id_;
  std::bitset<128> noted_;  // facts already in the trace
  const Target* target_ = nullptr;
  const Targets* targets_ = nullptr;
  bool targets_known_ = false;

  /// What had to be worked out: most decisions need none of it.
  struct Worked {
    std::optional<std::string> last_user, first_user, system;
    std::string hash;
    std::string iso;
    std::optional<const chat::Request*> request;
    MessageView message;
    std::list<std::string> kept;  ///< texts that values point into
  };
  Worked& worked() {
    if (!worked_) worked_ = std::make_unique<Worked>();
    return *worked_;
  }
  std::unique_ptr<Worked> worked_;
};

/// JSON of a value, null for none.
std::string to_json(const Value& value);
/// As messages show it: "claude-x" with quotes, 1200, true, nothing.
std::string shown(const Value& value);

}  // namespace ccrules::rules
