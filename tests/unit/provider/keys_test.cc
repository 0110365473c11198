#include <catch2/catch.hpp>

#include "provider/provider.h"

namespace ccrules::provider {
namespace {

TEST_CASE("what a provider says comes without its keys") {
  config::Provider provider;
  provider.api_key = "s3cret";
  provider.api_keys = {"s3cret-two"};
  CHECK(without_key("s3cret and s3cret-two are bad: s3cret", provider) == "[key] and [key] are bad: [key]");
  CHECK(without_key("nothing of it", provider) == "nothing of it");
}

TEST_CASE("a key that begins in what is put in its place is taken out once") {
  config::Provider provider;
  provider.api_key = "[key]a";
  CHECK(without_key("bad [key]aa", provider) == "bad [key]a");
}

TEST_CASE("a key too short to be a secret stays: it stands in words, numbers and JSON") {
  config::Provider provider;
  for (const char* key : {"1", "k", "key", "null", "error", "EMPTY"}) {
    provider.api_key = key;
    provider.api_keys = {"\""};
    const std::string said = R"({"error":{"message":"the key EMPTY is bad","param":null,"code":1}})";
    CHECK(without_key(said, provider) == said);
    CHECK(!holds_key(said, provider));
  }
}

}  // namespace
}  // namespace ccrules::provider
