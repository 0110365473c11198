#include "async/tcp.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uv.h>

#include "async/turn.h"
#include "core/limits.h"

namespace ccrules {
namespace {

class TcpStream;

/// What libuv holds on to; outlives the stream until libuv has let go. Freed by the close callback.
struct TcpHandle {
  /// Bytes the kernel has not taken yet; exists only while there are any.
  struct Queue {
    uv_write_t request{};
    std::string sending;
    std::string waiting;
  };
  uv_tcp_t tcp{};
  TcpStream* owner = nullptr;
  char* read_buffer = nullptr;
  std::unique_ptr<Queue> queue;
};

void close_handle(TcpHandle* handle) noexcept {
  handle->owner = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle->tcp),
           [](uv_handle_t* closed) { delete static_cast<TcpHandle*>(closed->data); });
}

class TcpStream final : public ByteStream, private Turn::Member {
 public:
  TcpStream(UvLoop& loop, TcpHandle* handle) : ByteStream(loop), turn_(loop.turn()), handle_(handle) {
    handle_->owner = this;
    handle_->read_buffer = loop.read_buffer();
    uv_tcp_nodelay(&handle_->tcp, 1);
    name_peer();
    resume_reading();
  }
  ~TcpStream() override { drop(); }

  std::size_t put(std::span<const std::string_view> pieces, std::size_t offset) noexcept override;
  [[nodiscard]] std::size_t queued() const noexcept override;
  void pause_reading() noexcept override {
    if (handle_ != nullptr) uv_read_stop(stream());
  }
  void resume_reading() noexcept override;
  void shut_write() noexcept override;
  void reset() noexcept override;
  [[nodiscard]] std::string_view peer() const noexcept override { return peer_; }
  [[nodiscard]] bool peer_is_loopback() const noexcept override { return loopback_; }

 protected:
  void drop() noexcept override {
    if (handle_ == nullptr) return;
    send_posted();
    turn_.leave(*this);
    close_handle(std::exchange(handle_, nullptr));
  }

 private:
  void came(char* bytes, std::size_t size) override { received(bytes, size); }
  void send(std::string_view bytes) noexcept override;
  void sent() override { drained(); }
  /// What was kept for the end of the turn goes now, before something else.
  void send_posted() noexcept {
    const std::string_view bytes = turn_.take_posted(*this);
    if (!bytes.empty()) send(bytes);
  }
  /// Keeps what the kernel did not take, up to limits::kWriteCopyBytes, and has it sent. @return bytes kept.
  std::size_t keep(std::span<const uv_buf_t> buffers, std::size_t skip) noexcept;

  uv_stream_t* stream() noexcept { return reinterpret_cast<uv_stream_t*>(&handle_->tcp); }
  void name_peer();
  /// Where the next read's bytes go.
  static Room reading_room(const TcpHandle& handle) noexcept;
  static void on_read(uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer);
  static void on_written(uv_write_t* request, int status);
  /// Starts sending what waits; false when the connection is broken.
  static bool send_queue(TcpHandle& handle) noexcept;

  Turn& turn_;
  TcpHandle* handle_;
  bool loopback_ = false;
  std::string peer_;
};

std::string address_text(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET6) {
    const auto& six = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &six.sin6_addr, text.data(), text.size());
    return "[" + std::string(text.data()) + "]:" + std::to_string(ntohs(six.sin6_port));
  }
  const auto& four = reinterpret_cast<const sockaddr_in&>(address);
  inet_ntop(AF_INET, &four.sin_addr, text.data(), text.size());
  return std::string(text.data()) + ":" + std::to_string(ntohs(four.sin_port));
}

bool is_loopback(const sockaddr_storage& address) noexcept {
  if (address.ss_family == AF_INET) {
    return (ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr) >> 24) == 127;
  }
  if (address.ss_family != AF_INET6) return false;
  const in6_addr& six = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127);
}

