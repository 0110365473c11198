#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <filesystem>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "core/json.h"
#include "packs/archive.h"
#include "support/files.h"
#include "support/tar_writer.h"
#include "unit/cli/scratch.h"

using Catch::Contains;
using ccrules::test::CliResult;
using ccrules::test::read_file;
using ccrules::test::Scratch;
using ccrules::test::tar_end;
using ccrules::test::tar_entry;

namespace {

// Made by `openssl genpkey -algorithm ed25519` for these tests alone.
constexpr const char* kKey =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAHJhcUMpJyXsOBkVvjzIBh4neTq9Sy6jvn9EdIhx8M0\n-----END PRIVATE KEY-----\n";
constexpr const char* kOtherKey =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEICFf2X/Wk4UF+GtCX0k0dPZ6p6SRybl1Lx0Q67hvRCfd\n-----END PRIVATE KEY-----\n";

std::string manifest(const std::string& name, const std::string& version, const std::string& more = {}) {
  return "{ \"name\": \"" + name + "\", \"version\": \"" + version +
         "\", \"engine\": \">=0.1 <1\", \"kind\": \"lua\", \"summary\": \"s\", \"license\": \"MIT\"" + more + " }\n";
}

/// A web server for one request, which it answers with the given bytes.
class OneReply {
 public:
  explicit OneReply(std::string reply) : reply_(std::move(reply)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(listener_, 1) == 0);
    REQUIRE(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { answer(); });
  }
  ~OneReply() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  OneReply(const OneReply&) = delete;
  OneReply& operator=(const OneReply&) = delete;
  [[nodiscard]] std::string url(const std::string& file) const { return "http://127.0.0.1:" + std::to_string(port_) + "/" + file; }

 private:
  void answer() const {
    const int client = ::accept(listener_, nullptr, nullptr);
    if (client < 0) return;
    std::string got;
    char block[1024];
    while (got.find("\r\n\r\n") == std::string::npos) {
      const ssize_t bytes = ::recv(client, block, sizeof block, 0);
      if (bytes <= 0) break;
      got.append(block, static_cast<std::size_t>(bytes));
    }
    for (std::size_t sent = 0; sent < reply_.size();) {
      const ssize_t bytes = ::send(client, reply_.data() + sent, reply_.size() - sent, MSG_NOSIGNAL);
      if (bytes <= 0) break;
      sent += static_cast<std::size_t>(bytes);
    }
    ::close(client);
  }
  std::string reply_;
  int listener_ = -1;
  int port_ = 0;
  std::thread thread_;
};

/// A folder with a configuration, a pack and two keys.
struct Desk : Scratch {
  Desk() {
    write("ccrules.json", R"({ "providers": { "anthropic": {} }, "routes": { "default": "anthropic,claude-sonnet-5-5" } })");
    write("key.pem", kKey);
    write("other.pem", kOtherKey);
    pack("cost", manifest("acme/cost", "1.0.0"), R"(rule "big" { when = { tokens = { gt = 9 } }, to = "sim,sim-big" })");
  }
  void pack(const std::string& folder, const std::string& json, const std::string& rules) const {
    write(folder + "/pack.json", json);
    write(folder + "/rules/rules.lua", rules + "\n");
  }
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    Scratch::write(name, text);
  }
  /// Every file with its text: what a failure must not change.
  [[nodiscard]] std::map<std::string, std::string> everything() const {
    std::map<std::string, std::string> out;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path("."))) {
      out[entry.path().string()] = entry.is_regular_file() ? read_file(entry.path().string()) : "";
    }
    return out;
  }
  /// Runs a command that must fail with exit code 2 and change nothing; its message.
  [[nodiscard]] std::string refused(const std::vector<std::string>& line) const {
    const auto before = everything();
    const CliResult result = run(line);
    CHECK(result.code == 2);
    CHECK(everything() == before);
    return result.err;
  }
};

}  // namespace

