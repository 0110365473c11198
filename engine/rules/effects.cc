#include "rules/effects.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>
#include <span>

#include "core/json.h"
#include "core/text.h"

namespace ccrules::rules {
namespace {

constexpr int kFirstErrorStatus = 400;
constexpr int kLastErrorStatus = 599;

bool is_header_name(std::string_view name) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::all_of(name.begin(), name.end(), [kMarks](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || kMarks.find(c) != std::string_view::npos;
  });
}

bool is_header_value(std::string_view value) {
  return std::none_of(value.begin(), value.end(),
                      [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; });
}

// Headers that frame or address the message: a rule could only break it.
bool is_framing_header(std::string_view name) {
  for (const char* refused : {"host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade",
                              "keep-alive", "proxy-authorization", "content-encoding", "content-type"}) {
    if (name == refused) return true;
  }
  return false;
}

std::optional<std::string> plain_text(const Tree& value) {
  switch (value.kind) {
    case Tree::Kind::kText: return value.text;
    case Tree::Kind::kNumber: return number_text(value.number);
    case Tree::Kind::kFlag: return value.flag ? "true" : "false";
    default: return std::nullopt;
  }
}

const char* edit_word(FieldEdit::Kind kind) {
  switch (kind) {
    case FieldEdit::Kind::kAtMost: return "max";
    case FieldEdit::Kind::kAtLeast: return "min";
    case FieldEdit::Kind::kDefault: return "default";
    case FieldEdit::Kind::kOneOf: return "values";
    default: return "";
  }
}

bool fits(const Tree& value, api::Kind kind) {
  switch (kind) {
    case api::Kind::kText: return value.is(Tree::Kind::kText);
    case api::Kind::kNumber: return value.is(Tree::Kind::kNumber) && std::isfinite(value.number);
    case api::Kind::kFlag: return value.is(Tree::Kind::kFlag);
    case api::Kind::kList: return value.is(Tree::Kind::kTable) && value.members.empty();
    default: return !value.is(Tree::Kind::kMarker) && !value.is(Tree::Kind::kFunction) && !value.is(Tree::Kind::kNil);
  }
}

const char* kind_word(api::Kind kind) {
  switch (kind) {
    case api::Kind::kText: return "a string";
    case api::Kind::kNumber: return "a finite number";
    case api::Kind::kFlag: return "true or false";
    case api::Kind::kList: return "a list";
    default: return "a value";
  }
}

}  // namespace

namespace {

// Most globs are the beginning of a name and a star, and most names differ from it early.
bool is_match(std::string_view glob, std::string_view name) {
  std::size_t plain = 0;
  while (plain < glob.size() && glob[plain] != '*' && glob[plain] != '?') ++plain;
  if (name.size() < plain || !text::equals_ignore_case(glob.substr(0, plain), name.substr(0, plain))) return false;
  if (plain + 1 == glob.size() && glob[plain] == '*') return true;
  return text::glob_match(glob.substr(plain), name.substr(plain), true);
}

}  // namespace

const std::vector<Choice>* Pick::find(std::string_view name) const {
  for (const auto& [exact_name, choices] : exact) {
    if (exact_name.size() == name.size() && text::equals_ignore_case(exact_name, name)) return &choices;
  }
  for (const auto& [glob, choices] : globs) {
    if (is_match(glob, name)) return &choices;
  }
  return nullptr;
}

void EffectReader::fail(Spot at, std::string message, std::string hint) {
  problems_.push_back({at, std::move(message), std::move(hint)});
}

std::optional<Choice> EffectReader::choice(const Tree& value) {
  TargetProblem problem;
  std::optional<Choice> choice;
  if (value.is(Tree::Kind::kText)) {
    choice = targets_.resolve(value.text, problem);
  } else if (value.is_marker("route")) {
    const Tree::Member* name = value.find("name");
    choice = targets_.route(name != nullptr ? std::string_view(name->value.text) : std::string_view(), problem);
  } else if (value.is_marker("configured")) {
    const Tree::Member* name = value.find("name");
    // What is wrong with the configuration is reported once, at its own place (ruleset.cc).
    return targets_.configured(name != nullptr ? std::string_view(name->value.text) : std::string_view(), problem);
  } else {
    problem.message = std::string("a target is a string such as \"provider,model\", not ") + value.kind_name();
  }
  if (!choice) fail(value.at, problem.message, problem.hint);
  return choice;
}

