#include "http/server.h"

#include <algorithm>
#include <array>

#include "async/stream.h"
#include "core/assert.h"
#include "core/json.h"
#include "core/limits.h"
#include "core/text.h"
#include "core/unset_bytes.h"
#include "http/coding.h"
#include "http/parser.h"
#include "http/write.h"

namespace ccrules::http {
namespace {

using std::chrono::milliseconds;

class Connection;

Error client_error(ErrorCode code, int status, std::string message) {
  Error error;
  error.code = code;
  error.origin = ccrules::Origin::kClient;
  error.http_status = status;
  error.message = std::move(message);
  return error;
}

Error stopped_arriving() { return client_error(ErrorCode::kBadRequest, 408, "the request body stopped arriving"); }

/// Failures of the client's connection are the client's, whatever the stream calls them.
Error as_client_error(Error error) {
  error.origin = ccrules::Origin::kClient;
  error.retry = Retry::kNever;
  error.http_status = 499;
  if (error.code != ErrorCode::kCancelled) {
    error.code = ErrorCode::kConnectionLost;
    error.message = "the client closed the connection or stopped reading";
  }
  return error;
}

std::string error_body(int status, std::string_view message) {
  std::string body;
  json::Writer writer(body);
  writer.begin_object().member("type", "error").key("error").begin_object();
  writer.member("type", status < 500 ? "invalid_request_error" : "api_error").member("message", message);
  writer.end_object().end_object();
  return body;
}

/// A target in absolute form becomes path and query, and its authority the Host, whatever was sent as Host (RFC 9112, 3.2.2): what
/// decides on Host and path must see the same ones as who routes.
/// @return false: it names no host, or a user (RFC 9110, 4.2.4)
bool to_origin_form(RequestHead& head) {
  std::size_t begin = 0;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (text::starts_with_ignore_case(head.target, scheme)) begin = scheme.size();
  }
  if (begin == 0) return true;
  const std::size_t end = std::min(head.target.find_first_of("/?#", begin), head.target.size());
  const std::string authority = head.target.substr(begin, end - begin);
  if (authority.empty() || authority.find('@') != std::string::npos) return false;
  head.headers.set("host", authority);
  head.target.erase(0, end);
  if (!head.target.starts_with('/')) head.target.insert(0, 1, '/');
  return true;
}

/// Text, JSON and the streams made of them; everything else is compressed already, or small.
bool is_text(std::string_view content_type) {
  return text::starts_with_ignore_case(content_type, "application/json") ||
         text::starts_with_ignore_case(content_type, "text/") ||
         text::starts_with_ignore_case(content_type, "application/x-ndjson");
}

}  // namespace

struct Server::Impl {
  Impl(Loop& on, Handler handle, ServerLimits limit) : loop(on), handler(std::move(handle)), limits(limit) {}
  Loop& loop;
  Handler handler;
  ServerLimits limits;
  Connection* first = nullptr;   ///< all connections, linked through themselves
  Connection* cursor = nullptr;  ///< the next one of a walk in progress
  std::size_t count = 0;
  bool draining = false;
  std::function<void()> drained;
  std::function<void()> closed;

  void add(Connection& connection) noexcept;
  void remove(Connection& connection) noexcept;
  template <class Visit>
  void for_each(Visit visit);
  void tell_if_drained();
};

