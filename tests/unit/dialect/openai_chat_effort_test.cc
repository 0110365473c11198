#include <catch2/catch.hpp>

#include "dialect/dialect.h"

using namespace ccrules;

namespace {

std::string written(const chat::Request& request, const dialect::Capabilities& target,
                    chat::LossNotes& losses) {
  const auto body = dialect::openai_chat().write_request(request, target, losses);
  REQUIRE(body.ok());
  return *body;
}

}  // namespace

TEST_CASE("G-35: a model that takes tools only without reasoning is told so, whatever was asked for") {
  chat::Request request;
  request.model = "claude-opus-5-5";
  request.messages.push_back({});
  chat::Block hi;
  hi.value.emplace<chat::Text>().text = "hi";
  request.messages.back().blocks.push_back(hi);
  dialect::Capabilities target;
  target.model = "gpt-6.1-sol";
  target.tools_need_no_effort = true;
  chat::LossNotes losses;
  CHECK(written(request, target, losses).find("reasoning_effort") == std::string::npos);
  request.tools.edit().emplace_back().name = "Read";
  CHECK(written(request, target, losses).find(R"("reasoning_effort":"none")") != std::string::npos);
  request.effort = "high";
  CHECK(written(request, target, losses).find(R"("reasoning_effort":"none")") != std::string::npos);
  CHECK_FALSE(losses.empty());
}
