#include "http/h2.h"

#include <algorithm>
#include <array>
#include <nghttp2/nghttp2.h>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/assert.h"
#include "core/limits.h"
#include "core/text.h"
#include "http/wait.h"
#include "http/write.h"

namespace ccrules::http {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kFieldOverhead = 32;        // RFC 9113, 6.5.2: how a header list's size is counted
constexpr std::size_t kFramesAtOnce = 64 * 1024;  // collected before they are given to the connection
constexpr std::size_t kKeptBuffer = 64 * 1024;    // a reply's buffer that grew beyond is given back

class Connection;

struct FreeSession {
  void operator()(nghttp2_session* session) const noexcept { nghttp2_session_del(session); }
};
struct FreeCallbacks {
  void operator()(nghttp2_session_callbacks* callbacks) const noexcept {
    nghttp2_session_callbacks_del(callbacks);
  }
};
struct FreeOption {
  void operator()(nghttp2_option* option) const noexcept { nghttp2_option_del(option); }
};
using SessionPointer = std::unique_ptr<nghttp2_session, FreeSession>;

Error upstream_error(ErrorCode code, int status, std::string message) {
  Error error;
  error.code = code;
  error.origin = ccrules::Origin::kUpstream;
  error.retry = Retry::kNextTarget;
  error.http_status = status;
  error.message = std::move(message);
  return error;
}

std::string_view view(const std::uint8_t* bytes, std::size_t size) {
  return std::string_view(reinterpret_cast<const char*>(bytes), size);
}

/// A request and its reply.
struct Stream {
  explicit Stream(Connection& on) noexcept : home(on) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream();

  void fail(Error error) {
    if (!ended && !failure) failure.emplace(std::move(error));
  }
  [[nodiscard]] bool over() const noexcept { return ended || failure.has_value(); }

  Connection& home;
  std::int32_t id = -1;  ///< -1: nghttp2 does not know it any more
  std::string_view body;
  std::size_t sent_bytes = 0;  ///< of `body`
  std::string own_body;        ///< the rest, once the caller's is gone
  int status = 0;
  Headers headers;
  std::size_t head_bytes = 0;
  std::size_t interim = 0;
  std::string arrived;  ///< not read yet
  std::string given;    ///< what the last read gave
  std::optional<Error> failure;
  Wait* waiter = nullptr;
  std::uint64_t heard_before = 0;  ///< frames that had come when it began
  std::int64_t began_ms = 0;
  bool head_done = false;
  bool ended = false;      ///< the reply is complete
  bool untouched = false;  ///< failed before the upstream did anything
  bool ready = false;      ///< stands in the list of those to be woken
};

class Connection final : public H2, private ByteStream::Upper {
 public:
  Connection(std::unique_ptr<ByteStream> stream, std::function<void(H2&)> over);
  ~Connection() override {
    over_ = nullptr;
    watch_.stop();
    stream_->set_upper(nullptr);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void begin();
  static Task<void> take_unread(std::shared_ptr<Connection> self);
  [[nodiscard]] bool has_room() const noexcept override {
    return usable_ && stream_->open() &&
           streams_.size() <
               nghttp2_session_get_remote_settings(session_.get(), NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  }
  [[nodiscard]] std::size_t streams() const noexcept override { return streams_.size(); }
  void retire() noexcept override;
  Task<Sent> send(const ClientRequest& request, milliseconds first_byte, StopToken stop) override;

  [[nodiscard]] Loop& loop() noexcept { return stream_->loop(); }
  /// What a read has taken may be sent again by the upstream.
  void consumed(const Stream& stream, std::size_t bytes) noexcept;
  /// The reply is dropped: cancels the request unless it is complete.
  void forget(Stream& stream) noexcept;

 private:
  struct Watch : Timer {
    explicit Watch(Connection& connection) noexcept
        : Timer([](Timer& timer) noexcept { static_cast<Watch&>(timer).owner.look(); }), owner(connection) {}
    Connection& owner;
  };
  struct Callbacks;
  friend struct Callbacks;

  // What the connection below tells.
  void on_bytes(char* bytes, std::size_t size) override;
  void on_end() override;
  void on_broken() override { on_end(); }
  void on_drained() override;

  std::int32_t submit(const ClientRequest& request, Stream& stream);
  /// Sends what nghttp2 has to send, as far as the connection takes it. Calls nobody.
  void flush() noexcept;
  /// Wakes whose replies have moved. Any of them may end, and others begin.
  void wake_ready();
  void mark_ready(Stream& stream);
  /// nghttp2 has done with it.
  void remove(Stream& stream) noexcept;
  /// Ends the connection and everything on it.
  void fail_all(const Error& error);
  void not_usable();
  void look();
  [[nodiscard]] Error lost() const;

  std::unique_ptr<ByteStream> stream_;
  SessionPointer session_;
  std::function<void(H2&)> over_;
  std::vector<Stream*> streams_;
  std::vector<Stream*> ready_;
  Watch watch_;
  std::int64_t heard_ms_ = 0;    ///< when bytes came last
  std::uint64_t heard_ = 0;      ///< frames so far
  std::size_t idle_frames_ = 0;  ///< since anything useful came
  std::string goodbye_;          ///< why the upstream will close, as GOAWAY says
  bool usable_ = true;
  bool closed_ = false;
  bool hostile_ = false;
  bool pinged_ = false;
};

Stream::~Stream() {
  home.forget(*this);
}

struct Connection::Callbacks {
  static Connection& self(void* context) noexcept { return *static_cast<Connection*>(context); }
  static Stream* stream_of(nghttp2_session* session, std::int32_t id) noexcept {
    return static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, id));
  }

