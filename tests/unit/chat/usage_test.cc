#include "chat/usage.h"

#include <catch2/catch.hpp>

using namespace ccrules;

namespace {

chat::Iteration run(std::string type, std::string model, std::int64_t input, std::int64_t output) {
  chat::Iteration iteration;
  iteration.type = std::move(type);
  iteration.model = std::move(model);
  iteration.input_tokens = input;
  iteration.output_tokens = output;
  return iteration;
}

chat::Usage usage(std::int64_t input, std::int64_t output, std::vector<chat::Iteration> iterations = {}) {
  chat::Usage usage;
  usage.input_tokens = input;
  usage.output_tokens = output;
  usage.iterations = std::move(iterations);
  return usage;
}

struct Sum {
  std::int64_t input = 0, output = 0;
  bool operator==(const Sum&) const = default;
};

Sum billed(const chat::Usage& usage) {
  const chat::Usage total = usage.total();
  CHECK(total.iterations.empty());
  return {total.input_tokens.value_or(-1), total.output_tokens.value_or(-1)};
}

}  // namespace

// The numbers are those of the examples in Anthropic's documentation of each feature.

TEST_CASE("a summary written before the answer is billed beside it") {
  const chat::Usage compacted = usage(23'000, 1'000, {run("compaction", "", 180'000, 3'500), run("message", "", 23'000, 1'000)});
  CHECK(billed(compacted) == Sum{203'000, 4'500});
  CHECK(compacted.with_compaction().input_tokens == 203'000);
  // The client asked for nothing but the summary.
  CHECK(billed(usage(0, 0, {run("compaction", "", 180'000, 3'500)})) == Sum{180'000, 3'500});
  // Every response under the beta has the list.
  CHECK(billed(usage(23'000, 1'000, {run("message", "", 23'000, 1'000)})) == Sum{23'000, 1'000});
}

TEST_CASE("an advisor's tokens are billed, and told to nobody who has one price for all") {
  const chat::Usage advised = usage(1'760, 531, {run("message", "", 412, 89), run("advisor_message", "a", 823, 1'612), run("message", "", 1'348, 442)});
  CHECK(billed(advised) == Sum{1'760 + 823, 531 + 1'612});
  CHECK(advised.with_compaction() == usage(1'760, 531));
  // Until the summer of 2026 the counts had the first prompt only.
  CHECK(billed(usage(412, 531, advised.iterations)) == Sum{1'760 + 823, 531 + 1'612});
}

TEST_CASE("a model that declined before it wrote anything is not billed, one that had written is") {
  CHECK(billed(usage(412, 264, {run("message", "asked", 535, 0), run("fallback_message", "other", 412, 264)})) == Sum{412, 264});
  CHECK(billed(usage(412, 264, {run("message", "asked", 535, 7), run("fallback_message", "other", 412, 264)})) == Sum{947, 271});
  CHECK(billed(usage(412, 0, {run("message", "asked", 535, 7), run("fallback_message", "other", 412, 0)})) == Sum{535, 7});
  CHECK(billed(usage(412, 0, {run("message", "asked", 535, 0), run("fallback_message", "other", 412, 0)})) == Sum{0, 0});
  // Without a fallback, nothing written is no refusal: max_tokens 0 fills a cache.
  CHECK(billed(usage(535, 0, {run("message", "asked", 535, 0)})) == Sum{535, 0});
}

TEST_CASE("what the counts have and the list does not is billed once") {
  CHECK(billed(usage(10, 900)) == Sum{10, 900});
  CHECK(billed(usage(10, 900, {run("message", "", 10, 1)})) == Sum{10, 900});
  CHECK(billed(usage(10, 900, {run("advisor_message", "a", 5, 6)})) == Sum{15, 906});
  CHECK(billed(usage(10, 900, {run("seance", "ghost", 5, 6)})) == Sum{15, 906});
  CHECK(usage(10, 900, {run("message", "", 10, 1)}).billed().size() == 2);
}

TEST_CASE("a later list replaces an earlier one, and no list changes nothing") {
  chat::Usage stream = usage(10, 1, {run("message", "", 10, 1)});
  stream.merge(usage(10, 20));
  CHECK(stream.iterations.size() == 1);
  stream.merge(usage(10, 30, {run("compaction", "", 5, 5), run("message", "", 10, 30)}));
  CHECK(billed(stream) == Sum{15, 35});
}
