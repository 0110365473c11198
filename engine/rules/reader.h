#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "rules/api.h"
#include "rules/decision.h"
#include "rules/facts.h"

namespace ccrules::rules {

/// A fact's value. Views live as long as the Reader.
struct Value {
  enum class Kind : std::uint8_t { kNone, kFlag, kNumber, kText, kList };
  Kind kind = Kind::kNone;  ///< kNone: the request does not have it
  bool flag = false;
  double number = 0;
  std::string_view text;
  const std::vector<std::string_view>* list = nullptr;
};

/// Reads facts of one request: what costs something is worked out on the first read and kept. With a trace, notes what was read.
class Reader {
 public:
  explicit Reader(const Facts& facts, Trace* trace = nullptr) : facts_(facts), trace_(trace) {}

  Value read(api::Fact fact);
  /// By lower-case name; nothing when absent.
  Value header(std::string_view name);
  /// From 0 to below 100; nothing when there is no key.
  Value bucket(std::string_view name, std::string_view key);
  [[nodiscard]] std::int64_t wall_us() const { return facts_.wall_us; }
  [[nodiscard]] bool on_error() const { return facts_.attempt > 0; }
  void set_target_model(std::string_view model) { target_model_ = model; }

 private:
  Value value_of(api::Fact fact);
  void note(std::string_view name, const Value& value);
  std::string_view last_user();
  std::string_view system();
  std::string_view system_hash();
  std::string_view iso();

  const Facts& facts_;
  Trace* trace_;
  std::string target_model_;
  std::string last_user_;
  std::string system_;
  std::string hash_;
  std::string iso_;
  bool have_last_user_ = false;
  bool have_system_ = false;
};

/// JSON of a value, null for none.
std::string to_json(const Value& value);
/// As messages show it: "claude-x" with quotes, 1200, true, nothing.
std::string shown(const Value& value);

}  // namespace ccrules::rules
