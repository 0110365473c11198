// Any bytes as an upstream: our client must give a reply or an error, in any cut, and leave nothing behind.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "async/sim_dialer.h"
#include "async/sim_loop.h"
#include "core/limits.h"
#include "http/client.h"

using namespace ccrules;

namespace {

Task<void> reply(std::unique_ptr<ByteStream> stream, std::string bytes) {
  const auto asked = co_await stream->read(std::chrono::milliseconds(0), StopToken());
  if (!asked.ok()) co_return;
  const std::array<std::string_view, 1> pieces = {bytes};
  (void)co_await stream->write(pieces, StopToken());
}

struct Outcome {
  bool finished = false;
  bool good = false;
  int status = 0;
  std::string body;
};

Task<void> ask(http::Client& client, std::string_view method, Outcome& outcome) {
  http::Origin origin;
  origin.host = "up";
  origin.port = 80;
  http::ClientRequest request;
  request.method = method;
  request.target = "/";
  request.host_header = "up";
  request.body = "{}";
  auto got = co_await client.send(origin, request, http::ClientTimeouts(), StopToken());
  if (got.ok()) {
    outcome.status = (*got)->status();
    (void)http::retry_after_ms((*got)->headers(), 0);
    auto body = co_await http::read_all(**got, 1'000'000, StopToken());
    outcome.good = body.ok();
    if (body.ok()) outcome.body = *std::move(body);
  }
  outcome.finished = true;
}

Outcome run(const std::string& bytes, std::size_t cut, std::string_view method) {
  Outcome outcome;
  {
    SimLoop loop;
    SimDialer dialer(loop);
    SimDialer::Site site;
    site.from_site.cut = cut;
    site.accept = [&bytes](std::unique_ptr<ByteStream> stream) { spawn(reply(std::move(stream), bytes)); };
    dialer.set("up", 80, site);
    http::Client client(loop, dialer);
    spawn(ask(client, method, outcome));
    loop.run();
    CCR_ASSERT(client.idle_connections() == 0);
  }
  CCR_ASSERT(outcome.finished);
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view method = (bytes[0] & 0x80) != 0 ? "HEAD" : "POST";
  const std::string text(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  const std::ptrdiff_t frames = g_frames_alive;
  const Outcome whole = run(text, 0, method);
  const Outcome pieces = run(text, 1 + bytes[0] % 16, method);
  CCR_ASSERT(whole.good == pieces.good);
  if (whole.good) CCR_ASSERT(whole.status == pieces.status && whole.body == pieces.body);
  CCR_ASSERT(g_frames_alive == frames);
  return 0;
}
