#include "rules/implication.h"

#include <catch2/catch.hpp>
#include <random>

#include "rules/ruleset.h"
#include "support.h"

using namespace ccrules;
using namespace ccrules::rules;

namespace {

/// Two conditions in one rule set.
struct Pair {
  std::unique_ptr<Engine> engine;
  const Condition& a() const { return engine->rules().on_request[0].when; }
  const Condition& b() const { return engine->rules().on_request[1].when; }
  Pair(const std::string& first, const std::string& second)
      : engine(test::engine("local f = function(req) return req.tokens > 5 end\nrule \"a\" { when = " + first +
                            ", tag = { a = 1 } }\nrule \"b\" { when = " + second + ", tag = { b = 1 } }")) {}
};

std::string relation(const std::string& first, const std::string& second) {
  const Pair pair(first, second);
  const std::string out = exclude(pair.a(), pair.b()) ? "never both" : "";
  if (!out.empty()) {
    CHECK(exclude(pair.b(), pair.a()));
    return out;
  }
  const bool there = implies(pair.a(), pair.b());
  const bool back = implies(pair.b(), pair.a());
  return there && back ? "same" : there ? "a then b" : back ? "b then a" : "unknown";
}

bool never(const std::string& when) { return impossible(Pair(when, "{}").a()); }

/// Random conditions over few values, so that they often have to do with each other.
class Inventor {
 public:
  explicit Inventor(std::mt19937& random) : random_(random) {}

  std::string when(int depth) {
    std::string out = "{ ";
    for (unsigned i = 1 + random_() % 2; i > 0; --i) {
      if (depth > 0 && random_() % 3 == 0) {
        out += random_() % 2 == 0 ? "any { " : "none { ";
        out += when(depth - 1) + ", " + when(depth - 1) + " }, ";
      } else {
        out += fact() + ", ";
      }
    }
    return out + "}";
  }

 private:
  std::string number() { return std::to_string(random_() % 4); }
  std::string word() {
    static constexpr const char* kWords[] = {"\"main\"", "\"main*\"", "\"m*\"", "\"*\"", "\"rev?\"", "\"revw\"", "\"*in\"", "\"mainly\""};
    return kWords[random_() % std::size(kWords)];
  }
  std::string fact() {
    static constexpr const char* kSigns[] = {"gt", "gte", "lt", "lte", "eq", "ne"};
    switch (random_() % 8) {
      case 0: return "tokens = { " + std::string(kSigns[random_() % 6]) + " = " + number() + " }";
      case 1: return "max_tokens = { " + std::string(kSigns[random_() % 6]) + " = " + number() + " }";
      case 2: return "agent = " + word();
      case 3: return "agent = { " + word() + ", " + word() + " }";
      case 4: return "stream = " + std::string(random_() % 2 == 0 ? "true" : "false");
      case 5: return "max_tokens = { present = " + std::string(random_() % 2 == 0 ? "true" : "false") + " }";
      case 6: return "tools = { has = " + word() + " }";
      default:
        return "time = { from = \"0" + number() + ":00\", to = \"0" + number() + ":00\" }";
    }
  }
  std::mt19937& random_;
};

void invent(std::mt19937& random, test::Sample& sample) {
  static constexpr const char* kAgents[] = {"main", "mainly", "revw", "in", "", "xin"};
  sample.facts.tokens = static_cast<std::int64_t>(random() % 5);
  if (random() % 2 == 0) sample.outline.max_tokens = static_cast<std::int64_t>(random() % 5);
  sample.identity.agent = kAgents[random() % std::size(kAgents)];
  sample.outline.stream = random() % 2 == 0;
  sample.outline.tool_names = {kAgents[random() % 4]};
  sample.facts.wall_us = static_cast<std::int64_t>(random() % (5 * 60)) * 60'000'000;
}

}  // namespace