TEST_CASE("a new pack passes its own tests, of either kind, and is never written over another") {
  const Desk desk;
  for (const char* kind : {"lua", "data"}) {
    const std::string name = std::string("me/new-") + kind;
    const CliResult made = desk.run({"pack", "new", name, "--kind", kind});
    CHECK(made.code == 0);
    CHECK_THAT(made.out, Contains("pack.json") && Contains("README.md"));
    const CliResult tested = desk.run({"pack", "test", std::string("new-") + kind});
    INFO(tested.out << tested.err);
    CHECK(tested.code == 0);
    CHECK_THAT(tested.out, Contains("2 passed"));
    CHECK_THAT(desk.refused({"pack", "new", name}), Contains("exists already"));
  }
  CHECK_THAT(desk.refused({"pack", "new", "Not A Name"}), Contains("lower-case"));
}

TEST_CASE("a pack is built, signed and verified, and the same files give the same archive") {
  const Desk desk;
  CHECK(desk.run({"pack", "build", "cost"}).code == 0);
  const std::string once = read_file(desk.path("acme-cost-1.0.0.tar.gz"));
  CHECK(desk.run({"pack", "build", "cost", "--out", "again.tar.gz"}).code == 0);
  CHECK(read_file(desk.path("again.tar.gz")) == once);
  CHECK(desk.run({"pack", "build", "cost", "--out", "packed.tar.zst"}).code == 0);
  CHECK(desk.run({"pack", "verify", "packed.tar.zst"}).code == 0);

  CHECK_THAT(desk.refused({"pack", "verify", "again.tar.gz", "--key", "key.pem"}), Contains("is not signed, and --key asks for the signature of ed25519:"));
  CHECK(desk.run({"pack", "sign", "cost", "--key", "key.pem"}).code == 0);
  CHECK(desk.run({"pack", "build", "cost"}).code == 0);
  const CliResult verified = desk.run({"pack", "verify", "acme-cost-1.0.0.tar.gz", "--key", "key.pem", "--json"});
  CHECK(verified.code == 0);
  CHECK(ccrules::json::is_valid(verified.out));
  CHECK_THAT(desk.refused({"pack", "verify", "acme-cost-1.0.0.tar.gz", "--key", "other.pem"}), Contains("is signed by ed25519:"));

  desk.write("cost/rules/rules.lua", "-- changed\n");
  CHECK_THAT(desk.refused({"pack", "build", "cost"}), Contains("'rules/rules.lua' was changed") && Contains("sign it again"));
  CHECK_THAT(desk.refused({"pack", "verify", "cost"}), Contains("'rules/rules.lua' was changed"));
}

TEST_CASE("installing pins a pack, its rules decide, removing forgets it") {
  const Desk desk;
  const CliResult installed = desk.run({"pack", "install", "cost", "--yes"});
  INFO(installed.out << installed.err);
  REQUIRE(installed.code == 0);
  CHECK_THAT(installed.out, Contains("big") && Contains("tokens > 9") && Contains("to sim,sim-big") && Contains("default#default"));
  CHECK_THAT(read_file(desk.path("rules.lock")), Contains("\"name\": \"acme/cost\"") && Contains("\"identity\": \"sha256:"));
  const std::string request = R"({"model":"claude-opus-5-5","max_tokens":9,"messages":[{"role":"user","content":"a long enough text to have ten tokens, surely more than that"}]})";
  CHECK_THAT(desk.run({"explain", "-"}, request).out, Contains("sim,sim-big"));
  const CliResult listed = desk.run({"pack", "list", "--json"});
  CHECK(ccrules::json::is_valid(listed.out));
  CHECK_THAT(listed.out, Contains(R"("name":"acme/cost","version":"1.0.0")") && Contains(R"("rules":1)"));

  desk.write("ccrules.json",
             R"({ "providers": { "anthropic": {} }, "routes": { "default": "anthropic,claude-sonnet-5-5" }, "rules": ["mine.lua"] })");
  desk.write("mine.lua", "override \"acme/cost#big\" { off = true }\n");
  CHECK_THAT(desk.refused({"pack", "remove", "acme/cost"}), Contains("mine.lua:1:") && Contains("so nothing was removed"));
  desk.write("mine.lua", "-- nothing\n");
  CHECK(desk.run({"pack", "remove", "acme/cost"}).code == 0);
  CHECK_THAT(desk.run({"pack", "list"}).out, Contains("no packs are installed"));
  CHECK(std::filesystem::is_empty(desk.path("packs")));
  CHECK_THAT(desk.refused({"pack", "remove", "acme/cots"}), Contains("is not installed"));
}