namespace {

class Connection final : public Exchange {
 public:
  Connection(Server::Impl& server, std::unique_ptr<ByteStream> stream)
      : server_(server),
        stream_(std::move(stream)),
        parser_(Parser::Kind::kRequest, server.limits.header_bytes) {
    server_.add(*this);
    stream_->on_peer_end([this] { stop_.request_stop(StopReason::kClientGone); });
  }
  ~Connection() override { server_.remove(*this); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// The keep-alive loop: returns when the connection has ended.
  Task<void> run();
  void drain() noexcept {
    if (idle_) stop_.request_stop(StopReason::kShutdown);
  }
  void shutdown() noexcept { stop_.request_stop(StopReason::kShutdown); }

  [[nodiscard]] const RequestHead& head() const noexcept override { return head_; }
  [[nodiscard]] StopToken stop() const noexcept override { return stop_.token(); }
  [[nodiscard]] bool peer_is_loopback() const noexcept override { return stream_->peer_is_loopback(); }
  [[nodiscard]] std::string_view peer() const noexcept override { return stream_->peer(); }
  Task<Result<std::string>> read_body(std::size_t most_bytes) override;
  [[nodiscard]] bool accepts(Coding coding) const noexcept override {
    return compresses() && accepts_coding(head_.headers.get("accept-encoding"), coding);
  }
  [[nodiscard]] bool head_sent() const noexcept override {
    return answer_ != Answer::kNone && answer_ != Answer::kStarted;
  }
  Task<Result<void>> send(int status, const Headers& headers, std::string_view body) override;
  void start(int status, const Headers& headers) override;
  Task<Result<void>> write(std::string_view bytes) override;
  Task<Result<void>> finish(std::string_view last) override;
  void abort() noexcept override;

  Connection* next = nullptr;
  Connection* previous = nullptr;

 private:
  enum class Answer : std::uint8_t {
    kNone,     ///< nothing yet
    kStarted,  ///< start() was called; the head waits for the first write
    kFlowing,  ///< the head is out, the body is not complete
    kDone,     ///< complete
    kAborted   ///< given up; the connection ends without a proper end of the answer
  };

  Task<bool> read_head();
  Task<void> after_answer();
  Task<void> end_incomplete();
  Task<void> swallow(milliseconds quiet, milliseconds most, bool to_message_end);
  Task<void> refuse(int status, std::string_view message);
  void take(std::string_view bytes);
  Room open_room();
  void take_in_place(std::size_t size);
  [[nodiscard]] bool drips(std::int64_t elapsed_ms) const noexcept;
  void append_head(std::string& out, int status, const Headers& headers) const;
  void decide_keep_alive() noexcept;
  [[nodiscard]] bool compresses() const noexcept {
    const Compression whose = server_.limits.compression;
    return whose != Compression::kOff && (whose == Compression::kAll || !stream_->peer_is_loopback());
  }
  /// True when the answer has two forms, and which one depends on what the client accepts.
  [[nodiscard]] bool varies(int status, const Headers& headers) const noexcept {
    return compresses() && !carries_no_body(status) &&
           (headers.has("content-encoding") || is_text(headers.get("content-type")));
  }
  /// What such an answer is compressed with here.
  [[nodiscard]] Coding chosen_coding(const Headers& headers) const noexcept {
    return headers.has("content-encoding") ? Coding::kIdentity
                                           : best_coding(head_.headers.get("accept-encoding"));
  }
  [[nodiscard]] bool carries_no_body(int status) const noexcept {
    return is_head_request_ || status == 204 || status == 304 || status / 100 == 1;
  }

  Server::Impl& server_;
  std::unique_ptr<ByteStream> stream_;
  mutable StopSource stop_;
  Parser parser_;
  RequestHead head_;
  std::string body_;      ///< what has come of the body and was not yet given to the handler
  std::string out_head_;  ///< between start() and the first write
  std::unique_ptr<Encoder> encoder_;  ///< of a streamed answer that is compressed
  std::string encoded_;               ///< what it made of the last write
  Answer answer_ = Answer::kNone;
  bool idle_ = true;         ///< nothing of the next request has come
  bool keep_alive_ = false;  ///< decided when the head of the answer is made
  bool is_head_request_ = false;
  bool chunked_answer_ = false;
  bool bodyless_answer_ = false;
};

Task<bool> Connection::read_head() {
  idle_ = true;
  is_head_request_ = chunked_answer_ = bodyless_answer_ = false;
  answer_ = Answer::kNone;
  body_.clear();
  encoder_.reset();
  parser_.begin(head_.headers, &head_.target, false);
  milliseconds patience = server_.limits.idle;
  std::int64_t give_up_ms = 0;
  const Room little{nullptr, limits::kHeadReadBytes};
  while (parser_.state() == Parser::State::kHead) {
    const auto got = co_await stream_->read(patience, stop_.token(), little);
    if (!got.ok() || got->end) co_return false;
    if (got->quiet) {
      if (parser_.begun()) co_await refuse(408, "the request head did not arrive in time");
      co_return false;
    }
    const std::int64_t now_ms = stream_->loop().now_ms();
    if (idle_) {
      idle_ = false;
      give_up_ms = now_ms + server_.limits.header.count();
    }
    take(got->bytes);
    patience = milliseconds(std::max<std::int64_t>(give_up_ms - now_ms, 1));
  }
  if (parser_.state() == Parser::State::kFailed) {
    co_await refuse(parser_.error_status(), parser_.error_text());
    co_return false;
  }
  if (!to_origin_form(head_)) {
    co_await refuse(400, "the address in the request line has no host, or a user name");
    co_return false;
  }
  head_.method.assign(parser_.method());
  is_head_request_ = head_.method == "HEAD";
  co_return true;
}

/// Parses what was read; body bytes are kept for read_body, what follows the message for the next one.
void Connection::take(std::string_view bytes) {
  const bool in_head = parser_.state() == Parser::State::kHead;
  const Parser::Fed fed = parser_.feed(bytes, false);
  if (!fed.body.empty()) {
    if (in_head) {
      const std::size_t announced = std::min<std::size_t>(parser_.content_length(), limits::kReadAheadBytes);
      body_.reserve(std::max(announced, fed.body.size()) + json::kPadding);
    }
    body_.append(fed.body);
  }
  if (parser_.state() == Parser::State::kComplete) stream_->unread(bytes.substr(fed.consumed));
}

/// Makes the body longer by what is missing of it and memory was set aside for: the kernel shall put it there. None for a chunked
/// body, which comes with framing, and when the memory is full: then append() makes more.
Room Connection::open_room() {
  Room room;
  if (parser_.chunked()) return room;
  const std::size_t size = body_.size();
  const std::size_t spare = body_.capacity() - size;
  if (spare <= json::kPadding) return room;
  room.size = std::min({parser_.content_length() - size, spare - json::kPadding, limits::kReadChunkBytes});
  append_unset(body_, room.size);
  room.at = body_.data() + size;
  return room;
}

/// Parses the last `size` bytes of the body, which were read to where they belong.
void Connection::take_in_place(std::size_t size) {
  const std::string_view bytes = std::string_view(body_).substr(body_.size() - size);
  const Parser::Fed fed = parser_.feed(bytes, false);
  CCR_ASSERT(fed.body.size() == size);  // no more was read than was announced
}

Task<void> Connection::run() {
  while (co_await read_head()) {
    co_await server_.handler(*this);
    if (answer_ == Answer::kNone && !stop_.stopped()) {
      keep_alive_ = false;
      const Headers none;
      const std::string text = error_body(500, "the server gave no answer; this is a bug in ccrules");
      (void)co_await send(500, none, text);  // the connection ends in any case
    }
    if (answer_ != Answer::kDone || stop_.stopped()) break;
    co_await after_answer();
    if (!keep_alive_ || stop_.stopped()) break;
    head_.headers.shrink();
  }
  if (answer_ == Answer::kAborted || answer_ == Answer::kFlowing) co_await end_incomplete();
  stream_->on_peer_end(nullptr);
  stream_->close();
}

/// What was written shall arrive, but not look complete.
Task<void> Connection::end_incomplete() {
  if (stop_.stopped() || !stream_->writable()) co_return;
  if (chunked_answer_) {
    (void)co_await stream_->flush(stop_.token(),
                                  server_.limits.write_stall);  // the connection ends in any case
  } else {
    stream_->reset();  // an orderly end would be the end of the answer
  }
}

/// Gets the connection into a state in which the next request can be read, or ends it so that the answer
/// arrives.
Task<void> Connection::after_answer() {
  if (keep_alive_ && parser_.state() == Parser::State::kBody) {
    co_await swallow(limits::kLingerTime, limits::kLingerTime, true);
    if (parser_.state() != Parser::State::kComplete) keep_alive_ = false;
  }
  if (keep_alive_) co_return;
  // Closing with unread bytes makes the kernel send a reset, which would destroy an answer that is still on
  // its way.
  const auto flushed = co_await stream_->flush(stop_.token(), server_.limits.write_stall);
  if (!flushed.ok()) co_return;
  stream_->shut_write();
  co_await swallow(limits::kLingerTime, limits::kLingerMostTime, false);
}

/// Reads and drops: to the end of the message, or until the client has ended.
Task<void> Connection::swallow(milliseconds quiet, milliseconds most, bool to_message_end) {
  const std::int64_t give_up_ms = stream_->loop().now_ms() + most.count();
  while (stream_->loop().now_ms() < give_up_ms) {
    const auto got = co_await stream_->read(quiet, stop_.token());
    if (!got.ok() || got->end || got->quiet) co_return;
    if (!to_message_end) continue;
    take(got->bytes);
    body_.clear();
    if (parser_.state() != Parser::State::kBody) co_return;
  }
}

/// Answers a request that cannot be given to the handler.
Task<void> Connection::refuse(int status, std::string_view message) {
  keep_alive_ = false;
  const std::string body = error_body(status, message);
  std::string head;
  Headers headers;
  headers.add("content-type", "application/json");
  append_head(head, status, headers);
  append_field(head, "content-length", std::to_string(body.size()));
  head.append("\r\n");
  const std::array<std::string_view, 2> pieces = {head, body};
  answer_ = Answer::kDone;
  const auto written = co_await stream_->write(pieces, stop_.token(), server_.limits.write_stall);
  if (written.ok()) co_await after_answer();
}

/// True when the body has come slower than any honest client sends, after a time in which everything is
/// forgiven.
bool Connection::drips(std::int64_t elapsed_ms) const noexcept {
  const std::int64_t late_ms = elapsed_ms - server_.limits.body_stall.count();
  return late_ms > 0 &&
         static_cast<std::int64_t>(body_.size() * 1000 / limits::kBodyBytesPerSecond) < late_ms;
}

Task<Result<std::string>> Connection::read_body(std::size_t most_bytes) {
  const auto too_large = [most_bytes] {
    return client_error(ErrorCode::kTooLarge, 413,
                        "the request body is larger than " + std::to_string(most_bytes) + " bytes");
  };
  const Coding coding = content_coding(head_.headers);
  if (coding == Coding::kUnknown) {
    const std::string how = text::to_valid_utf8(head_.headers.get("content-encoding").substr(0, 40));
    co_return client_error(ErrorCode::kUnsupported, 415,
                           "the body is compressed (content-encoding: " + how +
                               "): send it as it is, or with gzip, br or zstd");
  }
  if (parser_.content_length() > most_bytes || body_.size() > most_bytes) {
    Error error = too_large();
    co_return error;
  }
  if (parser_.state() == Parser::State::kBody) {
    if (body_.empty() && text::equals_ignore_case(head_.headers.get("expect"), "100-continue")) {
      const std::array<std::string_view, 1> pieces = {"HTTP/1.1 100 Continue\r\n\r\n"};
      auto written = co_await stream_->write(pieces, stop_.token(), server_.limits.write_stall);
      if (!written.ok()) co_return as_client_error(std::move(written).error());
    }
    body_.reserve(std::min<std::size_t>(parser_.content_length(), limits::kBodyReserveBytes) +
                  json::kPadding);
  }
  const std::int64_t begin_ms = stream_->loop().now_ms();
  while (parser_.state() == Parser::State::kBody) {
    const std::size_t had = body_.size();
    const Room room = open_room();
    auto got = co_await stream_->read(server_.limits.body_stall, stop_.token(), room);
    const bool in_place = got.ok() && room.at != nullptr && got->bytes.data() == room.at;
    body_.resize(in_place ? had + got->bytes.size() : had);
    if (!got.ok()) co_return as_client_error(std::move(got).error());
    if (got->quiet) co_return stopped_arriving();
    if (got->end) {
      stop_.request_stop(StopReason::kClientGone);
      co_return as_client_error(cancelled());
    }
    if (in_place) {
      take_in_place(got->bytes.size());
    } else {
      take(got->bytes);
    }
    if (parser_.state() == Parser::State::kBody && drips(stream_->loop().now_ms() - begin_ms)) co_return stopped_arriving();
    if (body_.size() > most_bytes) {
      Error error = too_large();
      co_return error;
    }
  }
  if (parser_.state() == Parser::State::kFailed) {
    co_return client_error(ErrorCode::kBadRequest, parser_.error_status(), std::string(parser_.error_text()));
  }
  if (coding != Coding::kIdentity) {
    head_.headers.remove("content-encoding");
    std::string encoded = std::exchange(body_, std::string());
    co_return co_await decode_body(stream_->loop(), coding, std::move(encoded), most_bytes);
  }
  body_.reserve(body_.size() + json::kPadding);
  co_return std::exchange(body_, std::string());
}

void Connection::decide_keep_alive() noexcept {
  const Parser::State state = parser_.state();
  const bool readable_rest =
      state == Parser::State::kComplete ||
      (state == Parser::State::kBody && !parser_.chunked() &&
       parser_.content_length() <= limits::kSwallowBytes && !head_.headers.has("expect"));
  keep_alive_ = parser_.keep_alive() && readable_rest && !server_.draining && !stop_.stopped();
}

void Connection::append_head(std::string& out, int status, const Headers& headers) const {
  out.reserve(512);
  out.append("HTTP/1.1 ");
  append_number(out, static_cast<std::uint64_t>(status));
  out.append(" ").append(reason_phrase(status)).append("\r\n");
  append_fields(out, headers, false);
  if (!keep_alive_) {
    append_field(out, "connection", "close");
  } else if (!parser_.http_1_1()) {
    append_field(out, "connection", "keep-alive");
  }
}

Task<Result<void>> Connection::send(int status, const Headers& headers, std::string_view body) {
  if (answer_ != Answer::kNone) co_return internal_error("an answer was sent twice");
  std::string encoded;
  const bool two_forms = varies(status, headers);
  const Coding coding =
      two_forms && body.size() >= limits::kCompressBytes ? chosen_coding(headers) : Coding::kIdentity;
  if (coding != Coding::kIdentity) {
    encoded = co_await encode_body(stream_->loop(), coding, body);
    body = encoded;
  }
  decide_keep_alive();
  std::string head;
  append_head(head, status, headers);
  if (two_forms) append_field(head, "vary", "accept-encoding");
  if (coding != Coding::kIdentity) append_field(head, "content-encoding", coding_name(coding));
  if (status != 204 && status / 100 != 1) {
    head.append("content-length: ");
    append_number(head, body.size());
    head.append("\r\n");
  }
  head.append("\r\n");
  answer_ = Answer::kFlowing;
  const std::array<std::string_view, 2> pieces = {head, carries_no_body(status) ? std::string_view() : body};
  auto written = co_await stream_->write(pieces, stop_.token(), server_.limits.write_stall);
  if (!written.ok()) {
    answer_ = Answer::kAborted;
    co_return as_client_error(std::move(written).error());
  }
  if (answer_ == Answer::kFlowing) answer_ = Answer::kDone;
  co_return written;
}

void Connection::start(int status, const Headers& headers) {
  CCR_ASSERT(answer_ == Answer::kNone);
  answer_ = Answer::kStarted;
  decide_keep_alive();
  bodyless_answer_ = carries_no_body(status);
  chunked_answer_ = parser_.http_1_1() && !bodyless_answer_;
  // To HTTP/1.0 the end of the connection is the end of the answer.
  if (!parser_.http_1_1()) keep_alive_ = false;
  out_head_.clear();
  append_head(out_head_, status, headers);
  if (varies(status, headers)) {
    append_field(out_head_, "vary", "accept-encoding");
    const Coding coding = chosen_coding(headers);
    if (coding != Coding::kIdentity) {
      append_field(out_head_, "content-encoding", coding_name(coding));
      encoder_ = std::make_unique<Encoder>(coding, Encoder::Use::kStream);
    }
  }
  if (chunked_answer_) out_head_.append("transfer-encoding: chunked\r\n");
  out_head_.append("\r\n");
}

Task<Result<void>> Connection::write(std::string_view bytes) {
  if (answer_ != Answer::kStarted && answer_ != Answer::kFlowing)
    co_return internal_error("written without a started answer");
  if (bodyless_answer_) bytes = {};
  if (encoder_ && !bytes.empty()) {
    encoded_.clear();
    encoder_->write(bytes, encoded_);
    bytes = encoded_;
  }
  std::string framing = std::exchange(out_head_, std::string());
  if (framing.empty() && bytes.empty()) co_return Result<void>();
  const bool chunk = chunked_answer_ && !bytes.empty();
  if (chunk) append_chunk_size(framing, bytes.size());
  const std::array<std::string_view, 3> pieces = {framing, bytes,
                                                  chunk ? std::string_view("\r\n") : std::string_view()};
  answer_ = Answer::kFlowing;
  auto written = co_await stream_->write(pieces, stop_.token(), server_.limits.write_stall);
  if (!written.ok()) {
    answer_ = Answer::kAborted;
    co_return as_client_error(std::move(written).error());
  }
  co_return written;
}

Task<Result<void>> Connection::finish(std::string_view last) {
  if (answer_ != Answer::kStarted && answer_ != Answer::kFlowing)
    co_return internal_error("finished without a started answer");
  if (bodyless_answer_) last = {};
  if (encoder_) {
    encoded_.clear();
    encoder_->finish(last, encoded_);
    last = encoded_;
  }
  std::string framing = std::exchange(out_head_, std::string());
  const bool chunk = chunked_answer_ && !last.empty();
  if (chunk) append_chunk_size(framing, last.size());
  const std::string_view end = !chunked_answer_ ? std::string_view()
                               : chunk          ? std::string_view("\r\n0\r\n\r\n")
                                                : std::string_view("0\r\n\r\n");
  const std::array<std::string_view, 3> pieces = {framing, last, end};
  answer_ = Answer::kFlowing;
  auto written = co_await stream_->write(pieces, stop_.token(), server_.limits.write_stall);
  if (!written.ok()) {
    answer_ = Answer::kAborted;
    co_return as_client_error(std::move(written).error());
  }
  if (answer_ == Answer::kFlowing) answer_ = Answer::kDone;
  co_return written;
}

void Connection::abort() noexcept {
  if (answer_ == Answer::kDone) return;
  answer_ = Answer::kAborted;
}

Task<void> serve_connection(std::shared_ptr<Server::Impl> server, std::unique_ptr<ByteStream> stream) {
  {
    Connection connection(*server, std::move(stream));
    co_await connection.run();
  }
  if (server->closed) server->closed();
  server->tell_if_drained();
}

}  // namespace

void Server::Impl::add(Connection& connection) noexcept {
  connection.next = first;
  if (first != nullptr) first->previous = &connection;
  first = &connection;
  ++count;
}

void Server::Impl::remove(Connection& connection) noexcept {
  if (cursor == &connection) cursor = connection.next;
  if (connection.previous != nullptr) connection.previous->next = connection.next;
  if (connection.next != nullptr) connection.next->previous = connection.previous;
  if (first == &connection) first = connection.next;
  --count;
}

/// `visit` may end any connection.
template <class Visit>
void Server::Impl::for_each(Visit visit) {
  cursor = first;
  while (cursor != nullptr) {
    Connection& connection = *cursor;
    cursor = connection.next;
    visit(connection);
  }
}

void Server::Impl::tell_if_drained() {
  if (!draining || count > 0 || !drained) return;
  const std::function<void()> tell = std::exchange(drained, nullptr);
  tell();
}

Server::Server(Loop& loop, Handler handler, ServerLimits limits)
    : impl_(std::make_shared<Impl>(loop, std::move(handler), limits)) {}

Server::~Server() {
  shutdown();
}

void Server::serve(std::unique_ptr<ByteStream> stream) {
  if (impl_->draining) {
    if (impl_->closed) impl_->closed();
    return;
  }
  spawn(serve_connection(impl_, std::move(stream)));
}

void Server::drain() noexcept {
  impl_->draining = true;
  impl_->for_each([](Connection& connection) { connection.drain(); });
  impl_->tell_if_drained();
}

void Server::shutdown() noexcept {
  const std::shared_ptr<Impl> kept = impl_;
  kept->for_each([](Connection& connection) { connection.shutdown(); });
}

std::size_t Server::connections() const noexcept {
  return impl_->count;
}

void Server::on_closed(std::function<void()> closed) {
  impl_->closed = std::move(closed);
}

void Server::on_drained(std::function<void()> done) {
  impl_->drained = std::move(done);
  impl_->tell_if_drained();
}

}  // namespace ccrules::http
