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
  [[nodiscard]] const http::RequestHead& head() const noexcept override { return head_; }
  [[nodiscard]] StopToken stop() const noexcept override { return {}; }
  [[nodiscard]] bool peer_is_loopback() const noexcept override { return loopback_; }
  [[nodiscard]] std::string_view peer() const noexcept override { return "peer"; }
  Task<Result<std::string>> read_body(std::size_t) override { co_return std::string(); }
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