  static int begin_frame(nghttp2_session*, const nghttp2_frame_hd*, void* context) {
    Connection& me = self(context);
    ++me.heard_;
    if (++me.idle_frames_ <= limits::kH2IdleFrames) return 0;
    me.hostile_ = true;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  }

  static int begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void*) {
    Stream* stream = stream_of(session, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    stream->head_bytes = 0;
    if (!stream->head_done) stream->headers.clear();
    return 0;
  }

  static int header(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name,
                    std::size_t name_size, const std::uint8_t* value, std::size_t value_size, std::uint8_t,
                    void*) {
    Stream* stream = stream_of(session, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    stream->head_bytes += name_size + value_size + kFieldOverhead;
    if (stream->head_bytes > limits::kHeaderBytes || stream->headers.size() >= limits::kHeaderCount) {
      stream->fail(
          upstream_error(ErrorCode::kUpstreamProtocol, 502,
                         "the upstream's reply is not valid HTTP: the head is larger than we accept"));
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    if (stream->head_done) return 0;  // trailers
    const std::string_view field = view(name, name_size);
    if (field == ":status") {
      stream->status = static_cast<int>(text::to_int(view(value, value_size)).value_or(0));
    } else {
      stream->headers.add(field, view(value, value_size));
    }
    return 0;
  }

  static int frame(nghttp2_session* session, const nghttp2_frame* frame, void* context) {
    Connection& me = self(context);
    if (frame->hd.type == NGHTTP2_GOAWAY) {
      me.goodbye_ = nghttp2_http2_strerror(frame->goaway.error_code);
      return 0;
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    Stream* stream = stream_of(session, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && !stream->head_done) {
      stream->head_done = stream->status / 100 != 1;
      if (stream->head_done) me.idle_frames_ = 0;
      if (!stream->head_done && ++stream->interim > limits::kInterimReplies) {
        stream->fail(
            upstream_error(ErrorCode::kUpstreamProtocol, 502,
                           "the upstream's reply is not valid HTTP: it sends interim replies without end"));
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_ENHANCE_YOUR_CALM);
      }
    }
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 && stream->head_done && !stream->failure)
      stream->ended = true;
    me.mark_ready(*stream);
    return 0;
  }

  static int data(nghttp2_session* session, std::uint8_t, std::int32_t id, const std::uint8_t* bytes,
                  std::size_t size, void* context) {
    Connection& me = self(context);
    if (size > 0) me.idle_frames_ = 0;
    nghttp2_session_consume_connection(session, size);  // a slow reader must not stop the other streams
    Stream* stream = stream_of(session, id);
    if (stream == nullptr) return 0;
    stream->arrived.append(view(bytes, size));
    me.mark_ready(*stream);
    return 0;
  }

  static int closed(nghttp2_session* session, std::int32_t id, std::uint32_t code, void* context) {
    Connection& me = self(context);
    Stream* stream = stream_of(session, id);
    if (stream == nullptr) return 0;
    me.remove(*stream);
    // REFUSED_STREAM, and all that a GOAWAY leaves out: nothing was done with it (RFC 9113, 8.7).
    stream->untouched = code == NGHTTP2_REFUSED_STREAM && !stream->head_done;
    stream->fail(upstream_error(
        ErrorCode::kConnectionLost, 502,
        stream->untouched
            ? "the upstream refused the request before looking at it" +
                  (me.goodbye_.empty() ? std::string() : " (" + me.goodbye_ + ")")
            : "the upstream broke its reply off (HTTP/2 " + std::string(nghttp2_http2_strerror(code)) + ")"));
    me.mark_ready(*stream);
    return 0;
  }

  static ssize_t body(nghttp2_session* session, std::int32_t id, std::uint8_t* to, std::size_t room,
                      std::uint32_t* flags, nghttp2_data_source*, void* context) {
    Stream* found = stream_of(session, id);
    if (found == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    Stream& stream = *found;
    self(context).idle_frames_ = 0;
    const std::string_view rest = stream.body.substr(stream.sent_bytes);
    const std::size_t size = std::min(room, rest.size());
    std::copy_n(rest.data(), size, reinterpret_cast<char*>(to));
    stream.sent_bytes += size;
    if (size == rest.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(size);
  }

  static nghttp2_session* client(Connection& connection) {
    nghttp2_session_callbacks* made = nullptr;
    nghttp2_option* chosen = nullptr;
    CCR_ASSERT(nghttp2_session_callbacks_new(&made) == 0 && nghttp2_option_new(&chosen) == 0);
    const std::unique_ptr<nghttp2_session_callbacks, FreeCallbacks> callbacks(made);
    const std::unique_ptr<nghttp2_option, FreeOption> option(chosen);
    nghttp2_session_callbacks_set_on_begin_frame_callback(made, begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(made, header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, data);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, closed);
    nghttp2_option_set_no_auto_window_update(chosen, 1);
    nghttp2_session* session = nullptr;
    CCR_ASSERT(nghttp2_session_client_new2(&session, made, &connection, chosen) == 0);
    return session;
  }
};

class H2Reply final : public ReplyStream, public Pooled {
 public:
  H2Reply(std::shared_ptr<Connection> connection, std::unique_ptr<Stream> stream)
      : connection_(std::move(connection)), stream_(std::move(stream)) {}
  [[nodiscard]] int status() const noexcept override { return stream_->status; }
  [[nodiscard]] const Headers& headers() const noexcept override { return stream_->headers; }
  Task<Result<Chunk>> read(milliseconds patience, StopToken stop) override;

 private:
  std::shared_ptr<Connection> connection_;
  std::unique_ptr<Stream> stream_;  ///< goes before the connection
};

Task<Result<Chunk>> H2Reply::read(milliseconds patience, StopToken stop) {
  Stream& stream = *stream_;
  Chunk chunk;
  while (stream.arrived.empty() && !stream.over()) {
    Wait wait(connection_->loop(), patience, stop);
    stream.waiter = &wait;
    const Wait::Outcome outcome = co_await wait;
    stream.waiter = nullptr;
    if (outcome == Wait::Outcome::kStopped) co_return cancelled();
    if (outcome == Wait::Outcome::kQuiet) {
      chunk.quiet = true;
      co_return chunk;
    }
  }
  if (stop.stopped()) co_return cancelled();
  if (stream.given.capacity() > kKeptBuffer) text::give_back(stream.given);
  stream.given.clear();
  std::swap(stream.given, stream.arrived);
  if (stream.given.empty() && stream.failure) co_return *stream.failure;
  connection_->consumed(stream, stream.given.size());
  chunk.bytes = stream.given;
  chunk.end = stream.ended;
  co_return chunk;
}

Connection::Connection(std::unique_ptr<ByteStream> stream, std::function<void(H2&)> over)
    : stream_(std::move(stream)), over_(std::move(over)), watch_(*this) {
  session_.reset(Callbacks::client(*this));
}

void Connection::begin() {
  const std::array<nghttp2_settings_entry, 4> settings = {{
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0},  // none that the upstream begins
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits::kH2StreamBytes},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits::kHeaderBytes},
  }};
  nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_.get(), NGHTTP2_FLAG_NONE, 0,
                                        static_cast<std::int32_t>(limits::kH2ConnectionBytes));
  heard_ms_ = loop().now_ms();
  stream_->set_upper(this);
  flush();
  watch_.start(loop().timers(), limits::kPoolIdleTime);
}