void TcpStream::name_peer() {
  sockaddr_storage address{};
  int size = sizeof address;
  if (uv_tcp_getpeername(&handle_->tcp, reinterpret_cast<sockaddr*>(&address), &size) != 0) return;
  peer_ = address_text(address);
  loopback_ = is_loopback(address);
}

void TcpStream::resume_reading() noexcept {
  if (handle_ == nullptr) return;
  uv_read_start(
      stream(),
      [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
        const Room room = reading_room(*static_cast<TcpHandle*>(handle->data));
        *buffer = uv_buf_init(room.at, static_cast<unsigned>(room.size));
      },
      &TcpStream::on_read);
}

Room TcpStream::reading_room(const TcpHandle& handle) noexcept {
  const Room shared{handle.read_buffer, limits::kReadChunkBytes};
  // The turn's bytes come first, and their reader may put them into the very same place.
  return handle.owner == nullptr || Turn::holds_received(*handle.owner) ? shared : handle.owner->room(shared);
}

void TcpStream::on_read(uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
  const auto* handle = static_cast<TcpHandle*>(stream->data);
  TcpStream* owner = handle->owner;
  if (owner == nullptr || size == 0) return;
  const bool in_place = buffer->base != handle->read_buffer;  // where nobody else writes: nothing to be gained by a copy
  if (size > 0 && !in_place && owner->turn_.receive(*owner, {buffer->base, static_cast<std::size_t>(size)})) return;
  if (const std::span<char> before = owner->turn_.take_received(*owner); !before.empty()) {
    owner->received(before.data(), before.size());
    owner = static_cast<TcpHandle*>(stream->data)->owner;
    if (owner == nullptr) return;
  }
  if (size > 0) {
    owner->received(buffer->base, static_cast<std::size_t>(size));
  } else if (size == UV_EOF) {
    owner->received_end();
  } else {
    owner->pause_reading();
    owner->received_error();
  }
}

std::size_t TcpStream::queued() const noexcept {
  if (handle_ == nullptr) return 0;
  const std::size_t posted = turn_.posted(*this);
  if (handle_->queue == nullptr) return posted;
  return uv_stream_get_write_queue_size(reinterpret_cast<const uv_stream_t*>(&handle_->tcp)) +
         handle_->queue->waiting.size() + posted;
}

std::size_t TcpStream::put(std::span<const std::string_view> pieces, std::size_t offset) noexcept {
  if (handle_ == nullptr) return 0;
  std::size_t total = 0;
  for (const std::string_view piece : pieces) total += piece.size();
  total -= std::min(offset, total);
  if (total == 0) return 0;
  if (handle_->queue == nullptr) {
    if (turn_.post(*this, pieces, offset, total)) return total;
    send_posted();
    if (!writable()) return 0;
  }
  const bool idle = handle_->queue == nullptr;
  if (!idle && total > limits::kWriteCopyBytes) return 0;
  constexpr std::size_t kMostPieces = 8;
  std::array<uv_buf_t, kMostPieces> buffers;
  unsigned count = 0;
  for (const std::string_view piece : pieces) {
    if (offset >= piece.size()) {
      offset -= piece.size();
      continue;
    }
    CCR_ASSERT(count < kMostPieces);
    // libuv does not write through the pointer.
    buffers[count++] = uv_buf_init(const_cast<char*>(piece.data() + offset), static_cast<unsigned>(piece.size() - offset));
    offset = 0;
  }
  std::size_t taken = 0;
  if (idle) {
    const int sent = uv_try_write(stream(), buffers.data(), count);
    if (sent < 0 && sent != UV_EAGAIN) {
      mark_broken();
      return 0;
    }
    if (sent > 0) taken = static_cast<std::size_t>(sent);
    if (taken == total) return taken;
  }
  return taken + keep({buffers.data(), count}, taken);
}

