#include <random>

#include <catch2/catch.hpp>

#include "core/json.h"
#include "rules/fixed_counters.h"
#include "support.h"

using namespace ccrules;
using namespace ccrules::rules;
using ccrules::rules::test::json_engine;
using ccrules::rules::test::json_errors;
using ccrules::rules::test::Sample;
using ccrules::rules::test::targets;

namespace {

/// A rule that can be written in both languages.
class RandomRule {
 public:
  explicit RandomRule(std::mt19937& random) : random_(random) {}

  std::string lua, json;

  void make(int number) {
    const std::string name = "r" + std::to_string(number);
    lua = "rule \"" + name + "\" {";
    json = "{\"name\":\"" + name + "\"";
    const bool on_error = one_in(5);
    if (on_error) member("on", [this] { text("error"); });
    if (!one_in(6)) member("when", [this] { when(2); });
    if (on_error) {
      error_effects();
    } else {
      effects();
    }
    lua += " }\n";
    json += "}";
  }

 private:
  bool one_in(unsigned n) { return random_() % n == 0; }
  template <std::size_t N>
  const char* pick(const char* const (&words)[N]) {
    return words[random_() % N];
  }

  void both(const std::string& out) {
    lua += out;
    json += out;
  }
  void text(const std::string& value) {
    std::string literal;
    json::append_string(literal, value);
    both(literal);
  }
  template <class Value>
  void member(const std::string& key, Value&& value) {
    lua += lua.back() == '{' ? " " : ", ";
    lua += "[\"" + key + "\"] = ";
    if (json.back() != '{') json += ",";
    json += "\"" + key + "\":";
    value();
  }
  template <class Item>
  void list(unsigned least, unsigned most, Item&& item) {
    lua += "{ ";
    json += "[";
    const unsigned count = least + static_cast<unsigned>(random_() % (most - least + 1));
    for (unsigned i = 0; i < count; ++i) {
      if (i != 0) both(", ");
      item();
    }
    lua += " }";
    json += "]";
  }
  template <class Body>
  void object(Body&& body) {
    both("{");
    body();
    both("}");
  }
  // any { a, b } in Lua, {"any": [a, b]} in JSON
  template <class Item>
  void marked(const char* word, Item&& item) {
    lua += word;
    lua += " ";
    json += "{\"" + std::string(word) + "\":";
    list(1, 3, item);
    json += "}";
  }

  void text_value() {
    static constexpr const char* kTexts[] = {"claude-sonnet-5-5", "*haiku*", "claude-*", "main", "rev*", "s-1", "/srv/*",
                                             "/srv/a", "user", "ok", "local", "x\ny", ""};
    switch (random_() % 6) {
      case 0: list(1, 3, [this] { text(pick(kTexts)); }); return;
      case 1: marked(one_in(2) ? "any" : "none", [this] { text(pick(kTexts)); }); return;
      case 2: object([this] { member(one_in(2) ? "ne" : "eq", [this] { text(pick(kTexts)); }); }); return;
      case 3: object([this] { member("has", [this] { text("a"); }); }); return;
      case 4: object([this] { member("present", [this] { both(one_in(2) ? "true" : "false"); }); }); return;
      default: text(pick(kTexts)); return;
    }
  }

  void number_value() {
    const auto number = [this] { both(std::to_string(static_cast<int>(random_() % 7) - 1)); };
    switch (random_() % 4) {
      case 0: number(); return;
      case 1: list(1, 3, number); return;
      case 2: marked("none", number); return;
      default: comparisons(); return;
    }
  }
  void comparisons() {
    object([this] { comparison_members(); });
  }
  void comparison_members() {
    static constexpr const char* kSigns[] = {"gt", "gte", "lt", "lte", "ne"};
    member(pick(kSigns), [this] { both(std::to_string(random_() % 6)); });
  }