/// The upstream's hello may have come together with the end of the TLS handshake.
Task<void> Connection::take_unread(std::shared_ptr<Connection> self) {
  while (!self->closed_ && self->stream_->has_unread()) {
    const auto got = co_await self->stream_->read(milliseconds(0), StopToken());
    if (!got.ok() || got->end) co_return;
    self->on_bytes(const_cast<char*>(got->bytes.data()), got->bytes.size());
  }
}

void Connection::mark_ready(Stream& stream) {
  if (std::exchange(stream.ready, true)) return;
  ready_.push_back(&stream);
}

void Connection::remove(Stream& stream) noexcept {
  stream.id = -1;
  const auto found = std::find(streams_.begin(), streams_.end(), &stream);
  if (found == streams_.end()) return;
  *found = streams_.back();
  streams_.pop_back();
  if (streams_.empty() && !closed_)
    watch_.start(loop().timers(), usable_ ? milliseconds(limits::kPoolIdleTime) : milliseconds(0));
}

void Connection::forget(Stream& stream) noexcept {
  if (stream.ready) std::erase(ready_, &stream);
  const std::int32_t id = stream.id;
  remove(stream);
  if (id < 0 || closed_) return;
  nghttp2_session_set_stream_user_data(session_.get(), id, nullptr);
  nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
  flush();
}