void TcpStream::send(std::string_view bytes) noexcept {
  const uv_buf_t buffer = uv_buf_init(const_cast<char*>(bytes.data()), static_cast<unsigned>(bytes.size()));
  const int sent = uv_try_write(stream(), &buffer, 1);
  if (sent < 0 && sent != UV_EAGAIN) {
    mark_broken();
    return;
  }
  const std::size_t taken = sent > 0 ? static_cast<std::size_t>(sent) : 0;
  if (taken < bytes.size()) keep({&buffer, 1}, taken);
}

std::size_t TcpStream::keep(std::span<const uv_buf_t> buffers, std::size_t skip) noexcept {
  const bool idle = handle_->queue == nullptr;
  if (idle) handle_->queue = std::make_unique<TcpHandle::Queue>();
  std::size_t room = limits::kWriteCopyBytes;
  for (const uv_buf_t& buffer : buffers) {
    if (skip >= buffer.len) {
      skip -= buffer.len;
      continue;
    }
    const std::size_t copied = std::min(buffer.len - skip, room);
    handle_->queue->waiting.append(buffer.base + skip, copied);
    room -= copied;
    skip = 0;
    if (room == 0) break;
  }
  if (idle && !send_queue(*handle_)) mark_broken();
  return limits::kWriteCopyBytes - room;
}

bool TcpStream::send_queue(TcpHandle& handle) noexcept {
  TcpHandle::Queue& queue = *handle.queue;
  queue.sending = std::exchange(queue.waiting, std::string());
  queue.request.data = &handle;
  const uv_buf_t buffer = uv_buf_init(queue.sending.data(), static_cast<unsigned>(queue.sending.size()));
  return uv_write(&queue.request, reinterpret_cast<uv_stream_t*>(&handle.tcp), &buffer, 1,
                  &TcpStream::on_written) == 0;
}

void TcpStream::on_written(uv_write_t* request, int status) {
  auto& handle = *static_cast<TcpHandle*>(request->data);
  TcpStream* owner = handle.owner;
  if (owner == nullptr) return;
  if (status != 0) {
    // The reading side may still hold an answer, so only writing has ended.
    owner->mark_broken();
  } else if (handle.queue->waiting.empty()) {
    handle.queue.reset();
  } else if (!send_queue(handle)) {
    owner->mark_broken();
  }
  owner->drained();
}

void TcpStream::shut_write() noexcept {
  if (handle_ == nullptr || !writable()) return;
  send_posted();
  auto* request = new uv_shutdown_t{};
  const auto done = [](uv_shutdown_t* finished, int) { delete finished; };
  if (uv_shutdown(request, stream(), done) != 0) delete request;
}

