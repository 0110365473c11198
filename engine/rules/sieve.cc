#include "rules/sieve.h"

#include <algorithm>
#include <optional>
#include <type_traits>
#include <utility>

#include "core/text.h"

namespace ccrules::rules {
namespace {

using Op = Condition::Op;

// Answers stand where the number of a test could.
constexpr std::uint32_t kAnswers = 0xFFFFFFF0U;
constexpr std::uint32_t label(Sieve::Answer answer) { return kAnswers + static_cast<std::uint32_t>(answer); }
constexpr std::uint32_t kMaybe = label(Sieve::Answer::kMaybe);

constexpr std::uint64_t kEveryLetter = ~std::uint64_t{0};
constexpr std::size_t kLongText = 256;  // not worth reading to save tests

bool is_number_test(Op op) { return op >= Op::kEqual && op <= Op::kAtMost; }

constexpr std::size_t kWordBits = 64;
constexpr std::uint64_t bit_of(std::size_t rule) { return std::uint64_t{1} << rule % kWordBits; }

bool is_about_target(api::Fact fact) {
  return fact == api::Fact::kTargetModel || fact == api::Fact::kTargetProvider || fact == api::Fact::kProviderClass;
}

/// One bit for every letter (whatever its case), digit and a few for all other bytes.
constexpr std::array<std::uint64_t, 256> kBitOfByte = [] {
  std::array<std::uint64_t, 256> bits{};
  for (std::size_t byte = 0; byte < bits.size(); ++byte) {
    const bool capital = byte >= 'A' && byte <= 'Z';
    const bool small = byte >= 'a' && byte <= 'z';
    const bool digit = byte >= '0' && byte <= '9';
    bits[byte] = std::uint64_t{1} << (capital ? byte - 'A' : small ? byte - 'a' : digit ? 26 + byte - '0' : 36 + byte % 28);
  }
  return bits;
}();

std::uint64_t letters_of(std::string_view text) {
  if (text.size() > kLongText) return kEveryLetter;
  const auto bit = [](char c) { return kBitOfByte[static_cast<unsigned char>(c)]; };
  std::uint64_t letters = 0;
  for (; text.size() >= 4; text.remove_prefix(4)) letters |= bit(text[0]) | bit(text[1]) | bit(text[2]) | bit(text[3]);
  for (const char c : text) letters |= bit(c);
  return letters;
}

/// The short text that says by itself whether the condition holds.
std::optional<api::Fact> only_text_of(const Condition& condition) {
  switch (condition.op) {
    case Op::kText:
    case Op::kGlob:
    case Op::kPrefix:
    case Op::kPresent:
    case Op::kNames:
      return condition.subject == nullptr && Reader::is_short_text(condition.fact) ? std::optional(condition.fact) : std::nullopt;
    case Op::kAll:
    case Op::kAny:
    case Op::kNone: break;
    default: return std::nullopt;
  }
  std::optional<api::Fact> only;
  for (const Condition& child : condition.children) {
    const std::optional<api::Fact> fact = only_text_of(child);
    if (!fact || (only && *only != *fact)) return std::nullopt;
    only = fact;
  }
  return only;
}

void add_conjuncts(const Condition& condition, std::vector<const Condition*>& out) {
  if (condition.op != Op::kAll) {
    out.push_back(&condition);
    return;
  }
  for (const Condition& child : condition.children) add_conjuncts(child, out);
}

/// All of them must hold.
std::vector<const Condition*> conjuncts_of(const Condition& condition) {
  std::vector<const Condition*> out;
  add_conjuncts(condition, out);
  return out;
}

/// The condition that the pick finds something, see refine() in ruleset.cc.
bool is_of_pick(const Condition& condition, const Pick& pick) {
  return condition.op == Op::kNames && condition.at.line == 0 && condition.fact == pick.fact &&
         condition.names.size() == pick.exact.size() && condition.globs.size() == pick.globs.size();
}

}  // namespace

Sieve::Sieve(const std::vector<Rule>& rules) : words_((rules.size() + kWordBits - 1) / kWordBits), possible_(words_), left_(words_) {
  for (std::size_t i = 0; i < rules.size(); ++i) add_rule(rules[i], i);
  for (Column& column : columns_) column.bits.resize((TextSlots::kSlots + 1) * words_);
}

void Sieve::add_rule(const Rule& rule, std::size_t number) {
  const auto by_function = [](const TargetEffect& effect) { return effect.kind == TargetEffect::Kind::kFunction; };
  Row row;
  row.only_targets = rule.only_targets();
  row.to = rule.to.kind != TargetEffect::Kind::kNone;
  row.fallback = rule.fallback.kind != TargetEffect::Kind::kNone;
  row.fixed_targets = row.only_targets && !by_function(rule.to) && !by_function(rule.fallback);
  row.to_pick = add_pick(rule.to);
  row.fallback_pick = add_pick(rule.fallback);
  const bool may_pick = row.fixed_targets && !row.to && row.fallback_pick != kNone && !rule.when.uses_lua;
  std::vector<const Condition*> rest;
  bool lua_before = false;  // which may fail, and then what stands behind it was never asked
  for (const Condition* part : conjuncts_of(rule.when)) {
    lua_before = lua_before || part->uses_lua;
    if (!lua_before && take_texts(*part, number)) continue;
    if (may_pick && !row.pick_decides && is_of_pick(*part, rule.fallback.pick)) {
      row.pick_decides = true;
    } else {
      rest.push_back(part);
    }
  }
  row.first = label(Answer::kYes);
  for (auto part = rest.rbegin(); part != rest.rend(); ++part) row.first = add(**part, row.first, label(Answer::kNo));
  if (row.first != label(Answer::kNo)) possible_[number / kWordBits] |= bit_of(number);
  rows_.push_back(row);
}

std::uint32_t Sieve::add_pick(const TargetEffect& effect) {
  if (effect.kind != TargetEffect::Kind::kPick) return kNone;
  picks_.emplace_back().pick = &effect.pick;
  return static_cast<std::uint32_t>(picks_.size() - 1);
}

bool Sieve::take_texts(const Condition& condition, std::size_t rule) {
  const std::optional<api::Fact> fact = only_text_of(condition);
  if (!fact || slot_of(*fact) == Glance::kSlots) return false;
  auto column = std::find_if(columns_.begin(), columns_.end(), [&fact](const Column& each) { return each.fact == *fact; });
  if (column == columns_.end()) {
    column = columns_.emplace(columns_.end());
    column->fact = *fact;
  }
  const std::uint32_t first = add(condition, label(Answer::kYes), label(Answer::kNo));
  column->parts.push_back({rule, first});
  return true;
}

std::span<const std::uint64_t> Sieve::candidates(Reader& reader, Glance& glance) {
  std::uint64_t* const left = left_.data();
  std::copy(possible_.begin(), possible_.end(), left);
  for (Column& column : columns_) {
    const std::uint64_t* const bits = bits_of(column, reader, glance);
    for (std::size_t word = 0; word < words_; ++word) left[word] &= bits[word];
  }
  return left_;
}

const std::uint64_t* Sieve::bits_of(Column& column, Reader& reader, Glance& glance) {
  const std::string_view text = reader.short_text(column.fact);
  std::size_t slot = TextSlots::kSlots;
  if (text.data() != nullptr) {
    slot = TextSlots::slot_of(text);
    if (column.texts.holds(slot, text)) return column.bits.data() + slot * words_;
    // Of a text that is not kept the bits are good for this call: it is the slot's last one.
    if (!column.texts.keep(slot, text)) column.texts.forget(slot);
  } else if (std::exchange(column.absent_known, true)) {
    return column.bits.data() + slot * words_;
  }
  std::uint64_t* const bits = column.bits.data() + slot * words_;
  work_out(column, glance, bits);
  return bits;
}

void Sieve::work_out(const Column& column, Glance& glance, std::uint64_t* bits) const {
  std::fill_n(bits, words_, ~std::uint64_t{0});
  for (const Column::Part& part : column.parts) {
    if (follow(part.first, glance) == Answer::kNo) bits[part.rule / kWordBits] &= ~bit_of(part.rule);
  }
}

const std::vector<Choice>* Sieve::pick(std::uint32_t which, std::string_view text) {
  KnownPick& known = picks_[which];
  const std::size_t slot = TextSlots::slot_of(text);
  if (known.texts.holds(slot, text)) return known.found[slot];
  const std::vector<Choice>* const found = known.pick->find(text);
  if (known.texts.keep(slot, text)) known.found[slot] = found;
  return found;
}

// From the last test to the first, since each has to know what follows it. Returns where the condition begins.
std::uint32_t Sieve::add(const Condition& condition, std::uint32_t yes, std::uint32_t no) {
  const auto& children = condition.children;
  switch (condition.op) {
    case Op::kAll: {
      std::uint32_t next = yes;
      for (auto child = children.rbegin(); child != children.rend(); ++child) next = add(*child, next, no);
      return next;
    }
    case Op::kAny: {
      std::uint32_t next = no;
      for (auto child = children.rbegin(); child != children.rend(); ++child) next = add(*child, yes, next);
      return next;
    }
    case Op::kNone: {
      std::uint32_t next = yes;
      for (auto child = children.rbegin(); child != children.rend(); ++child) next = add(*child, no, next);
      return next;
    }
    case Op::kNever: return no;
    case Op::kNames: return condition.subject == nullptr ? add_names(condition, yes, no) : kMaybe;
    case Op::kText:
    case Op::kGlob:
    case Op::kPrefix:
    case Op::kFlag:
    case Op::kPresent: return condition.subject == nullptr ? add_plain(condition, yes, no) : kMaybe;
    default: return condition.subject == nullptr && is_number_test(condition.op) ? add_plain(condition, yes, no) : kMaybe;
  }
}

std::uint32_t Sieve::add_plain(const Condition& condition, std::uint32_t yes, std::uint32_t no) {
  Test test{.op = condition.op, .flag = condition.flag, .ignore_case = condition.ignore_case,
            .counts = condition.fact == api::Fact::kTokens && is_number_test(condition.op), .slot = slot_of(condition.fact),
            .fact = condition.fact, .yes = yes, .no = no, .number = condition.number, .text = {}};
  if (test.op == Op::kGlob) {
    look_at(test, condition.text);
  } else if (test.op == Op::kText || test.op == Op::kPrefix) {
    test.look = test.op == Op::kText ? Look::kWhole : Look::kBeginsWith;
    test.text = condition.text;
    test.least_bytes = test.text.size();
    test.letters = letters_of(test.text);
    if (test.text.size() > kLongText) test.letters = 0;
    test.ignore_case = test.ignore_case && test.op == Op::kText;
    test.op = Op::kGlob;
  }
  tests_.push_back(test);
  return static_cast<std::uint32_t>(tests_.size() - 1);
}

// Names one after the other, then globs, whatever their case.
std::uint32_t Sieve::add_names(const Condition& condition, std::uint32_t yes, std::uint32_t no) {
  std::uint32_t next = no;
  Condition one;
  one.fact = condition.fact;
  one.ignore_case = true;
  const auto add_one = [this, &next, &one, yes](Op op, std::string_view text) {
    one.op = op;
    one.text.clear();
    next = add_plain(one, yes, next);
    Test& test = tests_.back();
    look_at(test, text);
    if (op == Op::kText) test.look = Look::kWhole;
  };
  for (auto glob = condition.globs.rbegin(); glob != condition.globs.rend(); ++glob) add_one(Op::kGlob, *glob);
  for (auto name = condition.names.rbegin(); name != condition.names.rend(); ++name) add_one(Op::kText, *name);
  return next;
}

// "*haiku*", "claude-*", "*-mini": no need to match step by step.
void Sieve::look_at(Test& test, std::string_view pattern) {
  const bool front = pattern.starts_with('*');
  const bool back = pattern.size() > 1 && pattern.ends_with('*');
  const std::string_view inner = pattern.substr(front ? 1 : 0, pattern.size() - (front ? 1 : 0) - (back ? 1 : 0));
  if (text::is_glob(inner)) {
    test.look = Look::kGlob;
    test.text = pattern;
  } else {
    test.look = front && back ? Look::kHolds : front ? Look::kEndsWith : back ? Look::kBeginsWith : Look::kWhole;
    test.text = inner;
  }
  std::string literal(inner);
  std::erase(literal, '*');
  test.least_bytes = literal.size();  // a ? stands for one byte
  std::erase(literal, '?');
  test.letters = literal.size() > kLongText ? 0 : letters_of(literal);
}

std::uint8_t Sieve::slot_of(api::Fact fact) {
  if (is_about_target(fact)) return Glance::kSlots;
  auto found = std::find(slots_.begin(), slots_.end(), fact);
  if (found == slots_.end()) {
    if (slots_.size() == Glance::kSlots) return Glance::kSlots;
    found = slots_.insert(slots_.end(), fact);
  }
  return static_cast<std::uint8_t>(found - slots_.begin());
}

Sieve::Glance::Seen& Sieve::Glance::read(std::size_t slot, api::Fact fact) {
  static_assert(std::is_trivially_destructible_v<Seen>);
  if (slot != kSlots) known_ |= std::uint32_t{1} << slot;
  return *new (place(slot)) Seen{reader_.read(fact), 0};
}

bool Sieve::compare(const Test& test, double number) {
  switch (test.op) {
    case Op::kEqual: return number == test.number;
    case Op::kGreater: return number > test.number;
    case Op::kAtLeast: return number >= test.number;
    case Op::kLess: return number < test.number;
    default: return number <= test.number;
  }
}

bool Sieve::holds(const Test& test, const Value& value) {
  switch (test.op) {
    case Op::kFlag: return value.kind == Value::Kind::kFlag && value.flag == test.flag;
    case Op::kPresent: return (value.kind != Value::Kind::kNone) == test.flag;
    default: return value.kind == Value::Kind::kNumber && compare(test, value.number);
  }
}

bool Sieve::matches_text(const Test& test, const Value& value) {
  if (value.kind != Value::Kind::kText) return false;
  std::string_view looked_at = value.text;
  switch (test.look) {
    case Look::kWhole:
      if (looked_at.size() != test.text.size()) return false;
      break;
    case Look::kBeginsWith: looked_at = looked_at.substr(0, test.text.size()); break;
    case Look::kEndsWith: looked_at = looked_at.substr(looked_at.size() - test.text.size()); break;
    case Look::kHolds:
      return looked_at.find(test.text) != std::string_view::npos ||
             (test.ignore_case && text::contains_ignore_case(looked_at, test.text));
    case Look::kGlob: return text::glob_match(test.text, looked_at, test.ignore_case);
  }
  return test.ignore_case ? text::equals_ignore_case(looked_at, test.text) : looked_at == test.text;
}

Sieve::Answer Sieve::follow(std::uint32_t at, Glance& glance) const {
  const Test* const tests = tests_.data();
  while (at < kAnswers) {
    const Test& test = tests[at];
    bool yes = false;
    if (test.op == Op::kGlob) {
      Glance::Seen& seen = glance.see(test.slot, test.fact);
      if (seen.letters == 0) seen.letters = letters_of(seen.value.text);
      yes = (test.letters & ~seen.letters) == 0 && seen.value.text.size() >= test.least_bytes && matches_text(test, seen.value);
    } else if (test.counts) {
      yes = compare(test, glance.reader_.tokens_against(test.number));
    } else {
      yes = holds(test, glance.see(test.slot, test.fact).value);
    }
    at = yes ? test.yes : test.no;
  }
  return static_cast<Answer>(at - kAnswers);
}

}  // namespace ccrules::rules
