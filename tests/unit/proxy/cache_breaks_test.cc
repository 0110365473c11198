#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "core/limits.h"
#include "proxy/cache_breaks.h"

using namespace ccrules;
using namespace ccrules::proxy;

namespace {

constexpr std::int64_t kMinuteUs = 60'000'000;
constexpr std::int64_t kNowUs = 1'790'000'000'000'000;

struct Prompt {
  std::string tools = R"([{"name":"a"},{"name":"b"}])";
  std::string attribution = R"("x-anthropic-billing-header: cc_version=2.1;")";
  std::string system = R"("You help.")";
};

/// One agent of a session that talks to one model.
struct Talk {
  CacheBreaks breaks;
  rules::Identity who;
  rules::Target target{"anthropic", "claude-sonnet-5-5"};
  std::int64_t now_us = kNowUs;

  Talk() { who.session = "s-1"; }

  std::optional<CacheBreaks::Break> take(const Prompt& prompt, std::int64_t was_read, std::int64_t written, std::int64_t written_1h = 0) {
    return take_since(now_us, prompt, was_read, written, written_1h);
  }
  std::optional<CacheBreaks::Break> take_since(std::int64_t arrived_us, const Prompt& prompt, std::int64_t was_read, std::int64_t written,
                                               std::int64_t written_1h = 0) {
    chat::Usage usage;
    usage.cache_read_tokens = was_read;
    usage.cache_write_tokens = written + written_1h;
    if (written_1h > 0) usage.cache_write_1h_tokens = written_1h;
    const std::string body = R"({"model":"m","tools":)" + prompt.tools + R"(,"messages":[]})";
    chat::Outline outline;
    outline.tools = 2;
    outline.system_json = {prompt.attribution, prompt.system};
    return breaks.answered({who, target, usage, arrived_us, now_us}, outline, body);
  }
};

/// Why the cache of a first prompt is not read by a second one, `after_us` later.
std::string cause(const Prompt& second, std::int64_t after_us = kMinuteUs) {
  Talk talk;
  CHECK_FALSE(talk.take({}, 0, 10'000).has_value());
  talk.now_us += after_us;
  const auto found = talk.take(second, 0, 10'500);
  if (!found) return {};
  CHECK(found->tokens == 10'000);
  return break_cause_name(found->cause);
}

}  // namespace

TEST_CASE("what broke a prompt cache is told: tools, the attribution line, the system prompt, time, or the messages") {
  Prompt prompt;
  CHECK(cause(prompt) == "early messages changed");
  prompt.system = R"("You help at noon.")";
  CHECK(cause(prompt) == "system changed");
  prompt.attribution = R"("x-anthropic-billing-header: cc_version=2.2;")";
  CHECK(cause(prompt) == "attribution line");
  prompt.tools = R"([{"name":"b"},{"name":"a"}])";
  CHECK(cause(prompt) == "tools reordered");
  prompt.tools = R"([{"name":"b"},{"name":"c"}])";
  CHECK(cause(prompt) == "tools changed");
  CHECK(cause(prompt, 5 * kMinuteUs) == "expired");
  prompt = {};
  prompt.attribution = R"("Now without it.")";
  CHECK(cause(prompt) == "attribution line");
}

TEST_CASE("a prompt cache that is read, or mostly, is not broken, and each use renews it") {
  Talk talk;
  CHECK_FALSE(talk.take({}, 0, 10'000).has_value());
  for (std::int64_t held = 10'000; held < 14'000; held += 500) {
    talk.now_us += 4 * kMinuteUs;
    CHECK_FALSE(talk.take({}, held, 500).has_value());
  }
  CHECK_FALSE(talk.take({}, 12'000, 2500).has_value());  // an attachment at the end is gone
  CHECK_FALSE(talk.take({}, 4000, 900).has_value());     // a summary in place of the history
  CHECK_FALSE(talk.take({}, 0, 0).has_value());          // nothing is cached at all
  CHECK_FALSE(talk.take({}, 4900, 0).has_value());
  CHECK(talk.take({}, 0, 4900).has_value());
}

TEST_CASE("a prompt cache that was written for an hour expires after an hour without use") {
  for (const std::int64_t minutes : {59, 60}) {
    Talk talk;
    CHECK_FALSE(talk.take({}, 0, 0, 10'000).has_value());
    talk.now_us += 30 * kMinuteUs;
    CHECK_FALSE(talk.take({}, 10'000, 200).has_value());
    talk.now_us += minutes * kMinuteUs;
    const auto found = talk.take({}, 0, 10'200);
    REQUIRE(found.has_value());
    CHECK(found->cause == (minutes < 60 ? BreakCause::kMessages : BreakCause::kExpired));
  }
}

TEST_CASE("another session, agent, kind of request or target has a prompt cache of its own") {
  Talk talk;
  CHECK_FALSE(talk.take({}, 0, 10'000).has_value());
  for (std::string* part : {&talk.who.agent, &talk.who.agent_id, &talk.who.request_class, &talk.who.session, &talk.target.provider,
                            &talk.target.model}) {
    *part += "x";
    CHECK_FALSE(talk.take({}, 0, 10'000).has_value());
    CHECK(talk.take({}, 0, 10'000).has_value());
  }
  talk.who.session.clear();
  CHECK_FALSE(talk.take({}, 0, 10'000).has_value());
  CHECK_FALSE(talk.take({}, 0, 10'000).has_value());
}

TEST_CASE("requests at the same time both write to the prompt cache: neither has broken it") {
  Talk talk;
  talk.now_us += kMinuteUs;
  CHECK_FALSE(talk.take_since(kNowUs, {}, 0, 10'000).has_value());
  talk.now_us += kMinuteUs;
  CHECK_FALSE(talk.take_since(kNowUs + 1, {}, 0, 10'100).has_value());
}

TEST_CASE("prompt caches whose prefix is remembered are bounded, the cold ones go first") {
  Talk talk;
  CHECK_FALSE(talk.take({}, 0, 1000).has_value());
  for (std::size_t i = 1; i < limits::kWarmKeys; ++i) {
    talk.who.session = "s" + std::to_string(i);
    (void)talk.take({}, 0, 1000);
  }
  talk.now_us += 4 * kMinuteUs;
  talk.who.session = "s7";
  CHECK_FALSE(talk.take({}, 1000, 0).has_value());
  talk.now_us += 2 * kMinuteUs;
  talk.who.session = "new";
  CHECK_FALSE(talk.take({}, 0, 1000).has_value());
  talk.who.session = "s8";  // forgotten
  CHECK_FALSE(talk.take({}, 0, 1000).has_value());
  talk.who.session = "s7";
  CHECK(talk.take({}, 0, 1000).has_value());
}