TEST_CASE("without --yes and without a terminal nothing is installed") {
  const Desk desk;
  CHECK_THAT(desk.refused({"pack", "install", "cost"}), Contains("say --yes"));
}

TEST_CASE("a pack whose tests fail is not installed, and the failure is shown") {
  const Desk desk;
  desk.write("cost/tests/a_test.lua", R"(case "wrong" { given = { tokens = 10 }, expect = { to = "sim,sim-small" } })");
  const auto before = desk.everything();
  const CliResult result = desk.run({"pack", "install", "cost", "--yes"});
  CHECK(result.code == 1);
  CHECK_THAT(result.out, Contains("wrong: expected to = sim,sim-small, got to = sim,sim-big"));
  CHECK(desk.everything() == before);
}

TEST_CASE("a pack stays with the key it was installed with: unsigned, foreign and changed copies are refused") {
  const Desk desk;
  REQUIRE(desk.run({"pack", "sign", "cost", "--key", "key.pem"}).code == 0);
  CHECK_THAT(desk.refused({"pack", "install", "cost", "--yes", "--key", "other.pem"}), Contains("not by the key"));
  REQUIRE(desk.run({"pack", "install", "cost", "--yes", "--key", "key.pem"}).code == 0);

  std::filesystem::remove(desk.path("cost/pack.sig"));
  CHECK_THAT(desk.refused({"pack", "install", "cost", "--yes"}), Contains("is locked to the key ed25519:") && Contains("is not signed"));
  REQUIRE(desk.run({"pack", "sign", "cost", "--key", "other.pem"}).code == 0);
  CHECK_THAT(desk.refused({"pack", "update", "--yes"}), Contains("this copy is signed by ed25519:"));
  desk.write("cost/rules/rules.lua", "-- changed\n");
  CHECK_THAT(desk.refused({"pack", "install", "cost", "--yes"}), Contains("was changed"));
}

TEST_CASE("a lock names what lies beside it without the machine's paths, and updates from there") {
  const Desk desk;
  REQUIRE(desk.run({"pack", "install", desk.path("cost"), "--yes"}).code == 0);
  const std::string lock = read_file(desk.path("rules.lock"));
  CHECK_THAT(lock, Contains(R"("source": "./cost")") && !Contains(desk.path("")));
  CHECK_THAT(desk.run({"pack", "update", "--yes"}).out, Contains("up to date"));
  desk.pack("cost", manifest("acme/cost", "1.1.0"), R"(rule "big" { when = { tokens = { gt = 7 } }, to = "sim,sim-big" })");
  CHECK_THAT(desk.run({"pack", "diff", "acme/cost"}).out, Contains("acme/cost 1.0.0 -> acme/cost 1.1.0"));
  CHECK_THAT(desk.run({"pack", "update", "--yes"}).out, Contains("installed acme/cost 1.1.0"));
}