void Connection::consumed(const Stream& stream, std::size_t bytes) noexcept {
  if (stream.id < 0 || bytes == 0 || closed_) return;
  nghttp2_session_consume_stream(session_.get(), stream.id, bytes);
  flush();
}

void Connection::flush() noexcept {
  if (closed_ || nghttp2_session_want_write(session_.get()) == 0) return;
  std::string frames;
  for (bool more = true; more && stream_->queued() < limits::kWriteHighBytes;) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_.get(), &bytes);
    more = size > 0;
    if (more) frames.append(view(bytes, static_cast<std::size_t>(size)));
    if (frames.empty() || (more && frames.size() < kFramesAtOnce)) continue;
    const std::array<std::string_view, 1> pieces = {frames};
    more = stream_->put(pieces, 0) == frames.size() && more;
    frames.clear();
  }
}

void Connection::wake_ready() {
  while (!ready_.empty()) {
    Stream& stream = *ready_.back();
    ready_.pop_back();
    stream.ready = false;
    if (Wait* waiter = std::exchange(stream.waiter, nullptr)) waiter->wake();
  }
}

void Connection::not_usable() {
  if (!std::exchange(usable_, false)) return;
  if (const auto tell = std::exchange(over_, nullptr)) tell(*this);
}

void Connection::fail_all(const Error& error) {
  if (std::exchange(closed_, true)) return;
  const std::shared_ptr<H2> kept = shared_from_this();
  watch_.stop();
  stream_->close();
  for (Stream* stream : std::exchange(streams_, {})) {
    // A connection that was closed while the request was on its way never saw it: as with a kept one of
    // HTTP/1.1.
    if (!stream->over() && !stream->head_done && stream->heard_before > 1 && stream->heard_before == heard_ &&
        loop().now_ms() - stream->began_ms <= milliseconds(limits::kStaleTime).count())
      stream->untouched = true;
    stream->id = -1;
    stream->fail(error);
    mark_ready(*stream);
  }
  not_usable();
  wake_ready();
}

