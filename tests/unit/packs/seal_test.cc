#include <catch2/catch.hpp>

#include "core/digest.h"
#include "packs/seal.h"

using namespace ccrules;
using namespace ccrules::packs;
using Catch::Contains;

namespace {

// Made by `openssl genpkey -algorithm ed25519` for these tests alone.
constexpr const char* kPrivate = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAHJhcUMpJyXsOBkVvjzIBh4neTq9Sy6jvn9EdIhx8M0\n-----END PRIVATE KEY-----\n";
constexpr const char* kPublic = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAKGUbdjI7ryGwYzt/PVAUkKMlZ1B+lWY5odzHSxh5oQI=\n-----END PUBLIC KEY-----\n";
constexpr const char* kOther = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEICFf2X/Wk4UF+GtCX0k0dPZ6p6SRybl1Lx0Q67hvRCfd\n-----END PRIVATE KEY-----\n";

Folder signed_pack() {
  Folder folder = {{"pack.json", "{}"}, {"rules/a.lua", "-- nothing\n"}};
  REQUIRE(sign(folder, kPrivate).ok());
  return folder;
}

std::string refusal(const Folder& folder) {
  const Result<Seal> seal = check_seal(folder);
  return seal.ok() ? "accepted" : seal.error().message;
}

}  // namespace

TEST_CASE("a signed pack names its key, and the sums are what sha256sum writes") {
  const Folder folder = signed_pack();
  const Result<Seal> seal = check_seal(folder);
  REQUIRE(seal.ok());
  CHECK(seal->key == *key_text_of_pem(kPublic));
  CHECK(seal->key == *key_text_of_pem(kPrivate));
  CHECK(seal->identity == identity_of(folder));
  CHECK(folder.at("pack.sums") == digest::sha256_hex("{}") + "  pack.json\n" + digest::sha256_hex("-- nothing\n") + "  rules/a.lua\n");
}

TEST_CASE("signing twice gives the same bytes") { CHECK(signed_pack() == signed_pack()); }

TEST_CASE("a pack whose files differ from its sums is refused, and the file is named") {
  Folder changed = signed_pack();
  changed["rules/a.lua"] = "rule \"evil\" {}";
  CHECK_THAT(refusal(changed), Contains("'rules/a.lua' was changed"));
  Folder more = signed_pack();
  more["rules/b.lua"] = "";
  CHECK_THAT(refusal(more), Contains("'rules/b.lua' is not listed"));
  Folder less = signed_pack();
  less.erase("rules/a.lua");
  CHECK_THAT(refusal(less), Contains("'rules/a.lua' is missing"));
}

TEST_CASE("a signature over other files, by another key or cut off is refused") {
  Folder renewed = signed_pack();
  renewed["rules/a.lua"] = "other";
  renewed["pack.sums"] = sums_of(renewed);  // the sums fit again, the signature does not
  CHECK_THAT(refusal(renewed), Contains("not one of ed25519:"));
  Folder foreign = signed_pack();
  Folder other = signed_pack();
  REQUIRE(sign(other, kOther).ok());
  const std::string key_line = foreign["pack.sig"].substr(0, foreign["pack.sig"].find('\n'));
  foreign["pack.sig"] = key_line + other["pack.sig"].substr(other["pack.sig"].find('\n'));
  CHECK_THAT(refusal(foreign), Contains("not one of ed25519:"));
  Folder cut = signed_pack();
  const std::string whole = cut["pack.sig"];
  for (std::size_t size = 0; size < whole.size(); ++size) {
    cut["pack.sig"] = whole.substr(0, size);
    INFO(size);
    CHECK(refusal(cut) != "accepted");
  }
  Folder bare = signed_pack();
  bare.erase("pack.sums");
  CHECK_THAT(refusal(bare), Contains("no pack.sums"));
}

TEST_CASE("without a signature a pack is accepted, and its key is empty") {
  Folder folder = signed_pack();
  folder.erase("pack.sig");
  const Result<Seal> seal = check_seal(folder);
  REQUIRE(seal.ok());
  CHECK(seal->key.empty());
}

TEST_CASE("building refuses a signature that no longer fits") {
  Folder folder = signed_pack();
  REQUIRE(close_unsigned(folder).ok());
  folder["rules/a.lua"] = "changed since";
  const Result<void> closed = close_unsigned(folder);
  REQUIRE_FALSE(closed.ok());
  CHECK_THAT(closed.error().message, Contains("sign it again"));
}

TEST_CASE("what is no Ed25519 key is refused in one sentence") {
  CHECK_THAT(key_text_of_pem("hello").error().message, Contains("no key in PEM"));
  Folder folder = signed_pack();
  CHECK_THAT(sign(folder, kPublic).error().message, Contains("no private key"));
}
