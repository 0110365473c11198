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

TEST_CASE("a key that stands in what is put in its place is taken out once") {
  config::Provider provider;
  provider.api_key = "k";
  CHECK(without_key("ok, kk", provider) == "o[key], [key][key]");
  provider.api_key = "key";
  CHECK(without_key("bad key", provider) == "bad [key]");
}

}  // namespace
}  // namespace ccrules::provider
