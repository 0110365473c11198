#include "support/h2_server.h"

#include <algorithm>
#include <array>
#include <nghttp2/nghttp2.h>
#include <utility>

namespace ccrules::test {
namespace {

class ServerSession final : public H2Server::Session, public std::enable_shared_from_this<ServerSession> {
 public:
  ServerSession(std::unique_ptr<ByteStream> stream, H2Server::Handler handler, H2Server::Options options)
      : stream_(std::move(stream)), handler_(std::move(handler)), options_(options) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_server_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    const std::array<nghttp2_settings_entry, 2> settings = {
        {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options.max_streams},
         {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.window_bytes}}};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  }
  ~ServerSession() override { nghttp2_session_del(session_); }
  ServerSession(const ServerSession&) = delete;
  ServerSession& operator=(const ServerSession&) = delete;

  void head(std::int32_t id, int status, std::map<std::string, std::string> fields) override {
    submit_head(id, status, fields, false);
  }
  void interim(std::int32_t id, int status) override { submit_head(id, status, {}, true); }
  void data(std::int32_t id, std::string bytes) override {
    replies_[id].bytes += bytes;
    nghttp2_session_resume_data(session_, id);
    send();
  }
  void finish(std::int32_t id) override {
    replies_[id].finished = true;
    nghttp2_session_resume_data(session_, id);
    send();
  }
  void reset(std::int32_t id, std::uint32_t code) override {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, code);
    send();
  }
  void goaway(std::int32_t last_id, std::uint32_t code) override {
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, last_id, code, nullptr, 0);
    send();
  }
  void raw(std::string bytes) override {
    out_ += bytes;
    send();
  }
  void close() override { stream_->close(); }

  static Task<void> run(std::shared_ptr<ServerSession> self) {
    self->send();
    for (;;) {
      const auto got = co_await self->stream_->read(std::chrono::milliseconds(0), StopToken());
      if (!got.ok() || got->end) break;
      self->client_bytes.append(got->bytes);
      if (self->options_.deaf && !self->requests.empty()) continue;
      const auto used = nghttp2_session_mem_recv(
          self->session_, reinterpret_cast<const std::uint8_t*>(got->bytes.data()), got->bytes.size());
      if (used < 0) break;
      for (const std::int32_t id : std::exchange(self->asked_, {})) self->handler_(*self, self->requests[id]);
      self->send();
    }
    self->ended = true;
  }

 private:
  struct Reply {
    std::string bytes;
    bool finished = false;
  };
  static ServerSession& self(void* context) { return *static_cast<ServerSession*>(context); }

  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size, std::uint8_t,
                       void* context) {
    H2Server::Request& request = self(context).requests[frame->hd.stream_id];
    request.id = frame->hd.stream_id;
    request.head[std::string(reinterpret_cast<const char*>(name), name_size)] =
        std::string(reinterpret_cast<const char*>(value), value_size);
    return 0;
  }
  static int on_data(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* bytes,
                     std::size_t size, void* context) {
    self(context).requests[id].body.append(reinterpret_cast<const char*>(bytes), size);
    return 0;
  }
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* context) {
    ServerSession& me = self(context);
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) ++me.pings;
    const bool of_request = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (of_request && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
      me.requests[frame->hd.stream_id].complete = true;
      me.asked_.push_back(frame->hd.stream_id);
    }
    return 0;
  }
  static int on_close(nghttp2_session*, std::int32_t id, std::uint32_t code, void* context) {
    if (code != NGHTTP2_NO_ERROR) self(context).requests[id].cancelled = true;
    return 0;
  }
  static ssize_t on_body(nghttp2_session*, std::int32_t id, std::uint8_t* to, std::size_t room,
                         std::uint32_t* flags, nghttp2_data_source*, void* context) {
    Reply& reply = self(context).replies_[id];
    const std::size_t size = std::min(room, reply.bytes.size());
    std::copy_n(reply.bytes.data(), size, reinterpret_cast<char*>(to));
    reply.bytes.erase(0, size);
    self(context).requests[id].sent_bytes += size;
    if (reply.bytes.empty() && reply.finished) *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (size == 0 && !reply.finished) return NGHTTP2_ERR_DEFERRED;
    return static_cast<ssize_t>(size);
  }

  void submit_head(std::int32_t id, int status, const std::map<std::string, std::string>& fields,
                   bool interim) {
    const std::string number = std::to_string(status);
    std::vector<nghttp2_nv> list;
    const auto add = [&list](const std::string& name, const std::string& value) {
      list.push_back({reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
                      reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
                      value.size(), NGHTTP2_NV_FLAG_NONE});
    };
    const std::string status_name = ":status";
    add(status_name, number);
    for (const auto& [name, value] : fields) add(name, value);
    if (interim) {
      nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, id, nullptr, list.data(), list.size(), nullptr);
    } else {
      nghttp2_data_provider provider{};
      provider.read_callback = on_body;
      nghttp2_submit_response(session_, id, list.data(), list.size(), &provider);
    }
    send();
  }

  void send() {
    const std::uint8_t* bytes = nullptr;
    for (ssize_t size = 0; (size = nghttp2_session_mem_send(session_, &bytes)) > 0;)
      out_.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
    if (!out_.empty() && !writing_) spawn(write_out(shared_from_this()));
  }
  static Task<void> write_out(std::shared_ptr<ServerSession> self) {
    self->writing_ = true;
    while (!self->out_.empty()) {
      const std::string bytes = std::exchange(self->out_, std::string());
      self->server_bytes += bytes;
      const std::array<std::string_view, 1> pieces = {bytes};
      const auto written = co_await self->stream_->write(pieces, StopToken());
      if (!written.ok()) break;
    }
    self->writing_ = false;
  }

  std::unique_ptr<ByteStream> stream_;
  H2Server::Handler handler_;
  H2Server::Options options_;
  nghttp2_session* session_ = nullptr;
  std::map<std::int32_t, Reply> replies_;
  std::vector<std::int32_t> asked_;
  std::string out_;
  bool writing_ = false;
};

}  // namespace

void H2Server::Session::answer(std::int32_t id, int status, const std::string& body,
                               std::map<std::string, std::string> fields) {
  head(id, status, std::move(fields));
  data(id, body);
  finish(id);
}

H2Server::H2Server(SimWorld& world, const std::string& host, std::uint16_t port, Handler handler)
    : H2Server(world, host, port, std::move(handler), Options()) {}

H2Server::H2Server(SimWorld& world, const std::string& host, std::uint16_t port, Handler handler,
                   Options options, SimDialer::Site site) {
  site.protocol = "h2";
  site.accept = [this, handler = std::move(handler), options](std::unique_ptr<ByteStream> stream) {
    auto session = std::make_shared<ServerSession>(std::move(stream), handler, options);
    sessions.push_back(session);
    spawn(ServerSession::run(session));
  };
  world.dialer.set(host, port, std::move(site));
}

H2Server::~H2Server() {
  close_all();
}

void H2Server::close_all() {
  for (const auto& session : sessions) session->close();
}

}  // namespace ccrules::test
