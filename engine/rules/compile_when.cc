#include "rules/compile_when.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/limits.h"
#include "core/text.h"
#include "core/utc.h"
#include "rules/compile_value.h"

namespace ccrules::rules {
namespace {

using Op = Condition::Op;

class Compiler {
 public:
  Compiler(const RuleContext& context, Problems& problems) : context_(context), problems_(problems), values_(problems) {}

  Condition when(const Tree& tree) {
    switch (tree.kind) {
      case Tree::Kind::kFunction: return function(tree);
      case Tree::Kind::kTable: return all(tree);
      case Tree::Kind::kMarker:
        if (tree.text == "any" || tree.text == "none") return group(tree.text, tree);
        break;
      default: break;
    }
    fail(tree.at, "when must be a table of facts, any { }, none { } or a function, not " + std::string(tree.kind_name()));
    return {};
  }

 private:
  void fail(Spot at, std::string message, std::string hint = {}) {
    problems_.push_back({at, std::move(message), std::move(hint)});
  }

  static Condition function(const Tree& tree) {
    Condition condition;
    condition.op = Op::kFunction;
    condition.ref = tree.ref;
    condition.at = tree.at;
    condition.uses_lua = true;
    condition.about_target = tree.about_target;
    condition.shown = "function at line " + std::to_string(tree.at.line);
    return condition;
  }

  // { tokens = { gt = 5 }, any { ... } }: all of it. `any` and `none` may also be members, as JSON writes them.
  Condition all(const Tree& tree) {
    std::vector<Condition> children = parts(tree);
    if (children.size() == 1) return std::move(children.front());
    return over(Op::kAll, std::move(children));
  }

  // Facts first: they are cheap, and both languages then ask in the same order.
  std::vector<Condition> parts(const Tree& tree) {
    const auto is_group = [](const Tree::Member& member) {
      return (member.key == "any" || member.key == "none") && member.value.is(Tree::Kind::kTable);
    };
    std::vector<Condition> children;
    for (const Tree::Member& member : tree.members) {
      if (!is_group(member)) children.push_back(fact(member));
    }
    for (const Tree& item : tree.items) children.push_back(when(item));
    for (const Tree::Member& member : tree.members) {
      if (is_group(member)) children.push_back(group(member.key, member.value));
    }
    return children;
  }

  // any { { agent = "x" }, { tokens = { gt = 5 } } }; members stand for one table each: any { agent = "x", stream = true }.
  Condition group(const std::string& word, const Tree& tree) {
    return over(word == "any" ? Op::kAny : Op::kNone, parts(tree));
  }

  Condition fact(const Tree::Member& member) {
    const api::FactRow* row = usable_fact(member.key, member.at, context_, problems_);
    if (row == nullptr) return {};
    switch (row->id) {
      case api::Fact::kTime: return time(member);
      case api::Fact::kBucket: return bucket(member);
      case api::Fact::kText:
      case api::Fact::kUsage: return nested(*row, member);
      case api::Fact::kHeaders:
      case api::Fact::kBody: return named(*row, member);
      case api::Fact::kHealth: return health(member);
      case api::Fact::kSpend: return spend(member);
      case api::Fact::kBudgetLeft: return budget_left(member);
      case api::Fact::kRate: return rate(member);
      case api::Fact::kWarm: return warm(member);
      case api::Fact::kMessages:
        fail(member.at, "messages can only be read by functions", "turns counts them, text.last_user holds the last");
        return {};
      default: break;
    }
    Condition subject;
    subject.fact = row->id;
    subject.about_target = row->id == api::Fact::kTargetProvider || row->id == api::Fact::kProviderClass;
    subject.ignore_case = row->id == api::Fact::kModel || row->id == api::Fact::kTargetModel;
    Condition condition = values_.value(subject, member.key, row->kind, member.value);
    if (condition.children.empty() && !member.value.is(Tree::Kind::kTable)) condition.at = member.at;
    return condition;
  }