  void fact() {
    static constexpr const char* kTextFacts[] = {"model", "agent", "session", "project", "user", "client", "effort", "last_role",
                                                 "text.last_user", "request_class"};
    static constexpr const char* kNumberFacts[] = {"tokens", "max_tokens", "turns", "images", "tool_count", "spend_today",
                                                   "thinking_budget", "time.hour"};
    static constexpr const char* kFlags[] = {"stream", "thinking", "tokens_exact"};
    switch (random_() % 9) {
      case 0: member(pick(kFlags), [this] { both(one_in(2) ? "true" : "false"); }); return;
      case 1: member("tools", [this] { text_value_of_list(); }); return;
      case 2: member("time", [this] { time(); }); return;
      case 3: member("bucket", [this] {
          object([this] {
            member("name", [this] { text("b"); });
            member("by", [this] { text(one_in(2) ? "session" : "user"); });
            member("lt", [this] { both(std::to_string(random_() % 100)); });
          });
        });
        return;
      case 4: counter(); return;
      case 5: member("headers", [this] { object([this] { member("X-Team", [this] { text_value(); }); }); }); return;
      case 6:
      case 7: member(pick(kNumberFacts), [this] { number_value(); }); return;
      default: member(pick(kTextFacts), [this] { text_value(); }); return;
    }
  }
  void text_value_of_list() {
    if (one_in(2)) {
      text(one_in(2) ? "Bash" : "mcp__*");
    } else {
      object([this] { member("has", [this] { list(1, 2, [this] { text(one_in(2) ? "Bash" : "Read"); }); }); });
    }
  }
  void time() {
    static constexpr const char* kClock[] = {"00:00", "06:00", "12:30", "22:00", "24:00"};
    static constexpr const char* kZones[] = {"UTC", "+02:00", "-05:30"};
    object([this] {
      member("from", [this] { text(pick(kClock)); });
      member("to", [this] { text(pick(kClock)); });
      if (one_in(2)) member("tz", [this] { text(pick(kZones)); });
      if (one_in(2)) member("wday", [this] { comparisons(); });
    });
  }
  void counter() {
    switch (random_() % 4) {
      case 0:
        member("rate", [this] {
          object([this] {
            member("key", [this] { text("session"); });
            member("per", [this] { text("1m"); });
            comparison_members();
          });
        });
        return;
      case 1:
        member("spend", [this] {
          object([this] {
            member("by", [this] { text("project"); });
            member("per", [this] { text("week"); });
            comparison_members();
          });
        });
        return;
      case 2: member("health", [this] { object([this] { member("openai", [this] { text(one_in(2) ? "ok" : "down"); }); }); }); return;
      default: member("warm", [this] { text("openai,gpt-6"); }); return;
    }
  }

  void when(int depth) {
    object([this, depth] {
      // Facts are distinct by construction of the table: one of each kind at most.
      fact();
      if (depth > 0 && one_in(3)) {
        const char* word = one_in(2) ? "any" : "none";
        if (one_in(2)) {  // the word as a member: both languages alike
          member(word, [this, depth] { list(1, 3, [this, depth] { when(depth - 1); }); });
        } else {  // Lua's own way: any { ... } without a key
          lua += ", " + std::string(word) + " ";
          json += ",\"" + std::string(word) + "\":";
          list(1, 3, [this, depth] { when(depth - 1); });
        }
      }
    });
  }

  void effects() {
    static constexpr const char* kTargets[] = {"anthropic,claude-opus-5-5", "ollama,x", "openai,gpt-6", "cheap", "sim,a"};
    if (one_in(2)) member("to", [this] { text(pick(kTargets)); });
    if (one_in(3)) member("fallback", [this] { list(1, 3, [this] { text(pick(kTargets)); }); });
    if (one_in(8)) member("deny", [this] { object([this] { member("status", [this] { both("429"); }); }); });
    if (one_in(3)) {
      member("set", [this] {
        object([this] {
          member("max_tokens", [this] {
            if (one_in(3)) {
              lua += "remove";
              json += "null";
            } else {
              object([this] { member(one_in(2) ? "max" : "min", [this] { both("100"); }); });
            }
          });
          if (one_in(2)) {
            member("effort", [this] { object([this] { member("values", [this] { list(1, 2, [this] { text("low"); }); }); }); });
          }
        });
      });
    }
    if (one_in(3)) {
      member("headers", [this] {
        object([this] {
          member("x-a", [this] { text("b"); });
          member("x-gone", [this] {
            lua += "remove";
            json += "null";
          });
        });
      });
    }
    member("tag", [this] { object([this] { member("t" + std::to_string(random_() % 5), [this] { both("5"); }); }); });
    if (one_in(4)) {
      member("cache", [this] {
        object([this] {
          member("ttl", [this] { text("1h"); });
          member("keep", [this] { list(1, 2, [this] { text(one_in(2) ? "refusal" : "tool_use"); }); });
        });
      });
    }
    if (one_in(6)) member("budget", [this] { text("project:web"); });
    if (one_in(4)) member("reason", [this] { text("{model} with {tokens}"); });
  }

  void error_effects() {
    if (one_in(2)) member("retry", [this] { object([this] { member("at_most", [this] { text("2s"); }); }); });
    if (one_in(2)) member("next_fallback", [this] { both("true"); });
    member("tag", [this] { object([this] { member("e", [this] { both("true"); }); }); });
  }

