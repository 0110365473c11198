#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "async/memory_stream.h"
#include "async/sim_dialer.h"
#include "async/sim_loop.h"
#include "async/stream.h"
#include "http/client.h"
#include "http/server.h"

/// The network of a test: virtual time, memory connections, scripted upstreams.
namespace ccrules::test {

/// A client connection that a test writes to and looks at. Everything that arrives is collected.
class MemoryClient {
 public:
  explicit MemoryClient(std::unique_ptr<ByteStream> stream);
  /// Connects to a server under test.
  MemoryClient(Loop& loop, http::Server& server, Wire to_server = {}, Wire from_server = {});
  ~MemoryClient();
  MemoryClient(MemoryClient&&) = delete;
  MemoryClient& operator=(MemoryClient&&) = delete;

  /// Bytes that are sent in later turns of the loop, in order.
  void send(std::string bytes);
  /// An orderly end of our data; reading goes on.
  void end();
  /// Leaves: drops the connection.
  void leave();
  void reset();
  [[nodiscard]] const std::string& received() const noexcept;
  /// What has arrived since the last call.
  std::string take();
  /// The server has ended the connection (true also after leave()).
  [[nodiscard]] bool ended() const noexcept;
  /// It ended by a reset or a break, not in order.
  [[nodiscard]] bool broken() const noexcept;

  struct State;

 private:
  std::shared_ptr<State> state_;
};

/// One HTTP message taken apart by the test's own few lines (not by the code under test).
struct Message {
  std::string first_line;
  std::string head;  ///< all header lines
  std::string body;  ///< chunks joined
  bool complete = false;
  std::size_t used = 0;  ///< bytes of the text that belong to it
  [[nodiscard]] std::string field(std::string_view name) const;
};
Message read_message(std::string_view text);

class SimWorld {
 public:
  SimWorld() = default;
  /// Ends all connections and lets everything come to rest.
  ~SimWorld();
  SimWorld(const SimWorld&) = delete;
  SimWorld& operator=(const SimWorld&) = delete;

  SimLoop loop;
  SimDialer dialer{loop};
  http::Client client{loop, dialer};

  /// An upstream that answers by a handler, with our own server in front.
  void serve(const std::string& host, std::uint16_t port, http::Handler handler, SimDialer::Site site = {});
  /// An upstream that sends these bytes (right or wrong) to every request it gets, in order, and then, when
  /// `close`, ends.
  void script(const std::string& host, std::uint16_t port, std::string reply, bool close = false,
              SimDialer::Site site = {});
  /// One that answers each connection with the next of these, the last one for ever, and ends it.
  void script_in_turn(const std::string& host, std::uint16_t port, std::vector<std::string> replies);
  /// Ends every connection of the upstreams that serve() made, as their machine going down would.
  void stop_upstreams();
  /// The requests that scripted upstreams have got, joined.
  std::string scripted_requests;

 private:
  std::vector<std::unique_ptr<http::Server>> servers_;
};

/// What at_every_step() runs: built anew each time, torn down before frames are counted.
class Scenario {
 public:
  virtual ~Scenario() = default;
  /// Happens once, between two steps of the loop.
  virtual void disturb() = 0;
  /// After everything has come to rest.
  virtual void check(bool disturbed) = 0;
};

/// Runs the scenario once undisturbed and then once per step of it, disturbed at that step; after each run no
/// coroutine frame may be left. Returns how many steps there were.
std::size_t at_every_step(const std::function<std::unique_ptr<Scenario>(SimWorld&)>& make);

}  // namespace ccrules::test