std::vector<Choice> EffectReader::choices(const Tree& value, const char* effect) {
  std::vector<Choice> out;
  if (!value.is(Tree::Kind::kTable)) {
    if (std::optional<Choice> one = choice(value)) out.push_back(std::move(*one));
    return out;
  }
  if (!value.members.empty()) fail(value.at, std::string(effect) + " is a target or a list of targets");
  for (const Tree& item : value.items) {
    if (std::optional<Choice> one = choice(item)) out.push_back(std::move(*one));
  }
  return out;
}

void EffectReader::add_entry(Pick& pick, const std::string& name, const Tree& value) {
  const api::FactRow& row = api::fact_row(pick.fact);
  if (row.values != nullptr && row.values->excludes(name) && !text::is_glob(name)) {
    fail(value.at, std::string(row.name) + " is never '" + name + "'", api::word_hint(*row.values, name));
  }
  std::vector<Choice> found = choices(value, "an entry");
  if (text::is_glob(name)) {
    pick.globs.emplace_back(name, std::move(found));
  } else {
    pick.exact.emplace_back(name, std::move(found));
  }
}

std::optional<Pick> EffectReader::pick(const Tree& value) {
  const Tree::Member* fact = value.find("fact");
  const Tree::Member* entries = value.find("entries");
  if (fact == nullptr || entries == nullptr || !entries->value.is(Tree::Kind::kTable)) {
    fail(value.at, "pick needs a fact and a table: pick(\"agent\", { reviewer = \"deep\" })");
    return std::nullopt;
  }
  const api::FactRow* row = usable_fact(fact->value.text, value.at, context_, problems_);
  if (row == nullptr) return std::nullopt;
  if (row->kind != api::Kind::kText) {
    fail(value.at, "pick needs a text fact such as model or agent, not " + std::string(row->name));
    return std::nullopt;
  }
  Pick pick;
  pick.fact = row->id;
  for (const Tree::Member& member : entries->value.members) add_entry(pick, member.key, member.value);
  for (const Tree& item : entries->value.items) {  // { "glob", targets }: ordered
    if (item.is(Tree::Kind::kTable) && item.items.size() == 2 && item.items.front().is(Tree::Kind::kText)) {
      add_entry(pick, item.items.front().text, item.items.back());
    } else {
      fail(item.at, "an entry of pick is name = target or { \"glob\", target }");
    }
  }
  return pick;
}

TargetEffect EffectReader::to(const Tree& value) {
  TargetEffect effect;
  if (value.is(Tree::Kind::kFunction)) {
    effect.kind = TargetEffect::Kind::kFunction;
    effect.ref = value.ref;
  } else if (value.is_marker("requested")) {
    effect.kind = TargetEffect::Kind::kRequested;
  } else if (value.is_marker("serving")) {
    effect.kind = TargetEffect::Kind::kServing;
  } else if (value.is_marker("pick")) {
    effect.kind = TargetEffect::Kind::kPick;
    if (std::optional<Pick> found = pick(value)) effect.pick = std::move(*found);
  } else if (value.is(Tree::Kind::kTable)) {
    fail(value.at, "to takes one target", "put the others into fallback = { ... }");
  } else {
    effect.kind = TargetEffect::Kind::kFixed;
    effect.choices = choices(value, "to");
  }
  return effect;
}

TargetEffect EffectReader::fallback(const Tree& value) {
  TargetEffect effect;
  if (value.is(Tree::Kind::kFunction)) {
    effect.kind = TargetEffect::Kind::kFunction;
    effect.ref = value.ref;
  } else if (value.is_marker("pick")) {
    effect.kind = TargetEffect::Kind::kPick;
    if (std::optional<Pick> found = pick(value)) effect.pick = std::move(*found);
  } else {
    effect.kind = TargetEffect::Kind::kFixed;
    effect.choices = choices(value, "fallback");
  }
  return effect;
}

