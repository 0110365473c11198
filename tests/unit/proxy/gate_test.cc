#include "proxy/gate.h"

#include <catch2/catch.hpp>

using namespace ccrules;

namespace {

/// An exchange that was never sent anywhere: only its head and its peer matter here.
class Visitor final : public http::Exchange {
 public:
  Visitor(std::initializer_list<std::pair<const char*, const char*>> headers, bool loopback = true)
      : loopback_(loopback) {
    head_.method = "POST";
    head_.target = "/v1/messages";
    for (const auto& [name, value] : headers) head_.headers.add(name, value);
  }
  Visitor(std::initializer_list<std::pair<const char*, const char*>> headers, const std::string& query) : Visitor(headers) {
    head_.target += "?" + query;
  }
  [[nodiscard]] const http::RequestHead& head() const noexcept override { return head_; }
  [[nodiscard]] StopToken stop() const noexcept override { return {}; }
  [[nodiscard]] bool peer_is_loopback() const noexcept override { return loopback_; }
  [[nodiscard]] std::string_view peer() const noexcept override { return "peer"; }
  Task<Result<std::string>> read_body(std::size_t) override { co_return std::string(); }
  [[nodiscard]] bool accepts(http::Coding) const noexcept override { return false; }
  [[nodiscard]] bool head_sent() const noexcept override { return false; }
  Task<Result<void>> send(int, const http::Headers&, std::string_view) override { co_return Result<void>(); }
  void start(int, const http::Headers&) override {}
  Task<Result<void>> write(std::string_view) override { co_return Result<void>(); }
  Task<Result<void>> finish(std::string_view) override { co_return Result<void>(); }
  void abort() noexcept override {}

 private:
  http::RequestHead head_;
  bool loopback_;
};

/// Status of the refusal, 200 when let in.
int status(const Visitor& visitor, const std::string& key = {}, bool needs_key = true,
           std::vector<std::string> allowed = {}) {
  config::Snapshot config;
  config.listen.api_key = key;
  config.listen.allowed_hosts = std::move(allowed);
  const auto refused = proxy::refuse(visitor, config, needs_key);
  return refused ? refused->http_status : 200;
}

}  // namespace

TEST_CASE("a rebound Host name is refused even without an Origin") {
  CHECK(status(Visitor({{"host", "127.0.0.1:3456"}})) == 200);
  CHECK(status(Visitor({{"host", "localhost"}})) == 200);
  CHECK(status(Visitor({{"host", "[::1]:3456"}})) == 200);
  CHECK(status(Visitor({{"host", "evil.example"}})) == 403);
  CHECK(status(Visitor({{"host", "127.0.0.1.evil.example:3456"}})) == 403);
  CHECK(status(Visitor({})) == 403);
  for (const char* no_host : {"localhost:3456@evil.example", "localhost:3456:1", "[::1", "[::1]3456", "[::1]:x", "::1", ":3456"}) {
    INFO(no_host);
    CHECK(status(Visitor({{"host", no_host}})) == 403);
  }
  CHECK(status(Visitor({{"host", "proxy.team"}}), "", true, {"proxy.team"}) == 200);
}

TEST_CASE("a web page of another origin is refused, our own page is not") {
  CHECK(status(Visitor({{"host", "localhost:3456"}, {"origin", "http://localhost:3456"}})) == 200);
  CHECK(status(Visitor({{"host", "localhost:3456"}, {"origin", "http://localhost:8080"}})) == 403);
  CHECK(status(Visitor({{"host", "localhost:3456"}, {"origin", "null"}})) == 403);
  CHECK(status(Visitor({{"host", "localhost:3456"}, {"origin", ""}, {"origin", "http://evil.example"}})) ==
        403);
  CHECK(status(Visitor({{"host", "[::1]evil.example"}})) == 403);
  CHECK(status(Visitor({{"host", "localhost:3456"}, {"sec-fetch-site", "cross-site"}})) == 403);
  CHECK(status(Visitor({{"host", "localhost:3456"}, {"sec-fetch-site", "none"}, {"sec-fetch-site", "Cross-Site"}})) == 403);
  CHECK(status(Visitor({{"host", "localhost:3456"}, {"sec-fetch-site", "same-origin"}})) == 200);
}

