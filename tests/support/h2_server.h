#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "support/sim_world.h"

/// An HTTP/2 upstream for tests, over nghttp2's server session.
namespace ccrules::test {

class H2Server {
 public:
  struct Request {
    std::int32_t id = 0;
    std::map<std::string, std::string> head;  ///< with ":path" and the like
    std::string body;
    bool complete = false;
    bool cancelled = false;      ///< the client has reset it
    std::size_t sent_bytes = 0;  ///< of the reply's body
  };
  /// One client connection. Everything may be called at any time.
  class Session {
   public:
    virtual ~Session() = default;
    std::map<std::int32_t, Request> requests;
    std::size_t pings = 0;     ///< that the client has sent
    std::string client_bytes;  ///< all that it has sent
    std::string server_bytes;  ///< all that was sent to it
    bool ended = false;        ///< the client has closed
    /// The head of a reply; its body comes by data(), its end by finish().
    virtual void head(std::int32_t id, int status, std::map<std::string, std::string> fields = {}) = 0;
    virtual void data(std::int32_t id, std::string bytes) = 0;
    virtual void finish(std::int32_t id) = 0;
    virtual void interim(std::int32_t id, int status) = 0;
    virtual void reset(std::int32_t id, std::uint32_t code) = 0;
    /// Streams above `last_id` are refused.
    virtual void goaway(std::int32_t last_id, std::uint32_t code) = 0;
    virtual void raw(std::string bytes) = 0;
    virtual void close() = 0;
    /// A whole reply.
    void answer(std::int32_t id, int status, const std::string& body,
                std::map<std::string, std::string> fields = {});
  };
  using Handler = std::function<void(Session&, Request&)>;
  struct Options {
    std::uint32_t max_streams = 100;
    std::uint32_t window_bytes = 65535;  ///< for each request's body
    bool deaf = false;                   ///< does not read what comes after the first request
  };

  /// Stands at host:port and agrees to HTTP/2. `handler` gets each request once it is complete.
  H2Server(SimWorld& world, const std::string& host, std::uint16_t port, Handler handler);
  H2Server(SimWorld& world, const std::string& host, std::uint16_t port, Handler handler, Options options,
           SimDialer::Site site = {});
  ~H2Server();
  std::vector<std::shared_ptr<Session>> sessions;  ///< in the order in which they came
  void close_all();
};

}  // namespace ccrules::test