DenyEffect EffectReader::deny(const Tree& value) {
  DenyEffect effect;
  effect.kind = DenyEffect::Kind::kFixed;
  effect.deny.message = "denied by a rule";
  switch (value.kind) {
    case Tree::Kind::kFunction:
      effect.kind = DenyEffect::Kind::kFunction;
      effect.ref = value.ref;
      return effect;
    case Tree::Kind::kFlag:
      if (!value.flag) effect.kind = DenyEffect::Kind::kNone;
      return effect;
    case Tree::Kind::kText: effect.deny.message = value.text; return effect;
    case Tree::Kind::kTable: break;
    default:
      fail(value.at, std::string("deny is true, a message or { status = 403, message = \"...\" }, not ") + value.kind_name());
      return effect;
  }
  for (const Tree::Member& member : value.members) {
    if (member.key == "status" && member.value.is(Tree::Kind::kNumber) && member.value.number >= kFirstErrorStatus &&
        member.value.number <= kLastErrorStatus && member.value.number == std::floor(member.value.number)) {
      effect.deny.status = static_cast<int>(member.value.number);
    } else if (member.key == "status") {
      fail(member.at, "deny: status is a whole number from 400 to 599");
    } else if (member.key == "message" && member.value.is(Tree::Kind::kText)) {
      effect.deny.message = member.value.text;
    } else if (member.key == "type" && member.value.is(Tree::Kind::kText)) {
      effect.deny.type = member.value.text;
    } else if (member.key == "message" || member.key == "type") {
      fail(member.at, "deny: " + member.key + " is a string");
    } else {
      fail(member.at, "deny has no '" + member.key + "'", "deny has status, message, type");
    }
  }
  if (!value.items.empty()) fail(value.at, "deny is { status = 403, message = \"...\" }");
  return effect;
}

void EffectReader::set_field(const std::string& field, Spot at, const Tree& value, std::vector<FieldEdit>& out) {
  const api::FieldRow* row = api::find_field(field);
  if (row == nullptr) {
    fail(at, "unknown field '" + field + "'", api::field_hint(field));
    return;
  }
  if (value.is_marker("remove")) {
    out.push_back({field, FieldEdit::Kind::kRemove, {}});
    return;
  }
  const auto is_bound = [](const Tree::Member& member) {
    return member.key == "max" || member.key == "min" || member.key == "default" || member.key == "values";
  };
  const bool bounds = value.is(Tree::Kind::kTable) && value.items.empty() && !value.members.empty() &&
                      std::any_of(value.members.begin(), value.members.end(), is_bound);
  if (!bounds) {
    if (!fits(value, row->kind)) {
      fail(value.at, "set." + field + " is " + kind_word(row->kind) + ", not " + value.kind_name());
      return;
    }
    check_word(*row, value);
    std::string value_json = to_json(value);
    if (value_json.empty()) {
      fail(value.at, "set." + field + " is no JSON value");
      return;
    }
    out.push_back({field, FieldEdit::Kind::kSet, std::move(value_json)});
    return;
  }
  for (const Tree::Member& member : value.members) bound(*row, member, out);
}

void EffectReader::check_word(const api::FieldRow& row, const Tree& value) {
  if (row.values == nullptr || !value.is(Tree::Kind::kText) || !row.values->excludes(value.text)) return;
  fail(value.at, "set." + std::string(row.name) + " is never '" + value.text + "'", api::word_hint(*row.values, value.text));
}

// One of max, min, values, default.
void EffectReader::bound(const api::FieldRow& row, const Tree::Member& member, std::vector<FieldEdit>& out) {
  const std::string name = std::string("set.") + row.name;
  FieldEdit edit{row.name, FieldEdit::Kind::kDefault, {}};
  if (member.key == "max") edit.kind = FieldEdit::Kind::kAtMost;
  if (member.key == "min") edit.kind = FieldEdit::Kind::kAtLeast;
  if (member.key == "values") edit.kind = FieldEdit::Kind::kOneOf;
  if (edit.kind == FieldEdit::Kind::kDefault && member.key != "default") {
    fail(member.at, name + " has no '" + member.key + "'", "a field takes a value, remove or { max =, min =, values =, default = }");
    return;
  }
  if (edit.kind == FieldEdit::Kind::kOneOf) {
    const bool list = member.value.is(Tree::Kind::kTable) && member.value.members.empty() && !member.value.items.empty();
    const bool all = list && std::all_of(member.value.items.begin(), member.value.items.end(),
                                         [&row](const Tree& item) { return fits(item, row.kind); });
    if (!all) {
      fail(member.value.at, name + ": values is a list, each " + kind_word(row.kind));
      return;
    }
  } else if (edit.kind != FieldEdit::Kind::kDefault && row.kind != api::Kind::kNumber) {
    fail(member.at, name + ": " + edit_word(edit.kind) + " is for numbers");
    return;
  } else if (!fits(member.value, row.kind)) {
    fail(member.value.at, name + ": " + edit_word(edit.kind) + " is " + kind_word(row.kind) + ", not " + member.value.kind_name());
    return;
  }
  check_word(row, member.value);
  for (const Tree& item : member.value.items) check_word(row, item);
  edit.value_json = to_json(member.value);
  out.push_back(std::move(edit));
}

