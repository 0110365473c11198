#include "config/load.h"

#include <algorithm>

#include <catch2/catch.hpp>

#include "support/files.h"
#include "support/memory_files.h"
#include "support/time_zone_file.h"

using namespace ccrules;

namespace {

config::Loaded load(const std::string& text, Environment environment = {},
                    std::map<std::string, std::string> overrides = {}) {
  const test::MemoryFiles files({{"/etc/ccrules/ccrules.json", text}});
  config::Options options;
  options.working_directory = "/here";
  options.overrides = std::move(overrides);
  return config::load(files, environment, options);
}

config::Loaded load_nothing(const Environment& environment) {
  config::Options options;
  options.working_directory = "/here";
  return config::load(test::MemoryFiles(), environment, options);
}

std::string all(const config::Loaded& loaded) {
  std::string out;
  for (const config::Diagnostic& diagnostic : loaded.diagnostics) out += config::render(diagnostic);
  return out;
}

}  // namespace

TEST_CASE("without a file and without keys, the simulator answers every model") {
  const config::Loaded loaded = load_nothing({{"HOME", "/user"}});
  REQUIRE(loaded.snapshot);
  CHECK(all(loaded).empty());
  REQUIRE(loaded.snapshot->providers.size() == 1);
  CHECK(loaded.snapshot->providers[0].id == "sim");
  CHECK(loaded.snapshot->providers[0].models == std::vector<std::string>{"*"});
  CHECK(loaded.snapshot->ledger.path == "/user/.local/state/ccrules/ledger.db");
  CHECK(loaded.snapshot->listen.port == 3456);
}

TEST_CASE("without a file, every provider with a key in the environment is there, and sim last") {
  const config::Loaded loaded =
      load_nothing({{"GROQ_API_KEY", "g"}, {"ANTHROPIC_API_KEY", "a"}, {"OPENAI_API_KEY", ""}});
  REQUIRE(loaded.snapshot);
  const auto& providers = loaded.snapshot->providers;
  REQUIRE(providers.size() == 3);
  CHECK(providers[0].id == "anthropic");
  CHECK(providers[0].base_url == "https://api.anthropic.com");
  CHECK(providers[0].api_key == "a");
  CHECK(providers[1].id == "groq");
  CHECK(providers[1].dialect == "openai_chat");
  CHECK(providers[2].models == std::vector<std::string>{"sim-*"});
  CHECK(loaded.snapshot->tiers.empty());
}

TEST_CASE("without a provider of Claude models, the first one's big and small models stand in") {
  const config::Loaded loaded = load_nothing({{"DEEPSEEK_API_KEY", "d"}});
  REQUIRE(loaded.snapshot);
  CHECK(loaded.snapshot->tiers.at("big") == "deepseek,deepseek-v4-pro");
  CHECK(loaded.snapshot->tiers.at("small") == "deepseek,deepseek-flash");
}

TEST_CASE("a file with comments and trailing commas is read") {
  const config::Loaded loaded = load(R"({
    // where we listen
    "listen": { "port": 4000, },
    "providers": { "local": { "dialect": "openai_chat", "base_url": "http://localhost:8000/v1/", "timeouts": { "first_byte": "120s" } } },
    "routes": { "default": "local,qwen3-coder", "gpt-4.1": { "provider": "local", "model": "x", "parameters": { "max_tokens": 64000 } } },
    "timeouts": { "idle": "1m" }, /* all of them */
    "limits": { "body": "1MB" },
  })");
  INFO(all(loaded));
  REQUIRE(loaded.snapshot);
  CHECK(loaded.diagnostics.empty());
  const config::Snapshot& s = *loaded.snapshot;
  CHECK(s.file == "/etc/ccrules/ccrules.json");
  CHECK(s.listen.port == 4000);
  CHECK(s.providers[0].base_url == "http://localhost:8000/v1");
  CHECK(s.providers[0].timeouts.first_byte.count() == 120000);
  CHECK(s.providers[0].timeouts.idle.count() == 60000);
  CHECK(s.routes.at("default").model == "qwen3-coder");
  CHECK(s.routes.at("gpt-4.1").parameters_json.at("max_tokens") == "64000");
  CHECK(s.limits.body == 1048576);
}

TEST_CASE("all errors come at once, each at its own place") {
  const config::Loaded loaded = load(R"({
  "listn": {},
  "listen": { "port": "http" },
  "routes": { "default": "nobody,x", "think": "sim," }
})");
  CHECK_FALSE(loaded.snapshot);
  CHECK(all(loaded) ==
        "/etc/ccrules/ccrules.json:2:3: error: unknown setting 'listn'\n"
        "  2 |   \"listn\": {},\n"
        "    |   ^\n"
        "  hint: did you mean 'listen'?\n"
        "/etc/ccrules/ccrules.json:3:23: error: listen.port must be a whole number from 0 to 65535\n"
        "  3 |   \"listen\": { \"port\": \"http\" },\n"
        "    |                       ^\n"
        "/etc/ccrules/ccrules.json:4:26: error: routes.default names the provider 'nobody', which is not "
        "configured\n"
        "  4 |   \"routes\": { \"default\": \"nobody,x\", \"think\": \"sim,\" }\n"
        "    |                          ^\n"
        "  hint: configured: sim\n"
        "/etc/ccrules/ccrules.json:4:47: error: routes.think: the model after the comma is missing in "
        "\"sim,\"\n"
        "  4 |   \"routes\": { \"default\": \"nobody,x\", \"think\": \"sim,\" }\n"
        "    |                                               ^\n");
}

TEST_CASE("a flag wins over the environment, and that over the file") {
  const std::string text = R"({ "listen": { "port": 1000 }, "log": { "level": "debug" } })";
  CHECK(load(text).snapshot->listen.port == 1000);
  CHECK(load(text, {{"CCRULES_PORT", "2000"}}).snapshot->listen.port == 2000);
  CHECK(load(text, {{"CCRULES_PORT", "2000"}}, {{"listen.port", "3000"}}).snapshot->listen.port == 3000);
  CHECK(load(text, {{"CCRULES_LOG_LEVEL", "error"}}).snapshot->log.level == log::Level::kError);
}