Error Connection::lost() const {
  Error error = connection_lost();
  if (hostile_) {
    error = upstream_error(ErrorCode::kUpstreamProtocol, 502,
                           "the upstream sends HTTP/2 frames without end that say nothing");
  } else if (!goodbye_.empty() && goodbye_ != nghttp2_http2_strerror(NGHTTP2_NO_ERROR)) {
    error.message = "the upstream closed the HTTP/2 connection (" + goodbye_ + ")";
  }
  return error;
}

void Connection::on_bytes(char* bytes, std::size_t size) {
  if (closed_) return;
  const std::shared_ptr<H2> kept = shared_from_this();
  heard_ms_ = loop().now_ms();
  pinged_ = false;
  const ssize_t used =
      nghttp2_session_mem_recv(session_.get(), reinterpret_cast<const std::uint8_t*>(bytes), size);
  if (used < 0) {
    const Error error = hostile_ ? lost()
                                 : upstream_error(ErrorCode::kUpstreamProtocol, 502,
                                                  "the upstream's HTTP/2 is not valid: " +
                                                      std::string(nghttp2_strerror(static_cast<int>(used))));
    return fail_all(error);
  }
  flush();
  if (nghttp2_session_check_request_allowed(session_.get()) == 0) not_usable();
  const bool done =
      nghttp2_session_want_read(session_.get()) == 0 && nghttp2_session_want_write(session_.get()) == 0;
  if (done && !closed_) {
    const Error error = goodbye_.empty() ? upstream_error(ErrorCode::kUpstreamProtocol, 502,
                                                          "the upstream's HTTP/2 is not valid")
                                         : lost();
    return fail_all(error);
  }
  wake_ready();
}

void Connection::on_end() {
  const Error error = lost();
  fail_all(error);
}

void Connection::on_drained() {
  if (closed_) return;
  if (!stream_->writable()) return on_end();
  flush();
}

/// Nothing was heard for a while, or nothing is asked for.
void Connection::look() {
  if (closed_) return;
  const std::shared_ptr<H2> kept = shared_from_this();
  const std::int64_t silent_ms = loop().now_ms() - heard_ms_;
  if (streams_.empty()) {
    not_usable();
    nghttp2_session_terminate_session(session_.get(), NGHTTP2_NO_ERROR);
    flush();
    closed_ = true;
    stream_->close();
    return;
  }
  const std::int64_t ping_ms = milliseconds(limits::kH2PingTime).count();
  const std::int64_t answer_ms = milliseconds(limits::kH2PingAnswerTime).count();
  if (pinged_ && silent_ms >= ping_ms + answer_ms) {
    const Error error = upstream_error(ErrorCode::kConnectionLost, 502,
                                       "the upstream's connection is dead: it did not answer a PING within " +
                                           std::to_string(answer_ms) + " ms");
    return fail_all(error);
  }
  if (!pinged_ && silent_ms >= ping_ms) {
    pinged_ = true;
    nghttp2_submit_ping(session_.get(), NGHTTP2_FLAG_NONE, nullptr);
    flush();
  }
  watch_.start(loop().timers(),
               milliseconds(std::max<std::int64_t>(ping_ms + (pinged_ ? answer_ms : 0) - silent_ms, 1)));
}

void Connection::retire() noexcept {
  over_ = nullptr;
  usable_ = false;
  if (streams_.empty() && !closed_) {
    nghttp2_session_terminate_session(session_.get(), NGHTTP2_NO_ERROR);
    flush();
    closed_ = true;
    watch_.stop();
    stream_->close();
  }
}