TEST_CASE("an installed pack that is tampered with is an error when rules are loaded") {
  const Desk desk;
  REQUIRE(desk.run({"pack", "sign", "cost", "--key", "key.pem"}).code == 0);
  REQUIRE(desk.run({"pack", "install", "cost", "--yes"}).code == 0);
  std::string home;
  for (const auto& entry : std::filesystem::directory_iterator(desk.path("packs"))) home = entry.path().string();
  const std::string signature = read_file(home + "/pack.sig");

  std::filesystem::remove(home + "/pack.sig");
  const CliResult stripped = desk.run({"check"});
  CHECK(stripped.code != 0);
  CHECK_THAT(stripped.out, Contains("rules.lock:4:") && Contains("but is not signed any more"));
  ccrules::test::write_file(home + "/pack.sig", signature);
  CHECK(desk.run({"check"}).code == 0);
  ccrules::test::write_file(home + "/rules/rules.lua", "-- nothing\n");
  CHECK_THAT(desk.run({"check"}).out, Contains("is not the one that was installed") && Contains("'rules/rules.lua' was changed"));
  CHECK(desk.run({"pack", "install", "cost", "--yes"}).code == 0);  // puts it back
  CHECK(desk.run({"check"}).code == 0);
  std::filesystem::remove_all(home);
  CHECK_THAT(desk.run({"check"}).out, Contains("cannot be read"));
}

TEST_CASE("bad packs: one clear sentence, exit code 2, nothing changed on disk") {
  const Desk desk;
  const auto pack_of = [](const std::string& extra) { return tar_entry("pack.json", manifest("a", "1.0.0")) + extra + tar_end(); };
  desk.write("traversal.tar", pack_of(tar_entry("../../evil", "x")));
  CHECK_THAT(desk.refused({"pack", "install", "traversal.tar", "--yes"}), Contains("traversal.tar: a path in the pack leads out of it"));
  desk.write("link.tar", pack_of(tar_entry("rules", "", '2', "/etc")));
  CHECK_THAT(desk.refused({"pack", "install", "link.tar", "--yes"}), Contains("holds a link"));
  desk.write("zeros.tar", pack_of(tar_entry("zeros", "", '0', "", 1U << 30U)));
  CHECK_THAT(desk.refused({"pack", "install", "zeros.tar", "--yes"}), Contains("larger than 8 MiB"));
  desk.write("noise.tar.gz", "this is no archive");
  CHECK_THAT(desk.refused({"pack", "install", "noise.tar.gz", "--yes"}), Contains("archive"));

  desk.pack("old", R"({ "name": "old", "version": "1.0.0", "engine": ">=7", "kind": "lua", "summary": "s", "license": "MIT" })", "");
  CHECK_THAT(desk.refused({"pack", "install", "old", "--yes"}), Contains("old/pack.json:1:48") && Contains("works with ccrules >=7"));
  desk.pack("typo", manifest("typo", "1.0.0", ", \"neds\": []"), "");
  CHECK_THAT(desk.refused({"pack", "install", "typo", "--yes"}), Contains("typo/pack.json:1:") && Contains("did you mean 'needs'?"));
  desk.pack("code", R"({ "name": "code", "version": "1.0.0", "engine": "*", "kind": "data", "summary": "s", "license": "MIT" })", "");
  CHECK_THAT(desk.refused({"pack", "install", "code", "--yes"}), Contains("a data pack holds no code"));
  desk.pack("broken", manifest("broken", "1.0.0"), "rule \"x\" { when = { tokns = 1 }, to = \"sim,sim-a\" }");
  CHECK_THAT(desk.refused({"pack", "install", "broken", "--yes"}), Contains("rules/rules.lua:1:21") && Contains("did you mean 'tokens'?"));
  desk.pack("alias", manifest("alias", "1.0.0", R"(, "models": { "cheap": "a small one" })"), "rule \"x\" { to = \"cheap\" }");
  CHECK_THAT(desk.refused({"pack", "install", "alias", "--yes"}), Contains("--model cheap=PROVIDER,MODEL"));
  CHECK_THAT(desk.refused({"pack", "install", "alias", "--yes", "--model", "chep=sim,sim-a"}), Contains("did you mean 'cheap'?"));
  std::filesystem::create_symlink("/etc/passwd", desk.path("cost/rules/passwd.lua"));
  CHECK_THAT(desk.refused({"pack", "install", "cost", "--yes"}), Contains("'rules/passwd.lua' is a link"));
  CHECK_THAT(desk.refused({"pack", "install", "nowhere", "--yes"}), Contains("no folder or archive nowhere"));
  CHECK_THAT(desk.refused({"pack", "instal", "cost"}), Contains("did you mean 'install'?"));
  CHECK_THAT(desk.refused({"pack", "list", "--grant", "text"}), Contains("has no flag --grant"));
}

