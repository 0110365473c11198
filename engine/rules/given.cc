#include "rules/given.h"

#include <cmath>
#include <limits>

#include "core/json.h"
#include "core/text.h"
#include "core/utc.h"
#include "rules/api.h"
#include "tokens/counter.h"

namespace ccrules::rules {
namespace {

constexpr std::string_view kRealBucket = "hash";  // what the proxy computes
constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kDayUs = 24 * 3600 * kSecondUs;
constexpr std::int64_t kMondayUs = 20458 * kDayUs;  // 2026-01-05: the day of tests that give only a time

/// "14:00" or "2026-11-21T14:00:00Z"; nothing when it is neither.
std::optional<std::int64_t> wall_us(std::string_view text) {
  std::int64_t day_us = kMondayUs;
  if (text.size() >= 16 && text[10] == 'T') {
    const auto day = parse_day(text.substr(0, 10));
    if (!day) return std::nullopt;
    day_us = *day * kDayUs;
    text = text.substr(11);
    if (text.ends_with('Z')) text.remove_suffix(1);
  }
  const auto clock_s = parse_clock_s(text);
  if (!clock_s || *clock_s * kSecondUs >= kDayUs) return std::nullopt;
  return day_us + *clock_s * kSecondUs;
}

class Applier {
 public:
  Applier(Sample& sample, Problems& problems) : sample_(sample), problems_(problems) {}

  void apply(const Tree::Member& member) {
    const api::FactRow* row = api::find_fact(member.key);
    if (row == nullptr) {
      problems_.push_back({member.at, "unknown fact '" + member.key + "'", api::fact_hint(member.key)});
      return;
    }
    if (!fits(*row, member.value)) {
      problems_.push_back({member.value.at, member.key + " is " + row->type + ", not " + member.value.kind_name(), {}});
      return;
    }
    if (!can_be(*row, member.value, member.key)) return;
    set(*row, member);
  }

 private:
  static bool fits(const api::FactRow& row, const Tree& value) {
    if (row.id == api::Fact::kBucket) return value.is(Tree::Kind::kNumber) || value.text == kRealBucket;
    if (row.id == api::Fact::kSpend || row.id == api::Fact::kBudgetLeft || row.id == api::Fact::kRate) {
      return value.is(Tree::Kind::kNumber);
    }
    if (row.id == api::Fact::kWarm) return value.is(Tree::Kind::kFlag) || value.is(Tree::Kind::kTable);
    if (row.id == api::Fact::kTime) return value.is(Tree::Kind::kText);
    switch (row.kind) {
      case api::Kind::kText: return value.is(Tree::Kind::kText);
      case api::Kind::kNumber: return value.is(Tree::Kind::kNumber);
      case api::Kind::kFlag: return value.is(Tree::Kind::kFlag);
      default: return value.is(Tree::Kind::kTable);
    }
  }

  // A test that gives what never comes would pass beside a rule that waits for it.
  bool can_be(const api::FactRow& row, const Tree& value, const std::string& name) {
    if (row.values == nullptr) return true;
    const api::Values& values = *row.values;
    if (value.is(Tree::Kind::kText) && !value.text.empty() && row.kind != api::Kind::kFunction && values.excludes(value.text)) {
      problems_.push_back({value.at, name + " is never '" + value.text + "'", api::word_hint(values, value.text)});
      return false;
    }
    if (value.is(Tree::Kind::kNumber) && values.bounded() && (value.number < values.least || value.number > values.most)) {
      problems_.push_back({value.at, name + " is from " + number_text(values.least) + " to " + number_text(values.most), {}});
      return false;
    }
    return true;
  }

  void cannot(const Tree::Member& member, const std::string& why) {
    problems_.push_back({member.at, "a test cannot give " + member.key + ": " + why, {}});
  }

  void set_grade(const Tree::Member& member) {
    using tokens::Grade;
    for (const Grade grade : {Grade::kExact, Grade::kAnchored, Grade::kEstimated}) {
      if (member.value.text == tokens::grade_name(grade)) sample_.facts.tokens_grade = tokens::grade_name(grade);
    }
    sample_.facts.tokens_exact = sample_.facts.tokens_grade == tokens::grade_name(Grade::kExact);
  }

