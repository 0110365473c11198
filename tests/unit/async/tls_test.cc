#include "async/tls.h"

#include <array>

#include <catch2/catch.hpp>

#include "async/memory_stream.h"
#include "async/sim_loop.h"
#include "support/certificates.h"
#include "support/files.h"

using namespace ccrules;
using namespace std::chrono_literals;

namespace {

struct Peer {
  std::unique_ptr<ByteStream> stream;
  std::string error;
  bool finished = false;
  std::string received;
  bool ended = false;
  bool lost = false;
};

Task<void> connect(std::unique_ptr<ByteStream> lower, std::shared_ptr<TlsContext> context, Endpoint endpoint,
                   Peer& peer, StopToken stop) {
  auto done = co_await tls_connect(std::move(lower), std::move(context), std::move(endpoint), 5s, stop);
  if (done.ok()) {
    peer.stream = *std::move(done);
  } else {
    peer.error = done.error().message;
  }
  peer.finished = true;
}

Task<void> accept(std::unique_ptr<ByteStream> lower, std::shared_ptr<TlsContext> context, Peer& peer) {
  auto done = co_await tls_accept(std::move(lower), std::move(context), 5s, StopToken());
  if (done.ok()) {
    peer.stream = *std::move(done);
  } else {
    peer.error = done.error().message;
  }
  peer.finished = true;
}

Task<void> collect(Peer& peer) {
  for (;;) {
    const auto got = co_await peer.stream->read(0ms, StopToken());
    if (!got.ok()) {
      peer.lost = true;
      co_return;
    }
    if (got->end) {
      peer.ended = true;
      co_return;
    }
    peer.received.append(got->bytes);
  }
}

Task<void> write_all(ByteStream& stream, std::string head, std::string body, bool& done) {
  const std::array<std::string_view, 2> pieces = {head, body};
  const auto written = co_await stream.write(pieces, StopToken());
  done = written.ok();
}

struct Pair {
  SimLoop loop;
  Peer client;
  Peer server;
  ~Pair() {
    if (client.stream != nullptr) client.stream->close();
    if (server.stream != nullptr) server.stream->close();
    loop.run();
  }
  void shake(const std::shared_ptr<TlsContext>& trust, const std::shared_ptr<TlsContext>& keys,
             std::string host, Wire wire = {}) {
    MemoryPair lower = memory_pair(loop, wire, wire);
    Endpoint endpoint;
    endpoint.tls = true;
    endpoint.host = std::move(host);
    endpoint.port = 443;
    spawn(accept(std::move(lower.far), keys, server));
    spawn(connect(std::move(lower.near), trust, std::move(endpoint), client, StopToken()));
    loop.run_for(30s);
    REQUIRE(client.finished);
    REQUIRE(server.finished);
  }
};

std::shared_ptr<TlsContext> trusting(const std::string& ca_file) {
  auto made = TlsContext::client(ca_file);
  REQUIRE(made.ok());
  return *made;
}

std::shared_ptr<TlsContext> serving(const test::Authority::Files& files) {
  auto made = TlsContext::server(files.certificate, files.key);
  REQUIRE(made.ok());
  return *made;
}

}  // namespace

TEST_CASE("a trusted server with the right name is spoken to, whatever cuts the bytes suffer") {
  test::Authority authority;
  const auto trust = trusting(authority.file());
  const auto keys = serving(authority.issue("DNS:api.example"));
  for (const std::size_t cut : {0u, 1u, 100u}) {
    Wire wire;
    wire.cut = cut;
    Pair pair;
    pair.shake(trust, keys, "api.example", wire);
    REQUIRE(pair.client.stream != nullptr);
    REQUIRE(pair.server.stream != nullptr);
    spawn(collect(pair.server));
    bool written = false;
    spawn(write_all(*pair.client.stream, "hello ", "world", written));
    pair.loop.run_for(10s);
    CHECK(written);
    CHECK(pair.server.received == "hello world");
    pair.client.stream->shut_write();
    pair.loop.run_for(10s);
    CHECK(pair.server.ended);
    CHECK_FALSE(pair.server.lost);
  }
}

