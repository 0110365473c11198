#include "config/forward_proxy.h"

#include <array>

#include <catch2/catch.hpp>

#include "config/load.h"
#include "support/memory_files.h"

using namespace ccrules;

namespace {

config::Loaded load(const std::string& text, Environment environment = {}) {
  const test::MemoryFiles files({{"/etc/ccrules.json", text}});
  config::Options options;
  options.config_path = "/etc/ccrules.json";
  options.working_directory = "/";
  return config::load(files, environment, options);
}

/// host:port of the proxy of the provider `p` at this address; empty: none.
std::string via(const std::string& base_url, Environment environment, const std::string& global = {},
                const std::string& own = {}) {
  const config::Loaded loaded = load(R"({"providers":{"p":{"dialect":"anthropic","base_url":")" + base_url +
                                         "\"" + own + "}}" + global + "}",
                                     std::move(environment));
  for (const config::Diagnostic& diagnostic : loaded.diagnostics) UNSCOPED_INFO(diagnostic.message);
  REQUIRE(loaded.snapshot);
  const config::ForwardProxy& proxy = loaded.snapshot->provider("p")->via;
  return proxy.used() ? proxy.host + ":" + std::to_string(proxy.port) : std::string();
}

const Environment kEnvironment = {{"HTTPS_PROXY", "http://secure:3128"},
                                  {"HTTP_PROXY", "http://plain:3128"},
                                  {"NO_PROXY", "inside.example, .corp,10.0.0.0/8"}};

}  // namespace

TEST_CASE("a proxy's URL: kind, user, password, host and port; what is missing has a default") {
  config::ForwardProxy proxy;
  CHECK(config::read_forward_proxy("http://proxy.example:3128", proxy).empty());
  CHECK((!proxy.tls && proxy.host == "proxy.example" && proxy.port == 3128 && proxy.user.empty()));
  CHECK(config::read_forward_proxy("HTTPS://me:p%40ss%3aword@[::1]:8443/", proxy).empty());
  CHECK((proxy.tls && proxy.host == "::1" && proxy.port == 8443 && proxy.user == "me" &&
         proxy.password == "p@ss:word"));
  CHECK(config::read_forward_proxy("proxy", proxy).empty());
  CHECK((!proxy.tls && proxy.host == "proxy" && proxy.port == 80));
  CHECK(config::read_forward_proxy("https://me@proxy", proxy).empty());
  CHECK((proxy.port == 443 && proxy.user == "me" && proxy.password.empty()));
}

TEST_CASE("a wrong proxy URL is said to be wrong without repeating it") {
  for (const char* wrong :
       {"socks5://s3cret@host:1080", "http://", "http://s3cret:x@", "http://host:0", "http://host:99999",
        "http://host/s3cret", "http://a:%zz@host", "http://ho st", "http://host:80?s3cret"}) {
    CAPTURE(wrong);
    config::ForwardProxy proxy;
    const std::string problem = config::read_forward_proxy(wrong, proxy);
    CHECK_FALSE(problem.empty());
    CHECK(problem.find("s3cret") == std::string::npos);
    CHECK_FALSE(proxy.used());
  }
}