  std::mt19937& random_;
};

void invent(std::mt19937& random, Sample& sample, FixedCounters& counters) {
  const auto below = [&random](unsigned n) { return static_cast<std::int64_t>(random() % n); };
  static const char* const kModels[] = {"claude-sonnet-5-5", "claude-haiku-5-5", "gpt-6", "CLAUDE-X"};
  sample.outline.model = kModels[below(4)];
  sample.facts.tokens = below(7);
  sample.facts.tokens_exact = below(2) == 0;
  sample.outline.stream = below(2) == 0;
  if (below(2) == 0) sample.outline.max_tokens = below(7);
  sample.outline.messages = below(5);
  sample.outline.images = below(3);
  sample.outline.tools = below(3);
  sample.outline.tool_names = below(2) == 0 ? std::vector<std::string_view>{"Bash", "mcp__x"} : std::vector<std::string_view>{"Read"};
  sample.outline.last_role = below(2) == 0 ? "user" : "";
  sample.outline.last_user_json = below(2) == 0 ? R"("x\ny")" : R"("ok")";
  if (below(2) == 0) sample.outline.thinking.kind = chat::ThinkingKind::kAdaptive;
  sample.identity.agent = below(2) == 0 ? "main" : "reviewer";
  sample.identity.session = below(3) == 0 ? "" : "s-" + std::to_string(below(4));
  sample.identity.project = below(2) == 0 ? "/srv/a" : "";
  sample.identity.user = below(2) == 0 ? "user" : "";
  sample.facts.wall_us = (20454LL * 1440 + below(7 * 1440)) * 60'000'000;
  if (below(2) == 0) sample.headers["x-team"] = "main";
  if (below(2) == 0) counters.any_spent_usd = static_cast<double>(below(6));
  if (below(2) == 0) counters.rate = static_cast<double>(below(6));
  if (below(2) == 0) counters.health_of["openai"] = "down";
  if (below(2) == 0) counters.warmth = Warmth{below(2) == 0, 5, 0.5};
  sample.facts.counters = &counters;
}

/// The trace without what differs: places, times, hash.
std::string comparable(Trace trace) {
  std::string out;
  for (const Claim& claim : trace.claims) {
    out += claim.rule + " " + claim.slot + "=" + claim.value + (claim.shadowed ? " shadowed" : "") + "\n";
  }
  for (const RuleTrace& rule : trace.rules) {
    out += rule.rule + (rule.matched ? " yes " : " no ") + rule.failed_condition + " is " + rule.actual + rule.error + "\n";
  }
  for (const auto& [name, value] : trace.facts_read) out += name + "=" + value + "\n";
  return out;
}

}  // namespace

TEST_CASE("the Lua and the JSON form of the same random rules decide alike on random facts") {
  std::mt19937 random(20261121);
  for (int set = 0; set < 60; ++set) {
    std::string lua = "alias { cheap = \"ollama,qwen3-coder:30b\" }\n";
    std::string json = "{\n\"alias\": { \"cheap\": \"ollama,qwen3-coder:30b\" },\n\"rules\": [\n";
    for (int i = 0; i < 8; ++i) {
      RandomRule rule(random);
      rule.make(i);
      lua += rule.lua;
      json += (i == 0 ? "" : ",\n") + rule.json;
    }
    json += "\n] }";
    INFO(lua);
    INFO(json);
    const auto by_lua = test::engine(lua);
    const auto by_json = json_engine(json);
    for (int i = 0; i < 40; ++i) {
      Sample sample;
      FixedCounters counters;
      invent(random, sample, counters);
      Trace lua_trace;
      Trace json_trace;
      const Decision a = by_lua->decide(sample.facts, &lua_trace);
      const Decision b = by_json->decide(sample.facts, &json_trace);
      const Trace none;
      REQUIRE(trace_json(a, none, "") == trace_json(b, none, ""));
      REQUIRE(comparable(lua_trace) == comparable(json_trace));
      REQUIRE(trace_json(by_lua->decide(sample.facts), none, "") == trace_json(a, none, ""));
      sample.facts.attempt = 1;
      sample.facts.status = 529;
      REQUIRE(trace_json(by_lua->decide_error(sample.facts), none, "") == trace_json(by_json->decide_error(sample.facts), none, ""));
    }
  }
}

