#include <limits>

#include <catch2/catch.hpp>

#include "core/json.h"
#include "dialect/dialect.h"
#include "rules/fixed_counters.h"
#include "support.h"

using namespace ccrules;
using namespace ccrules::rules;
using ccrules::rules::test::engine;
using ccrules::rules::test::Sample;

namespace {

/// Counters that know the scopes they are asked for.
class Scopes final : public Counters {
 public:
  [[nodiscard]] std::optional<double> spend_usd(Scope scope, Period period) const override {
    if (scope.by.empty()) return period == Period::kDay ? 25 : 100;
    if (scope.by == "project" && scope.key == "/srv/web") return period == Period::kWeek ? 7 : 3;
    return std::nullopt;
  }
  [[nodiscard]] std::optional<double> budget_left_usd(Scope scope) const override {
    if (scope.by == "project" && scope.key == "web") return 0.5;
    if (scope.by == "user" && scope.key == "ann") return 2;
    return std::nullopt;
  }
  [[nodiscard]] std::optional<double> requests(Scope scope, std::chrono::milliseconds window) const override {
    if (scope.by == "session") return window == std::chrono::minutes(1) ? 61 : 500;
    return 1000;
  }
  [[nodiscard]] std::string_view health(std::string_view provider) const override {
    return provider == "anthropic" ? "down" : "ok";
  }
  [[nodiscard]] std::optional<Warmth> warm(const Target& target, std::string_view session) const override {
    if (session != "s-1") return std::nullopt;
    Warmth warmth;
    warmth.warm = target.provider == "anthropic";
    warmth.tokens = warmth.warm ? 50000 : 0;
    warmth.cost_usd = warmth.warm ? 0.25 : 0;
    return warmth;
  }
  [[nodiscard]] std::optional<Move> move(const Target& from, const Target& to, std::string_view session) const override {
    if (session != "s-1" || from.provider != "anthropic") return std::nullopt;
    Move move{std::numeric_limits<double>::infinity(), 0.5};
    if (to.provider == "openai") move.turns = 3;
    return move;
  }
};

bool holds(const std::string& when, const std::function<void(Sample&)>& change = {}) {
  INFO(when);
  auto rules = engine("alias { deep = \"anthropic,claude-opus-5-5\" }\nrule \"r\" { when = " + when + ", tag = { yes = true } }");
  Sample sample;
  const Scopes counters;
  sample.identity.project = "/srv/web";
  sample.identity.session = "s-1";
  sample.identity.user = "ann";
  sample.facts.counters = &counters;
  if (change) change(sample);
  Trace trace;
  const Decision decision = rules->decide(sample.facts, &trace);
  for (const RuleTrace& row : trace.rules) CHECK(row.error.empty());
  CHECK(decision.tags == rules->decide(sample.facts).tags);
  return decision.tags.count("yes") != 0;
}

std::string why_not(const std::string& when, bool counted = true) {
  auto rules = engine("rule \"r\" { when = " + when + ", tag = { yes = true } }");
  Sample sample;
  const Scopes counters;
  sample.identity.session = "s-1";
  if (counted) sample.facts.counters = &counters;
  Trace trace;
  rules->decide(sample.facts, &trace);
  const RuleTrace& row = trace.rules.front();
  return row.matched ? "matched" : row.failed_condition + " (is " + row.actual + ")";
}

/// The rule file in memory, zones from the machine.
class WithZones final : public Files {
 public:
  explicit WithZones(std::string text) : text_(std::move(text)) {}
  [[nodiscard]] Result<std::string> read(const std::string& path) const override {
    return path.ends_with(".lua") ? Result<std::string>(text_) : system_files().read(path);
  }
  [[nodiscard]] bool exists(const std::string& path) const override { return system_files().exists(path); }
  [[nodiscard]] std::vector<std::string> list(const std::string& path) const override { return system_files().list(path); }

 private:
  std::string text_;
};

}  // namespace