TEST_CASE("NO_PROXY rules: names with what is below them, suffixes, addresses, networks, ports, all") {
  struct Case {
    const char* rule;
    const char* host;
    std::uint16_t port;
    bool matches;
  };
  const std::array<Case, 26> cases = {{{"*", "anything", 443, true},
                                       {"example.com", "example.com", 443, true},
                                       {"example.com", "api.example.com", 443, true},
                                       {"example.com", "notexample.com", 443, false},
                                       {"example.com", "example.com.evil", 443, false},
                                       {"Example.COM.", "api.example.com", 443, true},
                                       {".example.com", "api.example.com", 443, true},
                                       {".example.com", "example.com", 443, true},
                                       {"*.example.com", "api.example.com", 443, true},
                                       {"example.com:8443", "example.com", 8443, true},
                                       {"example.com:8443", "example.com", 443, false},
                                       {"10.1.2.3", "10.1.2.3", 80, true},
                                       {"10.1.2.3:81", "10.1.2.3", 80, false},
                                       {"2.3", "10.1.2.3", 80, false},
                                       {"10.0.0.0/8", "10.1.2.3", 80, true},
                                       {"10.0.0.0/8", "11.1.2.3", 80, false},
                                       {"10.0.0.0/33", "10.1.2.3", 80, false},
                                       {"10.0.0.0/8", "ten.example", 80, false},
                                       {"192.168.1.128/25", "192.168.1.127", 80, false},
                                       {"0.0.0.0/0", "8.8.8.8", 80, true},
                                       {"fd00::/8", "fd12::1", 80, true},
                                       {"fd00::/8", "fe80::1", 80, false},
                                       {"[fd12::1]:443", "fd12::1", 443, true},
                                       {"fd12:0::1", "fd12::1", 443, true},
                                       {"", "example.com", 443, false},
                                       {"localhost", "localhost", 80, true}}};
  for (const Case& one : cases) {
    CAPTURE(one.rule, one.host, one.port);
    const std::array<std::string, 1> rules = {one.rule};
    CHECK(config::bypasses_proxy(rules, one.host, one.port) == one.matches);
  }
}

TEST_CASE("the environment's proxies serve https and http, except what NO_PROXY names and this machine") {
  CHECK(via("https://api.example/v1", kEnvironment) == "secure:3128");
  CHECK(via("http://api.example:8000", kEnvironment) == "plain:3128");
  CHECK(via("https://inside.example", kEnvironment).empty());
  CHECK(via("https://a.b.corp", kEnvironment).empty());
  CHECK(via("http://10.9.9.9:11434", kEnvironment).empty());
  for (const char* here :
       {"http://localhost:11434", "http://127.0.0.1", "http://127.9.9.9:1", "https://[::1]:8443"})
    CHECK(via(here, kEnvironment).empty());
  CHECK(via("https://api.example", {}).empty());
}

TEST_CASE("lower-case variables win over the others, as in other programs") {
  Environment both = kEnvironment;
  both.emplace("https_proxy", "http://lower:1");
  both.emplace("no_proxy", "none.example");
  CHECK(via("https://api.example", both) == "lower:1");
  CHECK(via("https://inside.example", both) == "lower:1");
}

TEST_CASE("the configuration's proxy wins over the environment's, a provider's own over both") {
  const std::string global = R"(,"proxy":"http://global:1","no_proxy":["out.example"])";
  CHECK(via("https://api.example", kEnvironment, global) == "global:1");
  CHECK(via("http://api.example", kEnvironment, global) == "global:1");
  CHECK(via("https://out.example", kEnvironment, global).empty());
  CHECK(via("https://inside.example", kEnvironment, global) == "global:1");
  CHECK(via("https://out.example", kEnvironment, global, R"(,"proxy":"http://own:2")") == "own:2");
  CHECK(via("http://localhost:1", {}, "", R"(,"proxy":"http://own:2")") == "own:2");
  CHECK(via("https://api.example", kEnvironment, "", R"(,"proxy":"off")").empty());
  CHECK(via("https://api.example", kEnvironment, R"(,"proxy":"off")").empty());
  CHECK(via("https://api.example", kEnvironment, R"(,"proxy":"off")", R"(,"proxy":"http://own:2")") ==
        "own:2");
}

TEST_CASE("a proxy that cannot be used stops the program with its setting's name, and without its password") {
  const auto problem = [](const std::string& more, Environment environment) {
    const config::Loaded loaded =
        load(R"({"providers":{"p":{"dialect":"anthropic","base_url":"https://api.example"}})" + more + "}",
             std::move(environment));
    CHECK_FALSE(loaded.snapshot);
    REQUIRE(loaded.diagnostics.size() == 1);
    CHECK(loaded.diagnostics[0].message.find("s3cret") == std::string::npos);
    return loaded.diagnostics[0].message;
  };
  CHECK(problem("", {{"HTTPS_PROXY", "socks5://me:s3cret@host"}}) ==
        "HTTPS_PROXY must start with http:// or https:// (other kinds of proxies are not spoken)");
  CHECK(problem(R"(,"proxy":"http://me:s3cret@host:0")", {}) == "proxy must be http://host:port");
}
