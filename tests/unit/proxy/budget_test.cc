#include "proxy/budget.h"

#include <limits>

#include <catch2/catch.hpp>

#include "ledger/cost.h"
#include "ledger/record.h"
#include "proxy/rate_limit.h"

using namespace ccrules;
using namespace ccrules::proxy;
using Catch::Matchers::Contains;

namespace {

constexpr std::int64_t kUsd = 1'000'000'000;
constexpr std::int64_t kNowUs = 1'795'087'800'000'000;  // 2026-11-19T11:30:00Z

config::Budget budget(std::string by, std::string key, std::int64_t usd, std::string per = "day", bool hard = true) {
  config::Budget budget;
  budget.by = std::move(by);
  budget.key = std::move(key);
  budget.nanousd = usd * kUsd;
  budget.per = std::move(per);
  budget.hard = hard;
  return budget;
}

ledger::Record row(std::string project, std::int64_t nanousd) {
  ledger::Record row;
  row.at_us = kNowUs;
  row.project = std::move(project);
  row.cost_nanousd = nanousd;
  return row;
}

std::string text(const std::vector<ledger::Cap>& caps) {
  std::string text;
  for (const ledger::Cap& cap : caps) {
    text += cap.by + ":" + cap.key + " " + std::to_string(cap.nanousd / kUsd) + " span " + std::to_string(static_cast<int>(cap.span)) + "\n";
  }
  return text;
}

}  // namespace

TEST_CASE("a request falls under everybody's budget, its own and those that each has") {
  config::Snapshot config;
  config.budgets = {budget("", "", 100, "month"), budget("project", "/srv/web", 5), budget("project", "/srv/api", 6),
                    budget("session", "", 1, "hour"), budget("user", "", 7), budget("project", "", 3),
                    budget("model", "claude-a", 2, "week", false)};
  ledger::Record who;
  who.project = "/srv/web";
  who.session = "s-1";
  who.requested_model = "claude-a";
  CHECK(text(caps_for(config, who, BudgetMode::kHard)) == ": 100 span 3\nsession:s-1 1 span 0\nproject:/srv/web 3 span 1\n");
  CHECK(text(caps_for(config, who, BudgetMode::kAll)) ==
        ": 100 span 3\nsession:s-1 1 span 0\nproject:/srv/web 3 span 1\nmodel:claude-a 2 span 2\n");
  who.payer = "project:/srv/api";
  CHECK(text(caps_for(config, who, BudgetMode::kHard)) == ": 100 span 3\nsession:s-1 1 span 0\nproject:/srv/api 3 span 1\n");
  CHECK(text(caps_of(config, "user", "ann")) == "user:ann 7 span 1\n");
  CHECK(caps_of(config, "client", "x").empty());
}

TEST_CASE("a tag without a value means each value of it, every one with a budget and a rate limit of its own") {
  config::Snapshot config;
  config.budgets = {budget("tag", "run", 5), budget("tag", "team=core", 7), budget("tag", "", 9, "hour")};
  config::RateLimit& limit = config.rate_limits.emplace_back();
  limit.by = "tag";
  limit.key = "run";
  limit.requests = 1;
  ledger::Record who;
  who.tags_json = R"({"run":"42","runs":"1","team":"core=x"})";
  CHECK(text(caps_for(config, who, BudgetMode::kHard)) ==
        "tag:run=42 5 span 1\ntag:run=42 9 span 0\ntag:runs=1 9 span 0\ntag:team=core=x 9 span 0\n");
  const std::vector<RateRule> rates = rates_for(config, who);
  REQUIRE(rates.size() == 1);
  CHECK(rates[0].whose() == "tag 'run=42'");
  who.tags_json = R"({"team":"core"})";
  CHECK(text(caps_for(config, who, BudgetMode::kHard)) == "tag:team=core 7 span 1\ntag:team=core 9 span 0\n");
  CHECK(rates_for(config, who).empty());
  CHECK(text(caps_of(config, "tag", "run=43")) == "tag:run=43 5 span 1\ntag:run=43 9 span 0\n");
  CHECK(named_in(config.budgets) == std::vector<ledger::Spend::Name>{{"tag", "team=core"}});
}