  // text = { last_user = "..." } means ["text.last_user"] = "...".
  Condition nested(const api::FactRow& row, const Tree::Member& member) {
    if (!member.value.is(Tree::Kind::kTable) || !member.value.items.empty()) {
      fail(member.value.at, std::string(row.name) + " needs a table of its parts: " + row.type);
      return {};
    }
    std::vector<Condition> children;
    for (const Tree::Member& part : member.value.members) {
      Tree::Member dotted = part;
      dotted.key = std::string(row.name) + "." + part.key;
      children.push_back(fact(dotted));
    }
    return over(Op::kAll, std::move(children));
  }

  static Condition about(api::Fact fact, Subject subject) {
    Condition condition;
    condition.fact = fact;
    condition.subject = std::make_shared<const Subject>(std::move(subject));
    return condition;
  }

  // headers = { ["x-team"] = "core" }, body = { ["metadata.tier"] = "gold" }
  Condition named(const api::FactRow& row, const Tree::Member& member) {
    const bool header = row.id == api::Fact::kHeaders;
    if (!member.value.is(Tree::Kind::kTable) || !member.value.items.empty()) {
      fail(member.value.at, header ? "headers needs a table: { [\"x-team\"] = \"core\" }"
                                   : "body needs a table: { [\"metadata.tier\"] = \"gold\" }");
      return {};
    }
    std::vector<Condition> children;
    for (const Tree::Member& part : member.value.members) {
      Subject subject;
      subject.name = header ? text::lower(part.key) : part.key;
      const std::string shown_name = std::string(row.name) + "." + subject.name;
      children.push_back(values_.value(about(row.id, std::move(subject)), shown_name, header ? api::Kind::kText : kAnyKind, part.value));
    }
    return over(Op::kAll, std::move(children));
  }

  // health = { anthropic = "down" }
  Condition health(const Tree::Member& member) {
    if (!member.value.is(Tree::Kind::kTable) || !member.value.items.empty() || member.value.members.empty()) {
      fail(member.value.at, "health needs a table of providers: { anthropic = \"down\" }");
      return {};
    }
    std::vector<Condition> children;
    for (const Tree::Member& part : member.value.members) {
      if (context_.targets != nullptr && !context_.targets->exists(part.key)) {
        fail(part.at, "there is no provider '" + part.key + "'", "configured: " + context_.targets->listing());
      }
      Subject subject;
      subject.name = part.key;
      children.push_back(
          values_.value(about(api::Fact::kHealth, std::move(subject)), "health(" + part.key + ")", api::Kind::kText, part.value));
    }
    return over(Op::kAll, std::move(children));
  }

  // The value of a member that must be a text; empty and a problem when it is none.
  std::string word(const Tree::Member& part, const char* what) {
    if (part.value.is(Tree::Kind::kText) && !part.value.text.empty()) return part.value.text;
    fail(part.value.at, std::string(what) + " is a string");
    return {};
  }

  // A text fact that requests are grouped by, or "all".
  std::string grouping(const Tree::Member& part, const char* what) {
    const std::string name = word(part, what);
    if (name == "all" || name.empty()) return name;
    const api::FactRow* row = usable_fact(name, part.value.at, context_, problems_);
    if (row != nullptr && row->kind != api::Kind::kText) {
      fail(part.value.at, std::string(what) + " is \"all\" or a text fact such as session, user or project");
    }
    return name;
  }

  bool needs_table(const Tree::Member& member, const char* example) {
    if (member.value.is(Tree::Kind::kTable) && member.value.items.empty()) return true;
    fail(member.value.at, member.key + " needs a table: " + example);
    return false;
  }

  // Comparisons of a counter: what is left of its table once its own words are taken out.
  Condition compare(api::Fact fact, Subject subject, const std::string& shown_name, const Tree::Member& member,
                    const Tree& comparisons) {
    if (comparisons.members.empty()) {
      fail(member.at, member.key + " needs a comparison, such as gt = 5");
      return {};
    }
    return values_.value(about(fact, std::move(subject)), shown_name, api::Kind::kNumber, comparisons);
  }