TEST_CASE("what a pack needs and was not granted does not exist for it") {
  const Desk desk;
  desk.pack("reader", manifest("reader", "1.0.0", R"(, "needs": ["text"])"), R"(rule "x" { when = { ["text.last_user"] = { has = "hi" } }, to = "sim,sim-a" })");
  CHECK_THAT(desk.refused({"pack", "install", "reader", "--yes"}), Contains("rules.lua:1:") && Contains("--grant text"));
  const CliResult granted = desk.run({"pack", "install", "reader", "--yes", "--grant", "text"});
  INFO(granted.err);
  CHECK(granted.code == 0);
  CHECK_THAT(granted.out, Contains("text (granted)"));
  CHECK(desk.run({"check"}).code == 0);
  CHECK_THAT(desk.refused({"pack", "install", "reader", "--yes", "--grant", "root"}), Contains("--grant takes text, headers and spend"));
}

TEST_CASE("packs depend on each other: from an index, in order, and never in a circle") {
  const Desk desk;
  desk.pack("base", manifest("base", "1.1.0"), R"(rule "b" { tag = { base = true } })");
  desk.pack("top", manifest("top", "1.0.0", R"(, "depends": { "base": "^1.0" })"), R"(rule "t" { tag = { top = true } })");
  CHECK_THAT(desk.refused({"pack", "install", "top", "--yes"}), Contains("top depends on base ^1.0, which is not installed"));
  REQUIRE(desk.run({"pack", "publish", "base", "--index", "shelf/index.json"}).code == 0);
  REQUIRE(desk.run({"pack", "publish", "top", "--index", "shelf/index.json"}).code == 0);
  const CliResult found = desk.run({"pack", "search", "--index", "shelf/index.json", "--json"});
  CHECK_THAT(found.out, Contains(R"("name":"base","version":"1.1.0")"));
  const CliResult installed = desk.run({"pack", "install", "top", "--yes", "--index", "shelf/index.json"}, "");
  INFO(installed.err);
  // A folder of that name stands here: it is meant, what it depends on comes from the index.
  REQUIRE(installed.code == 0);
  CHECK_THAT(installed.out, Contains("installed base 1.1.0"));
  CHECK(desk.run({"check"}).code == 0);
  CHECK_THAT(desk.refused({"pack", "remove", "base"}), Contains("top depends on base"));

  desk.pack("a", manifest("a", "1.0.0", R"(, "depends": { "b": "*" })"), R"(rule "a" { tag = { a = true } })");
  desk.pack("b", manifest("b", "1.0.0", R"(, "depends": { "a": "*" })"), R"(rule "b" { tag = { b = true } })");
  CHECK_THAT(desk.refused({"pack", "install", "a", "b", "--yes"}), Contains("in a circle: a -> b -> a"));

  desk.write("base/rules/rules.lua", "rule \"b\" { tag = { base = false } }\n");
  CHECK_THAT(desk.refused({"pack", "publish", "base", "--index", "shelf/index.json"}), Contains("published versions do not change"));
}

