#include "rules/reader.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "core/digest.h"
#include "core/json.h"
#include "core/limits.h"
#include "core/text.h"
#include "rules/agents.h"
#include "rules/targets.h"
#include "rules/tree.h"

namespace ccrules::rules {
namespace {

/// What a rule reads it may send to another provider, or write into a tag and so into the ledger.
bool is_credential(std::string_view header) {
  constexpr std::array<std::string_view, 6> kCredentials = {"authorization", "x-api-key", "api-key",
                                                            "x-goog-api-key", "proxy-authorization", "cookie"};
  return std::find(kCredentials.begin(), kCredentials.end(), header) != kCredentials.end();
}

const chat::Outline kNoOutline;
const Identity kNoIdentity;
const chat::Usage kNoUsage;
constexpr std::string_view kEverybody = "all";

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kHourUs = 3600 * kSecondUs;
constexpr std::int64_t kDayUs = 24 * kHourUs;
constexpr std::uint64_t kBucketParts = 10000;  // hundredths of a percent

Value number(std::int64_t n) {
  Value value;
  value.kind = Value::Kind::kNumber;
  value.number = static_cast<double>(n);
  return value;
}

Value flag(bool b) {
  Value value;
  value.kind = Value::Kind::kFlag;
  value.flag = b;
  return value;
}

Value words(std::string_view text) {
  Value value;
  value.kind = Value::Kind::kText;
  value.text = text;
  return value;
}

Value words_or_none(std::string_view text) { return text.empty() ? Value() : words(text); }

template <class Number>
Value number_or_none(const std::optional<Number>& n) {
  return n ? number(*n) : Value();
}

Value real_or_none(const std::optional<double>& n) {
  if (!n) return {};
  Value value = number(0);
  value.number = *n;
  return value;
}

/// The scalar at a dotted path below a JSON value; a text is decoded into `text`. The first of two members of one name counts.
Value member_of(json::Value value, std::string_view path, std::string& text) {
  while (!path.empty()) {
    const std::string_view step = path.substr(0, path.find('.'));
    path.remove_prefix(std::min(step.size() + 1, path.size()));
    bool found = false;
    if (value.is(json::Type::kObject)) {
      auto object = value.object();
      while (object.ok() && !found && object->next()) {
        found = object->key() == step;
        if (found) value = object->value();
      }
    } else if (value.is(json::Type::kArray)) {
      std::int64_t skip = text::to_int(step).value_or(-1);
      auto array = value.array();
      while (array.ok() && !found && skip >= 0 && array->next()) {
        found = skip-- == 0;
        if (found) value = array->value();
      }
    }
    if (!found) return {};
  }
  switch (value.type()) {
    case json::Type::kBool: {
      auto read = value.boolean();
      return read.ok() ? flag(*read) : Value();
    }
    case json::Type::kNumber: {
      auto read = value.number();
      return read.ok() ? real_or_none(*read) : Value();
    }
    case json::Type::kString: {
      auto read = value.string();
      if (!read.ok()) return {};
      text = *read;
      return words(text);
    }
    default: return {};
  }
}

const char* role_name(chat::Role role) {
  switch (role) {
    case chat::Role::kUser: return "user";
    case chat::Role::kAssistant: return "assistant";
    case chat::Role::kSystem: return "system";
  }
  return "user";
}

MessageView view_of(const chat::Message& message) {
  MessageView view;
  view.role = role_name(message.role);
  for (const chat::Block& block : message.blocks) {
    if (const auto* text = std::get_if<chat::Text>(&block.value)) {
      if (!view.text.empty()) view.text += '\n';
      view.text += text->text;
    } else if (const auto* call = std::get_if<chat::ToolCall>(&block.value)) {
      view.tools.push_back(call->name);
    }
  }
  return view;
}

std::int64_t days(std::int64_t wall_us) { return wall_us / kDayUs; }
std::int64_t hour(std::int64_t wall_us) { return wall_us % kDayUs / kHourUs; }
// 1970-01-01 was a Thursday.
std::int64_t weekday(std::int64_t wall_us) { return (days(wall_us) + 3) % 7 + 1; }

}  // namespace

Value Reader::read_noted(api::Fact fact) {
  const Value value = value_of(fact);
  if (!noted_.test(static_cast<std::size_t>(fact))) {
    // What the rules above decide changes as they do: the last one read stays.
    const bool changes = fact == api::Fact::kTargetModel || fact == api::Fact::kTargetProvider || fact == api::Fact::kProviderClass;
    noted_.set(static_cast<std::size_t>(fact), !changes);
    note(api::fact_row(fact).name, value);
  }
  return value;
}

// A comparison alone is no sight of the count.
void Reader::note_tokens() {
  TokensUse* use = facts_.tokens_use;
  const bool seen = use != nullptr && use->seen;
  read_noted(api::Fact::kTokens);
  if (use != nullptr) use->seen = seen;
}

bool Reader::is_short_text(api::Fact fact) {
  using api::Fact;
  constexpr std::array kShort = {Fact::kModel, Fact::kEffort, Fact::kAgent, Fact::kRequestClass, Fact::kSession, Fact::kUser,
                                 Fact::kProject, Fact::kClient, Fact::kDialect, Fact::kPath, Fact::kLastRole};
  return std::find(kShort.begin(), kShort.end(), fact) != kShort.end();
}

std::string_view Reader::short_text(api::Fact fact) const {
  const chat::Outline& outline = facts_.outline != nullptr ? *facts_.outline : kNoOutline;
  const Identity& identity = facts_.identity != nullptr ? *facts_.identity : kNoIdentity;
  const auto always = [](std::string_view text) { return text.empty() ? std::string_view("") : text; };
  const auto unless_empty = [](std::string_view text) { return text.empty() ? std::string_view() : text; };
  using api::Fact;
  switch (fact) {
    case Fact::kModel: return always(outline.model);
    case Fact::kDialect: return always(facts_.dialect);
    case Fact::kPath: return always(facts_.path);
    case Fact::kEffort: return unless_empty(outline.effort);
    case Fact::kLastRole: return unless_empty(outline.last_role);
    case Fact::kAgent: return unless_empty(identity.agent);
    case Fact::kRequestClass: return unless_empty(identity.request_class);
    case Fact::kSession: return unless_empty(identity.session);
    case Fact::kUser: return unless_empty(identity.user);
    case Fact::kProject: return unless_empty(identity.project);
    case Fact::kClient: return unless_empty(identity.client);
    default: return {};
  }
}

Value Reader::value_of(api::Fact fact) {
  const chat::Outline& outline = facts_.outline != nullptr ? *facts_.outline : kNoOutline;
  const chat::Usage& usage = facts_.usage != nullptr ? *facts_.usage : kNoUsage;
  using api::Fact;
  switch (fact) {
    case Fact::kModel:
    case Fact::kDialect:
    case Fact::kPath:
    case Fact::kEffort:
    case Fact::kLastRole:
    case Fact::kAgent:
    case Fact::kRequestClass:
    case Fact::kSession:
    case Fact::kUser:
    case Fact::kProject:
    case Fact::kClient: {
      const std::string_view text = short_text(fact);
      return text.data() != nullptr ? words(text) : Value();
    }
    case Fact::kTokens:
      if (facts_.tokens_use != nullptr) facts_.tokens_use->seen = true;
      return number(facts_.tokens);
    case Fact::kTokensExact: return flag(facts_.tokens_exact);
    case Fact::kTokensP95: return number(facts_.tokens_p95);
    case Fact::kTokensGrade: return words(facts_.tokens_grade);
    case Fact::kMaxTokens: return number_or_none(outline.max_tokens);
    case Fact::kStream: return flag(outline.stream);
    case Fact::kThinking:
      return flag(outline.thinking.kind == chat::ThinkingKind::kEnabled ||
                  outline.thinking.kind == chat::ThinkingKind::kAdaptive);
    case Fact::kThinkingBudget: return number_or_none(outline.thinking.budget_tokens);
    case Fact::kTurns: return number(outline.messages);
    case Fact::kImages: return number(outline.images);
    case Fact::kDocuments: return number(outline.documents);
    case Fact::kToolCount: return number(outline.tools);
    case Fact::kToolResults: return number(outline.tool_results);
    case Fact::kTools: {
      Value value;
      value.kind = Value::Kind::kList;
      value.list = &outline.tool_names;
      return value;
    }
    case Fact::kSystemHash: return words(system_hash());
    case Fact::kTargetModel: return target_ == nullptr ? Value() : words_or_none(target_->model);
    case Fact::kTargetProvider: return target_ == nullptr ? Value() : words_or_none(target_->provider);
    case Fact::kProviderClass: return target_ == nullptr ? Value() : words(targets_->local(target_->provider) ? "local" : "external");
    case Fact::kTimeHour: return number(hour(facts_.wall_us));
    case Fact::kTimeWday: return number(weekday(facts_.wall_us));
    case Fact::kTimeIso: return words(iso());
    case Fact::kTextLastUser: return words(decoded(outline.last_user_json, worked().last_user));
    case Fact::kTextFirstUser: return words(decoded(outline.first_user_json, worked().first_user));
    case Fact::kTextSystem: return words(system());
    case Fact::kSpendHour: return spent(kEverybody, Period::kHour);
    case Fact::kSpendToday: return spent(kEverybody, Period::kDay);
    case Fact::kSpendWeek: return spent(kEverybody, Period::kWeek);
    case Fact::kSpendMonth: return spent(kEverybody, Period::kMonth);
    case Fact::kAttempt: return number(facts_.attempt);
    case Fact::kStatus: return number(facts_.status);
    case Fact::kError: return words_or_none(facts_.error);
    case Fact::kProvider: return words_or_none(facts_.provider);
    case Fact::kStopReason: return words_or_none(facts_.stop_reason);
    case Fact::kUsageInput: return number_or_none(usage.input_tokens);
    case Fact::kUsageOutput: return number_or_none(usage.output_tokens);
    case Fact::kUsageCacheRead: return number_or_none(usage.cache_read_tokens);
    case Fact::kUsageCacheWrite: return number_or_none(usage.cache_write_tokens);
    case Fact::kUsageReasoning: return number_or_none(usage.reasoning_tokens);
    case Fact::kTtftMs: return number(facts_.ttft_ms);
    // Objects and functions: they are read by their parts.
    case Fact::kTime:
    case Fact::kBucket:
    case Fact::kText:
    case Fact::kHeaders:
    case Fact::kBody:
    case Fact::kMessages:
    case Fact::kSpend:
    case Fact::kBudgetLeft:
    case Fact::kRate:
    case Fact::kHealth:
    case Fact::kWarm:
    case Fact::kUsage: break;
  }
  return {};
}

Value Reader::clock(api::Fact part, const Zone& zone) {
  const LocalTime local = local_time(zone, facts_.wall_us);
  const Value value = number(part == api::Fact::kTimeHour ? local.hour : local.wday);
  if (trace_ != nullptr) note(std::string(api::fact_row(part).name) + " " + zone.name(), value);
  return value;
}

Value Reader::header(std::string_view name) {
  const Value value = facts_.header && !is_credential(name) ? words_or_none(facts_.header(name)) : Value();
  if (trace_ != nullptr) note("headers." + std::string(name), value);
  return value;
}

Value Reader::bucket(std::string_view name, std::string_view key) {
  if (key.empty() && !facts_.bucket) return {};
  Value value = number(0);
  if (facts_.bucket) {
    value.number = *facts_.bucket;
  } else {
    const std::uint64_t hash = digest::hash64(key, digest::hash64(name));
    value.number = static_cast<double>(hash % kBucketParts) / (kBucketParts / 100.0);
  }
  if (trace_ != nullptr) note("bucket." + std::string(name), value);
  return value;
}

std::string_view Reader::keep(std::string text) {
  return worked().kept.emplace_back(std::move(text));
}

Value Reader::body(std::string_view path) {
  Value value;
  if (auto document = json::Document::open_view(facts_.body); document.ok()) {
    if (auto root = document->root(); root.ok()) {
      std::string text;
      value = member_of(*root, path, text);
      if (value.kind == Value::Kind::kText) value.text = keep(std::move(text));
    }
  }
  if (trace_ != nullptr) note("body." + std::string(path), value);
  return value;
}

std::optional<Scope> Reader::own_scope(std::string_view by) {
  if (by == kEverybody) return Scope{};
  const api::FactRow* row = api::find_fact(by);
  if (row == nullptr || row->kind != api::Kind::kText) return std::nullopt;
  const std::string_view key = value_of(row->id).text;
  if (key.empty()) return std::nullopt;
  return Scope{row->name, key};
}

Value Reader::spent(std::string_view by, Period period) {
  if (facts_.counters == nullptr) return {};
  const std::optional<Scope> scope = own_scope(by);
  return scope ? real_or_none(facts_.counters->spend_usd(*scope, period)) : Value();
}

Value Reader::spend(std::string_view by, Period period) {
  static constexpr const char* kPeriods[] = {"hour", "day", "week", "month"};
  const Value value = spent(by, period);
  if (trace_ != nullptr) note("spend." + std::string(by) + "." + kPeriods[static_cast<std::size_t>(period)], value);
  return value;
}

Value Reader::budget_left(std::string_view scope) {
  Value value;
  if (facts_.counters != nullptr) {
    const std::size_t colon = scope.find(':');
    const std::optional<Scope> found = colon == std::string_view::npos
                                           ? own_scope(scope)
                                           : std::optional(Scope{scope.substr(0, colon), scope.substr(colon + 1)});
    if (found) value = real_or_none(facts_.counters->budget_left_usd(*found));
  }
  if (trace_ != nullptr) note("budget_left." + std::string(scope), value);
  return value;
}

Value Reader::rate(std::string_view by, std::chrono::milliseconds window) {
  Value value;
  if (facts_.counters != nullptr) {
    if (const std::optional<Scope> scope = own_scope(by)) value = real_or_none(facts_.counters->requests(*scope, window));
  }
  if (trace_ != nullptr) note("rate." + std::string(by) + "." + std::to_string(window.count() / 1000) + "s", value);
  return value;
}

Value Reader::health(std::string_view provider) {
  const Value value = facts_.counters != nullptr ? words_or_none(facts_.counters->health(provider)) : Value();
  if (trace_ != nullptr) note("health." + std::string(provider), value);
  return value;
}

std::optional<Warmth> Reader::warm(const Target& target) {
  const std::string_view session = facts_.identity != nullptr ? std::string_view(facts_.identity->session) : std::string_view();
  std::optional<Warmth> warmth;
  if (facts_.counters != nullptr) warmth = facts_.counters->warm(target, session);
  if (trace_ != nullptr) note("warm." + target.provider + "," + target.model, warmth ? flag(warmth->warm) : Value());
  return warmth;
}

std::optional<Move> Reader::move(const Target& from, const Target& to) {
  const std::string_view session = facts_.identity != nullptr ? std::string_view(facts_.identity->session) : std::string_view();
  std::optional<Move> found;
  if (facts_.counters != nullptr) found = facts_.counters->move(from, to, session);
  if (trace_ != nullptr) {
    Value turns;
    if (found) turns = std::isfinite(found->turns) ? real_or_none(found->turns) : words_or_none("never");
    note("warm." + target_text(from) + ">" + target_text(to) + ".turns", turns);
  }
  return found;
}

const chat::Request* Reader::request() {
  std::optional<const chat::Request*>& read = worked().request;
  if (!read) read = facts_.request ? facts_.request() : nullptr;
  return *read;
}

std::optional<std::size_t> Reader::message_count() {
  const chat::Request* whole = request();
  std::optional<std::size_t> count;
  if (whole != nullptr) count = whole->messages.size();
  if (trace_ != nullptr) note("messages", count ? number(static_cast<std::int64_t>(*count)) : Value());
  return count;
}

const MessageView* Reader::message(std::size_t index) {
  const chat::Request* whole = request();
  if (whole == nullptr || index >= whole->messages.size()) return nullptr;
  MessageView& message = worked().message;
  message = view_of(whole->messages[index]);
  if (trace_ != nullptr) note("messages." + std::to_string(index + 1), words(message.text));
  return &message;
}

void Reader::note(std::string_view name, const Value& value) {
  if (value.kind == Value::Kind::kText && value.text.size() > limits::kTraceTextBytes) {
    trace_->facts_read.insert_or_assign(
        std::string(name), to_json(words(text::to_valid_utf8(value.text.substr(0, limits::kTraceTextBytes)) + "...")));
    return;
  }
  trace_->facts_read.insert_or_assign(std::string(name), to_json(value));
}

std::string_view Reader::decoded(std::string_view literal, std::optional<std::string>& kept) {
  if (!kept) kept = unescape(literal);
  return *kept;
}

std::string_view Reader::system() {
  std::optional<std::string>& kept = worked().system;
  if (kept) return *kept;
  std::string& text = kept.emplace();
  if (facts_.outline == nullptr) return text;
  for (const std::string_view literal : facts_.outline->system_json) {
    if (!text.empty()) text += '\n';
    text += unescape(literal);
  }
  return text;
}

std::string_view Reader::system_hash() {
  std::string& kept = worked().hash;
  if (!kept.empty() || facts_.outline == nullptr) return kept;
  std::uint64_t hash = 0;
  for (const std::string_view literal : facts_.outline->system_json) {
    // This line changes with every conversation of the same prompt.
    if (literal.starts_with("\"x-anthropic-billing-header")) continue;
    hash = digest::hash64(literal, hash);
  }
  std::array<char, 17> hex{};
  std::snprintf(hex.data(), hex.size(), "%016llx", static_cast<unsigned long long>(hash));
  kept.assign(hex.data(), 16);
  return kept;
}

std::string_view Reader::iso() {
  std::string& kept = worked().iso;
  if (!kept.empty()) return kept;
  // Civil date from days since 1970-01-01, by eras of 400 years that begin on 1 March.
  const std::int64_t shifted = days(facts_.wall_us) + 719468;
  const std::int64_t era = shifted / 146097;
  const std::int64_t day_of_era = shifted % 146097;
  const std::int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t month_from_march = (5 * day_of_year + 2) / 153;
  const std::int64_t day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
  const std::int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  const std::int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  const std::int64_t second = facts_.wall_us % kDayUs / kSecondUs;
  std::array<char, 80> text{};
  const int size = std::snprintf(text.data(), text.size(), "%04lld-%02lld-%02lldT%02lld:%02lld:%02lldZ",
                                 static_cast<long long>(year), static_cast<long long>(month), static_cast<long long>(day),
                                 static_cast<long long>(second / 3600), static_cast<long long>(second / 60 % 60),
                                 static_cast<long long>(second % 60));
  kept.assign(text.data(), static_cast<std::size_t>(size));
  return kept;
}

std::string to_json(const Value& value) {
  std::string out;
  switch (value.kind) {
    case Value::Kind::kNone: return "null";
    case Value::Kind::kFlag: return value.flag ? "true" : "false";
    case Value::Kind::kNumber: return number_text(value.number);
    case Value::Kind::kText: json::append_string(out, value.text); return out;
    case Value::Kind::kList: break;
  }
  json::Writer writer(out);
  writer.begin_array();
  for (const std::string_view item : *value.list) writer.string(item);
  writer.end_array();
  return out;
}

std::string shown(const Value& value) {
  constexpr std::size_t kLongest = 80;
  switch (value.kind) {
    case Value::Kind::kNone: return "absent";
    case Value::Kind::kFlag: return value.flag ? "true" : "false";
    case Value::Kind::kNumber: return number_text(value.number);
    case Value::Kind::kText: {
      const bool cut = value.text.size() > kLongest;
      return "\"" + text::to_valid_utf8(value.text.substr(0, kLongest)) + (cut ? "...\"" : "\"");
    }
    case Value::Kind::kList: break;
  }
  std::string out;
  for (const std::string_view item : *value.list) {
    if (out.size() > kLongest) return out + ", ...";
    if (!out.empty()) out += ", ";
    out += item;
  }
  return out.empty() ? "an empty list" : out;
}

}  // namespace ccrules::rules