  // spend = { by = "project", per = "day", gte = 5 }
  Condition spend(const Tree::Member& member) {
    if (!needs_table(member, "{ by = \"project\", per = \"day\", gte = 5 }")) return {};
    Subject subject;
    subject.name = "all";
    Tree comparisons = member.value;
    comparisons.members.clear();
    std::string per = "day";
    for (const Tree::Member& part : member.value.members) {
      if (part.key == "by") {
        subject.name = grouping(part, "spend: by");
      } else if (part.key == "per") {
        per = word(part, "spend: per");
        const std::optional<Period> period = period_by_name(per);
        if (!period) fail(part.value.at, "spend: per is hour, day, week or month");
        subject.period = period.value_or(Period::kDay);
      } else {
        comparisons.members.push_back(part);
      }
    }
    const std::string shown_name = "spend(" + subject.name + ", " + per + ")";
    return compare(api::Fact::kSpend, std::move(subject), shown_name, member, comparisons);
  }

  // budget_left = { scope = "project:web", lt = 1 }, budget_left = { by = "project", lt = 1 }
  Condition budget_left(const Tree::Member& member) {
    if (!needs_table(member, "{ by = \"project\", lt = 1 }")) return {};
    Subject subject;
    subject.name = "all";
    Tree comparisons = member.value;
    comparisons.members.clear();
    for (const Tree::Member& part : member.value.members) {
      if (part.key == "by") {
        subject.name = grouping(part, "budget_left: by");
      } else if (part.key == "scope") {
        subject.name = word(part, "budget_left: scope");
      } else {
        comparisons.members.push_back(part);
      }
    }
    const std::string shown_name = "budget_left(" + subject.name + ")";
    return compare(api::Fact::kBudgetLeft, std::move(subject), shown_name, member, comparisons);
  }

  // rate = { key = "session", per = "1m", gt = 60 }
  Condition rate(const Tree::Member& member) {
    if (!needs_table(member, "{ key = \"session\", per = \"1m\", gt = 60 }")) return {};
    Subject subject;
    subject.name = "all";
    subject.window = std::chrono::minutes(1);
    std::string per = "1m";
    Tree comparisons = member.value;
    comparisons.members.clear();
    for (const Tree::Member& part : member.value.members) {
      if (part.key == "key" || part.key == "by") {
        subject.name = grouping(part, "rate: key");
      } else if (part.key == "per") {
        per = word(part, "rate: per");
        const auto window = parse_duration(per);
        if (!window || window->count() <= 0 || *window > limits::kRateWindow) {
          fail(part.value.at, "rate: per is a time such as \"10s\", \"1m\" or \"1h\", at most 24h");
        }
        subject.window = window.value_or(subject.window);
      } else {
        comparisons.members.push_back(part);
      }
    }
    const std::string shown_name = "rate(" + subject.name + ", " + per + ")";
    return compare(api::Fact::kRate, std::move(subject), shown_name, member, comparisons);
  }

  bool find_target(const Tree& name, Target& target) {
    if (context_.targets == nullptr) return true;
    TargetProblem problem;
    const std::optional<Choice> choice = context_.targets->resolve(name.text, problem);
    if (!choice) {
      fail(name.at, problem.message, problem.hint);
      return false;
    }
    target = choice->target;
    return true;
  }