TEST_CASE("a rule file in JSON takes comments, and words as members") {
  auto rules = json_engine(R"({
  // routing by hand
  "alias": { "cheap": "ollama,qwen3-coder" },
  "rules": [
    { "name": "explicit", "when": { "model": "*,*" }, "to": { "requested": true } },
    { "name": "agents", "to": { "pick": { "fact": "agent", "entries": { "reviewer": "cheap", "rust-*": "openai,gpt-6" } } } },
    { "name": "either", "when": { "any": [ { "tokens": { "gt": 5000 } }, { "stream": true } ] }, "to": "cheap", }, /* trailing commas too */
    { "name": "net", "fallback": ["cheap", "sim,a"], "headers": { "x-debug": null } },
  ],
  "override": { "default#serving": { "off": true } },
})");
  Sample sample("openai,gpt-6.1-sol");
  CHECK(targets(rules->decide(sample.facts)) == "openai,gpt-6.1-sol; ollama,qwen3-coder; sim,a");
  Sample agent;
  agent.identity.agent = "rust-specialist";
  CHECK(targets(rules->decide(agent.facts)) == "openai,gpt-6; ollama,qwen3-coder; sim,a");
  Sample stream;
  stream.outline.stream = true;
  const Decision decision = rules->decide(stream.facts);
  CHECK(decision.rule == "either");
  REQUIRE(decision.headers.size() == 1);
  CHECK_FALSE(decision.headers[0].value.has_value());
  Sample plain;
  CHECK_THAT(rules->decide(plain.facts).no_target, Catch::StartsWith("no provider serves"));
}

TEST_CASE("a mistake in a JSON rule file is told at its own line") {
  CHECK(json_errors("{ \"rules\": [\n  { \"name\": \"a\", \"when\": { \"tokns\": 5 }, \"to\": \"sim,a\" } ] }") ==
        std::vector<std::string>{"2:28 unknown fact 'tokns' | did you mean 'tokens'?"});
  CHECK(json_errors("{ \"rules\": [ { \"to\": \"sim,a\" } ] }") ==
        std::vector<std::string>{"1:14 a rule needs a name: { \"name\": \"night\", ... }"});
  CHECK(json_errors("{ \"rule\": [] }") == std::vector<std::string>{"1:3 a rule file has no 'rule' | did you mean 'rules'?"});
  CHECK(json_errors("5") == std::vector<std::string>{"1:1 a rule file is an object: { \"rules\": [ ... ] }"});
  CHECK_THAT(json_errors("{ \"rules\": [ }").front(), Catch::StartsWith("1:14 not valid JSON:"));
  CHECK(json_errors("{ /* no end") == std::vector<std::string>{"1:3 this comment does not end"});
  CHECK(json_errors("{ \"rules\": [ { \"name\": \"a\", \"to\": null } ] }") ==
        std::vector<std::string>{"1:35 a target is a string such as \"provider,model\", not nil"});
  CHECK(json_errors("{ \"rules\": [ { \"name\": \"a\", \"to\": \"sim,a\" },\n { \"name\": \"a\", \"to\": \"sim,a\" } ] }") ==
        std::vector<std::string>{"2:12 a rule named 'a' exists already"});
}

TEST_CASE("a broken byte in a JSON rule file is reported at its line, wherever it is") {
  const std::string good =
      "{\n  \"alias\": { \"cheap\": \"sim,x\" },\n  \"rules\": [\n"
      "    { \"name\": \"a\", \"when\": { \"tokens\": { \"gt\": 5.5 }, \"stream\": true }, \"to\": \"cheap\" }\n  ]\n}\n";
  for (std::size_t at = 2; at + 2 < good.size(); ++at) {
    for (const std::string what : {"\x01", "\xff", "\"", "cut"}) {
      if (what == good.substr(at, 1)) continue;
      std::string bad = good;
      what == "cut" ? bad.resize(at) : (void)bad.replace(at, 1, what);
      const std::vector<std::string> found = json_errors(bad);
      INFO(bad);
      REQUIRE_FALSE(found.empty());
      CHECK_FALSE(found.front().starts_with("1:1 "));
    }
  }
}

TEST_CASE("what is no text at all, or a string without end, is reported where it stands") {
  CHECK(json_errors("{\n  \"rules\": [],\n  \"alias\": { \"a\": \"sim,\xff\" } }") ==
        std::vector<std::string>{"3:24 not valid JSON: the body is not valid UTF-8"});
  CHECK(json_errors("{\n  \"rules\": [],\n  \"alias: { \"a\": \"sim,x\" }\n}") ==
        std::vector<std::string>{"3:24 not valid JSON: the body is not valid JSON: a string is not closed"});
  CHECK(json_errors("{\n  \"rules\": [],\n  \"ali\\\"as") ==
        std::vector<std::string>{"3:3 not valid JSON: the body is not valid JSON: a string is not closed"});
}