namespace {

/// What load() says about a text, as one string; "" when there is nothing to say.
std::string said(const std::string& text, const Environment& environment = {}) {
  return all(load(text, environment));
}

bool mentions(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

std::string provider(const std::string& members) {
  return R"({"providers":{"p":{"dialect":"openai_chat",)" + members + "}}}";
}

}  // namespace

TEST_CASE("the first file of the search order is used, and a named one must exist") {
  const std::map<std::string, std::string> ports = {{"/a.json", "1"},
                                                    {"/b.json", "2"},
                                                    {"/here/ccrules.json", "3"},
                                                    {"/x/ccrules/ccrules.json", "4"},
                                                    {"/h/.config/ccrules/ccrules.json", "5"},
                                                    {"/etc/ccrules/ccrules.json", "6"}};
  std::map<std::string, std::string> texts;
  for (const auto& [path, port] : ports) texts[path] = "{\"listen\":{\"port\":" + port + "}}";
  config::Options options;
  options.working_directory = "/here";
  options.config_path = "/a.json";
  Environment environment = {{"CCRULES_CONFIG", "../b.json"}, {"XDG_CONFIG_HOME", "/x"}, {"HOME", "/h"}};
  const auto port = [&] {
    return config::load(test::MemoryFiles(texts), environment, options).snapshot->listen.port;
  };
  CHECK(port() == 1);
  options.config_path.clear();
  CHECK(port() == 2);
  environment.erase("CCRULES_CONFIG");
  CHECK(port() == 3);
  texts.erase("/here/ccrules.json");
  CHECK(port() == 4);
  environment.erase("XDG_CONFIG_HOME");
  CHECK(port() == 5);
  environment.erase("HOME");
  CHECK(port() == 6);
  options.config_path = "none.json";
  const config::Loaded missing = config::load(test::MemoryFiles(texts), environment, options);
  CHECK_FALSE(missing.snapshot);
  CHECK(all(missing) == "--config: error: there is no file /here/none.json\n");
}

TEST_CASE("every setting has a variable") {
  const config::Loaded loaded = load("{}", {{"CCRULES_HOST", "localhost"},
                                            {"CCRULES_API_KEY", "k"},
                                            {"CCRULES_LISTEN_ALLOWED_HOSTS", "a.example, b.example"},
                                            {"CCRULES_WORKERS", "3"},
                                            {"CCRULES_TIMEOUTS_FIRST_BYTE", "7s"},
                                            {"CCRULES_LEDGER_PATH", "/l.db"},
                                            {"CCRULES_THRESHOLDS_LONG_CONTEXT", "5"},
                                            {"CCRULES_PROVIDERS_GROQ_API_KEY", "g"},
                                            {"CCRULES_PROVIDERS_GROQ_BASE_URL", "http://localhost:1/v1"},
                                            {"CCRULES_PROVIDERS_GROQ_TIMEOUTS_IDLE", "9s"},
                                            {"CCRULES_ROUTES_LONG_CONTEXT", "groq,llama-x"},
                                            {"CCRULES_TIERS_BIG", "groq,llama-y"}});
  INFO(all(loaded));
  REQUIRE(loaded.snapshot);
  CHECK(loaded.diagnostics.empty());
  const config::Snapshot& s = *loaded.snapshot;
  CHECK(s.listen.host == "localhost");
  CHECK(s.listen.api_key == "k");
  CHECK(s.listen.allowed_hosts == std::vector<std::string>{"a.example", "b.example"});
  CHECK(s.workers == 3);
  CHECK(s.ledger.path == "/l.db");
  CHECK(s.long_context_tokens == 5);
  CHECK(s.providers[0].id == "groq");
  CHECK(s.providers[0].api_key == "g");
  CHECK(s.providers[0].base_url == "http://localhost:1/v1");
  CHECK(s.providers[0].timeouts.first_byte.count() == 7000);
  CHECK(s.providers[0].timeouts.idle.count() == 9000);
  CHECK(s.routes.at("longContext").provider == "groq");
  CHECK(s.tiers.at("big") == "groq,llama-y");
}

TEST_CASE("a wrong variable or flag is an error that names it") {
  CHECK(said("{}", {{"CCRULES_PORT", "x"}}) ==
        "CCRULES_PORT: error: listen.port must be a whole number from 0 to 65535\n");
  CHECK(mentions(said("{}", {{"CCRULES_PROT", "1"}}),
                 "CCRULES_PROT: warning: this variable sets nothing\n  hint: did you mean CCRULES_PORT?"));
  CHECK(mentions(said("{}", {{"CCRULES_PROVIDERS_NOBODY_API_KEY", "1"}}), "names no provider and setting"));
  CHECK(said("{}", {{"CCRULES_SOMETHING_ELSE_ENTIRELY", "1"}}).empty());
  CHECK(mentions(all(load("{}", {}, {{"listen.prot", "1"}})),
                 "--listen.prot: error: there is no setting of this name"));
  CHECK(mentions(all(load("{}", {}, {{"listen.port", "x"}})), "--listen.port: error: listen.port must be"));
}

TEST_CASE("flags reach providers, routes and tiers") {
  const config::Loaded loaded = load(provider(R"("base_url":"http://localhost:1/v1")"), {},
                                     {{"providers.p.api_key", "k"},
                                      {"routes.default", "p,m"},
                                      {"tiers.small", "p,s"},
                                      {"providers.groq.api_key", "g"}});
  INFO(all(loaded));
  REQUIRE(loaded.snapshot);
  CHECK(loaded.snapshot->provider("p")->api_key == "k");
  CHECK(loaded.snapshot->provider("groq")->api_key == "g");
  CHECK(loaded.snapshot->routes.at("default").model == "m");
  CHECK(loaded.snapshot->tiers.at("small") == "p,s");
}

TEST_CASE("a .env file beside the configuration counts where the environment is silent") {
  const test::MemoryFiles files(
      {{"/c/f.json", R"({"listen":{"port":"${P}"},"workers":"${W}"})"}, {"/c/.env", "P=5000\nW=2\n"}});
  config::Options options;
  options.config_path = "/c/f.json";
  const config::Loaded loaded = config::load(files, {{"W", "4"}}, options);
  REQUIRE(loaded.snapshot);
  CHECK(loaded.snapshot->listen.port == 5000);
  CHECK(loaded.snapshot->workers == 4);
}

TEST_CASE("a variable that is not set is an error, but in a provider's key it switches the provider off") {
  CHECK(mentions(said(R"({"listen":{"api_key":"${NO}"}})"),
                 "1:22: error: listen.api_key: the environment variable NO is not set"));
  const config::Loaded loaded =
      load(R"({"providers":{"openai":{"api_key":"${NO}"},"groq":{}},"routes":{"default":"openai,gpt-5"}})");
  REQUIRE(loaded.snapshot);
  CHECK_FALSE(loaded.snapshot->provider("openai")->enabled);
  CHECK_FALSE(loaded.snapshot->provider("groq")->enabled);
  CHECK(mentions(all(loaded), "warning: provider openai is switched off: NO is not set"));
  CHECK(mentions(all(loaded), "warning: provider groq is switched off: GROQ_API_KEY is not set"));
  CHECK(mentions(all(loaded), "warning: routes.default leads to the provider openai, which is switched off"));
  CHECK(loaded.snapshot->provider("sim")->models == std::vector<std::string>{"sim-*"});
}

TEST_CASE("a provider named like a vendor inherits from it, and its key stays with its address") {
  const Environment keys = {{"DEEPSEEK_API_KEY", "secret"}};
  const auto only = [&](const std::string& members) {
    const config::Loaded loaded = load(R"({"providers":{"deepseek":{)" + members + "}}}", keys);
    INFO(all(loaded));
    REQUIRE(loaded.snapshot);
    return loaded.snapshot->providers[0];
  };
  CHECK(only("").base_url == "https://api.deepseek.com");
  CHECK(only("").reasoning_replay == "reasoning_content");
  CHECK(only("").reasoning_style == "thinking");
  CHECK(only(R"("reasoning_style":"effort")").reasoning_style == "effort");
  CHECK(only("").api_key == "secret");
  CHECK(only(R"("dialect":"anthropic")").base_url == "https://api.deepseek.com/anthropic");
  CHECK(only(R"("dialect":"anthropic")").auth == "x-api-key");
  CHECK(only(R"("base_url":"http://elsewhere:1/v1")").api_key.empty());
  CHECK(only(R"("api_key":"other")").api_key == "other");
  CHECK(only(R"("models":["deepseek-flash"])").models == std::vector<std::string>{"deepseek-flash"});
}

TEST_CASE("the key of a local server is sent the way its documentation says, and a key beside auth none is told") {
  const auto auth = [](const std::string& vendor, const std::string& dialect) {
    const config::Loaded loaded = load(R"({"providers":{")" + vendor + R"(":{"dialect":")" + dialect + R"(","api_key":"k"}}})");
    INFO(all(loaded));
    REQUIRE(loaded.snapshot);
    CHECK(loaded.diagnostics.empty());
    return loaded.snapshot->providers[0].auth;
  };
  for (const char* vendor : {"vllm", "lmstudio", "llamacpp", "localai", "tgi", "ollama"}) {
    INFO(vendor);
    CHECK(auth(vendor, "openai_chat") == "default");
  }
  CHECK(auth("lmstudio", "anthropic") == "default");
  for (const char* vendor : {"vllm", "llamacpp", "localai", "ollama"}) CHECK(auth(vendor, "anthropic") == "bearer");

  const std::string address = R"("base_url":"http://localhost/v1","auth":"none",)";
  CHECK(mentions(said(provider(address + R"("api_key":"k")")), "warning: providers.p.api_key is not sent: auth is none"));
  CHECK(mentions(said(provider(address + R"("api_keys":["k","l"])")), "warning: providers.p.api_keys is not sent: auth is none"));
  CHECK(load(provider(address + R"("models":["m"])")).diagnostics.empty());
}

TEST_CASE("several keys and addresses make every pair of them a lane, empty keys are left out") {
  const auto only = [](const std::string& members, const Environment& environment = {}) {
    const config::Loaded loaded = load(R"({"providers":{"p":{"dialect":"openai_chat",)" + members + "}}}", environment);
    INFO(all(loaded));
    REQUIRE(loaded.snapshot);
    return loaded.snapshot->providers[0];
  };
  const config::Provider four = only(R"("base_urls":["http://a/v1/","http://b/v1"],"api_keys":["${ONE}","${TWO:-}","three"])", {{"ONE", "one"}});
  CHECK(four.base_url == "http://a/v1");
  CHECK(four.api_key == "one");
  REQUIRE(four.lanes.size() == 4);
  CHECK(four.lanes[1].base_url == "http://a/v1");
  CHECK(four.lanes[1].api_key == "three");
  CHECK(four.lanes[2].base_url == "http://b/v1");
  CHECK(four.lanes[2].api_key == "one");
  const config::Provider again = only(R"("base_url":"http://b/v1","api_keys":["one","three"])");
  CHECK(again.lanes[0].id == four.lanes[2].id);
  CHECK(only(R"("base_url":"http://a","base_urls":["http://b"],"api_key":"x")").lanes.size() == 2);
  CHECK(only(R"("base_url":"http://a","api_keys":["x"])").lanes.empty());
  CHECK(only(R"("base_url":"http://a","api_keys":["x","x"])").lanes.empty());
  const config::Provider none = only(R"("base_url":"http://a","api_keys":["${NO:-}",""])");
  CHECK_FALSE(none.enabled);

  CHECK(mentions(said(provider(R"("base_urls":["http://a","ftp://b"])")), "providers.p.base_urls: 'ftp://b' must start with"));
  std::string many;
  for (int i = 0; i < 65; ++i) many += (i == 0 ? "\"k" : ",\"k") + std::to_string(i) + "\"";
  CHECK(mentions(said(provider(R"("base_url":"http://a","api_keys":[)" + many + "]")), "more than 64 pairs of an address and a key"));
}

TEST_CASE("a base URL that could lead elsewhere is refused") {
  const auto url = [](const std::string& text) { return said(provider("\"base_url\":\"" + text + "\"")); };
  for (const char* good : {"https://api.example.com/v1", "http://localhost:8000", "http://[::1]:80/v1",
                           "https://a-b.example/x/y/", "http://10.0.0.1"}) {
    INFO(good);
    CHECK(url(good).empty());
  }
  CHECK(mentions(url("api.example.com"), "providers.p.base_url must start with https:// or http://"));
  CHECK(mentions(url("api.example.com"), "did you mean 'https://api.example.com'?"));
  CHECK(mentions(url("localhost:80/v1"), "did you mean 'http://localhost:80/v1'?"));
  CHECK(mentions(url("ftp://x"), "must start with"));
  CHECK(mentions(url("https://user:pw@x"), "must not hold a user name or password"));
  CHECK(mentions(url("https://x/#f"), "must not hold '#'"));
  CHECK(mentions(url("https://x/?q=1"), "must not hold a query"));
  CHECK(mentions(url("https://x/\\r\\nHost: y"), "must not hold spaces, line breaks"));
  CHECK(mentions(url("https://"), "names no host"));
  CHECK(mentions(url("https://:80"), "names no host"));
  CHECK(mentions(url("https://x:99999"), "holds a port"));
  CHECK(mentions(url("https://x:"), "holds a port"));
  CHECK(mentions(url("https://ex%61mple"), "holds a host name that cannot be"));
  CHECK(mentions(url("https://x\\\\y"), "must not hold a backslash"));
  CHECK(mentions(url("https://[::1"), "holds '[' without ']'"));
  CHECK(mentions(url(""), "providers.p.base_url must be set"));
}

TEST_CASE("providers are checked one by one") {
  const std::string rest = R"("base_url":"http://localhost/v1",)";
  CHECK(mentions(said(R"({"providers":{"p":{"base_url":"http://x"}}})"),
                 "1:15: error: providers.p.dialect must be set"));
  CHECK(mentions(said(R"({"providers":{"p":{"dialect":"openai-chat","base_url":"http://x"}}})"),
                 "did you mean 'openai_chat'?"));
  CHECK(mentions(said(R"({"providers":{"a,b":{}}})"), "a provider's name may hold"));
  CHECK(mentions(said(R"({"providers":{"sim":{"dialect":"anthropic","base_url":"http://x"}}})"),
                 "providers.sim is the built-in simulator"));
  CHECK(mentions(said(provider(rest + R"("auth":"basic")")),
                 "providers.p.auth must be one of default, bearer, x-api-key, x-goog-api-key, api-key, sigv4, none, passthrough"));
  CHECK(mentions(said(provider(rest + R"("reasoning_replay":"all")")),
                 "providers.p.reasoning_replay must be one of"));
  CHECK(mentions(said(provider(rest + R"("reasoning_style":"deepseek")")),
                 "providers.p.reasoning_style must be one of effort, thinking, thinking_kept, enable_thinking"));
  CHECK(mentions(said(provider(rest + R"("switches":{"visoin":true})")), "did you mean 'vision'?"));
  CHECK(mentions(said(provider(rest + R"("switches":{"vision":1})")),
                 "providers.p.switches.vision must be true or false"));
  CHECK(mentions(said(provider(rest + R"("headers":{"Host":"x"})")),
                 "providers.p.headers.Host is set by ccrules itself"));
  CHECK(mentions(said(provider(rest + R"("headers":{"a b":"x"})")), "this is no header name"));
  CHECK(mentions(said(provider(rest + R"("headers":{"a":"x\r\ny"})")), "must be one line"));
  CHECK(mentions(said(provider(rest + R"("api_key":"a\nb")")), "providers.p.api_key must be one line"));
  CHECK(mentions(said(provider(rest + R"("timeouts":{"first_byt":"1s"})")), "did you mean 'first_byte'?"));
  CHECK(mentions(said(provider(rest + R"("timeouts":{"idle":"0"})")),
                 "providers.p.timeouts.idle must not be zero"));
  CHECK(mentions(said(provider(rest + R"("max_retries":99)")),
                 "providers.p.max_retries must be a whole number from 0 to 20"));
  CHECK(said(provider(rest +
                      R"("switches":{"vision":false},"headers":{"x-a":"b"},"models":["m"],"api_key":"")"))
            .empty());
}

TEST_CASE("wrong kinds of values say what is expected") {
  CHECK(mentions(said(R"([1])"), "the configuration must be an object"));
  CHECK(mentions(said(R"({"listen": 5})"), "listen must be an object"));
  CHECK(
      mentions(said(R"({"listen": {"port": true}})"), "listen.port must be a whole number from 0 to 65535"));
  CHECK(mentions(said(R"({"listen": {"host": 5}})"), "listen.host must be a text in double quotes"));
  CHECK(mentions(said(R"({"timeouts": {"idle": 30}})"), "timeouts.idle must be a duration such as"));
  CHECK(mentions(said(R"({"limits": {"body": "big"}})"), "limits.body must be a size such as"));
  CHECK(mentions(said(R"({"limits": {"body": 5}})"), "limits.body must be at least 1024 bytes"));
  CHECK(mentions(said(R"({"log": {"format": "xml"}})"), "log.format must be text or json"));
  CHECK(mentions(said(R"({"log": {"level": "loud"}})"), "log.level must be debug, info"));
  CHECK(mentions(said(R"({"ledger": {"durable": "maybe"}})"), "ledger.durable must be true or false"));
  CHECK(mentions(said(R"({"ledger": {"bodies": "all"}})"), "ledger.bodies must be \"none\" in this version"));
  CHECK(mentions(said(R"({"rules": [1]})"), "rules must hold texts"));
  CHECK(mentions(said(R"({"rules": {"a":1}})"), "rules must be a list"));
  CHECK(mentions(said(R"({"routes": []})"), "routes must be an object"));
  CHECK(mentions(said(R"({"prices": {"m": {"input": "4"}}})"), "prices.m.input must be a number"));
  CHECK(mentions(said(R"({"prices": {"m": {"input": -4}}})"), "prices.m.input must be a number"));
  CHECK(mentions(said(R"({"prices": {"m": {"inputs": 4}}})"), "did you mean 'input'?"));
  CHECK(mentions(said(R"({"workers": null})"), "workers must be a whole number from 0 to 1024"));
  CHECK(mentions(said(R"({"a": 1, "a": 2})"), "'a' is already set in line 1"));
}

TEST_CASE("routes, agents, fallbacks and tiers must lead to providers that are there") {
  const std::string base =
      R"({"providers":{"local":{"dialect":"openai_chat","base_url":"http://localhost/v1"}},)";
  CHECK(mentions(said(base + R"("agents":{"a":"locl,m"}})"),
                 "agents.a names the provider 'locl', which is not configured\n"));
  CHECK(mentions(said(base + R"("agents":{"a":"locl,m"}})"), "did you mean 'local'?"));
  CHECK(mentions(said(base + R"("fallbacks":{"m":["local,x","nobody,y"]}})"),
                 "fallbacks.m names the provider 'nobody'"));
  CHECK(mentions(said(base + R"("tiers":{"bigg":"local,x"}})"), "did you mean 'big'?"));
  CHECK(mentions(said(base + R"("routes":{"default":"gpt"}})"), "routes.default must be \"provider,model\""));
  CHECK(mentions(said(base + R"("routes":{"default":",gpt"}})"), "the provider before the comma is missing"));
  CHECK(mentions(said(base + R"("routes":{"default":{"provider":"local"}}})"),
                 "routes.default needs both provider and model"));
  CHECK(mentions(said(base + R"("routes":{"default":{"provider":"local","model":"m","paramters":{}}}})"),
                 "did you mean 'parameters'?"));
  CHECK(mentions(said(base + R"("routes":{"long_context":"local,m"}})"), "did you mean 'longContext'?"));
  CHECK(
      said(
          base +
          R"("routes":{"default":"local,a,b"},"agents":{"x":"default","y":"local"},"fallbacks":{"*":"default"}})")
          .empty());
  CHECK(mentions(said(base + R"("agents":{"x":"cheap"}})"),
                 "agents.x must be \"provider,model\", the name of a route"));
  const config::Loaded loaded = load(
      base +
      R"("routes":{"default":"local,a,b"},"fallbacks":{"z*":["local,1"],"a*":["local,2","sim,sim-1"]}})");
  REQUIRE(loaded.snapshot);
  CHECK(loaded.snapshot->routes.at("default").model == "a,b");
  CHECK(loaded.snapshot->routes.at("default").where.line == 1);
  CHECK(loaded.snapshot->fallbacks[0].first == "z*");
  CHECK(loaded.snapshot->fallbacks[1].second.size() == 2);
}

TEST_CASE("listening beyond this machine needs a key, and TLS needs both files") {
  CHECK(mentions(said(R"({"listen":{"host":"0.0.0.0"}})"),
                 "listen.host 0.0.0.0 is reachable from other machines, so listen.api_key must be set"));
  CHECK(mentions(said("{}", {{"CCRULES_HOST", "::"}}), "CCRULES_HOST: error: listen.host :: is reachable"));
  CHECK(said(R"({"listen":{"host":"0.0.0.0","api_key":"k"}})").empty());
  CHECK(said(R"({"listen":{"host":"0.0.0.0","api_key":"k","admin_key":"a"}})").empty());
  CHECK(mentions(said(R"({"listen":{"api_key":"k","admin_key":"k"}})"),
                 "1:38: error: listen.admin_key is the same as listen.api_key, so every client could change this proxy"));
  CHECK(mentions(said("{}", {{"CCRULES_ADMIN_KEY", "a\nb"}}), "listen.admin_key must be one line"));
  for (const char* key : {" ", "key ", " key", "key\t", "key\x7f"})
    CHECK(mentions(said("{}", {{"CCRULES_API_KEY", key}}), "listen.api_key must be one line without control characters"));
  CHECK(said("{}", {{"CCRULES_API_KEY", "two words"}}).empty());
  for (const char* host : {"localhost", "127.0.0.1", "127.1.2.3", "::1", "LocalHost", "[::1]"})
    CHECK(said("{}", {{"CCRULES_HOST", host}}).empty());
  CHECK(mentions(said(R"({"rules":[""]})"), "1:10: error: rules holds an empty path; name a file, or leave it out"));
  CHECK(load("{}", {{"CCRULES_HOST", "LocalHost"}}).snapshot->listen.host == "localhost");
  CHECK(load("{}", {{"CCRULES_HOST", "[::1]"}}).snapshot->listen.host == "::1");
  CHECK(mentions(said(R"({"listen":{"host":"127.evil.example"}})"), "is reachable from other machines"));
  CHECK(mentions(said(R"({"listen":{"tls":{"cert":"a"}}})"),
                 "listen.tls.key must be set together with listen.tls.cert"));
  CHECK(mentions(said(R"({"listen":{"tls":{"cert":"a"}}})"),
                 "listen.tls.cert: there is no file /etc/ccrules/a"));
  CHECK(mentions(said(R"({"listen":{"allowed_hosts":["https://x"]}})"),
                 "listen.allowed_hosts holds host names only"));
  CHECK(mentions(said(R"({"listen":{"tls":{"key":"a"}}})"),
                 "listen.tls.cert must be set together with listen.tls.key"));
  CHECK(mentions(said(R"({"retry":{"base":"1h"}})"), "retry.base must not be longer than retry.at_most"));
}

TEST_CASE("a section that is none, and a member that a section does not have, are told") {
  const std::string text = said(R"({"cache":{"enabled":true,"ttll":"1h"},"circuit":5})");
  CHECK(mentions(text, "unknown setting 'cache.ttll'"));
  CHECK(mentions(text, "circuit must be an object"));
}

TEST_CASE("the cache is off, and has its defaults, until it is configured") {
  const auto none = *load("{}").snapshot;
  CHECK_FALSE(none.cache.enabled);
  CHECK(none.cache.max_bytes == 500u * 1024 * 1024);
  CHECK(none.cache.ttl == std::chrono::hours(1));
  CHECK(none.cache.persist.empty());
  const auto some = *load(R"({"cache":{"enabled":true,"max_bytes":"20MB","ttl":"5m","persist":"/var/answers.db"}})").snapshot;
  CHECK(some.cache.persist == "/var/answers.db");
  CHECK(some.cache.enabled);
  CHECK(some.cache.max_bytes == 20u * 1024 * 1024);
  CHECK(some.cache.ttl == std::chrono::minutes(5));
}

TEST_CASE("rate limits say whose, how many and how long, and every mistake in them is told") {
  const config::Loaded loaded = load(
      R"({"rate_limits":[{"scope":"session","requests":60},{"scope":"tag:team=core","tokens":100000,"per":"1h","wait":"5s"},{"concurrent":4}]})");
  REQUIRE(loaded.snapshot);
  const auto& limits = loaded.snapshot->rate_limits;
  REQUIRE(limits.size() == 3);
  CHECK(limits[0].by == "session");
  CHECK(limits[0].requests == 60);
  CHECK(limits[0].tokens == -1);
  CHECK(limits[0].per == std::chrono::minutes(1));
  CHECK(limits[1].key == "team=core");
  CHECK(limits[1].wait == std::chrono::seconds(5));
  CHECK(limits[2].by.empty());
  CHECK(limits[2].concurrent == 4);
  const std::string text = said(
      R"({"rate_limits":[{"scope":"planet","requests":1},{"requests":-1},{"tokens":1.5},{"scope":"all"},{"requests":1,"per":"0"},{"requests":1,"pre":"1m"}]})");
  CHECK(mentions(text, "rate_limits[0].scope must be \"all\", one of session"));
  CHECK(mentions(text, "rate_limits[1].requests must be a whole number"));
  CHECK(mentions(text, "rate_limits[2].tokens must be a whole number"));
  CHECK(mentions(text, "rate_limits[3] needs requests, tokens or concurrent"));
  CHECK(mentions(text, "rate_limits[4].per must be a duration such as \"1m\", and longer than nothing"));
  CHECK_FALSE(mentions(text, "rate_limits[2] needs"));
  CHECK(mentions(text, "did you mean 'per'"));
}

TEST_CASE("a time zone is a name that the machine knows") {
  CHECK(load("{}").snapshot->time_zone == "UTC");
  const auto fixed = load(R"({"time_zone": "-03:30"})");
  REQUIRE(fixed.snapshot != nullptr);
  CHECK(fixed.snapshot->zone.offset_s(0) == -(3 * 3600 + 30 * 60));
  const test::MemoryFiles files({{"/etc/ccrules/ccrules.json", R"({"time_zone": "Europe/Berlin"})"},
                                 {"/usr/share/zoneinfo/Europe/Berlin", test::time_zone_file("CET-1CEST,M3.5.0,M10.5.0/3")}});
  config::Options options;
  options.working_directory = "/here";
  const config::Loaded loaded = config::load(files, {}, options);
  INFO(all(loaded));
  REQUIRE(loaded.snapshot);
  CHECK(loaded.snapshot->zone.offset_s(1'795'087'800) == 3600);
  const std::string wrong = all(load("{\n  \"time_zone\": \"Europe/Atlantis\"\n}"));
  CHECK(mentions(wrong, "/etc/ccrules/ccrules.json:2:16: error: time_zone: "));
  CHECK(mentions(wrong, "Europe/Atlantis"));
}

TEST_CASE("newer rows of models_dir stand over those that we came with, one by one") {
  const std::string rows = R"({"schema":"ccrules.models/1","provider":"anthropic","source":"a test","date":"2027-01-01",)"
                           R"("models":[{"id":"claude-opus-5-5","usd_per_million":{"input":1,"output":2}},)"
                           R"({"id":"claude-new-1","usd_per_million":{"input":3}}]})";
  const auto with = [&](const std::string& text, const std::string& config = "{}") {
    const test::MemoryFiles files({{"/etc/ccrules/ccrules.json", config}, {"/user/.local/state/ccrules/models/anthropic.json", text},
                                   {"/etc/ccrules/mine/anthropic.json", text}});
    config::Options options;
    options.working_directory = "/here";
    return config::load(files, {{"HOME", "/user"}}, options);
  };
  for (const char* config : {"{}", R"({"models_dir": "mine"})"}) {
    const config::Loaded loaded = with(rows, config);
    INFO(all(loaded));
    REQUIRE(loaded.snapshot);
    const config::ModelTable& table = loaded.snapshot->models();
    CHECK(table.find("claude-opus-5-5", "anthropic")->rates.input_picousd == 1'000'000);
    CHECK(table.find("claude-opus-5-5", "anthropic")->date == "2027-01-01");
    CHECK(table.find("claude-new-1", "anthropic")->rates.output_picousd == std::nullopt);
    CHECK(table.find("claude-haiku-5-5", "anthropic") != nullptr);
    CHECK(table.all().size() == config::ModelTable::built_in().all().size() + 1);
  }
  const config::Loaded broken = with(R"({"provider":"anthropic","models":[{"id":"m","usd_per_million":{"input":-1}}]})");
  CHECK_FALSE(broken.snapshot);
  CHECK(mentions(all(broken), "/user/.local/state/ccrules/models/anthropic.json: input must not be negative"));
  CHECK(load("{}").snapshot->newer_models == nullptr);
  const config::Loaded file = with(rows, R"({"models_dir": "mine/anthropic.json"})");
  CHECK_FALSE(file.snapshot);
  CHECK(mentions(all(file), "models_dir: /etc/ccrules/mine/anthropic.json is a file"));
}

TEST_CASE("hedging is off unless it is said for all providers or for one, and its mistakes are told") {
  const config::Loaded loaded = load(R"({"hedge":{"after":"20s"},"providers":{"a":{"dialect":"anthropic","base_url":"http://a"},)"
                                     R"("b":{"dialect":"anthropic","base_url":"http://b","hedge":{"after":"0"}},)"
                                     R"("c":{"dialect":"anthropic","base_url":"http://c","hedge":{"after":"1500ms"}}}})");
  INFO(all(loaded));
  REQUIRE(loaded.snapshot);
  CHECK(loaded.snapshot->provider("a")->hedge.after == std::chrono::seconds(20));
  CHECK(loaded.snapshot->provider("b")->hedge.after == std::chrono::seconds(0));
  CHECK(loaded.snapshot->provider("c")->hedge.after == std::chrono::milliseconds(1500));
  CHECK(mentions(said(R"({"hedge":{"afer":"2s"}})"), "did you mean 'after'?"));
  CHECK(mentions(said(R"({"hegde":{"after":"2s"}})"), "did you mean 'hedge'?"));
  CHECK(mentions(said(R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://a","hedge":{"aftr":"2s"}}}})"), "did you mean 'after'?"));
  CHECK(mentions(said(R"({"hedge":{"after":"-2s"}})"), "hedge.after"));
  CHECK(mentions(said(R"({"hedge":{"after":"soon"}})"), "hedge.after"));
}

TEST_CASE("budgets say whose, how much and how long, and every mistake in them is told") {
  const config::Loaded loaded = load(
      R"({"budgets":[{"usd":25.5},{"scope":"project:/srv/a:b","usd":1,"per":"week","mode":"soft"},{"scope":"session","usd":0,"per":"hour","mode":"hard"}]})");
  INFO(all(loaded));
  REQUIRE(loaded.snapshot);
  const auto& budgets = loaded.snapshot->budgets;
  REQUIRE(budgets.size() == 3);
  CHECK(budgets[0].by.empty());
  CHECK(budgets[0].nanousd == 25'500'000'000);
  CHECK(budgets[0].per == "day");
  CHECK(budgets[0].hard);
  CHECK(budgets[1].by == "project");
  CHECK(budgets[1].key == "/srv/a:b");
  CHECK(budgets[1].per == "week");
  CHECK_FALSE(budgets[1].hard);
  CHECK(budgets[2].by == "session");
  CHECK(budgets[2].key.empty());
  CHECK(mentions(said(R"({"budgets":{}})"), "budgets must be a list"));
  CHECK(mentions(said(R"({"budgets":[5]})"), "budgets[0] must be an object"));
  CHECK(mentions(said(R"({"budgets":[{"scope":"all"}]})"), "budgets[0] needs usd"));
  CHECK(mentions(said(R"({"budgets":[{"usd":-1}]})"), "budgets[0].usd must be a number of US dollars, not negative"));
  CHECK(mentions(said(R"({"budgets":[{"usd":1e15}]})"), "at most 1000000000"));
  CHECK(mentions(said(R"({"budgets":[{"usd":"5"}]})"), "budgets[0].usd must be a number"));
  CHECK(mentions(said(R"({"budgets":[{"usd":1e30}]})"), "budgets[0].usd must be a number"));
  CHECK(mentions(said(R"({"budgets":[{"usd":1,"scope":"team:x"}]})"), "budgets[0].scope must be"));
  CHECK(mentions(said(R"({"budgets":[{"usd":1,"scope":"project:"}]})"), "budgets[0].scope must be"));
  CHECK(mentions(said(R"({"budgets":[{"usd":1,"scope":"tag:=x"}]})"), "budgets[0].scope must be"));
  CHECK(mentions(said(R"({"budgets":[{"usd":1,"per":"year"}]})"), "budgets[0].per must be"));
  CHECK(mentions(said(R"({"prices":{"":{"input":1}}})"), "prices: \"\" is no model"));
  CHECK(mentions(said(R"({"budgets":[{"usd":1,"mode":"firm"}]})"), "budgets[0].mode must be"));
  CHECK(mentions(said(R"({"budgets":[{"usdd":1}]})"), "did you mean 'usd'?"));
}

TEST_CASE("a scope such as project:* means each project, and another pattern in a scope is refused where it stands") {
  const config::Loaded loaded =
      load(R"({"budgets":[{"scope":"project:*","usd":25},{"scope":"tag:*","usd":1}],"rate_limits":[{"scope":"session:*","requests":6}]})");
  INFO(all(loaded));
  REQUIRE(loaded.snapshot);
  CHECK(loaded.snapshot->budgets[0].by == "project");
  CHECK(loaded.snapshot->budgets[0].key.empty());
  CHECK(loaded.snapshot->budgets[1].by == "tag");
  CHECK(loaded.snapshot->budgets[1].key.empty());
  CHECK(loaded.snapshot->rate_limits[0].by == "session");
  CHECK(loaded.snapshot->rate_limits[0].key.empty());
  const auto refused = [](const std::string& scope) { return said(R"({"budgets":[{"usd":1,"scope":")" + scope + R"("}]})"); };
  const std::string said_of_opus = refused("model:claude-opus-*");
  INFO(said_of_opus);
  CHECK(mentions(said_of_opus,
                 "ccrules.json:1:30: error: budgets[0].scope 'model:claude-opus-*' is a pattern, and keys are compared as they are "
                 "written; write \"model\" (each has the budget of its own), or an entry for each key that is meant"));
  CHECK(mentions(refused("user:team-?"), "write \"user\""));
  CHECK(mentions(refused("tag:team=*"), "write \"tag:team\" (each"));
  CHECK(mentions(refused("tag:te*"), "write \"tag\" (each"));
  CHECK(mentions(refused("all:*"), "budgets[0].scope must be"));
  CHECK(mentions(said(R"({"rate_limits":[{"scope":"user:*x","requests":1}]})"), "rate_limits[0].scope 'user:*x' is a pattern"));
}

TEST_CASE("budgets and limits of a model are kept by what the model is called, and one for a route's name is warned of") {
  const config::Loaded loaded =
      load(R"({"providers":{"a":{"dialect":"anthropic","base_url":"http://a"}},"routes":{"fast":"a,claude-haiku-5-5","claude-opus-5.5":"a,claude-opus-5-5"},)"
           R"("budgets":[{"scope":"model:a,claude-opus-5.5","usd":1},{"scope":"model:fast","usd":1},{"scope":"model:claude-opus-5.5","usd":1}],)"
           R"("rate_limits":[{"scope":"model:my-own[1m]","requests":1}]})");
  INFO(all(loaded));
  REQUIRE(loaded.snapshot);
  CHECK(loaded.snapshot->budgets[0].key == "claude-opus-5-5");
  CHECK(loaded.snapshot->budgets[1].key == "fast");
  CHECK(loaded.snapshot->budgets[2].key == "claude-opus-5-5");
  CHECK(loaded.snapshot->rate_limits[0].key == "my-own");
  REQUIRE(loaded.diagnostics.size() == 1);
  CHECK(loaded.diagnostics[0].warning);
  CHECK(mentions(all(loaded), "'fast' is the name of a route; what is counted is the model that answers"));
  CHECK(mentions(all(loaded), "write \"model:claude-haiku-5-5\""));
}

TEST_CASE("paths in the file are relative to it, those of flags to where the user stands") {
  const test::MemoryFiles files(
      {{"/c/f.json",
        R"({"rules":["r.lua"],"ledger":{"path":"l.db"},"listen":{"tls":{"cert":"c.pem","key":"/k.pem"}}})"},
       {"/c/r.lua", ""},
       {"/c/c.pem", ""},
       {"/k.pem", ""}});
  config::Options options;
  options.config_path = "/c/f.json";
  options.working_directory = "/here";
  const config::Loaded loaded = config::load(files, {}, options);
  INFO(all(loaded));
  REQUIRE(loaded.snapshot);
  CHECK(loaded.snapshot->rules == std::vector<std::string>{"/c/r.lua"});
  CHECK(loaded.snapshot->ledger.path == "/c/l.db");
  CHECK(loaded.snapshot->listen.tls_cert == "/c/c.pem");
  CHECK(loaded.snapshot->listen.tls_key == "/k.pem");
  options.overrides = {{"ledger.path", "x.db"}};
  CHECK(config::load(files, {}, options).snapshot->ledger.path == "/here/x.db");
  CHECK(mentions(said(R"({"rules":["none.lua"]})"), "rules: there is no file /etc/ccrules/none.lua"));
}

TEST_CASE("configured prices are exact and the most exact row comes first") {
  const config::Loaded loaded = load(
      R"({"prices":{"*":{"input":1},"claude-opus-*":{"input":4,"cache_read":0.0036},"claude-opus-5-5":{"output":20}}})");
  REQUIRE(loaded.snapshot);
  const auto& prices = loaded.snapshot->prices;
  REQUIRE(prices.size() == 3);
  CHECK(prices[0].model == "claude-opus-5-5");
  CHECK(prices[1].model == "claude-opus-*");
  CHECK(prices[1].rates.cache_read_picousd == 3600);
  CHECK_FALSE(prices[1].rates.output_picousd.has_value());
}

TEST_CASE("the default configuration file loads without a word and says the defaults") {
  const std::string text = test::read_file(std::string(CCR_SOURCE_DIR) + "/config/ccrules.json");
  const config::Loaded written = load(text, {{"HOME", "/h"}});
  INFO(all(written));
  REQUIRE(written.snapshot);
  CHECK(written.diagnostics.empty());
  const config::Snapshot& a = *written.snapshot;
  const config::Snapshot b;
  CHECK(a.listen.host == b.listen.host);
  CHECK(a.listen.port == b.listen.port);
  CHECK(a.listen.api_key.empty());
  CHECK(a.workers == b.workers);
  CHECK(a.long_context_tokens == b.long_context_tokens);
  CHECK(a.routes.empty());
  CHECK(a.tiers.empty());
  CHECK(a.ledger.path == "/h/.local/state/ccrules/ledger.db");
  CHECK(a.ledger.keep_days == b.ledger.keep_days);
  CHECK(a.ledger.durable == b.ledger.durable);
  CHECK(a.log.level == b.log.level);
  CHECK(a.log.json == b.log.json);
  CHECK(a.timeouts.connect == b.timeouts.connect);
  CHECK(a.timeouts.first_byte == b.timeouts.first_byte);
  CHECK(a.timeouts.idle == b.timeouts.idle);
  CHECK(a.timeouts.total == b.timeouts.total);
  CHECK(a.limits.body == b.limits.body);
  CHECK(a.limits.header == b.limits.header);
  CHECK(a.limits.connections == b.limits.connections);
  CHECK(a.retry.max_attempts == b.retry.max_attempts);
  CHECK(a.retry.base == b.retry.base);
  CHECK(a.retry.at_most == b.retry.at_most);
  CHECK(a.hedge.after == b.hedge.after);
  // What is commented out is valid too.
  std::string active;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    const auto mark = line.find("// ");
    const auto first = mark == std::string::npos ? mark : line.find_first_not_of(' ', mark + 2);
    const bool setting = first != std::string::npos && line.find_first_not_of(' ') == mark &&
                         (line[first] == '"' || line[first] == '}');
    if (setting && line.find("rules/my-rules") == std::string::npos) line.erase(mark, 2);
    active += line + "\n";
    at = end + 1;
  }
  const config::Loaded all_of_it = load(active, {{"ANTHROPIC_API_KEY", "a"}, {"MY_OPENAI_KEY", "o"}});
  INFO(active);
  INFO(all(all_of_it));
  REQUIRE(all_of_it.snapshot);
  CHECK(all_of_it.diagnostics.empty());
  CHECK(all_of_it.snapshot->providers.size() == 4);
  CHECK(all_of_it.snapshot->routes.size() == 5);
}