  // warm = "deep", warm = { target = "deep", is = false, tokens = { gt = 5 }, cost_usd = { gt = 0.1 } },
  // warm = { target = "deep", to = "cheap", turns = { lte = 3 }, move_usd = { lt = 0.1 } }
  Condition warm(const Tree::Member& member) {
    const Tree& given = member.value;
    const Tree* named = given.is(Tree::Kind::kText) ? &given : nullptr;
    if (const Tree::Member* target = given.find("target")) named = &target->value;
    if (named == nullptr || !named->is(Tree::Kind::kText)) {
      fail(given.at, "warm names a target: warm = \"deep\" or warm = { target = \"deep\", cost_usd = { gt = 0.1 } }");
      return {};
    }
    Subject subject;
    if (!find_target(*named, subject.target)) return {};
    const Tree::Member* to = given.find("to");
    if (to != nullptr && !to->value.is(Tree::Kind::kText)) {
      fail(to->value.at, "warm: to names the target to move to, such as \"cheap\"");
      return {};
    }
    if (to != nullptr && !find_target(to->value, subject.to)) return {};
    const std::string shown_name = "warm(" + named->text + ")";
    std::vector<Condition> children;
    for (const Tree::Member& part : given.members) {
      if (part.key == "target" || part.key == "to") continue;
      Subject looked_at = subject;
      if (part.key == "is") {
        children.push_back(values_.value(about(api::Fact::kWarm, std::move(looked_at)), shown_name, api::Kind::kFlag, part.value));
      } else if (part.key == "tokens" || part.key == "cost_usd") {
        looked_at.warm = part.key == "tokens" ? Subject::Warm::kTokens : Subject::Warm::kCost;
        children.push_back(values_.value(about(api::Fact::kWarm, std::move(looked_at)), shown_name + "." + part.key,
                                 api::Kind::kNumber, part.value));
      } else if ((part.key == "turns" || part.key == "move_usd") && to != nullptr) {
        looked_at.warm = part.key == "turns" ? Subject::Warm::kTurns : Subject::Warm::kMove;
        const std::string move_name = "warm(" + named->text + ", " + to->value.text + ")." + part.key;
        children.push_back(values_.value(about(api::Fact::kWarm, std::move(looked_at)), move_name, api::Kind::kNumber, part.value));
      } else if (part.key == "turns" || part.key == "move_usd") {
        fail(part.at, "warm: " + part.key + " needs the target to move to: to = \"cheap\"");
      } else {
        fail(part.at, "warm has no '" + part.key + "'", "warm has target, is, tokens, cost_usd, to, turns, move_usd");
      }
    }
    if (children.empty()) {
      Condition condition = about(api::Fact::kWarm, std::move(subject));
      condition.op = Op::kFlag;
      condition.flag = true;
      condition.shown = shown_name;
      return condition;
    }
    if (children.size() == 1) return std::move(children.front());
    return over(Op::kAll, std::move(children));
  }

  // bucket = { name = "gpt", by = "session", lt = 10 }
  Condition bucket(const Tree::Member& member) {
    if (!needs_table(member, "{ name = \"experiment\", by = \"session\", lt = 10 }")) return {};
    Subject subject;
    Tree comparisons = member.value;
    comparisons.members.clear();
    for (const Tree::Member& part : member.value.members) {
      if (part.key == "name") {
        subject.name = word(part, "bucket: name");
      } else if (part.key == "by") {
        const api::FactRow* by = usable_fact(word(part, "bucket: by"), part.value.at, context_, problems_);
        if (by != nullptr && by->kind != api::Kind::kText) {
          fail(part.value.at, "bucket: by must be a text fact such as session, user or project");
        }
        if (by != nullptr) subject.bucket_by = by->id;
      } else {
        comparisons.members.push_back(part);
      }
    }
    if (subject.name.empty()) fail(member.at, "bucket needs a name, so that experiments are independent");
    if (comparisons.members.empty()) {
      fail(member.at, "bucket needs a comparison, such as lt = 10 for ten percent");
      return {};
    }
    const std::string shown_name = "bucket(" + subject.name + ")";
    return values_.value(about(api::Fact::kBucket, std::move(subject)), shown_name, api::Kind::kNumber, comparisons);
  }

  // time = { from = "22:00", to = "06:00", tz = "Europe/Berlin", wday = { gte = 6 }, hour = ... }
  Condition time(const Tree::Member& member) {
    if (!needs_table(member, "{ from = \"22:00\", to = \"06:00\" }")) return {};
    Subject window;
    if (const Tree::Member* tz = member.value.find("tz")) window.zone = zone(tz->value);
    const std::string in_zone = " " + window.zone.name();
    const bool utc = window.zone.name() == "UTC";
    bool from = false;
    bool to = false;
    std::vector<Condition> children;
    for (const Tree::Member& part : member.value.members) {
      if (part.key == "from") {
        from = clock(part.value, window.from_minute);
      } else if (part.key == "to") {
        to = clock(part.value, window.to_minute);
      } else if (part.key == "hour" || part.key == "wday") {
        const api::FactRow& row = *api::find_fact("time." + part.key);
        Subject local;
        local.zone = window.zone;
        Condition subject = about(row.id, std::move(local));
        if (utc) subject.subject = nullptr;
        children.push_back(values_.value(subject, "time." + part.key + (utc ? "" : in_zone), api::Kind::kNumber, part.value));
      } else if (part.key == "iso") {
        Tree::Member dotted = part;
        dotted.key = "time.iso";
        children.push_back(fact(dotted));
      } else if (part.key != "tz") {
        const std::array<std::string, 6> known = {"from", "to", "tz", "hour", "wday", "iso"};
        const std::string near = text::did_you_mean(part.key, known);
        fail(part.at, "time has no '" + part.key + "'",
             near.empty() ? "time has from, to, tz, hour, wday, iso" : "did you mean '" + near + "'?");
      }
    }
    if (from != to) fail(member.at, "time needs both from and to");
    if (from && to) {
      const std::string shown_window =
          "time from " + minutes(window.from_minute) + " to " + minutes(window.to_minute) + in_zone;
      Condition condition = about(api::Fact::kTime, std::move(window));
      condition.op = Op::kTimeWindow;
      condition.at = member.at;
      condition.shown = shown_window;
      children.push_back(std::move(condition));
    }
    return over(Op::kAll, std::move(children));
  }