void TcpStream::reset() noexcept {
  if (handle_ == nullptr) return;
  // SO_LINGER with zero seconds makes the kernel's close a reset.
  int descriptor = -1;
  if (uv_fileno(reinterpret_cast<const uv_handle_t*>(&handle_->tcp), &descriptor) == 0) {
    const linger now{1, 0};
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  close();
}

Error connect_failed(const std::string& where, const std::string& reason) {
  Error error;
  error.code = ErrorCode::kConnectFailed;
  error.origin = Origin::kUpstream;
  error.retry = Retry::kNextTarget;
  error.http_status = 502;
  error.message = "cannot connect to " + where + ": " + reason;
  return error;
}

Error connect_timeout(const std::string& where, std::chrono::milliseconds timeout) {
  Error error = connect_failed(where, "no answer within " + std::to_string(timeout.count()) + " ms");
  error.code = ErrorCode::kUpstreamTimeout;
  error.http_status = 504;
  return error;
}

/// Common part of awaiting one libuv request with a time limit and a stop.
class RequestOp : protected Timer, protected StopCallback {
 public:
  RequestOp(UvLoop& loop, std::chrono::milliseconds timeout, StopToken stop) noexcept
      : Timer([](Timer& timer) noexcept { static_cast<RequestOp&>(timer).give_up(UV_ETIMEDOUT); }),
        StopCallback(
            [](StopCallback& callback) noexcept { static_cast<RequestOp&>(callback).give_up(UV_ECANCELED); }),
        loop_(loop),
        timeout_(timeout),
        stop_(stop) {}
  RequestOp(const RequestOp&) = delete;
  RequestOp& operator=(const RequestOp&) = delete;

 protected:
  virtual ~RequestOp() = default;
  /// Lets go of the request: its callback must not touch this object any more.
  virtual void abandon() noexcept = 0;
  void wait(std::coroutine_handle<> waiter) noexcept {
    waiter_ = waiter;
    if (timeout_.count() > 0) start(loop_.timers(), timeout_);
    stop_.subscribe(*this);
  }
  void finish(int status) noexcept {
    status_ = status;
    Timer::stop();
    unlink();
    waiter_.resume();
  }
  void give_up(int status) noexcept {
    abandon();
    finish(status);
  }

  UvLoop& loop_;
  std::chrono::milliseconds timeout_;
  StopToken stop_;
  std::coroutine_handle<> waiter_;
  int status_ = 0;
};

class ConnectOp final : public RequestOp {
 public:
  ConnectOp(UvLoop& loop, const Address& address, std::chrono::milliseconds timeout, StopToken stop) noexcept
      : RequestOp(loop, timeout, stop), address_(address) {}
  ~ConnectOp() override {
    if (handle_ != nullptr) close_handle(handle_);
  }
  bool await_ready() noexcept {
    if (stop_.stopped()) {
      status_ = UV_ECANCELED;
      return true;
    }
    handle_ = new TcpHandle;
    handle_->tcp.data = handle_;
    if (uv_tcp_init(loop_.raw(), &handle_->tcp) != 0) std::abort();
    request_ = new uv_connect_t{};
    request_->data = this;
    const auto* where = reinterpret_cast<const sockaddr*>(address_.sockaddr.data());
    status_ = uv_tcp_connect(request_, &handle_->tcp, where, [](uv_connect_t* done, int status) {
      const std::unique_ptr<uv_connect_t> freed(done);
      auto* self = static_cast<ConnectOp*>(done->data);
      if (self == nullptr) return;
      self->request_ = nullptr;
      self->finish(status);
    });
    if (status_ != 0) delete std::exchange(request_, nullptr);
    return status_ != 0;
  }
  void await_suspend(std::coroutine_handle<> waiter) noexcept { wait(waiter); }
  /// Zero with the handle, or libuv's error code.
  int await_resume() const noexcept { return status_; }
  [[nodiscard]] TcpHandle* release() noexcept { return std::exchange(handle_, nullptr); }

 private:
  void abandon() noexcept override {
    request_->data = nullptr;
    request_ = nullptr;
  }
  const Address& address_;
  TcpHandle* handle_ = nullptr;
  uv_connect_t* request_ = nullptr;
};

class ResolveOp final : public RequestOp {
 public:
  ResolveOp(UvLoop& loop, const std::string& host, std::chrono::milliseconds timeout, StopToken stop) noexcept
      : RequestOp(loop, timeout, stop), host_(host) {}
  ~ResolveOp() override = default;
  bool await_ready() noexcept {
    if (stop_.stopped()) {
      status_ = UV_ECANCELED;
      return true;
    }
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    request_ = new Lookup{};
    request_->raw.data = this;
    request_->running = &loop_.lookups();
    const auto done = [](uv_getaddrinfo_t* finished, int status, addrinfo* list) {
      const std::unique_ptr<Lookup> freed(reinterpret_cast<Lookup*>(finished));
      --*freed->running;
      auto* self = static_cast<ResolveOp*>(finished->data);
      if (self != nullptr) {
        for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
          if (one->ai_family != AF_INET && one->ai_family != AF_INET6) continue;
          self->found.emplace_back(reinterpret_cast<const char*>(one->ai_addr), one->ai_addrlen);
        }
        self->request_ = nullptr;
      }
      uv_freeaddrinfo(list);
      if (self != nullptr) self->finish(status);
    };
    status_ = uv_getaddrinfo(loop_.raw(), &request_->raw, done, host_.c_str(), nullptr, &hints);
    if (status_ == 0) {
      ++loop_.lookups();
    } else {
      delete std::exchange(request_, nullptr);
    }
    return status_ != 0;
  }
  void await_suspend(std::coroutine_handle<> waiter) noexcept { wait(waiter); }
  int await_resume() const noexcept { return status_; }

  std::vector<std::string> found;  ///< sockaddrs without port

 private:
  void abandon() noexcept override {
    request_->raw.data = nullptr;
    uv_cancel(reinterpret_cast<uv_req_t*>(&request_->raw));  // one that runs already goes on, and nobody waits for it
    request_ = nullptr;
  }

  struct Lookup {
    uv_getaddrinfo_t raw{};
    int* running = nullptr;  ///< of its loop
  };
  const std::string& host_;
  Lookup* request_ = nullptr;
};