  void set(const api::FactRow& row, const Tree::Member& member) {
    using api::Fact;
    chat::Outline& outline = sample_.outline;
    Identity& identity = sample_.identity;
    const std::string& text = member.value.text;
    const auto number = static_cast<std::int64_t>(std::llround(std::min(std::max(member.value.number, -1e15), 1e15)));
    switch (row.id) {
      case Fact::kModel: outline.model = text; return;
      case Fact::kTokens: sample_.facts.tokens = number; return;
      case Fact::kTokensExact:
        sample_.facts.tokens_exact = member.value.flag;
        sample_.facts.tokens_grade = tokens::grade_name(member.value.flag ? tokens::Grade::kExact : tokens::Grade::kEstimated);
        return;
      case Fact::kTokensP95: sample_.facts.tokens_p95 = number; return;
      case Fact::kTokensGrade: set_grade(member); return;
      case Fact::kMaxTokens: outline.max_tokens = number; return;
      case Fact::kStream: outline.stream = member.value.flag; return;
      case Fact::kThinking:
        outline.thinking.kind = member.value.flag ? chat::ThinkingKind::kEnabled : chat::ThinkingKind::kAbsent;
        return;
      case Fact::kThinkingBudget: outline.thinking.budget_tokens = number; return;
      case Fact::kEffort: outline.effort = text; return;
      case Fact::kAgent: identity.agent = text; return;
      case Fact::kRequestClass: identity.request_class = text; return;
      case Fact::kSession: identity.session = text; return;
      case Fact::kUser: identity.user = text; return;
      case Fact::kProject: identity.project = text; return;
      case Fact::kClient: identity.client = text; return;
      case Fact::kDialect: sample_.dialect = text; return;
      case Fact::kPath: sample_.path = text; return;
      case Fact::kTurns: outline.messages = number; return;
      case Fact::kImages: outline.images = number; return;
      case Fact::kDocuments: outline.documents = number; return;
      case Fact::kToolCount: outline.tools = number; return;
      case Fact::kToolResults: outline.tool_results = number; return;
      case Fact::kLastRole: outline.last_role = text; return;
      case Fact::kTools: set_tools(member); return;
      case Fact::kTime:
      case Fact::kTimeIso: set_time(member); return;
      case Fact::kBucket:
        sample_.facts.bucket.reset();
        if (member.value.is(Tree::Kind::kNumber)) sample_.facts.bucket = member.value.number;
        return;
      case Fact::kText: set_texts(member); return;
      case Fact::kTextLastUser: set_text(sample_.last_user_text, text); return;
      case Fact::kTextSystem: set_text(sample_.system_text, text); return;
      case Fact::kHeaders: set_headers(member); return;
      case Fact::kTextFirstUser: set_text(sample_.first_user_text, text); return;
      case Fact::kSpendHour: sample_.counters.spent_usd[Period::kHour] = member.value.number; return;
      case Fact::kSpendToday: sample_.counters.spent_usd[Period::kDay] = member.value.number; return;
      case Fact::kSpendWeek: sample_.counters.spent_usd[Period::kWeek] = member.value.number; return;
      case Fact::kSpendMonth: sample_.counters.spent_usd[Period::kMonth] = member.value.number; return;
      case Fact::kSpend: sample_.counters.any_spent_usd = member.value.number; return;
      case Fact::kBudgetLeft: sample_.counters.left_usd = member.value.number; return;
      case Fact::kRate: sample_.counters.rate = member.value.number; return;
      case Fact::kHealth: set_health(member); return;
      case Fact::kWarm: set_warm(member); return;
      case Fact::kStopReason: sample_.stop_reason = text; return;
      case Fact::kUsage: set_texts(member); return;
      case Fact::kUsageInput: sample_.usage.input_tokens = number; return;
      case Fact::kUsageOutput: sample_.usage.output_tokens = number; return;
      case Fact::kUsageCacheRead: sample_.usage.cache_read_tokens = number; return;
      case Fact::kUsageCacheWrite: sample_.usage.cache_write_tokens = number; return;
      case Fact::kUsageReasoning: sample_.usage.reasoning_tokens = number; return;
      case Fact::kTtftMs: sample_.facts.ttft_ms = number; return;
      case Fact::kBody:
      case Fact::kMessages: cannot(member, "give a whole request"); return;
      case Fact::kAttempt: sample_.facts.attempt = static_cast<int>(number); return;
      case Fact::kStatus: sample_.facts.status = static_cast<int>(number); return;
      case Fact::kError: sample_.error = text; return;
      case Fact::kProvider: sample_.provider = text; return;
      case Fact::kTimeHour:
      case Fact::kTimeWday: cannot(member, "give time = \"14:00\" or \"2026-11-21T14:00:00Z\""); return;
      case Fact::kSystemHash: cannot(member, "give text.system"); return;
      case Fact::kTargetModel:
      case Fact::kTargetProvider:
      case Fact::kProviderClass: cannot(member, "the rules decide it"); return;
    }
  }

