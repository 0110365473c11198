// Any bytes as a client: our server must answer, refuse or close, in any cut, and leave nothing behind.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "async/memory_stream.h"
#include "async/sim_loop.h"
#include "http/parser.h"
#include "http/server.h"

using namespace ccrules;

namespace {

struct Parsed {
  http::Parser::State state = http::Parser::State::kHead;
  std::size_t consumed = 0;
  std::string target;
  std::string fields;
  std::string body;
  bool keep_alive = false;
};

Parsed parse(std::string bytes, std::size_t cut) {
  Parsed parsed;
  http::Parser parser(http::Parser::Kind::kRequest);
  http::Headers headers;
  parser.begin(headers, &parsed.target, false);
  while (parsed.consumed < bytes.size()) {
    const std::size_t size = cut == 0 ? bytes.size() : std::min(cut, bytes.size() - parsed.consumed);
    const http::Parser::Fed fed = parser.feed(std::string_view(bytes).substr(parsed.consumed, size), false);
    parsed.consumed += fed.consumed;
    parsed.body.append(fed.body);
    if (parser.state() == http::Parser::State::kComplete || parser.state() == http::Parser::State::kFailed)
      break;
  }
  parsed.state = parser.state();
  parsed.keep_alive = parser.keep_alive();
  for (std::size_t at = 0; at < headers.size(); ++at) {
    parsed.fields.append(headers.at(at).first).append("=").append(headers.at(at).second).append(";");
  }
  return parsed;
}

Task<void> echo(http::Exchange& exchange) {
  const auto body = co_await exchange.read_body(10'000);
  if (!body.ok()) {
    const http::Headers none;
    (void)co_await exchange.send(body.error().http_status, none, body.error().message);
    co_return;
  }
  if (body->size() % 2 == 0) {
    (void)co_await exchange.send(200, exchange.head().headers, *body);
    co_return;
  }
  exchange.start(200, exchange.head().headers);
  (void)co_await exchange.write(*body);
  (void)co_await exchange.finish();
}

Task<void> act(ByteStream& stream, std::string bytes) {
  const std::array<std::string_view, 1> pieces = {bytes};
  (void)co_await stream.write(pieces, StopToken());
  stream.shut_write();
  for (;;) {
    const auto got = co_await stream.read(std::chrono::milliseconds(0), StopToken());
    if (!got.ok() || got->end) co_return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size < 1) return 0;
  const std::size_t cut = bytes[0] % 16;
  const std::string text(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  const Parsed whole = parse(text, 0);
  const Parsed pieces = parse(text, 1 + cut);
  CCR_ASSERT(whole.state == pieces.state);
  if (whole.state == http::Parser::State::kComplete) {
    CCR_ASSERT(whole.consumed == pieces.consumed && whole.target == pieces.target &&
               whole.fields == pieces.fields);
    CCR_ASSERT(whole.body == pieces.body && whole.keep_alive == pieces.keep_alive);
  }
  const std::ptrdiff_t frames = g_frames_alive;
  {
    SimLoop loop;
    http::Server server(loop, echo, http::ServerLimits());
    Wire wire;
    wire.cut = cut;
    MemoryPair pair = memory_pair(loop, wire);
    server.serve(std::move(pair.far));
    spawn(act(*pair.near, text));
    loop.run();
    CCR_ASSERT(server.connections() == 0);
  }
  CCR_ASSERT(g_frames_alive == frames);
  return 0;
}