TEST_CASE("an index that lies about a pack is found out") {
  const Desk desk;
  REQUIRE(desk.run({"pack", "publish", "cost", "--index", "shelf/index.json"}).code == 0);
  desk.write("cost/rules/rules.lua", "-- other rules\nrule \"x\" { tag = { a = 1 } }\n");
  REQUIRE(desk.run({"pack", "build", "cost", "--out", "shelf/acme-cost-1.0.0.tar.gz"}).code == 0);
  CHECK_THAT(desk.refused({"pack", "install", "acme/cost", "--yes", "--index", "shelf/index.json"}),
             Contains("is not the acme/cost 1.0.0 that the index describes"));
  CHECK_THAT(desk.refused({"pack", "install", "acme/cots", "--yes", "--index", "shelf/index.json"}), Contains("did you mean 'acme/cost'?"));
  CHECK_THAT(desk.refused({"pack", "install", "acme/cost@^2", "--yes", "--index", "shelf/index.json"}), Contains("has no acme/cost ^2"));
}

TEST_CASE("diff names the rules that were added, removed, changed and moved") {
  const Desk desk;
  desk.pack("one", manifest("p", "1.0.0"), "rule \"a\" { when = { tokens = { gt = 1 } }, to = \"sim,sim-a\" }\nrule \"gone\" { to = \"sim,sim-b\" }");
  desk.pack("two", manifest("p", "2.0.0"), "rule \"a\" { when = { tokens = { gt = 2 } }, to = \"sim,sim-a\" }\nrule \"new\" { to = \"sim,sim-c\" }");
  const CliResult differs = desk.run({"pack", "diff", "one", "two"});
  CHECK(differs.code == 0);
  CHECK_THAT(differs.out, Contains("p 1.0.0 -> p 2.0.0") && Contains("- gone") && Contains("+ new") &&
                              Contains("when    tokens > 1 -> tokens > 2"));
  const CliResult json = desk.run({"pack", "diff", "one", "two", "--json"});
  CHECK(ccrules::json::is_valid(json.out));
  CHECK_THAT(desk.run({"pack", "diff", "one", "one"}).out, Contains("the same files"));
}

TEST_CASE("a pack comes from a git repository at a tag and a folder, and nothing that is no repository gets to git") {
  const Desk desk;
  const std::string make = "cd '" + desk.path(".") +
                           "' && git init -q repo && cd repo && mkdir deep && cp -r ../cost deep/ && git add -A && "
                           "git -c user.name=t -c user.email=t@example.com commit -qm one && git tag v1 && rm -r deep && "
                           "git add -A && git -c user.name=t -c user.email=t@example.com commit -qm two";
  REQUIRE(std::system(make.c_str()) == 0);
  const std::string url = "git+file://" + desk.path("repo");
  const CliResult installed = desk.run({"pack", "install", url + "#v1:deep/cost", "--yes"});
  INFO(installed.err);
  CHECK(installed.code == 0);
  CHECK_THAT(desk.refused({"pack", "install", url + "#v2", "--yes"}), Contains("git could not fetch"));
  CHECK_THAT(desk.refused({"pack", "install", url + ":nothing", "--yes"}), Contains("git could not fetch"));
  CHECK_THAT(desk.refused({"pack", "install", url + "#v1:../x", "--yes"}), Contains("leads out of it"));
  for (const char* wrong : {"git+ext::sh -c touch% evil", "git+ssh://-oProxyCommand=touch/x", "git+http://example.com/x", "git+/etc",
                            "git+https://example.com/x#--upload-pack=touch"}) {
    INFO(wrong);
    CHECK_THAT(desk.refused({"pack", "install", wrong, "--yes"}), Contains("a git source is") || Contains("no name of a branch"));
  }
}

TEST_CASE("packs are only fetched over https, and nobody there is exit code 5") {
  const Desk desk;
  CHECK_THAT(desk.refused({"pack", "install", "http://example.com/a.tar.gz", "--yes"}), Contains("only fetched over https"));
  CHECK_THAT(desk.refused({"pack", "install", "https://example.com/a.git", "--yes"}), Contains("git+https://example.com/a.git"));
  CHECK(desk.run({"pack", "install", "http://127.0.0.1:9/a.tar.gz", "--yes"}).code == 5);
}