SetEffect EffectReader::set(const Tree& value) {
  SetEffect effect;
  if (value.is(Tree::Kind::kFunction)) {
    effect.function = value.ref;
    return effect;
  }
  if (!value.is(Tree::Kind::kTable) || !value.items.empty()) {
    fail(value.at, std::string("set is a table of fields, such as { max_tokens = 4096 }, not ") + value.kind_name());
    return effect;
  }
  for (const Tree::Member& member : value.members) {
    if (!member.value.is(Tree::Kind::kFunction)) {
      set_field(member.key, member.at, member.value, effect.fixed);
    } else if (api::find_field(member.key) == nullptr) {
      fail(member.at, "unknown field '" + member.key + "'", api::field_hint(member.key));
    } else {
      effect.functions.emplace_back(member.key, member.value.ref);
    }
  }
  return effect;
}

void EffectReader::header(const std::string& name, Spot at, const Tree& value, std::vector<HeaderEdit>& out) {
  const std::string lower = text::lower(name);
  if (!is_header_name(lower)) {
    fail(at, "'" + name + "' is not a header name");
    return;
  }
  if (is_framing_header(lower)) {
    fail(at, "header '" + lower + "' belongs to the connection and cannot be changed by a rule");
    return;
  }
  if (value.is_marker("remove")) {
    out.push_back({lower, std::nullopt});
    return;
  }
  const std::optional<std::string> text = plain_text(value);
  if (!text) {
    fail(value.at, "headers." + lower + " is a string or remove, not " + value.kind_name());
  } else if (!is_header_value(*text)) {
    fail(value.at, "headers." + lower + " holds a control character");
  } else {
    out.push_back({lower, *text});
  }
}

HeaderEffect EffectReader::headers(const Tree& value) {
  HeaderEffect effect;
  if (value.is(Tree::Kind::kFunction)) {
    effect.function = value.ref;
    return effect;
  }
  if (!value.is(Tree::Kind::kTable) || !value.items.empty()) {
    fail(value.at, std::string("headers is a table, such as { [\"x-team\"] = \"core\" }, not ") + value.kind_name());
    return effect;
  }
  for (const Tree::Member& member : value.members) {
    if (!member.value.is(Tree::Kind::kFunction)) {
      header(member.key, member.at, member.value, effect.fixed);
    } else if (!is_header_name(member.key)) {
      fail(member.at, "'" + member.key + "' is not a header name");
    } else {
      effect.functions.emplace_back(text::lower(member.key), member.value.ref);
    }
  }
  return effect;
}

void EffectReader::tag_value(const std::string& name, const Tree& value,
                             std::vector<std::pair<std::string, std::string>>& out) {
  if (const std::optional<std::string> text = plain_text(value)) {
    out.emplace_back(name, *text);
  } else {
    fail(value.at, "tag." + name + " is a string, number or boolean, not " + value.kind_name());
  }
}

TagEffect EffectReader::tag(const Tree& value) {
  TagEffect effect;
  if (value.is(Tree::Kind::kFunction)) {
    effect.function = value.ref;
    return effect;
  }
  if (!value.is(Tree::Kind::kTable) || !value.items.empty()) {
    fail(value.at, std::string("tag is a table, such as { experiment = \"gpt\" }, not ") + value.kind_name());
    return effect;
  }
  for (const Tree::Member& member : value.members) {
    if (member.value.is(Tree::Kind::kFunction)) {
      effect.functions.emplace_back(member.key, member.value.ref);
    } else {
      tag_value(member.key, member.value, effect.fixed);
    }
  }
  return effect;
}

bool EffectReader::duration(const Tree& value, std::chrono::milliseconds& out) {
  if (value.is(Tree::Kind::kText)) {
    if (const auto found = parse_duration(value.text)) {
      out = *found;
      return true;
    }
  }
  fail(value.at, "a duration is written \"250ms\", \"20s\" or \"2m\"");
  return false;
}