TEST_CASE("spending is known for everybody and for the request's own session, project or user") {
  CHECK(holds("{ spend_today = { gte = 25 } }"));
  CHECK_FALSE(holds("{ spend_today = { gt = 25 } }"));
  CHECK(holds("{ spend_month = 100, spend_hour = 100, spend_week = 100 }"));
  CHECK(holds(R"({ spend = { by = "project", per = "week", gte = 7 } })"));
  CHECK_FALSE(holds(R"({ spend = { by = "project", gte = 7 } })"));
  CHECK(holds(R"({ spend = { by = "all", per = "day", gt = 20, lt = 30 } })"));
  CHECK_FALSE(holds(R"({ spend = { by = "user", gte = 0 } })"));  // not known
  CHECK_FALSE(holds(R"({ spend = { by = "project", gte = 0 } })", [](Sample& s) { s.identity.project.clear(); }));
  CHECK(holds(R"({ budget_left = { scope = "project:web", lt = 1 } })"));
  CHECK(holds(R"({ budget_left = { by = "user", lt = 5 } })"));
  CHECK(holds(R"(function(req)
    return req.spend_today == 25 and req.spend("project", "week") == 7 and req.spend("project") == 3 and req.spend() == 25
      and req.budget_left("project:web") == 0.5 and req.budget_left("user") == 2 and req.budget_left("session") == nil
  end)"));
  CHECK(why_not("{ spend_today = { gte = 30 } }") == "spend_today >= 30 (is 25)");
  CHECK(why_not("{ spend_today = { gte = 30 } }", false) == "spend_today >= 30 (is absent)");
  CHECK(why_not(R"({ spend = { by = "session", per = "month", gte = 1 } })") == "spend(session, month) >= 1 (is absent)");
}

TEST_CASE("rates, health and warmth are read by what they are about") {
  CHECK(holds(R"({ rate = { key = "session", per = "1m", gt = 60 } })"));
  CHECK_FALSE(holds(R"({ rate = { key = "session", per = "1m", gt = 61 } })"));
  CHECK(holds(R"({ rate = { key = "session", per = "1h", gte = 500 } })"));
  CHECK(holds(R"({ rate = { gt = 999 } })"));  // everybody's
  CHECK(holds(R"({ health = { anthropic = "down", openai = "ok" } })"));
  CHECK(holds(R"({ health = { anthropic = { "down", "trial" } } })"));
  CHECK(holds(R"({ health = { openai = { ne = "down" } } })"));
  CHECK(holds(R"({ warm = "deep" })"));
  CHECK_FALSE(holds(R"({ warm = "openai,gpt-6" })"));
  CHECK(holds(R"({ warm = { target = "openai,gpt-6", is = false } })"));
  CHECK(holds(R"({ warm = { target = "deep", tokens = { gt = 40000 }, cost_usd = { gte = 0.25 } } })"));
  CHECK_FALSE(holds(R"({ warm = "deep" })", [](Sample& s) { s.identity.session = "s-2"; }));
  CHECK(holds(R"(function(req)
    local deep = req.warm("deep")
    return req.rate("session", "1m") == 61 and req.rate() == 1000 and req.health("anthropic") == "down"
      and deep.warm and deep.tokens == 50000 and deep.cost_usd == 0.25 and not req.warm("openai,gpt-6").warm
  end)"));
  CHECK(why_not(R"({ rate = { key = "session", per = "1m", gt = 99 } })") == "rate(session, 1m) > 99 (is 61)");
  CHECK(why_not(R"({ health = { anthropic = "ok" } })") == "health(anthropic) = \"ok\" (is \"down\")");
  CHECK(why_not(R"({ warm = "openai,gpt-6" })") == "warm(openai,gpt-6) (is false)");
}

TEST_CASE("a rule can ask after how many requests moving a session to another target has paid") {
  CHECK(holds(R"({ warm = { target = "deep", to = "openai,gpt-6", turns = { lte = 3 } } })"));
  CHECK_FALSE(holds(R"({ warm = { target = "deep", to = "openai,gpt-6", turns = { lt = 3 } } })"));
  CHECK(holds(R"({ warm = { target = "deep", to = "openai,gpt-6", is = true, tokens = 50000, move_usd = { gt = 0.4 } } })"));
  // Never is more than any number of requests.
  CHECK_FALSE(holds(R"({ warm = { target = "deep", to = "sim,x", turns = { lte = 1000000 } } })"));
  CHECK(holds(R"({ warm = { target = "deep", to = "sim,x", turns = { gt = 1000000 } } })"));
  // What is not known is neither few nor many.
  CHECK_FALSE(holds(R"({ warm = { target = "openai,gpt-6", to = "deep", turns = { lte = 3 } } })"));
  CHECK_FALSE(holds(R"({ warm = { target = "openai,gpt-6", to = "deep", turns = { gt = 3 } } })"));
  CHECK_FALSE(holds(R"({ warm = { target = "deep", to = "openai,gpt-6", turns = { lte = 3 } } })",
                    [](Sample& s) { s.identity.session = "s-2"; }));
  CHECK(holds(R"(function(req)
    local here, never, unknown = req.warm("deep", "openai,gpt-6"), req.warm("deep", "sim,x"), req.warm("openai,gpt-6", "deep")
    return here.turns == 3 and here.move_usd == 0.5 and here.warm and never.turns == math.huge
      and unknown.turns == nil and req.warm("deep").turns == nil and not pcall(req.warm, "deep", "nowhere,at-all,x")
  end)"));
  CHECK(why_not(R"({ warm = { target = "anthropic,claude-a", to = "openai,gpt-6", turns = { lte = 2 } } })") ==
        "warm(anthropic,claude-a, openai,gpt-6).turns <= 2 (is 3)");
}

TEST_CASE("rules see no credentials of the client, by no name's spelling") {
  const auto with_keys = [](Sample& s) {
    for (const char* name : {"authorization", "x-api-key", "api-key", "x-goog-api-key", "proxy-authorization", "cookie"}) s.headers[name] = "secret";
    s.headers["x-team"] = "core";
  };
  CHECK(holds(R"({ headers = { ["x-team"] = "core" } })", with_keys));
  for (const std::string name : {"authorization", "X-Api-Key", "api-key", "x-goog-api-key", "Proxy-Authorization", "Cookie"}) {
    CHECK_FALSE(holds("{ headers = { [\"" + name + "\"] = \"secret\" } }", with_keys));
    CHECK(holds("function(req) return req.headers[\"" + name + "\"] == nil end", with_keys));
  }
}

TEST_CASE("hours and days are told in the zone that is asked for") {
  const auto at = [](int hour, int minute) {
    return [hour, minute](Sample& s) { s.facts.wall_us = (20458LL * 1440 + hour * 60 + minute) * 60'000'000; };  // a Monday
  };
  CHECK(holds(R"({ time = { hour = 1, wday = 2, tz = "+02:00" } })", at(23, 30)));
  CHECK(holds(R"({ time = { hour = 23, wday = 7, tz = "-05:30" } })", at(5, 15)));
  CHECK(holds(R"(function(req) local t = req.time_in("+02:00") return t.hour == 1 and t.minute == 30 and t.wday == 2 end)", at(23, 30)));
}

TEST_CASE("a zone of the system's database knows its summer time") {
  config::Snapshot configuration = test::snapshot();
  std::vector<config::Diagnostic> diagnostics;
  std::unique_ptr<Engine> rules;
  {
    const WithZones files(R"(
rule "night" { when = { time = { from = "22:00", to = "06:00", tz = "Europe/Berlin" } }, tag = { night = true } }
rule "fn"    { when = function(req) return req.time_in("Europe/Berlin").hour == 23 end, tag = { fn = true } }
rule "other" { when = function(req) local zone = "Europe/" .. "Rome" return req.time_in(zone).hour == 23 end, tag = { other = true } })");
    rules = Engine::load(configuration, files, diagnostics);
  }  // decisions read no files
  REQUIRE(rules != nullptr);
  const auto tags = [&rules](std::int64_t utc_s) {
    Sample sample;
    sample.facts.wall_us = utc_s * 1'000'000;
    const Decision decision = rules->decide(sample.facts);
    CHECK(decision.failed_rules == std::vector<std::string>{"other"});
    return decision.tags.size();
  };
  CHECK(tags(1782939600) == 2);  // 2026-07-01T21:00:00Z: 23:00 in summer
  CHECK(tags(1782936000) == 1);  // 22:00
  CHECK(tags(1782932400) == 0);  // 21:00
  CHECK(tags(1798754400) == 2);  // 2026-12-31T22:00:00Z: 23:00 in winter
  CHECK(tags(1798750800) == 1);  // 22:00
  CHECK(tags(1798747200) == 0);  // 21:00
}

TEST_CASE("a window of an hour holds twice in the night that has it twice, and never in the night that has none") {
  std::vector<config::Diagnostic> diagnostics;
  const WithZones files(R"(
rule "two" { when = { time = { from = "02:00", to = "03:00", tz = "Europe/Berlin" } }, tag = { two = true } })");
  const std::unique_ptr<Engine> rules = Engine::load(test::snapshot(), files, diagnostics);
  REQUIRE(rules != nullptr);
  const auto minutes = [&rules](std::int64_t from_utc_s) {
    int held = 0;
    for (std::int64_t minute = 0; minute < 6 * 60; ++minute) {
      Sample sample;
      sample.facts.wall_us = (from_utc_s + 60 * minute) * 1'000'000;
      if (!rules->decide(sample.facts).tags.empty()) ++held;
    }
    return held;
  };
  CHECK(minutes(1774738800) == 0);    // from 2026-03-28T23:00:00Z: 02:00 is 03:00
  CHECK(minutes(1792882800) == 120);  // from 2026-10-24T23:00:00Z: 03:00 is 02:00 again
  CHECK(minutes(1792796400) == 60);   // the night before
}

TEST_CASE("members of the body and the messages can be read when the request is at hand") {
  std::string body = R"({"model":"claude-sonnet-5-5","max_tokens":5,"metadata":{"tier":"gold","n":3,"on":true},)"
                     R"("messages":[{"role":"user","content":"first \u0041"},)"
                     R"({"role":"assistant","content":[{"type":"text","text":"one"},{"type":"tool_use","id":"t","name":"Bash","input":{}}]},)"
                     R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"x"},{"type":"text","text":"two"},{"type":"text","text":"three"}]}]})";
  int reads = 0;
  chat::Request whole;
  const auto with_body = [&body, &whole, &reads](Sample& s) {
    s.outline = *dialect::anthropic().outline(json::padded(body));
    s.facts.body = body;
    s.facts.request = [&body, &whole, &reads]() -> const chat::Request* {
      ++reads;
      whole = *dialect::anthropic().read_request(json::padded(body));
      return &whole;
    };
  };
  CHECK(holds(R"({ body = { ["metadata.tier"] = "gold", ["metadata.n"] = { gt = 2 }, ["metadata.on"] = true } })", with_body));
  CHECK(holds(R"({ body = { ["messages.0.role"] = "user", ["messages.2.content.1.text"] = { has = "tw" } } })", with_body));
  CHECK_FALSE(holds(R"({ body = { ["metadata.tier"] = "silver" } })", with_body));
  CHECK_FALSE(holds(R"({ body = { ["metadata"] = "gold" } })", with_body));
  CHECK(holds(R"({ body = { ["metadata.other.deep"] = { present = false } } })", with_body));
  CHECK(holds(R"({ text = { first_user = "first A" } })", with_body));
  CHECK(reads == 0);
  CHECK(holds(R"(function(req)
    local m = req.messages
    return #m == 3 and m[1].role == "user" and m[1].text == "first A" and m[2].tools[1] == "Bash" and m[2].text == "one"
      and m[3].text == "two\nthree" and m[4] == nil and m[0] == nil and req.body["metadata.tier"] == "gold"
  end)", with_body));
  CHECK(reads == 2);  // once per decision
  CHECK(holds("function(req) local roles = '' for i, m in ipairs(req.messages) do roles = roles .. i .. m.role .. ' ' end "
              "return roles == '1user 2assistant 3user ' end", with_body));
  CHECK(holds("function(req) return req.body['x'] == nil end"));  // no body at hand
}

