#include "http/parser.h"

#include <cstring>
#include <new>

#include <llhttp.h>

#include "core/assert.h"
#include "core/limits.h"
#include "core/text.h"

namespace ccrules::http {
namespace {

llhttp_t& raw(std::byte* storage) noexcept {
  return *std::launder(reinterpret_cast<llhttp_t*>(storage));
}
const llhttp_t& raw(const std::byte* storage) noexcept {
  return *std::launder(reinterpret_cast<const llhttp_t*>(storage));
}

}  // namespace

struct Parser::Callbacks {
  static Parser& self(llhttp_t* parser) noexcept { return *static_cast<Parser*>(parser->data); }
  static bool in_head(llhttp_t* parser) noexcept { return self(parser).state_ == State::kHead; }

  static int url(llhttp_t* parser, const char* at, std::size_t size) {
    Parser& me = self(parser);
    me.target_->append(at, size);
    if (me.target_->size() <= limits::kTargetBytes) return 0;
    me.fail(414, "the request target is longer than the server accepts");
    return HPE_USER;
  }
  static int field(llhttp_t* parser, const char* at, std::size_t size) {
    Parser& me = self(parser);
    if (me.state_ != State::kHead) return me.extra(size);
    if (!me.in_name_) {
      if (me.headers_->size() >= limits::kHeaderCount) {
        me.fail(431, "the head has more header fields than the server accepts");
        return HPE_USER;
      }
      me.in_name_ = true;
      me.headers_->open_field();
    }
    me.headers_->extend_name({at, size});
    return 0;
  }
  static int field_complete(llhttp_t* parser) {
    Parser& me = self(parser);
    if (me.state_ != State::kHead) return 0;
    me.in_name_ = false;
    me.headers_->begin_value();
    return 0;
  }
  static int value(llhttp_t* parser, const char* at, std::size_t size) {
    Parser& me = self(parser);
    if (me.state_ != State::kHead) return me.extra(size);
    me.headers_->extend_value({at, size});
    return 0;
  }
  static int value_complete(llhttp_t* parser) {
    if (in_head(parser)) self(parser).headers_->close_field();
    return 0;
  }
  static int extension(llhttp_t* parser, const char*, std::size_t size) { return self(parser).extra(size); }
  static int head_complete(llhttp_t* parser) {
    self(parser).state_ = State::kBody;
    return HPE_PAUSED;
  }
  static int body(llhttp_t* parser, const char* at, std::size_t size) {
    Parser& me = self(parser);
    // The pieces of a chunked body move together; the memory is the stream's and nobody needs the framing any
    // more.
    char* piece = const_cast<char*>(at);
    if (me.body_begin_ == nullptr) {
      me.body_begin_ = me.body_end_ = piece;
    } else if (me.body_end_ != piece) {
      std::memmove(me.body_end_, piece, size);
    }
    me.body_end_ += size;
    return 0;
  }
  static int complete(llhttp_t* parser) {
    self(parser).state_ = State::kComplete;
    return HPE_PAUSED;
  }