CacheEffect EffectReader::cache(const Tree& value) {
  CacheEffect effect;
  if (value.is(Tree::Kind::kFunction)) {
    effect.function = value.ref;
    return effect;
  }
  CachePolicy& policy = effect.policy.emplace();
  if (value.is(Tree::Kind::kFlag)) {
    policy.use = value.flag;
    return effect;
  }
  if (!value.is(Tree::Kind::kTable) || !value.items.empty()) {
    fail(value.at, std::string("cache is true, false or { ttl = \"1h\", scope = \"project\", keep = { \"tool_use\" } }, not ") +
                       value.kind_name());
    return effect;
  }
  for (const Tree::Member& member : value.members) {
    if (member.key == "ttl") {
      duration(member.value, policy.ttl);
    } else if (member.key == "scope") {
      policy.scope = member.value.text;
      if (policy.scope != "session" && policy.scope != "user" && policy.scope != "project" && policy.scope != "all") {
        fail(member.value.at, "cache: scope is session, user, project or all");
      }
    } else if (member.key == "keep") {
      policy.keep = kept(member.value);
    } else {
      fail(member.at, "cache has no '" + member.key + "'", "cache has ttl, scope, keep");
    }
  }
  return effect;
}

/// In the order of kept_on_request(), each once: however a rule lists them, it says the same.
std::vector<std::string> EffectReader::kept(const Tree& value) {
  const std::span<const std::string_view> all = kept_on_request();
  const std::vector<std::string> names(all.begin(), all.end());
  std::set<std::string> wanted;
  const auto add = [&](const Tree& item) {
    if (item.is(Tree::Kind::kText) && std::find(names.begin(), names.end(), item.text) != names.end()) {
      wanted.insert(item.text);
      return;
    }
    const std::string said = item.is(Tree::Kind::kText) ? "'" + item.text + "'" : item.kind_name();
    const std::string near = item.is(Tree::Kind::kText) ? text::did_you_mean(item.text, names) : std::string();
    fail(item.at, "cache: keep lists stop reasons: " + listed(names) + "; not " + said,
         near.empty() ? std::string() : "did you mean '" + near + "'?");
  };
  if (value.is(Tree::Kind::kTable) && value.members.empty()) {
    for (const Tree& item : value.items) add(item);
  } else {
    add(value);
  }
  std::vector<std::string> kept;
  for (const std::string& name : names) {
    if (wanted.contains(name)) kept.push_back(name);
  }
  return kept;
}

BudgetEffect EffectReader::budget(const Tree& value) {
  BudgetEffect effect;
  if (value.is(Tree::Kind::kFunction)) {
    effect.function = value.ref;
  } else if (value.is(Tree::Kind::kText) && !value.text.empty()) {
    effect.scope = value.text;
  } else {
    fail(value.at, std::string("budget is the scope that pays, such as \"project:web\", not ") + value.kind_name());
  }
  return effect;
}

StrictEffect EffectReader::strict(const Tree& value) {
  StrictEffect effect;
  if (value.is(Tree::Kind::kFunction)) {
    effect.function = value.ref;
    return effect;
  }
  std::vector<std::string>& what = effect.what.emplace();
  const bool is_list = value.is(Tree::Kind::kTable) && value.members.empty() &&
                       std::all_of(value.items.begin(), value.items.end(), [](const Tree& item) {
                         return item.is(Tree::Kind::kText) && !item.text.empty();
                       });
  if (value.is(Tree::Kind::kFlag)) {
    if (value.flag) what.emplace_back("*");
  } else if (is_list) {
    for (const Tree& item : value.items) what.push_back(item.text);
  } else {
    fail(value.at, std::string("strict is true, false or a list of what must not be lost, such as { \"tools*\" }, not ") + value.kind_name());
  }
  return effect;
}

RetryEffect EffectReader::retry(const Tree& value) {
  RetryEffect effect;
  if (value.is(Tree::Kind::kFunction)) {
    effect.function = value.ref;
    return effect;
  }
  if (value.is(Tree::Kind::kFlag)) {
    effect.retry = value.flag;
    return effect;
  }
  if (!value.is(Tree::Kind::kTable) || !value.items.empty()) {
    fail(value.at, std::string("retry is true, false or { after = \"retry-after\", at_most = \"20s\" }, not ") + value.kind_name());
    return effect;
  }
  effect.retry = true;
  for (const Tree::Member& member : value.members) {
    if (member.key == "after") {
      if (!(member.value.is(Tree::Kind::kText) && member.value.text == "retry-after")) duration(member.value, effect.after);
    } else if (member.key == "at_most") {
      duration(member.value, effect.at_most);
    } else {
      fail(member.at, "retry has no '" + member.key + "'", "retry has after, at_most");
    }
  }
  return effect;
}

}  // namespace ccrules::rules