std::int32_t Connection::submit(const ClientRequest& request, Stream& stream) {
  // Names in one buffer: HTTP/2 wants them in lower case.
  std::string names;
  std::size_t names_bytes = 0;
  const std::size_t count = request.headers == nullptr ? 0 : request.headers->size();
  for (std::size_t i = 0; i < count; ++i) names_bytes += request.headers->at(i).first.size();
  names.reserve(names_bytes);
  std::vector<nghttp2_nv> fields;
  fields.reserve(count + 6);
  const auto bytes = [](std::string_view text) {
    // nghttp2 copies them; its interface only forgot the const.
    return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
  };
  const auto add = [&](std::string_view name, std::string_view value,
                       std::uint8_t flags = NGHTTP2_NV_FLAG_NONE) {
    fields.push_back({bytes(name), bytes(value), name.size(), value.size(), flags});
  };
  add(":method", request.method);
  add(":scheme", "https");
  add(":authority", request.host_header);
  add(":path", request.target);
  for (std::size_t i = 0; i < count; ++i) {
    const auto [name, value] = request.headers->at(i);
    if (is_hop_by_hop(name) && !text::equals_ignore_case(name, "accept-encoding")) continue;
    if (!is_writable_field(name, value, true)) continue;
    const std::size_t at = names.size();
    for (const char c : name) names += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const std::string_view lower = std::string_view(names).substr(at);
    const bool secret =
        lower.find("key") != std::string_view::npos || lower.find("auth") != std::string_view::npos;
    add(lower, value, secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE);
  }
  if (request.headers == nullptr || !request.headers->has("accept-encoding"))
    add("accept-encoding", "identity");
  const bool expects_body = request.method != "GET" && request.method != "HEAD" && request.method != "DELETE";
  const std::string length = std::to_string(request.body.size());
  if (expects_body || !request.body.empty()) add("content-length", length);
  nghttp2_data_provider provider{};
  provider.read_callback = Callbacks::body;
  return nghttp2_submit_request(session_.get(), nullptr, fields.data(), fields.size(),
                                request.body.empty() ? nullptr : &provider, &stream);
}

Task<H2::Sent> Connection::send(const ClientRequest& request, milliseconds first_byte, StopToken stop) {
  const std::shared_ptr<Connection> kept = std::static_pointer_cast<Connection>(shared_from_this());
  auto made = std::make_unique<Stream>(*this);
  Stream& stream = *made;
  stream.body = request.body;
  stream.heard_before = heard_;
  stream.began_ms = loop().now_ms();
  const std::int32_t id = submit(request, stream);
  if (id < 0) {  // it has used up its numbers, or is going away
    not_usable();
    Sent failed{lost(), true};
    co_return failed;
  }
  stream.id = id;
  streams_.push_back(&stream);
  if (streams_.size() == 1) {
    heard_ms_ = loop().now_ms();
    watch_.start(loop().timers(), limits::kH2PingTime);
  }
  flush();
  std::size_t seen_bytes = stream.sent_bytes;
  while (!stream.head_done && !stream.over()) {
    Wait wait(loop(), first_byte, stop);
    stream.waiter = &wait;
    const Wait::Outcome outcome = co_await wait;
    stream.waiter = nullptr;
    if (outcome == Wait::Outcome::kStopped) {
      Sent stopped{cancelled(), false};
      co_return stopped;
    }
    const bool moved = std::exchange(seen_bytes, stream.sent_bytes) != stream.sent_bytes;
    if (outcome == Wait::Outcome::kQuiet && !moved) {
      Sent late{
          upstream_error(ErrorCode::kUpstreamTimeout, 504,
                         "the upstream did not answer within " + std::to_string(first_byte.count()) + " ms"),
          false};
      co_return late;
    }
  }
  if (!stream.head_done) {
    Sent failed{*stream.failure, stream.untouched};
    co_return failed;
  }
  if (stream.sent_bytes <
      stream.body.size()) {  // it answers before it has everything; the caller's body ends here
    stream.own_body.assign(stream.body.substr(stream.sent_bytes));
    stream.body = stream.own_body;
    stream.sent_bytes = 0;
  }
  Sent sent{std::unique_ptr<ReplyStream>(std::make_unique<H2Reply>(kept, std::move(made))), false};
  co_return sent;
}

}  // namespace

std::shared_ptr<H2> H2::start(std::unique_ptr<ByteStream> stream, std::function<void(H2&)> over) {
  auto connection = std::make_shared<Connection>(std::move(stream), std::move(over));
  connection->begin();
  spawn(Connection::take_unread(connection));
  return connection;
}

}  // namespace ccrules::http