  static const llhttp_settings_t* settings() noexcept {
    static const llhttp_settings_t kSettings = [] {
      llhttp_settings_t made;
      llhttp_settings_init(&made);
      made.on_url = url;
      made.on_header_field = field;
      made.on_header_field_complete = field_complete;
      made.on_header_value = value;
      made.on_header_value_complete = value_complete;
      made.on_chunk_extension_name = extension;
      made.on_chunk_extension_value = extension;
      made.on_headers_complete = head_complete;
      made.on_body = body;
      made.on_message_complete = complete;
      return made;
    }();
    return &kSettings;
  }
};

static_assert(sizeof(llhttp_t) <= 128);

Parser::Parser(Kind kind, std::size_t most_head_bytes) noexcept
    : most_head_bytes_(most_head_bytes), kind_(kind) {
  new (parser_) llhttp_t{};
}

void Parser::begin(Headers& headers, std::string* target, bool no_body) noexcept {
  headers_ = &headers;
  target_ = target;
  headers.clear();
  if (target != nullptr) target->clear();
  llhttp_t& parser = raw(parser_);
  llhttp_init(&parser, kind_ == Kind::kRequest ? HTTP_REQUEST : HTTP_RESPONSE, Callbacks::settings());
  parser.data = this;
  no_body_ = no_body;
  state_ = State::kHead;
  begun_ = in_name_ = after_cr_ = after_lf_ = keep_alive_ = chunked_ = false;
  head_bytes_ = extra_bytes_ = 0;
  content_length_ = 0;
  error_status_ = 0;
  error_text_ = {};
}

int Parser::status() const noexcept {
  return raw(parser_).status_code;
}
std::string_view Parser::method() const noexcept {
  return llhttp_method_name(static_cast<llhttp_method_t>(raw(parser_).method));
}
bool Parser::http_1_1() const noexcept {
  return raw(parser_).http_major == 1 && raw(parser_).http_minor == 1;
}

void Parser::fail(int status, std::string_view text) noexcept {
  state_ = State::kFailed;
  error_status_ = status;
  error_text_ = text;
}

int Parser::extra(std::size_t size) noexcept {
  extra_bytes_ += size;
  if (extra_bytes_ <= limits::kHeaderBytes) return 0;
  fail(431, "the chunk extensions or trailers are larger than the server accepts");
  return HPE_USER;
}

Parser::Fed Parser::feed(std::string_view bytes, bool stop_after_head) {
  Fed fed;
  body_begin_ = body_end_ = nullptr;
  if (!bytes.empty()) begun_ = true;
  llhttp_t& parser = raw(parser_);
  while (fed.consumed < bytes.size() && (state_ == State::kHead || state_ == State::kBody)) {
    const State before = state_;
    const std::string_view rest = bytes.substr(fed.consumed);
    const llhttp_errno_t status = llhttp_execute(&parser, rest.data(), rest.size());
    std::size_t used = rest.size();
    if (status != HPE_OK) {
      const char* at = llhttp_get_error_pos(&parser);
      if (at != nullptr && at >= rest.data() && at <= rest.data() + rest.size())
        used = static_cast<std::size_t>(at - rest.data());
    }
    fed.consumed += used;
    if (status != HPE_OK && status != HPE_PAUSED) {
      fail_with_parser_error();
      break;
    }
    if (before == State::kHead) check_head(rest.substr(0, used));
    if (status == HPE_OK || state_ == State::kFailed) continue;
    llhttp_resume(&parser);
    if (state_ == State::kComplete && chunked_ && before == State::kBody)
      check_last_line(rest.substr(0, used));
    if (before == State::kHead && state_ == State::kBody) {
      check_complete_head();
      // A message without a body is complete here, although no byte follows.
      if (state_ == State::kBody && llhttp_execute(&parser, rest.data() + used, 0) == HPE_PAUSED)
        llhttp_resume(&parser);
      if (stop_after_head) break;
    }
  }
  if (fed.consumed > 0) after_cr_ = bytes[fed.consumed - 1] == '\r';
  if (body_begin_ != nullptr)
    fed.body = std::string_view(body_begin_, static_cast<std::size_t>(body_end_ - body_begin_));
  return fed;
}

bool Parser::finish() noexcept {
  if (state_ == State::kComplete) return true;
  if (state_ != State::kBody) return false;
  llhttp_t& parser = raw(parser_);
  const llhttp_errno_t status = llhttp_finish(&parser);
  return (status == HPE_OK || status == HPE_PAUSED) && state_ == State::kComplete;
}

void Parser::check_head(std::string_view bytes) noexcept {
  head_bytes_ += bytes.size();
  if (head_bytes_ > most_head_bytes_) return fail(431, "the head is larger than the server accepts");
  // Another parser on the way may end a line at a bare LF, or not: such a head has two readings.
  // A folded line is an old form that parsers read differently, too.
  const auto is_blank = [](char byte) { return byte == ' ' || byte == '\t'; };
  constexpr std::string_view kFolded = "a line of the head begins with a blank";
  if (after_lf_ && !bytes.empty() && is_blank(bytes.front())) return fail(400, kFolded);
  std::size_t at = 0;
  while ((at = bytes.find('\n', at)) != std::string_view::npos) {
    const bool after_cr = at == 0 ? after_cr_ : bytes[at - 1] == '\r';
    if (!after_cr) return fail(400, "a line of the head does not end with CR LF");
    ++at;
    if (at < bytes.size() && is_blank(bytes[at])) return fail(400, kFolded);
  }
  if (!bytes.empty()) {
    after_cr_ = bytes.back() == '\r';
    after_lf_ = bytes.back() == '\n';
  }
}

void Parser::check_last_line(std::string_view bytes) noexcept {
  const bool after_cr = bytes.size() >= 2 ? bytes[bytes.size() - 2] == '\r' : after_cr_;
  if (!after_cr) fail(400, "the last line of a chunked body does not end with CR LF");
}

void Parser::check_complete_head() noexcept {
  llhttp_t& parser = raw(parser_);
  const bool has_coding = (parser.flags & F_TRANSFER_ENCODING) != 0;
  if (kind_ == Kind::kReply) {
    const int code = parser.status_code;
    if (no_body_ || code / 100 == 1 || code == 204 || code == 304) parser.flags |= F_SKIPBODY;
  }
  chunked_ = (parser.flags & F_CHUNKED) != 0;
  content_length_ = (parser.flags & F_CONTENT_LENGTH) != 0 ? parser.content_length : 0;
  keep_alive_ = llhttp_should_keep_alive(&parser) != 0;
  if (has_coding && (parser.flags & F_CONTENT_LENGTH) != 0) {
    return fail(400, "Content-Length and Transfer-Encoding must not be sent together");
  }
  if (parser.http_major != 1 || parser.http_minor > 1)
    return fail(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
  if (has_coding && (!chunked_ || !text::equals_ignore_case(headers_->get("transfer-encoding"), "chunked"))) {
    return fail(501, "the only Transfer-Encoding understood is chunked");
  }
  if (has_coding && parser.http_minor == 0) return fail(400, "HTTP/1.0 knows no Transfer-Encoding");
  if (kind_ == Kind::kRequest) {
    if (parser.method == HTTP_CONNECT) return fail(501, "CONNECT is not supported");
    std::size_t hosts = 0;
    for (std::size_t at = 0; at < headers_->size(); ++at) {
      const std::string_view name = headers_->at(at).first;
      if (name.size() == 4 && text::equals_ignore_case(name, "host")) ++hosts;
    }
    if (hosts > 1 || (hosts == 0 && parser.http_minor == 1))
      return fail(400, "a request needs exactly one Host header");
    parser.upgrade = 0;  // an upgrade that is not accepted leaves an ordinary request
  } else if (parser.status_code == 101) {
    return fail(502, "the upstream switched protocols without being asked");
  }
}

void Parser::fail_with_parser_error() noexcept {
  if (state_ == State::kFailed) return;
  llhttp_t& parser = raw(parser_);
  switch (llhttp_get_errno(&parser)) {
    case HPE_INVALID_VERSION:
      return fail(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    case HPE_INVALID_METHOD:
      return fail(400, "the request line does not start with a known method (is the client speaking TLS?)");
    case HPE_INVALID_CONTENT_LENGTH:
      return fail(400, "the Content-Length is not a number");
    case HPE_UNEXPECTED_CONTENT_LENGTH:
      return fail(400, "Content-Length may be sent once, and not together with Transfer-Encoding");
    case HPE_INVALID_TRANSFER_ENCODING:
      return fail(400, "the Transfer-Encoding is not understood");
    case HPE_INVALID_CHUNK_SIZE:
      return fail(400, "a chunk's size is not a hexadecimal number");
    case HPE_INVALID_HEADER_TOKEN:
      return fail(400, "a header field holds a character that is not allowed");
    case HPE_INVALID_URL:
      return fail(400, "the request target holds a character that is not allowed");
    default:
      return fail(400, "the message is not valid HTTP/1.1");
  }
}

}  // namespace ccrules::http