  static std::string minutes(int minute) {
    const auto two = [](int n) { return (n < 10 ? "0" : "") + std::to_string(n); };
    return two(minute / 60) + ":" + two(minute % 60);
  }

  // "HH:MM", 24:00 included.
  bool clock(const Tree& tree, int& minute) {
    constexpr std::size_t kMostBytes = 5;  // no seconds
    const auto clock_s = tree.is(Tree::Kind::kText) && tree.text.size() <= kMostBytes ? parse_clock_s(tree.text) : std::nullopt;
    if (clock_s) {
      minute = static_cast<int>(*clock_s / 60);
      return true;
    }
    fail(tree.at, "a time of day is written \"HH:MM\"");
    return false;
  }

  Zone zone(const Tree& tree) {
    if (!tree.is(Tree::Kind::kText)) {
      fail(tree.at, "tz is a string", "write \"UTC\", an offset such as \"+01:00\" or a name such as \"Europe/Berlin\"");
      return {};
    }
    Zones offsets(system_files());
    offsets.seal();
    Result<Zone> found = (context_.zones != nullptr ? *context_.zones : offsets).load(tree.text);
    if (found.ok()) return *std::move(found);
    fail(tree.at, found.error().message);
    return {};
  }

  const RuleContext& context_;
  Problems& problems_;
  ValueCompiler values_;
};

}  // namespace

Condition compile_when(const Tree& when, const RuleContext& context, Problems& problems) {
  return Compiler(context, problems).when(when);
}

Condition compile_names(const api::FactRow& fact, const std::vector<std::string>& names) {
  Condition condition;
  condition.op = Op::kNames;
  condition.fact = fact.id;
  condition.shown = std::string(fact.name) + " is one of ";
  for (const std::string& name : names) {
    if (&name != &names.front()) condition.shown += ", ";
    condition.shown += name;
    if (text::is_glob(name)) {
      condition.globs.push_back(name);
    } else {
      condition.names.push_back(name);
    }
  }
  return condition;
}

const api::FactRow* usable_fact(std::string_view name, Spot at, const RuleContext& context, Problems& problems) {
  const api::FactRow* row = api::find_fact(name);
  if (row == nullptr) {
    problems.push_back({at, "unknown fact '" + std::string(name) + "'", api::fact_hint(name)});
    return nullptr;
  }
  if (!context.grants.allows(row->need)) {
    const std::string need = api::need_name(row->need);
    problems.push_back({at, "fact '" + std::string(name) + "' does not exist for this pack: it was not granted '" + need + "'",
                        "name it in \"needs\" of pack.json and grant it when installing"});
    return nullptr;
  }
  if (!api::exists(*row, context.on)) {
    const bool error_only = row->phase == api::Phase::kError;
    problems.push_back({at, "fact '" + std::string(name) + (error_only ? "' exists only after a failed attempt"
                                                            : row->phase == api::Phase::kResponse ? "' exists only once a reply has come"
                                                                                                  : "' exists only after an attempt"),
                        std::string("add on = \"") + (row->phase == api::Phase::kResponse ? "response" : "error") + "\" to the rule"});
    return nullptr;
  }
  return row;
}

}  // namespace ccrules::rules
