// Any bytes as an HTTP/2 upstream: our client must give replies or errors, in any cut, and leave nothing
// behind.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "async/sim_dialer.h"
#include "async/sim_loop.h"
#include "core/assert.h"
#include "http/client.h"

using namespace ccrules;

namespace {

Task<void> reply(std::unique_ptr<ByteStream> stream, std::string bytes) {
  const auto asked = co_await stream->read(std::chrono::milliseconds(0), StopToken());
  if (!asked.ok()) co_return;
  const std::array<std::string_view, 1> pieces = {bytes};
  (void)co_await stream->write(pieces, StopToken());
  // Reads on, so that what the client answers does not break the connection before all has arrived.
  for (;;) {
    const auto got = co_await stream->read(std::chrono::milliseconds(1000), StopToken());
    if (!got.ok() || got->end || got->quiet) co_return;
  }
}

struct Outcome {
  bool finished = false;
  bool good = false;
  int status = 0;
  std::string body;
};

Task<void> ask(http::Client& client, Outcome& outcome) {
  http::Origin origin;
  origin.tls = true;
  origin.http2 = true;
  origin.host = "up";
  origin.port = 443;
  http::ClientRequest request;
  request.target = "/";
  request.host_header = "up";
  request.body = "{}";
  auto got = co_await client.send(origin, request, http::ClientTimeouts(), StopToken());
  if (got.ok()) {
    outcome.status = (*got)->status();
    auto body = co_await http::read_all(**got, 1'000'000, StopToken());
    outcome.good = body.ok();
    if (body.ok()) outcome.body = *std::move(body);
  }
  outcome.finished = true;
}

void run(const std::string& bytes, std::size_t cut, std::array<Outcome, 2>& outcomes) {
  SimLoop loop;
  SimDialer dialer(loop);
  SimDialer::Site site;
  site.protocol = "h2";
  site.from_site.cut = cut;
  site.accept = [&bytes](std::unique_ptr<ByteStream> stream) { spawn(reply(std::move(stream), bytes)); };
  dialer.set("up", 443, site);
  {
    http::Client client(loop, dialer);
    for (Outcome& outcome : outcomes) spawn(ask(client, outcome));
    loop.run();
    CCR_ASSERT(client.idle_connections() == 0);
  }
  loop.run();
  for (const Outcome& outcome : outcomes) CCR_ASSERT(outcome.finished);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size < 1) return 0;
  const std::string text(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  const std::ptrdiff_t frames = g_frames_alive;
  std::array<Outcome, 2> whole;
  std::array<Outcome, 2> pieces;
  run(text, 0, whole);
  run(text, 1 + bytes[0] % 16, pieces);
  // How far a broken session gets depends on the cut; what is good is the same.
  for (std::size_t i = 0; i < whole.size(); ++i) {
    if (whole[i].good && pieces[i].good)
      CCR_ASSERT(whole[i].status == pieces[i].status && whole[i].body == pieces[i].body);
  }
  CCR_ASSERT(g_frames_alive == frames);
  return 0;
}