TEST_CASE("with a key every caller needs it, as Bearer or x-api-key; without one only this machine gets in") {
  CHECK(status(Visitor({{"host", "localhost"}, {"x-api-key", "k"}}), "k") == 200);
  CHECK(status(Visitor({{"host", "localhost"}, {"authorization", "Bearer k"}}), "k") == 200);
  CHECK(status(Visitor({{"host", "localhost"}, {"x-goog-api-key", "k"}}), "k") == 200);
  CHECK(status(Visitor({{"host", "localhost"}, {"x-goog-api-key", "kk"}}), "k") == 401);
  CHECK(status(Visitor({{"host", "localhost"}, {"authorization", "Bearer kk"}}), "k") == 401);
  CHECK(status(Visitor({{"host", "localhost"}}), "k") == 401);
  CHECK(status(Visitor({{"host", "localhost"}, {"x-forwarded-for", "127.0.0.1"}}, false)) == 403);
  CHECK(status(Visitor({{"host", "localhost"}}), "k", false) == 200);
}

namespace {

struct Keys {
  const char* api = "";
  const char* admin = "";
};

/// Status of the refusal of what only an admin may do, 200 when let in.
int admin_status(const Visitor& visitor, const Keys& keys) {
  config::Snapshot config;
  config.listen.api_key = keys.api;
  config.listen.admin_key = keys.admin;
  const auto refused = proxy::refuse_unless_admin(visitor, config);
  return refused ? refused->http_status : 200;
}

}  // namespace

TEST_CASE("a key in the query may be encoded, as clients do with what base64 holds, and is the same caller's") {
  const std::string key = "a+b/c==";
  for (const char* query : {"key=a%2Bb%2Fc%3D%3D", "alt=sse&key=a%2bb%2fc%3d%3d", "key=a+b/c=="}) {
    INFO(query);
    const Visitor visitor({{"host", "localhost"}}, std::string(query));
    CHECK(status(visitor, key) == 200);
    config::Listen listen;
    listen.api_key = key;
    listen.admin_key = "boss";
    CHECK(proxy::credential_of(visitor.head(), listen) == key);
  }
  CHECK(status(Visitor({{"host", "localhost"}}, std::string("key=a%2Bb")), key) == 401);
  CHECK(status(Visitor({{"host", "localhost"}, {"x-api-key", "a%2Bb%2Fc%3D%3D"}}), key) == 401);
}

TEST_CASE("what changes the proxy takes the admin's key, wherever the caller is; a client's is not enough") {
  constexpr Keys kBoth{"client", "admin"};
  for (const bool loopback : {true, false}) {
    CHECK(admin_status(Visitor({{"host", "localhost"}, {"x-api-key", "admin"}}, loopback), kBoth) == 200);
    CHECK(admin_status(Visitor({{"host", "localhost"}, {"authorization", "Bearer admin"}}, loopback), kBoth) == 200);
    CHECK(admin_status(Visitor({{"host", "localhost"}, {"x-api-key", "client"}}, loopback), kBoth) == 401);
    CHECK(admin_status(Visitor({{"host", "localhost"}}, loopback), kBoth) == 401);
  }
  CHECK(admin_status(Visitor({{"host", "localhost"}}), Keys{"", "admin"}) == 401);
  CHECK(admin_status(Visitor({{"host", "localhost"}, {"x-api-key", "admin"}}), Keys{"", "admin"}) == 200);
  CHECK(admin_status(Visitor({{"host", "evil.example"}, {"x-api-key", "admin"}}), kBoth) == 403);
  CHECK(admin_status(Visitor({{"host", "localhost"}, {"origin", "http://evil.example"}, {"x-api-key", "admin"}}), kBoth) == 403);
}

TEST_CASE("without an admin's key whoever is on this machine may change the proxy, with the client's key when there is one") {
  CHECK(admin_status(Visitor({{"host", "localhost"}}), Keys{}) == 200);
  CHECK(admin_status(Visitor({{"host", "localhost"}}, false), Keys{}) == 403);
  CHECK(admin_status(Visitor({{"host", "localhost"}, {"x-api-key", "client"}}), Keys{"client", ""}) == 200);
  CHECK(admin_status(Visitor({{"host", "localhost"}}), Keys{"client", ""}) == 401);
  CHECK(admin_status(Visitor({{"host", "localhost"}, {"x-api-key", "client"}}, false), Keys{"client", ""}) == 403);
}

TEST_CASE("an admin may do what a client may, and neither key is shown to a provider") {
  config::Snapshot config;
  config.listen.api_key = "client";
  config.listen.admin_key = "admin";
  CHECK_FALSE(proxy::refuse(Visitor({{"host", "localhost"}, {"x-api-key", "admin"}}), config, true).has_value());
  CHECK(proxy::holds_own_key("Bearer admin", config.listen));
  CHECK(proxy::holds_own_key("client", config.listen));
  CHECK_FALSE(proxy::holds_own_key("sk-of-a-provider", config.listen));
  CHECK_FALSE(proxy::holds_own_key("", config::Listen()));
}