TEST_CASE("what is set aside counts as spent until it is given back") {
  ledger::Spend spend;
  const std::vector<ledger::Cap> caps = {{"project", "web", ledger::Span::kDay, 10 * kUsd}};
  http::Headers headers;
  auto first = reserve(spend, caps, 6 * kUsd, kNowUs, headers);
  REQUIRE(first.ok());
  CHECK(spend.left_nanousd(caps[0], kNowUs) == 4 * kUsd);
  CHECK_FALSE(reserve(spend, caps, 5 * kUsd, kNowUs, headers).ok());
  {
    const auto second = reserve(spend, caps, 4 * kUsd, kNowUs, headers);
    CHECK(second.ok());
    CHECK(spend.left_nanousd(caps[0], kNowUs) == 0);
  }
  spend.add(row("web", 5 * kUsd));
  first->release();
  first->release();
  CHECK(spend.left_nanousd(caps[0], kNowUs) == 5 * kUsd);
  const auto third = reserve(spend, caps, 5 * kUsd, kNowUs, headers);
  CHECK(third.ok());
  CHECK(reserve(spend, caps, 0, kNowUs, headers).ok());  // what costs nothing needs no room
  CHECK(reserve(spend, {}, std::nullopt, kNowUs, headers).ok());
}

TEST_CASE("a refusal says which budget, until when, and what to do, in words and in headers") {
  ledger::Spend spend;
  const std::vector<ledger::Cap> caps = {{"project", "web", ledger::Span::kDay, 10 * kUsd}};
  http::Headers headers;
  const auto first = reserve(spend, caps, 5 * kUsd, kNowUs, headers);
  REQUIRE(first.ok());
  const auto refused = reserve(spend, caps, 6 * kUsd, kNowUs, headers);
  REQUIRE_FALSE(refused.ok());
  const Error& error = refused.error();
  CHECK(error.http_status == 429);
  CHECK(error.should_retry_false);
  CHECK(error.retry_after_ms == 12LL * 3600 * 1000 + 30 * 60 * 1000);
  CHECK_THAT(error.message, Contains("the daily budget of project 'web' ($10.00)") && Contains("751 minutes"));
  CHECK(headers.get("anthropic-ratelimit-unified-status") == "rejected");
  CHECK(headers.get("anthropic-ratelimit-unified-overage-period") == "daily");
  CHECK(headers.get("anthropic-ratelimit-unified-reset") == "1795132800");
  CHECK_FALSE(headers.has("anthropic-ratelimit-unified-representative-claim"));
  const auto unknown = reserve(spend, caps, std::nullopt, kNowUs, headers);
  REQUIRE_FALSE(unknown.ok());
  CHECK_THAT(unknown.error().message, Contains("price is not known"));
}

