#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "support/sim_world.h"

namespace ccrules::test {

/// A forward proxy in the simulated network: answers CONNECT and joins the connection to the site that was
/// asked for.
class SimProxy {
 public:
  SimProxy(SimWorld& world, const std::string& host, std::uint16_t port, SimDialer::Site site = {});
  /// What it says to CONNECT; anything but 200 ends the connection.
  std::string answer = "HTTP/1.1 200 Connection established\r\n\r\n";
  std::vector<std::string> heads;  ///< of the requests it has got

 private:
  static Task<void> run(SimProxy& proxy, std::unique_ptr<ByteStream> client);
  SimWorld& world_;
};

}  // namespace ccrules::test
