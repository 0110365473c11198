#include "support/sim_proxy.h"

#include <array>
#include <utility>

#include "core/text.h"

namespace ccrules::test {
namespace {

struct Joined {
  std::unique_ptr<ByteStream> one;
  std::unique_ptr<ByteStream> other;
};

Task<void> copy(std::shared_ptr<Joined> both, bool back) {
  ByteStream& from = back ? *both->other : *both->one;
  ByteStream& to = back ? *both->one : *both->other;
  for (;;) {
    const auto got = co_await from.read(std::chrono::milliseconds(0), StopToken());
    if (!got.ok() || got->end) break;
    const std::array<std::string_view, 1> pieces = {got->bytes};
    const auto written = co_await to.write(pieces, StopToken());
    if (!written.ok()) break;
  }
  to.close();
}

}  // namespace

SimProxy::SimProxy(SimWorld& world, const std::string& host, std::uint16_t port, SimDialer::Site site)
    : world_(world) {
  site.accept = [this](std::unique_ptr<ByteStream> stream) { spawn(run(*this, std::move(stream))); };
  world.dialer.set(host, port, std::move(site));
}

Task<void> SimProxy::run(SimProxy& proxy, std::unique_ptr<ByteStream> client) {
  std::string head;
  while (head.find("\r\n\r\n") == std::string::npos) {
    const auto got = co_await client->read(std::chrono::milliseconds(0), StopToken());
    if (!got.ok() || got->end) co_return;
    head.append(got->bytes);
  }
  proxy.heads.push_back(head);
  const std::string answer = proxy.answer;
  const std::array<std::string_view, 1> pieces = {answer};
  const auto written = co_await client->write(pieces, StopToken());
  if (!written.ok() || !head.starts_with("CONNECT ") || answer.find(" 200 ") == std::string::npos) co_return;
  const std::string where = head.substr(8, head.find(' ', 8) - 8);
  const std::size_t colon = where.rfind(':');
  Endpoint endpoint;
  endpoint.host = where.substr(0, colon);
  endpoint.port = static_cast<std::uint16_t>(text::to_int(where.substr(colon + 1)).value_or(0));
  auto far =
      co_await proxy.world_.dialer.dial(std::move(endpoint), std::chrono::milliseconds(1000), StopToken());
  if (!far.ok()) co_return;
  auto both = std::make_shared<Joined>();
  both->one = std::move(client);
  both->other = *std::move(far);
  spawn(copy(both, true));
  co_await copy(both, false);
}

}  // namespace ccrules::test