TEST_CASE("a narrower condition implies a wider one on the same fact") {
  CHECK(relation("{ tokens = { gt = 9 } }", "{ tokens = { gt = 5 } }") == "a then b");
  CHECK(relation("{ tokens = { gte = 5 } }", "{ tokens = { gt = 5 } }") == "b then a");
  CHECK(relation("{ tokens = 7 }", "{ tokens = { gt = 5, lt = 9 } }") == "a then b");
  CHECK(relation("{ agent = \"reviewer\" }", "{ agent = { \"rev*\", \"x\" } }") == "a then b");
  CHECK(relation("{ agent = \"rev*er\" }", "{ agent = \"rev*\" }") == "a then b");
  CHECK(relation("{ agent = \"a*\" }", "{ agent = \"?*\" }") == "unknown");
  CHECK(relation("{ model = \"GPT-6\" }", "{ model = \"gpt-6\" }") == "same");
  CHECK(relation("{ stream = true, tokens = 1 }", "{ stream = true }") == "a then b");
  CHECK(relation("{ max_tokens = { gt = 1 } }", "{ max_tokens = { present = true } }") == "a then b");
  CHECK(relation("{ time = { from = \"23:00\", to = \"02:00\" } }", "{ time = { from = \"22:00\", to = \"06:00\" } }") == "a then b");
  CHECK(relation("any { { tokens = 8 }, { tokens = 9 } }", "{ tokens = { gt = 7 } }") == "a then b");
  CHECK(relation("{ tools = { has = \"mcp__x\" } }", "{ tools = { has = \"mcp__*\" } }") == "a then b");
  CHECK(relation("{ rate = { key = \"session\", gt = 9 } }", "{ rate = { key = \"user\", gt = 5 } }") == "unknown");
  CHECK(relation("{ rate = { key = \"user\", gt = 9 } }", "{ rate = { key = \"user\", gt = 5 } }") == "a then b");
  CHECK(relation("{ f }", "{ f, stream = true }") == "unknown");
  CHECK(relation("{}", "{}") == "same");
  CHECK(relation("{ tokens = 5 }", "{}") == "a then b");
}

TEST_CASE("conditions that no request fulfils together exclude each other") {
  CHECK(relation("{ tokens = { gt = 9 } }", "{ tokens = { lte = 9 } }") == "never both");
  CHECK(relation("{ tokens = { gte = 9 } }", "{ tokens = { lte = 9 } }") == "unknown");
  CHECK(relation("{ agent = \"x\" }", "{ agent = none { \"x\" } }") == "never both");
  CHECK(relation("{ agent = \"main\" }", "{ agent = \"rev*\" }") == "never both");
  CHECK(relation("{ stream = true }", "{ stream = false }") == "never both");
  CHECK(relation("{ max_tokens = { present = false } }", "{ max_tokens = 5 }") == "never both");
  CHECK(relation("{ time = { from = \"01:00\", to = \"02:00\" } }", "{ time = { from = \"02:00\", to = \"03:00\" } }") == "never both");
  CHECK(never("{ tokens = { gt = 9, lt = 5 } }"));
  CHECK(never("{ agent = \"a\", none { { agent = \"a\" }, { stream = true } } }"));
  CHECK(never("any { { tokens = { gt = 9, lt = 5 } }, { agent = { ne = \"*\" }, none { { max_tokens = { present = true } } }, "
              "max_tokens = 5 } }"));
  CHECK(never("{ time = { from = \"05:00\", to = \"05:00\" } }"));
  CHECK_FALSE(never("{ tokens = { gt = 5, lt = 9 } }"));
  CHECK_FALSE(never("{}"));
}

TEST_CASE("whatever is said about random conditions is true of random requests") {
  std::mt19937 random(20261121);
  int said = 0;
  for (int i = 0; i < 1500; ++i) {
    Inventor inventor(random);
    const std::string first = inventor.when(2);
    const std::string second = inventor.when(2);
    INFO(first << "\n" << second);
    const Pair pair(first, second);
    const bool implied = implies(pair.a(), pair.b());
    const bool excluded = exclude(pair.a(), pair.b());
    const bool none = impossible(pair.a());
    const bool every = always(pair.a());
    if (!implied && !excluded && !none && !every) continue;
    ++said;
    for (int j = 0; j < 60; ++j) {
      test::Sample sample;
      invent(random, sample);
      Reader reader(sample.facts);
      const bool a = matches(pair.a(), reader);
      const bool b = matches(pair.b(), reader);
      if (implied) REQUIRE((!a || b));
      if (excluded) REQUIRE_FALSE((a && b));
      if (none) REQUIRE_FALSE(a);
      if (every) REQUIRE(a);
    }
  }
  CHECK(said > 200);
}
