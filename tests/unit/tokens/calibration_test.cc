#include "tokens/calibration.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <string>

#include <catch2/catch.hpp>

#include "core/limits.h"
#include "tokens/tokenizer.h"

using namespace ccrules;
using tokens::Calibration;
using tokens::Grade;

namespace {

const std::string kModel = "claude-opus-5-5";
const std::string kTarget = "anthropic," + kModel;

/// A coding session: every turn adds what the model said and what a tool gave back.
class Session {
 public:
  explicit Session(unsigned seed) : random_(seed) { add("user", 400); }
  void turn() {
    add("assistant", 100 + random_() % 300);
    add("user", 300 + random_() % 1500);
  }
  [[nodiscard]] std::string body() const {
    return R"({"model":")" + kModel + R"(","messages":[)" + messages_ + "]}";
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  void add(const char* role, std::size_t words) {
    static const char* const kWords[] = {"const", "return", "value",       "the", "of", "request_id",
                                         "0x3f",  "==",     "std::vector", "{",   "}",  "HTTPServer"};
    std::string said;
    while (words-- > 0) said += std::string(kWords[random_() % 12]) + (random_() % 9 == 0 ? "\\n  " : " ");
    messages_ += (messages_.empty() ? "" : ",") + (R"({"role":")" + std::string(role) + R"(","content":")") +
                 said + "\"}";
    text_ += said;
  }
  std::mt19937 random_;
  std::string messages_, text_;
};

/// The provider's own tokenizer, which we do not know: about 1.7 of its tokens to one of o200k, and a frame.
std::int64_t hidden_count(const Session& session) {
  return 900 + static_cast<std::int64_t>(
                   1.7 * static_cast<double>(
                             tokens::Tokenizer::local(tokens::Encoding::kCl100k).count(session.text())));
}

}  // namespace

TEST_CASE("over thirty turns an anchored count stays within one percent of a tokenizer nobody knows") {
  std::vector<double> errors;
  for (unsigned seed = 1; seed <= 5; ++seed) {
    Calibration calibration;
    Session session(seed);
    for (int turn = 0; turn < 30; ++turn) {
      auto prompt = tokens::read_prompt(session.body());
      REQUIRE(prompt.ok());
      const auto chain = tokens::chain_of(*prompt);
      const tokens::Count count = tokens::best_count(*prompt, kTarget, chain, calibration);
      const std::int64_t billed = hidden_count(session);
      CHECK(count.grade == (turn == 0 ? Grade::kEstimated : Grade::kAnchored));
      if (turn >= 5)
        errors.push_back(std::abs(static_cast<double>(count.tokens) / static_cast<double>(billed) - 1));
      calibration.learn(tokens::ratio_key(kTarget, *prompt), prompt->tokens, billed);
      calibration.keep(kTarget, chain.back(), {billed, 0});
      session.turn();
    }
  }
  std::sort(errors.begin(), errors.end());
  CHECK(errors[errors.size() * 95 / 100] < 0.01);
}

TEST_CASE("a ratio is the median of what was billed, clamped, and one liar does not move it") {
  Calibration calibration;
  CHECK(calibration.ratio("m").ratio == 1);
  CHECK(calibration.ratio("m").p95 < 0);
  for (int i = 0; i < 40; ++i) calibration.learn("m", 10'000, 12'000);
  calibration.learn("m", 10'000, 900'000'000);  // no honest count
  calibration.learn("m", 10'000, 35'000);
  CHECK(calibration.ratio("m").ratio == Approx(1.2).epsilon(0.02));
  CHECK(calibration.ratio("m").p95 >= 0);
  CHECK(calibration.ratio("m").p95 < 0.03);
  for (int i = 0; i < 80; ++i) calibration.learn("n", 10'000, 39'000);
  CHECK(calibration.ratio("n").ratio == 2);
}

TEST_CASE("what a model thought before its answer is part of the next prompt only where its server keeps it") {
  const auto counted = [](const std::string& model) {
    Calibration calibration;
    const std::string target = "p," + model;
    const std::string first = R"({"model":")" + model + R"(","tools":[{"name":"f"}],"messages":[{"role":"user","content":"Why is the sky blue?"})";
    auto prompt = tokens::read_prompt(first + "]}");
    REQUIRE(prompt.ok());
    calibration.keep(target, tokens::chain_of(*prompt).back(), {1000, 8000});  // of which the text is the least
    auto next = tokens::read_prompt(first + R"(,{"role":"assistant","content":"It scatters."},{"role":"user","content":"And red?"}]})");
    REQUIRE(next.ok());
    return tokens::best_count(*next, target, tokens::chain_of(*next), calibration);
  };
  for (const char* model : {"o3-mini", "deepseek-r1", "gemini-3.8-flash", "claude-haiku-4-5"}) {
    INFO(model);
    CHECK(counted(model).grade == Grade::kAnchored);
    CHECK(counted(model).tokens < 1050);
  }
  CHECK(counted("claude-opus-5-5").tokens >= 9000);
}

TEST_CASE("the provider that answered last is known for a model however many models are asked for") {
  Calibration calibration;
  for (std::size_t i = 0; i < limits::kRatios; ++i) calibration.learn("p,m" + std::to_string(i), 1000, 1000);
  calibration.learn("q,m0", 1000, 1000);
  CHECK(calibration.usual_target("m0") == "q,m0");
  CHECK(calibration.usual_target("m1") == "p,m1");  // m0 was there: nobody had to go
  CHECK(calibration.usual_target("m2") == "p,m2");
}

TEST_CASE("an anchor of another model or another beginning is not used") {
  Calibration calibration;
  Session session(3);
  auto prompt = tokens::read_prompt(session.body());
  REQUIRE(prompt.ok());
  calibration.keep("other," + kModel, tokens::chain_of(*prompt).back(), {5, 0});
  const auto chain = tokens::chain_of(*prompt);
  CHECK(tokens::best_count(*prompt, kTarget, chain, calibration).grade == Grade::kEstimated);
  calibration.keep(kTarget, chain.back(), {12'345, 0});
  const tokens::Count known = tokens::best_count(*prompt, kTarget, chain, calibration);
  CHECK(known.grade == Grade::kAnchored);
  CHECK(known.tokens == 12'345);
}

TEST_CASE("a growing session's count does not fall back over a threshold by its own error") {
  Calibration calibration;
  CHECK(calibration.steady("s", {60'100, Grade::kEstimated, 9000}, 10) == 60'100);
  CHECK(calibration.steady("s", {59'500, Grade::kAnchored, 200}, 12) == 60'100);
  CHECK(calibration.steady("s", {61'000, Grade::kAnchored, 200}, 14) == 61'000);
  CHECK(calibration.steady("s", {20'000, Grade::kAnchored, 200}, 16) == 20'000);  // compacted
  CHECK(calibration.steady("s", {19'900, Grade::kAnchored, 200}, 4) == 19'900);   // another conversation
  CHECK(calibration.steady("", {10, Grade::kEstimated, 5}, 1) == 10);
}

TEST_CASE("a prompt is counted for the provider that answered for its model last") {
  Calibration calibration;
  CHECK(calibration.usual_target("m") == ",m");
  calibration.learn("anthropic,m #tools", 1000, 1100);
  CHECK(calibration.usual_target("m") == "anthropic,m");
  for (int i = 0; i < 30; ++i) calibration.learn("vertex,m", 1000, 1500);
  CHECK(calibration.usual_target("m") == "vertex,m");
  CHECK(calibration.ratio("vertex,m").ratio > 1.4);
  CHECK(calibration.ratio("anthropic,m").ratio == 1);
}
