#include "rules/reader.h"

#include <array>
#include <cstdio>

#include "core/digest.h"
#include "core/json.h"
#include "core/text.h"
#include "rules/agents.h"
#include "rules/tree.h"

namespace ccrules::rules {
namespace {

const chat::Outline kNoOutline;
const Identity kNoIdentity;

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

std::int64_t days(std::int64_t wall_us) { return wall_us / kDayUs; }
std::int64_t hour(std::int64_t wall_us) { return wall_us % kDayUs / kHourUs; }
// 1970-01-01 was a Thursday.
std::int64_t weekday(std::int64_t wall_us) { return (days(wall_us) + 3) % 7 + 1; }

}  // namespace

Value Reader::read(api::Fact fact) {
  const Value value = value_of(fact);
  if (trace_ != nullptr) {
    for (const api::FactRow& row : api::facts()) {
      if (row.id == fact) {
        note(row.name, value);
        break;
      }
    }
  }
  return value;
}

Value Reader::value_of(api::Fact fact) {
  const chat::Outline& outline = facts_.outline != nullptr ? *facts_.outline : kNoOutline;
  const Identity& identity = facts_.identity != nullptr ? *facts_.identity : kNoIdentity;
  using api::Fact;
  switch (fact) {
    case Fact::kModel: return words(outline.model);
    case Fact::kTokens: return number(facts_.tokens);
    case Fact::kTokensExact: return flag(facts_.tokens_exact);
    case Fact::kMaxTokens: return number_or_none(outline.max_tokens);
    case Fact::kStream: return flag(outline.stream);
    case Fact::kThinking:
      return flag(outline.thinking.kind == chat::ThinkingKind::kEnabled ||
                  outline.thinking.kind == chat::ThinkingKind::kAdaptive);
    case Fact::kThinkingBudget: return number_or_none(outline.thinking.budget_tokens);
    case Fact::kEffort: return words_or_none(outline.effort);
    case Fact::kAgent: return words_or_none(identity.agent);
    case Fact::kRequestClass: return words_or_none(identity.request_class);
    case Fact::kSession: return words_or_none(identity.session);
    case Fact::kUser: return words_or_none(identity.user);
    case Fact::kProject: return words_or_none(identity.project);
    case Fact::kClient: return words_or_none(identity.client);
    case Fact::kDialect: return words(facts_.dialect);
    case Fact::kPath: return words(facts_.path);
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
    case Fact::kLastRole: return words_or_none(outline.last_role);
    case Fact::kTargetModel: return words_or_none(target_model_);
    case Fact::kTimeHour: return number(hour(facts_.wall_us));
    case Fact::kTimeWday: return number(weekday(facts_.wall_us));
    case Fact::kTimeIso: return words(iso());
    case Fact::kTextLastUser: return words(last_user());
    case Fact::kTextSystem: return words(system());
    case Fact::kAttempt: return number(facts_.attempt);
    case Fact::kStatus: return number(facts_.status);
    case Fact::kError: return words_or_none(facts_.error);
    case Fact::kProvider: return words_or_none(facts_.provider);
    case Fact::kTime:
    case Fact::kBucket:
    case Fact::kText:
    case Fact::kHeaders:
    case Fact::kUnavailable: break;
  }
  return {};
}

Value Reader::header(std::string_view name) {
  const Value value = facts_.header ? words_or_none(facts_.header(name)) : Value();
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

void Reader::note(std::string_view name, const Value& value) {
  trace_->facts_read.insert_or_assign(std::string(name), to_json(value));
}

std::string_view Reader::last_user() {
  if (!have_last_user_ && facts_.outline != nullptr) last_user_ = unescape(facts_.outline->last_user_json);
  have_last_user_ = true;
  return last_user_;
}

std::string_view Reader::system() {
  if (!have_system_ && facts_.outline != nullptr) {
    for (const std::string_view literal : facts_.outline->system_json) {
      if (!system_.empty()) system_ += '\n';
      system_ += unescape(literal);
    }
  }
  have_system_ = true;
  return system_;
}

std::string_view Reader::system_hash() {
  if (!hash_.empty() || facts_.outline == nullptr) return hash_;
  std::uint64_t hash = 0;
  for (const std::string_view literal : facts_.outline->system_json) {
    // This line changes with every conversation of the same prompt.
    if (literal.starts_with("\"x-anthropic-billing-header")) continue;
    hash = digest::hash64(literal, hash);
  }
  std::array<char, 17> hex{};
  std::snprintf(hex.data(), hex.size(), "%016llx", static_cast<unsigned long long>(hash));
  hash_.assign(hex.data(), 16);
  return hash_;
}

std::string_view Reader::iso() {
  if (!iso_.empty()) return iso_;
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
  iso_.assign(text.data(), static_cast<std::size_t>(size));
  return iso_;
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
