#include "core/percent.h"

#include <catch2/catch.hpp>

using namespace ccrules;

TEST_CASE("what a path or a query could misread is percent-encoded, and comes back as it was") {
  CHECK(percent_encoded("aZ09-._~") == "aZ09-._~");
  CHECK(percent_encoded("a/b?c#d e%\xC3\xBC") == "a%2Fb%3Fc%23d%20e%25%C3%BC");
  CHECK(percent_encoded("a/b:c", "/") == "a/b%3Ac");
  for (const char* text : {"", "a/b", "100%", "\xC3\xBC \n", "%41"}) CHECK(percent_decoded(percent_encoded(text)) == text);
}

TEST_CASE("one segment of a path stays one, whatever its name") {
  CHECK(path_segment("claude@1:0", "@") == "claude@1%3A0");
  CHECK(path_segment("../x") == "..%2Fx");
  CHECK(path_segment("..") == "%2E%2E");
  CHECK(path_segment(".") == "%2E");
  CHECK(path_segment("...") == "...");
}

TEST_CASE("a percent sign that begins no code stays") {
  CHECK(percent_decoded("a%2fb%2Fc") == "a/b/c");
  CHECK(percent_decoded("100%") == "100%");
  CHECK(percent_decoded("%4") == "%4");
  CHECK(percent_decoded("%zz%41") == "%zzA");
}