TEST_CASE("the worst case is all output asked for, and a prompt that is written to the cache, at the dearest target") {
  config::Snapshot config;
  config::Price price;
  price.model = "m";
  price.rates.input_picousd = 1'000'000;    // $1 per million
  price.rates.output_picousd = 10'000'000;  // $10
  price.rates.cache_write_5m_picousd = 1'000'000;
  price.rates.cache_write_1h_picousd = 2'000'000;
  config.prices = {price};
  chat::Outline outline;
  rules::Decision decision;
  decision.targets = {{"x", "m"}};
  MostBilled most;
  most.prompt.text_tokens = 1101;
  const auto worst = [&] { return worst_case_nanousd(decision.targets, decision, outline, most, config); };
  CHECK(worst() == 2 * 1101 * 1000 + 32000 * 10'000);
  outline.max_tokens = 100;
  CHECK(worst() == 2 * 1101 * 1000 + 100 * 10'000);
  most.kept_an_hour = false;
  CHECK(worst() == 1101 * 1000 + 100 * 10'000);
  most.kept_an_hour = true;
  most.closely = {{{"x", "other"}, 5}, {{"x", "m"}, 101}};
  CHECK(worst() == 2 * 101 * 1000 + 100 * 10'000);
  most.closely.clear();
  most.choices = 3;
  CHECK(worst() == 2 * 1101 * 1000 + 3 * 100 * 10'000);
  outline.max_tokens = std::numeric_limits<std::int64_t>::max();  // a hostile number does not run over
  most.choices = 128;
  CHECK(worst().value_or(0) > 1'000'000'000'000);
  most.choices = 1;
  outline.max_tokens = 100;
  rules::FieldEdit edit;
  edit.field = "max_tokens";
  edit.kind = rules::FieldEdit::Kind::kAtMost;
  edit.value_json = "50";
  decision.edits = {edit};
  CHECK(worst() == 2 * 1101 * 1000 + 50 * 10'000);
  decision.edits.front().kind = rules::FieldEdit::Kind::kAtLeast;
  decision.edits.front().value_json = "200";
  CHECK(worst() == 2 * 1101 * 1000 + 200 * 10'000);
  decision.edits.front().kind = rules::FieldEdit::Kind::kOneOf;
  decision.edits.front().value_json = "[300,400]";
  CHECK(worst() == 2 * 1101 * 1000 + 300 * 10'000);
  decision.edits.front().value_json = "[300,100]";
  CHECK(worst() == 2 * 1101 * 1000 + 100 * 10'000);
  decision.targets.push_back({"x", "nobody-knows"});
  CHECK_FALSE(worst().has_value());
}

TEST_CASE("the worst case is what budgets count for any way of caching the prompt, whichever rates are missing") {
  using Rate = std::optional<std::int64_t> config::Rates::*;
  constexpr Rate kCaching[] = {&config::Rates::cache_read_picousd, &config::Rates::cache_write_5m_picousd, &config::Rates::cache_write_1h_picousd};
  constexpr std::int64_t kPicousd[] = {1'500'000, 3'750'000, 6'000'000};
  constexpr std::int64_t kTokens = 1000;
  for (unsigned known = 0; known < 8; ++known) {
    config::Snapshot config;
    config::Price price;
    price.model = "m";
    price.rates.input_picousd = 1'000'000;
    price.rates.output_picousd = 10'000'000;
    for (std::size_t i = 0; i < std::size(kCaching); ++i) {
      if ((known >> i & 1u) != 0) price.rates.*kCaching[i] = kPicousd[i];
    }
    config.prices = {price};
    chat::Outline outline;
    outline.max_tokens = 100;
    rules::Decision decision;
    decision.targets = {{"x", "m"}};
    MostBilled most;
    most.prompt.text_tokens = kTokens;
    const auto worst = worst_case_nanousd(decision.targets, decision, outline, most, config);
    REQUIRE(worst.has_value());
    for (int way = 0; way < 4; ++way) {
      CAPTURE(known, way);
      chat::Usage usage;
      usage.output_tokens = 100;
      (way == 0 ? usage.input_tokens : way == 1 ? usage.cache_read_tokens : usage.cache_write_tokens) = kTokens;
      if (way == 3) usage.cache_write_1h_tokens = kTokens;
      CHECK(*worst >= ledger::cost_range(usage, "x", "m", config).most_nanousd.value_or(0));
    }
  }
}

TEST_CASE("the worst case is at the dearest tier that has a price and in which the request may be served") {
  config::Snapshot config;
  const auto price_of = [](std::string model, std::int64_t output_picousd) {
    config::Price price;
    price.model = std::move(model);
    price.rates.output_picousd = output_picousd;
    return price;
  };
  config.prices = {price_of("m", 10'000'000), price_of("m@flex", 5'000'000), price_of("m@priority", 20'000'000), price_of("x,m*@fast", 60'000'000),
                   price_of("y,m@slow", 90'000'000)};
  config.prices.front().rates.input_picousd = 1'000'000;
  chat::Outline outline;
  outline.max_tokens = 100;
  rules::Decision decision;
  decision.targets = {{"x", "m"}};
  MostBilled most;
  most.prompt.text_tokens = 1000;
  const auto output_nanousd = [&] { return *worst_case_nanousd(decision.targets, decision, outline, most, config) - 1000 * 1000; };
  CHECK(output_nanousd() == 100 * 20'000);  // where nothing is said, the project's settings decide
  most.prompt.standard_tier = true;
  CHECK(output_nanousd() == 100 * 10'000);
  most.prompt.names_speed = true;
  CHECK(output_nanousd() == 100 * 60'000);
  most.prompt = {};
  most.prompt.text_tokens = 1000;
  config.prices.resize(2);  // of a cheaper one alone the standard one is the worst: it may be full
  CHECK(output_nanousd() == 100 * 10'000);
}

TEST_CASE("the worst case has each run that a provider may add by itself, at the dearest model that it may take") {
  config::Snapshot config;
  const auto add_price = [&](std::string model, std::int64_t picousd) {
    config::Price price;
    price.model = std::move(model);
    price.rates.input_picousd = picousd;
    price.rates.output_picousd = picousd;
    config.prices.push_back(price);
  };
  add_price("small", 1000);
  add_price("large", 5000);
  add_price("claude-next", 1000);
  chat::Outline outline;
  outline.max_tokens = 10;
  rules::Decision decision;
  decision.targets = {{"x", "small"}};
  MostBilled most;
  most.prompt.text_tokens = 90;
  const auto worst = [&] { return worst_case_nanousd(decision.targets, decision, outline, most, config); };
  CHECK(worst() == 100);
  most.prompt.runs = 2;
  CHECK(worst() == 200);
  most.prompt.other_models = {"nobody-knows"};
  CHECK(worst() == 200);
  most.prompt.other_models = {"large", "nobody-knows"};
  CHECK(worst() == 1000);
  most.closely = {{{"x", "small"}, 10}};  // counted for the target, not for the other
  CHECK(worst() == 1000);
  most.prompt.other_output_tokens = 110;
  CHECK(worst() == 2000);
  most.prompt.runs = std::numeric_limits<std::int64_t>::max();  // nobody sends so many, and they do not run over
  CHECK(worst() == std::numeric_limits<std::int64_t>::max());
  most = {};
  most.prompt.images = 1;
  decision.targets = {{"x", "claude-next"}};
  const auto alone = worst();
  most.prompt.other_models = {"large"};  // takes pictures as larger ones
  CHECK(worst() > 5 * *alone);
}

TEST_CASE("what gives no text needs no price for it") {
  config::Snapshot config;
  config::Price price;
  price.model = "embed";
  price.rates.input_picousd = 1'000'000;
  config.prices = {price};
  const chat::Outline outline;
  rules::Decision decision;
  decision.targets = {{"x", "embed"}};
  MostBilled most;
  most.prompt.text_tokens = 500;
  CHECK_FALSE(worst_case_nanousd(decision.targets, decision, outline, most, config).has_value());
  most.choices = 0;
  CHECK(worst_case_nanousd(decision.targets, decision, outline, most, config) == 500'000);
}

TEST_CASE("an answer that uses up a budget says so in the headers that clients show") {
  ledger::Spend spend;
  const std::vector<ledger::Cap> caps = {{"project", "web", ledger::Span::kDay, 10 * kUsd}, {"", "", ledger::Span::kMonth, 100 * kUsd}};
  spend.add(row("web", 7 * kUsd));
  http::Headers quiet;
  warn_of_budgets(spend, caps, kNowUs, quiet);
  CHECK(quiet.get("anthropic-ratelimit-unified-status") == "allowed");
  CHECK(quiet.get("anthropic-ratelimit-unified-overage-utilization") == "0.700");
  CHECK_FALSE(quiet.has("anthropic-ratelimit-unified-overage-surpassed-threshold"));
  http::Headers theirs;
  theirs.add("anthropic-ratelimit-unified-status", "allowed_warning");
  warn_of_budgets(spend, caps, kNowUs, theirs);
  CHECK(theirs.size() == 1);
  http::Headers none;
  warn_of_budgets(spend, {}, kNowUs, none);
  CHECK(none.size() == 0);
  spend.add(row("web", kUsd));
  http::Headers headers;
  warn_of_budgets(spend, caps, kNowUs, headers);
  CHECK(headers.get("anthropic-ratelimit-unified-status") == "allowed_warning");
  CHECK(headers.get("anthropic-ratelimit-unified-overage-utilization") == "0.800");
  CHECK(headers.get("anthropic-ratelimit-unified-overage-surpassed-threshold") == "0.75");
  CHECK(headers.get("anthropic-ratelimit-unified-overage-period") == "daily");
  spend.add(row("web", 20 * kUsd));
  http::Headers over;
  warn_of_budgets(spend, caps, kNowUs, over);
  CHECK(over.get("anthropic-ratelimit-unified-overage-utilization") == "1");
  CHECK(over.get("anthropic-ratelimit-unified-overage-surpassed-threshold") == "0.95");
}

TEST_CASE("a budget that never has room for a request names no time to come again") {
  ledger::Spend spend;
  http::Headers none;
  const auto nothing = reserve(spend, {{"project", "web", ledger::Span::kDay, 0}}, kUsd, kNowUs, none);
  REQUIRE_FALSE(nothing.ok());
  CHECK(nothing.error().message ==
        "the daily budget of project 'web' ($0.00) allows nothing that costs money. Choose a model that costs nothing, or raise `budgets` "
        "in ccrules.json");
  CHECK(nothing.error().retry_after_ms == -1);
  CHECK(nothing.error().should_retry_false);
  CHECK(none.get("anthropic-ratelimit-unified-status") == "rejected");
  CHECK_FALSE(none.has("anthropic-ratelimit-unified-reset"));
  CHECK_FALSE(none.has("anthropic-ratelimit-unified-overage-reset"));
  http::Headers small;
  const auto too_dear = reserve(spend, {{"project", "web", ledger::Span::kDay, 10 * kUsd}}, 11 * kUsd, kNowUs, small);
  REQUIRE_FALSE(too_dear.ok());
  CHECK(too_dear.error().message ==
        "the daily budget of project 'web' ($10.00) is less than this request may cost. Ask for less output, choose a cheaper model, or "
        "raise `budgets` in ccrules.json");
  CHECK(too_dear.error().retry_after_ms == -1);
  CHECK_FALSE(small.has("anthropic-ratelimit-unified-reset"));
}

TEST_CASE("a budget for all time says no time at which it is free again") {
  ledger::Spend spend;
  http::Headers headers;
  const std::vector<ledger::Cap> caps = {{"", "", ledger::Span::kTotal, kUsd}};
  const auto first = reserve(spend, caps, kUsd, kNowUs, headers);
  REQUIRE(first.ok());
  const auto refused = reserve(spend, caps, kUsd, kNowUs, headers);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().retry_after_ms == -1);
  CHECK_THAT(refused.error().message, Contains("the total budget for all requests ($1.00) has no room for this request. Ask"));
  CHECK_FALSE(headers.has("anthropic-ratelimit-unified-reset"));
}

TEST_CASE("a reservation grows by what there is room for, and gives back all of it") {
  ledger::Spend spend;
  const std::vector<ledger::Cap> caps = {{"project", "web", ledger::Span::kDay, 10 * kUsd}};
  http::Headers headers;
  auto reservation = reserve(spend, caps, 6 * kUsd, kNowUs, headers);
  REQUIRE(reservation.ok());
  CHECK(reservation->grow(5 * kUsd, kNowUs).has_value());
  CHECK_FALSE(reservation->grow(4 * kUsd, kNowUs).has_value());
  CHECK(reservation->nanousd() == 10 * kUsd);
  CHECK(spend.left_nanousd(caps[0], kNowUs) == 0);
  reservation->release();
  CHECK(spend.left_nanousd(caps[0], kNowUs) == 10 * kUsd);
}