TEST_CASE("a large body passes TLS whole, also through a narrow window") {
  test::Authority authority;
  const auto trust = trusting(authority.file());
  const auto keys = serving(authority.issue("DNS:api.example"));
  std::string body;
  for (int at = 0; body.size() < 700'000; ++at) body += std::to_string(at) + ",";
  for (const std::size_t window : {0u, 5000u}) {
    Wire wire;
    wire.window = window;
    Pair pair;
    pair.shake(trust, keys, "api.example", wire);
    spawn(collect(pair.server));
    bool written = false;
    spawn(write_all(*pair.client.stream, "head", body, written));
    pair.loop.run_for(10s);
    CHECK(written);
    CHECK(pair.server.received == "head" + body);
  }
}

TEST_CASE("wrong names, unknown authorities and expired certificates are refused with the reason") {
  test::Authority authority;
  test::Authority stranger;
  struct Case {
    std::string host;
    std::string alt_name;
    long valid_s;
    bool known;
    std::string message;
  };
  const std::vector<Case> cases = {
      {"api.example", "DNS:other.example", 3600, true,
       "the certificate of api.example:443 is made for another name; check the base_url"},
      {"127.0.0.1", "DNS:api.example", 3600, true,
       "the certificate of 127.0.0.1:443 is made for another name; check the base_url"},
      {"a.b.svc.example", "DNS:*.svc.example", 3600, true,
       "the certificate of a.b.svc.example:443 is made for another name; check the base_url"},
      {"api.example", "DNS:api.example", -60, true,
       "the certificate of api.example:443 has expired; it must be renewed there (or this machine's clock is "
       "wrong)"},
      {"api.example", "DNS:api.example", 3600, false,
       "the certificate of api.example:443 is not trusted (unable to get local issuer certificate); add its "
       "authority to the trusted "
       "certificates"},
      {"127.0.0.1", "IP:127.0.0.1", 3600, true, ""},
      {"api.svc.example", "DNS:*.svc.example", 3600, true, ""},
  };
  for (const Case& one : cases) {
    INFO(one.host << " " << one.alt_name);
    Pair pair;
    pair.shake(trusting(one.known ? authority.file() : stranger.file()),
               serving(authority.issue(one.alt_name, one.valid_s)), one.host);
    CHECK(pair.client.error == one.message);
    CHECK((pair.client.stream != nullptr) == one.message.empty());
    if (!one.message.empty()) CHECK(pair.server.stream == nullptr);
  }
}

TEST_CASE("a connection that ends without close_notify is lost, not ended") {
  test::Authority authority;
  const auto keys = serving(authority.issue("DNS:api.example"));
  Wire cut;
  cut.break_after = 3000;  // after the handshake, inside the data
  cut.break_orderly = true;
  SimLoop loop;
  Peer client;
  Peer server;
  MemoryPair lower = memory_pair(loop, Wire(), cut);
  Endpoint endpoint;
  endpoint.host = "api.example";
  endpoint.port = 443;
  spawn(accept(std::move(lower.far), keys, server));
  spawn(connect(std::move(lower.near), trusting(authority.file()), endpoint, client, StopToken()));
  loop.run_for(1s);
  REQUIRE(client.stream != nullptr);
  REQUIRE(server.stream != nullptr);
  spawn(collect(client));
  bool written = false;
  spawn(write_all(*server.stream, "", std::string(20'000, 'x'), written));
  loop.run_for(1s);
  CHECK(client.lost);
  CHECK_FALSE(client.ended);
  client.stream->close();
  server.stream->close();
  loop.run();
}

TEST_CASE("sessions are resumed per origin") {
  test::Authority authority;
  const auto trust = trusting(authority.file());
  const auto keys = serving(authority.issue("DNS:*.svc.example"));
  const std::array<std::string, 3> hosts = {"a.svc.example", "a.svc.example", "b.svc.example"};
  for (std::size_t at = 0; at < hosts.size(); ++at) {
    Pair pair;
    pair.shake(trust, keys, hosts[at]);
    REQUIRE(pair.client.stream != nullptr);
    spawn(collect(pair.client));  // the tickets come with the first data
    pair.loop.run_for(1s);
    CHECK(tls_resumed(*pair.client.stream) == (at == 1));
    pair.server.stream->shut_write();
    pair.loop.run_for(1s);
  }
}

TEST_CASE("a silent server, a stop and a peer that hangs up end the handshake") {
  test::Authority authority;
  const auto trust = trusting(authority.file());
  Endpoint endpoint;
  endpoint.host = "api.example";
  endpoint.port = 443;
  SimLoop loop;
  {
    Peer client;
    MemoryPair lower = memory_pair(loop);
    spawn(connect(std::move(lower.near), trust, endpoint, client, StopToken()));
    loop.run();
    CHECK(client.error == "the TLS handshake with api.example:443 did not end within 5000 ms");
  }
  {
    Peer client;
    MemoryPair lower = memory_pair(loop);
    StopSource stop;
    spawn(connect(std::move(lower.near), trust, endpoint, client, stop.token()));
    loop.run_for(1s);
    stop.request_stop(StopReason::kShutdown);
    CHECK(client.error == "the request was cancelled");
  }
  {
    Peer client;
    MemoryPair lower = memory_pair(loop);
    spawn(connect(std::move(lower.near), trust, endpoint, client, StopToken()));
    lower.far->close();
    loop.run();
    CHECK(client.error == "the connection was closed during the TLS handshake with api.example:443");
  }
}

TEST_CASE("certificate files that cannot be used are named") {
  test::Authority authority;
  const auto one = authority.issue("DNS:a");
  const auto two = authority.issue("DNS:b");
  const auto missing = TlsContext::client("/nowhere/ca.pem");
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().message.starts_with(
      "cannot use the file of certificate authorities '/nowhere/ca.pem': "));
  const auto mixed = TlsContext::server(one.certificate, two.key);
  REQUIRE_FALSE(mixed.ok());
  CHECK(mixed.error().message.starts_with("cannot use the private key '" + two.key + "': "));
}
