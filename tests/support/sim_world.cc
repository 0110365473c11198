#include "support/sim_world.h"

#include <algorithm>
#include <array>
#include <utility>

#include <catch2/catch.hpp>

#include "core/text.h"

namespace ccrules::test {

struct MemoryClient::State {
  std::unique_ptr<ByteStream> stream;
  std::string received;
  std::size_t taken = 0;
  std::string unsent;
  bool writing = false;
  bool ended = false;
  bool broken = false;
  bool end_after = false;
};

namespace {

Task<void> collect(std::shared_ptr<MemoryClient::State> state) {
  for (;;) {
    const auto got = co_await state->stream->read(std::chrono::milliseconds(0), StopToken());
    if (!got.ok()) {
      state->broken = true;
      break;
    }
    if (got->end) break;
    state->received.append(got->bytes);
  }
  state->ended = true;
}

Task<void> write_out(std::shared_ptr<MemoryClient::State> state) {
  state->writing = true;
  while (!state->unsent.empty()) {
    const std::string bytes = std::exchange(state->unsent, std::string());
    const std::array<std::string_view, 1> pieces = {bytes};
    const auto written = co_await state->stream->write(pieces, StopToken());
    if (!written.ok()) break;
  }
  state->writing = false;
  if (state->end_after) state->stream->shut_write();
}

}  // namespace

MemoryClient::MemoryClient(std::unique_ptr<ByteStream> stream) : state_(std::make_shared<State>()) {
  state_->stream = std::move(stream);
  spawn(collect(state_));
}

MemoryClient::MemoryClient(Loop& loop, http::Server& server, Wire to_server, Wire from_server)
    : state_(std::make_shared<State>()) {
  MemoryPair pair = memory_pair(loop, to_server, from_server);
  state_->stream = std::move(pair.near);
  spawn(collect(state_));
  server.serve(std::move(pair.far));
}

MemoryClient::~MemoryClient() {
  state_->stream->close();
}

void MemoryClient::send(std::string bytes) {
  state_->unsent.append(bytes);
  if (!state_->writing) spawn(write_out(state_));
}

void MemoryClient::end() {
  if (state_->writing) {
    state_->end_after = true;
  } else {
    state_->stream->shut_write();
  }
}

void MemoryClient::leave() {
  state_->stream->close();
}
void MemoryClient::reset() {
  state_->stream->reset();
}
const std::string& MemoryClient::received() const noexcept {
  return state_->received;
}
std::string MemoryClient::take() {
  return state_->received.substr(std::exchange(state_->taken, state_->received.size()));
}
bool MemoryClient::ended() const noexcept {
  return state_->ended;
}
bool MemoryClient::broken() const noexcept {
  return state_->broken;
}

std::string Message::field(std::string_view name) const {
  std::string_view rest = head;
  while (!rest.empty()) {
    const std::size_t end = rest.find("\r\n");
    const std::string_view line = rest.substr(0, end);
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && text::equals_ignore_case(line.substr(0, colon), name)) {
      return std::string(text::trim(line.substr(colon + 1)));
    }
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 2);
  }
  return {};
}

Message read_message(std::string_view text) {
  Message message;
  const std::size_t line_end = text.find("\r\n");
  const std::size_t head_end = text.find("\r\n\r\n");
  if (head_end == std::string_view::npos) return message;
  message.first_line = std::string(text.substr(0, line_end));
  message.head = line_end == head_end ? "" : std::string(text.substr(line_end + 2, head_end - line_end - 2));
  std::size_t at = head_end + 4;
  if (message.field("transfer-encoding") == "chunked") {
    for (;;) {
      const std::size_t size_end = text.find("\r\n", at);
      if (size_end == std::string_view::npos) break;
      const std::size_t size = std::stoul(std::string(text.substr(at, size_end - at)), nullptr, 16);
      if (text.size() < size_end + 2 + size + 2) break;
      message.body.append(text.substr(size_end + 2, size));
      at = size_end + 2 + size + 2;
      if (size == 0) {
        message.complete = true;
        break;
      }
    }
  } else {
    const std::string length = message.field("content-length");
    const std::size_t size = length.empty() ? 0 : std::stoul(length);
    message.body = std::string(text.substr(at, size));
    message.complete = message.body.size() == size;
    at += message.body.size();
  }
  message.used = at;
  return message;
}

void SimWorld::stop_upstreams() {
  for (const auto& server : servers_) server->shutdown();
}

SimWorld::~SimWorld() {
  client.close_idle();
  stop_upstreams();
  loop.run();
}

void SimWorld::serve(const std::string& host, std::uint16_t port, http::Handler handler,
                     SimDialer::Site site) {
  servers_.push_back(std::make_unique<http::Server>(loop, std::move(handler), http::ServerLimits()));
  http::Server* server = servers_.back().get();
  site.accept = [server](std::unique_ptr<ByteStream> stream) { server->serve(std::move(stream)); };
  dialer.set(host, port, std::move(site));
}

namespace {

Task<void> answer_scripted(std::unique_ptr<ByteStream> stream, std::string reply, bool close,
                           std::string* requests) {
  std::string pending;
  for (;;) {
    const auto got = co_await stream->read(std::chrono::milliseconds(0), StopToken());
    if (!got.ok() || got->end) co_return;
    requests->append(got->bytes);
    pending.append(got->bytes);
    for (Message request = read_message(pending); request.complete; request = read_message(pending)) {
      pending.erase(0, request.used);
      const std::array<std::string_view, 1> pieces = {reply};
      const auto written = co_await stream->write(pieces, StopToken());
      if (!written.ok() || close) co_return;
    }
  }
}

}  // namespace

void SimWorld::script(const std::string& host, std::uint16_t port, std::string reply, bool close,
                      SimDialer::Site site) {
  std::string* requests = &scripted_requests;
  site.accept = [reply = std::move(reply), close, requests](std::unique_ptr<ByteStream> stream) {
    spawn(answer_scripted(std::move(stream), reply, close, requests));
  };
  dialer.set(host, port, std::move(site));
}

void SimWorld::script_in_turn(const std::string& host, std::uint16_t port, std::vector<std::string> replies) {
  std::string* requests = &scripted_requests;
  SimDialer::Site site;
  site.accept = [replies = std::move(replies), at = std::size_t{0}, requests](std::unique_ptr<ByteStream> stream) mutable {
    spawn(answer_scripted(std::move(stream), replies[std::min(at++, replies.size() - 1)], true, requests));
  };
  dialer.set(host, port, std::move(site));
}

std::size_t at_every_step(const std::function<std::unique_ptr<Scenario>(SimWorld&)>& make) {
  constexpr std::size_t kMostSteps = 20000;
  const std::ptrdiff_t frames_before = g_frames_alive;
  for (std::size_t step = 0; step < kMostSteps; ++step) {
    bool disturbed = false;
    {
      SimWorld world;
      {
        const std::unique_ptr<Scenario> scenario = make(world);
        if (step > 0) world.loop.disturb_after(step - 1, [&] { scenario->disturb(); });
        world.loop.run();
        disturbed = step > 0 && world.loop.disturbed();
        INFO("disturbed after step " << step - 1 << " (no disturbance when huge)");
        scenario->check(disturbed);
        if (step > 0 && !disturbed) world.loop.disturb_after(0, nullptr);
      }
      world.client.close_idle();
      world.loop.run();
    }
    INFO("disturbed after step " << step - 1);
    REQUIRE(g_frames_alive == frames_before);
    if (step > 0 && !disturbed) return step - 1;
  }
  FAIL("the scenario does not come to an end");
  return 0;
}

}  // namespace ccrules::test