  void set_tools(const Tree::Member& member) {
    sample_.tool_names.clear();
    for (const Tree& item : member.value.items) sample_.tool_names.push_back(item.text);
    sample_.outline.tool_names.assign(sample_.tool_names.begin(), sample_.tool_names.end());
    sample_.outline.tools = static_cast<std::int64_t>(sample_.tool_names.size());
  }

  void set_time(const Tree::Member& member) {
    if (const std::optional<std::int64_t> time = wall_us(member.value.text)) {
      sample_.facts.wall_us = *time;
    } else {
      problems_.push_back({member.value.at, "time is written \"14:00\" or \"2026-11-21T14:00:00Z\" (UTC)", {}});
    }
  }

  // health = { anthropic = "down" }; providers not named are ok.
  void set_health(const Tree::Member& member) {
    for (const Tree::Member& part : member.value.members) {
      const api::Values& values = *api::fact_row(api::Fact::kHealth).values;
      if (!values.has(part.value.text)) {
        problems_.push_back({part.value.at, "health is never '" + part.value.text + "'", api::word_hint(values, part.value.text)});
      }
      sample_.counters.health_of[part.key] = part.value.text;
    }
  }

  // warm = true, warm = { tokens = 50000, cost_usd = 0.2, turns = 3, move_usd = 0.1 }: of every target.
  void set_warm(const Tree::Member& member) {
    Warmth& warmth = sample_.counters.warmth.emplace();
    warmth.warm = member.value.is(Tree::Kind::kTable) || member.value.flag;
    for (const Tree::Member& part : member.value.members) {
      if (part.key == "tokens" && part.value.is(Tree::Kind::kNumber)) {
        warmth.tokens = std::llround(std::min(std::max(part.value.number, 0.0), 1e15));
      } else if (part.key == "cost_usd" && part.value.is(Tree::Kind::kNumber)) {
        warmth.cost_usd = part.value.number;
      } else if (part.key == "warm" && part.value.is(Tree::Kind::kFlag)) {
        warmth.warm = part.value.flag;
      } else if ((part.key == "turns" || part.key == "move_usd") && part.value.is(Tree::Kind::kNumber)) {
        if (!sample_.counters.moving) sample_.counters.moving.emplace().turns = std::numeric_limits<double>::infinity();
        (part.key == "turns" ? sample_.counters.moving->turns : sample_.counters.moving->cost_usd) = part.value.number;
      } else {
        problems_.push_back({part.at, "warm has no such '" + part.key + "'", "warm is true, false or { tokens =, cost_usd =, turns =, move_usd = }"});
      }
    }
  }

  void set_text(std::string& literal, const std::string& text) {
    literal.clear();
    json::append_string(literal, text);
    if (&literal == &sample_.last_user_text) {
      sample_.outline.last_user_json = literal;
    } else if (&literal == &sample_.first_user_text) {
      sample_.outline.first_user_json = literal;
    } else {
      sample_.outline.system_json.assign(1, literal);
    }
  }

  void set_texts(const Tree::Member& member) {
    for (const Tree::Member& part : member.value.members) {
      Tree::Member dotted = part;
      dotted.key = member.key + "." + part.key;
      apply(dotted);
    }
  }

  void set_headers(const Tree::Member& member) {
    for (const Tree::Member& part : member.value.members) sample_.headers[text::lower(part.key)] = part.value.text;
  }

  Sample& sample_;
  Problems& problems_;
};

}  // namespace

void apply_given(const Tree& given, Sample& sample, Problems& problems) {
  Applier applier(sample, problems);
  if (!given.items.empty()) problems.push_back({given.at, "given is a table of facts: { tokens = 60001 }", {}});
  for (const Tree::Member& member : given.members) applier.apply(member);
  sample.refresh();
}

}  // namespace ccrules::rules
