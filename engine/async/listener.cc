#include "async/listener.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uv.h>

#include "core/limits.h"
#include "core/log.h"

namespace ccrules {
namespace {

Error listen_error(const std::string& host, std::uint16_t port, int error_number) {
  const std::string where = host + ":" + std::to_string(port);
  Error error = internal_error("cannot listen on " + where + ": " + std::strerror(error_number));
  error.code = ErrorCode::kConnectFailed;
  if (error_number == EADDRINUSE) {
    error.type = "port_in_use";
    error.message = "cannot listen on " + where +
                    ": the port is in use; stop the other program or set listen.port to another port";
  } else if (error_number == EACCES) {
    error.message =
        "cannot listen on " + where + ": ports below 1024 need root; set listen.port to a higher port";
  } else if (error_number == EADDRNOTAVAIL || error_number == EINVAL) {
    error.message = "cannot listen on " + where +
                    ": listen.host must be an address of this machine, such as 127.0.0.1 or 0.0.0.0";
  }
  return error;
}

int spare_descriptor() noexcept {
  return ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

}  // namespace

struct Listener::Impl {
  struct Poll {
    uv_poll_t poll{};
    Impl* owner = nullptr;
  };
  struct Resume : Timer {
    explicit Resume(Impl& impl) noexcept
        : Timer([](Timer& timer) noexcept { static_cast<Resume&>(timer).owner.watch(); }), owner(impl) {}
    Impl& owner;
  };

  Impl(UvLoop& on, Accepted accept)
      : loop(on), accepted(std::move(accept)), resume(*this), spare(spare_descriptor()) {}
  ~Impl() {
    close();
    if (spare >= 0) ::close(spare);
  }

  void watch() noexcept {
    if (poll == nullptr) return;
    uv_poll_start(&poll->poll, UV_READABLE, [](uv_poll_t* ready, int, int) {
      Impl* owner = static_cast<Poll*>(ready->data)->owner;
      if (owner != nullptr) owner->accept_some();
    });
  }

  void accept_some() noexcept {
    for (std::size_t most = limits::kAcceptBurst; most > 0 && poll != nullptr; --most) {
      const int descriptor = accept4(socket, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (descriptor >= 0) {
        accepted(descriptor);
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        shed();
        return;
      } else if (errno == ECONNABORTED || errno == EINTR) {
        continue;
      } else {
        return;
      }
    }
  }

  /// No descriptor left: the waiting client is told by a closed connection instead of being left in the
  /// queue, and we look again later.
  void shed() noexcept {
    if (loop.now_ms() >= warn_again_ms) {
      log::warn("out of file descriptors: connections are refused for a moment; raise the limit (ulimit -n)");
      warn_again_ms = loop.now_ms() + std::chrono::milliseconds(limits::kAcceptWarnTime).count();
    }
    if (spare >= 0) {
      ::close(spare);
      const int shed_one = accept4(socket, nullptr, nullptr, SOCK_CLOEXEC);
      if (shed_one >= 0) ::close(shed_one);
      spare = spare_descriptor();
    }
    uv_poll_stop(&poll->poll);
    resume.start(loop.timers(), limits::kAcceptPause);
  }

  void close() noexcept {
    if (poll == nullptr) return;
    resume.stop();
    poll->owner = nullptr;
    uv_poll_stop(&poll->poll);
    uv_close(reinterpret_cast<uv_handle_t*>(&poll->poll),
             [](uv_handle_t* closed) { delete static_cast<Poll*>(closed->data); });
    poll = nullptr;
    ::close(socket);
    socket = -1;
  }

  UvLoop& loop;
  Accepted accepted;
  Resume resume;
  Poll* poll = nullptr;
  int socket = -1;
  int spare;
  std::int64_t warn_again_ms = 0;
  std::uint16_t port = 0;
};

Listener::Listener(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Listener::~Listener() = default;
std::uint16_t Listener::port() const noexcept {
  return impl_->port;
}
void Listener::close() noexcept {
  impl_->close();
}

Result<std::unique_ptr<Listener>> Listener::open(UvLoop& loop, const std::string& host, std::uint16_t port,
                                                 Accepted accepted) {
  sockaddr_storage address{};
  auto& four = reinterpret_cast<sockaddr_in&>(address);
  auto& six = reinterpret_cast<sockaddr_in6&>(address);
  const std::string literal = host == "localhost" ? "127.0.0.1" : host;
  if (uv_ip4_addr(literal.c_str(), port, &four) != 0 && uv_ip6_addr(literal.c_str(), port, &six) != 0) {
    return listen_error(host, port, EADDRNOTAVAIL);
  }
  socklen_t size = address.ss_family == AF_INET ? sizeof four : sizeof six;
  auto* where = reinterpret_cast<sockaddr*>(&address);
  const int socket = ::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket < 0) return listen_error(host, port, errno);
  const int on = 1;
  setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(socket, where, size) != 0 || listen(socket, limits::kAcceptBacklog) != 0 ||
      getsockname(socket, where, &size) != 0) {
    const int error_number = errno;
    ::close(socket);
    return listen_error(host, port, error_number);
  }
  auto impl = std::make_unique<Impl>(loop, std::move(accepted));
  impl->socket = socket;
  impl->port = ntohs(address.ss_family == AF_INET ? four.sin_port : six.sin6_port);
  impl->poll = new Impl::Poll;
  impl->poll->owner = impl.get();
  impl->poll->poll.data = impl->poll;
  CCR_ASSERT(uv_poll_init(loop.raw(), &impl->poll->poll, socket) == 0);
  impl->watch();
  return std::unique_ptr<Listener>(new Listener(std::move(impl)));
}

}  // namespace ccrules