TEST_CASE("a pack comes over the network whole, without redirects and not larger than packs are") {
  const Desk desk;
  REQUIRE(desk.run({"pack", "build", "cost", "--out", "cost.tar.gz"}).code == 0);
  const std::string archive = read_file(desk.path("cost.tar.gz"));
  const auto reply = [](const std::string& head, const std::string& body) { return "HTTP/1.1 " + head + "\r\n\r\n" + body; };
  {
    const OneReply server(reply("302 Found\r\nlocation: https://elsewhere.example/evil.tar.gz\r\ncontent-length: 0", ""));
    CHECK_THAT(desk.refused({"pack", "install", server.url("cost.tar.gz"), "--yes"}),
               Contains("redirects to https://elsewhere.example/evil.tar.gz; redirects are not followed"));
  }
  {
    const OneReply server(reply("404 Not Found\r\ncontent-length: 0", ""));
    CHECK_THAT(desk.refused({"pack", "install", server.url("cost.tar.gz"), "--yes"}), Contains("answers 404"));
  }
  {
    const OneReply server(reply("200 OK\r\ncontent-length: 900000000", std::string(9U << 20U, 'x')));
    CHECK_THAT(desk.refused({"pack", "install", server.url("cost.tar.gz"), "--yes"}), Contains("is larger than 8 MiB"));
  }
  {
    const OneReply server(reply("200 OK\r\ncontent-length: " + std::to_string(archive.size()), archive));
    const CliResult installed = desk.run({"pack", "install", server.url("cost.tar.gz"), "--yes"});
    INFO(installed.err);
    CHECK(installed.code == 0);
  }
}

TEST_CASE("rules of a project take part once they are trusted, for that project, until they change") {
  const Desk desk;
  desk.pack("web/.ccrules", manifest("house", "1.0.0"), R"(rule "here" { to = "sim,sim-house" })");
  CHECK_THAT(desk.refused({"trust", "web"}), Contains("say --yes"));
  const CliResult trusted = desk.run({"trust", "web", "--yes"});
  INFO(trusted.err);
  REQUIRE(trusted.code == 0);
  desk.write("here_test.lua", "case \"inside\" { given = { project = \"" + desk.path("web") +
                                  "/src\" }, expect = { to = \"sim,sim-house\" } }\n"
                                  "case \"outside\" { given = { project = \"/srv/other\" }, expect = { by = \"default\" } }\n");
  const CliResult tested = desk.run({"test", desk.path("here_test.lua")});
  INFO(tested.out << tested.err);
  CHECK(tested.code == 0);

  desk.pack("app/.ccrules", manifest("app", "1.0.0", R"(, "models": { "cheap": "a small one" })"), R"(rule "x" { to = "cheap" })");
  CHECK_THAT(desk.refused({"trust", "app", "--yes"}), Contains("'cheap' (a small one)") && Contains("--model cheap=PROVIDER,MODEL"));
  CHECK_THAT(desk.refused({"trust", "app", "--yes", "--model", "cheap=nobody,x"}),
             Contains("error: --model cheap=nobody,x: there is no provider 'nobody'") && !Contains("models.json"));
  CHECK_THAT(desk.refused({"trust", "app", "--yes", "--model", "cheep=sim,x"}), Contains("did you mean 'cheap'?"));
  CHECK(desk.run({"trust", "app", "--yes", "--model", "cheap=sim,sim-a"}).code == 0);

  desk.write("web/.ccrules/rules/rules.lua", "rule \"here\" { to = \"sim,sim-changed\" }\n");
  const CliResult checked = desk.run({"check"});
  CHECK(checked.code == 0);
  CHECK_THAT(checked.out, Contains("warning") && Contains("they changed since they were trusted"));
  CHECK(desk.run({"trust", "web", "--remove"}).code == 0);
  CHECK_THAT(desk.refused({"trust", "web", "--remove"}), Contains("are not trusted"));
}