Address make_address(std::string_view bytes, std::uint16_t port) {
  sockaddr_storage storage{};
  std::memcpy(&storage, bytes.data(), std::min(bytes.size(), sizeof storage));
  if (storage.ss_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6&>(storage).sin6_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in&>(storage).sin_port = htons(port);
  }
  Address address;
  address.text = address_text(storage);
  address.sockaddr.assign(reinterpret_cast<const char*>(&storage), sizeof storage);
  return address;
}

}  // namespace

Result<std::unique_ptr<ByteStream>> adopt_tcp(UvLoop& loop, int descriptor) {
  auto* handle = new TcpHandle;
  handle->tcp.data = handle;
  CCR_ASSERT(uv_tcp_init(loop.raw(), &handle->tcp) == 0);
  const int status = uv_tcp_open(&handle->tcp, descriptor);
  if (status != 0) {
    ::close(descriptor);
    close_handle(handle);
    return internal_error(std::string("cannot take over an accepted connection: ") + uv_strerror(status));
  }
  return std::unique_ptr<ByteStream>(std::make_unique<TcpStream>(loop, handle));
}

Task<Result<std::vector<Address>>> resolve(UvLoop& loop, std::string host, std::uint16_t port,
                                           std::chrono::milliseconds timeout, StopToken stop) {
  std::vector<Address> addresses;
  sockaddr_in four{};
  sockaddr_in6 six{};
  if (uv_ip4_addr(host.c_str(), port, &four) == 0) {
    addresses.push_back(
        make_address(std::string_view(reinterpret_cast<const char*>(&four), sizeof four), port));
    co_return addresses;
  }
  if (uv_ip6_addr(host.c_str(), port, &six) == 0) {
    addresses.push_back(
        make_address(std::string_view(reinterpret_cast<const char*>(&six), sizeof six), port));
    co_return addresses;
  }
  ResolveOp op(loop, host, timeout, stop);
  const int status = co_await op;
  if (status == UV_ETIMEDOUT) co_return connect_timeout(host, timeout);
  if (status == UV_ECANCELED) co_return cancelled();
  if (status != 0) {
    co_return connect_failed(
        host, std::string("the name cannot be resolved (") + uv_strerror(status) + "); check the base_url");
  }
  for (const std::string& bytes : op.found) addresses.push_back(make_address(bytes, port));
  if (addresses.empty()) co_return connect_failed(host, "the name has no address");
  co_return addresses;
}

Task<Result<std::unique_ptr<ByteStream>>> connect_tcp(UvLoop& loop, const Address& address,
                                                      std::chrono::milliseconds timeout, StopToken stop) {
  ConnectOp op(loop, address, timeout, stop);
  const int status = co_await op;
  if (status == UV_ETIMEDOUT) co_return connect_timeout(address.text, timeout);
  if (status == UV_ECANCELED) co_return cancelled();
  if (status != 0) co_return connect_failed(address.text, uv_strerror(status));
  co_return std::unique_ptr<ByteStream>(std::make_unique<TcpStream>(loop, op.release()));
}

}  // namespace ccrules