TEST_CASE("rules on a reply see why it ended, what it cost and how long it took") {
  auto rules = engine(R"(
rule "refused" { on = "response", when = { stop_reason = "refusal" }, next_fallback = true, tag = { refused = true } }
rule "slow"    { on = "response", when = { ttft_ms = { gt = 5000 }, usage = { input_tokens = { gt = 10 } } }, to = "ollama,x" }
rule "fn"      { on = "response", when = function(req) return req.usage.output_tokens == 0 and req.stop_reason == nil end, retry = true }
rule "stop"    { on = "response", when = { status = 200, provider = "openai", attempt = { gte = 3 } }, deny = { status = 503, message = "enough" } }
rule "error"   { on = "error", when = { attempt = 1 }, retry = true }
)");
  CHECK(rules->has_response_rules());
  chat::Usage usage;
  Sample sample;
  sample.facts.attempt = 1;
  sample.facts.status = 200;
  sample.facts.provider = "anthropic";
  sample.facts.usage = &usage;
  sample.facts.stop_reason = "refusal";
  Trace trace;
  AttemptDecision decision = rules->decide_response(sample.facts, &trace);
  CHECK(decision.next_fallback == true);
  CHECK(decision.moves_on());
  CHECK(decision.rule == "refused");
  CHECK(decision.tags == std::map<std::string, std::string>{{"refused", "true"}});
  CHECK_THAT(trace_json(decision, trace, "dec_1"), Catch::StartsWith(R"({"v":1,"id":"dec_1","on":"response","ruleset":")"));
  CHECK_THAT(trace_json(decision, trace, "dec_1"), Catch::Contains(R"("stop_reason":"refusal")"));
  CHECK_THAT(trace_json(decision, trace, "dec_1"), Catch::Contains(R"("next_fallback":true,"tags":{"refused":"true"})"));

  sample.facts.stop_reason = "end_turn";
  CHECK_FALSE(rules->decide_response(sample.facts).moves_on());
  usage.input_tokens = 100;
  sample.facts.ttft_ms = 6000;
  decision = rules->decide_response(sample.facts);
  REQUIRE(decision.to.has_value());
  CHECK(decision.to->provider == "ollama");
  sample.facts.stop_reason = "";
  sample.facts.ttft_ms = 10;
  usage.output_tokens = 0;
  CHECK(rules->decide_response(sample.facts).retry == true);
  sample.facts.attempt = 3;
  sample.facts.provider = "openai";
  CHECK(rules->decide_response(sample.facts).deny->status == 503);
}

TEST_CASE("cache, budget and values are slots like the others") {
  auto rules = engine(R"(
rule "no-cache" { when = { agent = "main" }, cache = false }
rule "cache"    { cache = { ttl = "2h", scope = "project", keep = { "refusal", "tool_use", "refusal" } }, budget = function(req) return "project:" .. (req.project or "none") end }
rule "values"   { set = { effort = { values = { "low", "medium" }, default = "low" } } }
)");
  Sample sample;
  Trace trace;
  Decision decision = rules->decide(sample.facts, &trace);
  REQUIRE(decision.cache.has_value());
  CHECK_FALSE(decision.cache->use);
  CHECK(decision.budget == "project:none");
  REQUIRE(decision.edits.size() == 2);
  CHECK(decision.edits[0].kind == FieldEdit::Kind::kOneOf);
  CHECK(decision.edits[0].value_json == R"(["low","medium"])");
  CHECK_THAT(trace_json(decision, trace, ""), Catch::Contains(R"("cache":{"use":false},"budget":"project:none")"));
  sample.identity.agent = "other";
  decision = rules->decide(sample.facts);
  CHECK(decision.cache->use);
  CHECK(decision.cache->ttl == std::chrono::hours(2));
  CHECK(decision.cache->scope == "project");
  CHECK(decision.cache->keep == std::vector<std::string>{"tool_use", "refusal"});
  Trace kept;
  CHECK_THAT(trace_json(rules->decide(sample.facts, &kept), kept, ""),
             Catch::Contains(R"("cache":{"use":true,"ttl_ms":7200000,"scope":"project","keep":["tool_use","refusal"]})"));
}

TEST_CASE("strict is a slot: what must not be lost, by the first rule that says something") {
  auto rules = engine(R"(
rule "tools" { when = { agent = "main" }, strict = { "tools*", "!cache_control" } }
rule "all"   { when = { agent = "other" }, strict = true }
rule "none"  { strict = function(req) return false end }
)");
  Sample sample;
  Trace trace;
  Decision decision = rules->decide(sample.facts, &trace);
  REQUIRE(decision.strict.has_value());
  CHECK(listed(*decision.strict) == "tools*, !cache_control");
  CHECK_THAT(trace_json(decision, trace, ""), Catch::Contains(R"("strict":["tools*","!cache_control"])"));
  sample.identity.agent = "other";
  CHECK(listed(*rules->decide(sample.facts).strict) == "*");
  sample.identity.agent = "third";
  decision = rules->decide(sample.facts);
  REQUIRE(decision.strict.has_value());
  CHECK(decision.strict->empty());
}

TEST_CASE("a trace holds the facts that were read and no others, and cuts long texts") {
  auto rules = engine(R"(rule "a" { when = { tokens = { gt = 5 }, text = { system = { has = "zzz" } } }, to = "sim,a" })");
  Sample sample;
  const std::string literal = "\"" + std::string(5000, 'x') + "\"";
  sample.outline.system_json = {literal};
  sample.outline.last_user_json = "\"private\"";
  Trace trace;
  rules->decide(sample.facts, &trace);
  CHECK(trace.facts_read.at("tokens") == "1200");
  CHECK(trace.facts_read.at("text.system").size() == 1024 + 5);
  CHECK(trace.facts_read.count("text.last_user") == 0);
  CHECK(trace.facts_read.count("session") == 0);
}

TEST_CASE("what functions read of one request is not what they read of the next") {
  auto rules = engine(R"(
rule "a" { when = function(req) return req.tokens > 100 and req.model == "one" end, tag = { a = "yes" } }
rule "b" { when = function(req) return req.tokens > 100 and req.effort == "high" end, tag = { b = "yes" } }
)");
  Sample sample;
  sample.outline.model = "one";
  sample.facts.tokens = 200;
  CHECK(rules->decide(sample.facts).tags == std::map<std::string, std::string>{{"a", "yes"}});
  sample.outline.effort = "high";
  CHECK(rules->decide(sample.facts).tags.size() == 2);
  sample.facts.tokens = 50;
  CHECK(rules->decide(sample.facts).tags.empty());
  sample.facts.tokens = 200;
  sample.outline.effort = {};
  sample.outline.model = "two";
  CHECK(rules->decide(sample.facts).tags.empty());
}

TEST_CASE("a function sees the target that the rules above it chose, however often it was read before") {
  auto rules = engine(R"(
rule "before" { tag = { before = function(req) return req.target_model or "none" end } }
rule "to"     { to = "sim,chosen" }
rule "after"  { tag = { after = function(req) return req.target_model end } }
)");
  Sample sample;
  for (int round = 0; round < 2; ++round) {
    const Decision decision = rules->decide(sample.facts);
    CHECK(decision.tags == std::map<std::string, std::string>{{"after", "chosen"}, {"before", "none"}});
  }
}

TEST_CASE("a trace notes what functions read, also when another one read it before") {
  auto rules = engine(R"(
rule "a" { when = function(req) return req.tokens > 100 end, tag = { a = "yes" } }
rule "b" { when = function(req) return req.tokens > 300 end, tag = { b = "yes" } }
)");
  Sample sample;
  sample.facts.tokens = 200;
  for (int round = 0; round < 2; ++round) {
    Trace trace;
    (void)rules->decide(sample.facts, &trace);
    CHECK(trace.facts_read.at("tokens") == "200");
  }
}
