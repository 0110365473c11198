#include "http/coding.h"

#include <algorithm>
#include <array>
#include <brotli/decode.h>
#include <utility>
#include <zlib.h>
#include <zstd.h>

#include "core/assert.h"
#include "core/limits.h"
#include "core/json.h"
#include "core/text.h"

namespace ccrules::http {
namespace {

using std::chrono::milliseconds;

constexpr int kGzipWindow = 15 + 16;    // zlib: the largest window, with gzip's head and tail
constexpr int kStreamWindow = 13 + 16;  // 8 KB behind an event are the events that look like it
constexpr int kStreamMemory = 5;        // zlib's levels of memory: 32 KB in all with that window
constexpr int kZstdStreamWindow = 15;
constexpr int kFastLevel = 1;

Coding coding_named(std::string_view name) noexcept {
  if (name.empty() || text::equals_ignore_case(name, "identity")) return Coding::kIdentity;
  if (text::equals_ignore_case(name, "gzip") || text::equals_ignore_case(name, "x-gzip"))
    return Coding::kGzip;
  if (text::equals_ignore_case(name, "br")) return Coding::kBrotli;
  if (text::equals_ignore_case(name, "zstd")) return Coding::kZstd;
  return Coding::kUnknown;
}

/// One of the "a;q=0.5, b" of an accept-encoding field; moves `rest` on.
struct Offer {
  std::string_view name;
  bool allowed = true;
};
Offer next_offer(std::string_view& rest) noexcept {
  const std::size_t comma = rest.find(',');
  std::string_view item = text::trim(rest.substr(0, comma));
  rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  Offer offer;
  const std::size_t semicolon = item.find(';');
  offer.name = text::trim(item.substr(0, semicolon));
  if (semicolon == std::string_view::npos) return offer;
  const std::string_view weight = text::trim(item.substr(semicolon + 1));
  // "q=0", "q=0.", "q=0.000": not wanted. Other weights order what we order ourselves.
  offer.allowed = !text::starts_with_ignore_case(weight, "q=0") ||
                  weight.substr(3).find_first_not_of(".0") != std::string_view::npos;
  return offer;
}

struct FreeBrotli {
  void operator()(BrotliDecoderState* state) const noexcept { BrotliDecoderDestroyInstance(state); }
};
struct FreeZstd {
  void operator()(ZSTD_DStream* state) const noexcept { ZSTD_freeDStream(state); }
  void operator()(ZSTD_CCtx* state) const noexcept { ZSTD_freeCCtx(state); }
};

unsigned char* writable(std::string_view bytes) noexcept {
  // zlib's input pointer is not const in its interface, but what it points to is never written.
  return reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data()));
}
const std::uint8_t* readable(std::string_view bytes) noexcept {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

}  // namespace

Coding content_coding(const Headers& headers) noexcept {
  Coding found = Coding::kIdentity;
  if (!headers.has("content-encoding")) return found;
  for (std::size_t i = 0; i < headers.size(); ++i) {
    const auto [name, value] = headers.at(i);
    if (!text::equals_ignore_case(name, "content-encoding")) continue;
    const Coding named = coding_named(value);
    if (named == Coding::kIdentity) continue;
    found = found == Coding::kIdentity ? named : Coding::kUnknown;
  }
  return found;
}

std::string_view coding_name(Coding coding) noexcept {
  switch (coding) {
    case Coding::kGzip:
      return "gzip";
    case Coding::kBrotli:
      return "br";
    case Coding::kZstd:
      return "zstd";
    case Coding::kIdentity:
    case Coding::kUnknown:
      break;
  }
  return {};
}

bool accepts_coding(std::string_view accept_encoding, Coding coding) noexcept {
  bool any = false;
  while (!accept_encoding.empty()) {
    const Offer offer = next_offer(accept_encoding);
    if (offer.name == "*") any = offer.allowed;
    if (!offer.name.empty() && offer.name != "*" && coding_named(offer.name) == coding) return offer.allowed;
  }
  return any;
}

Coding best_coding(std::string_view accept_encoding) noexcept {
  if (accept_encoding.empty()) return Coding::kIdentity;
  for (const Coding coding : {Coding::kZstd, Coding::kGzip}) {
    if (accepts_coding(accept_encoding, coding)) return coding;
  }
  return Coding::kIdentity;
}

// --- decoding

struct Decoder::Codec {
  struct Made {
    std::size_t read = 0;
    std::size_t written = 0;
    bool failed = false;
    bool more = false;  ///< it would write more if there were room
  };
  virtual ~Codec() = default;
  virtual Made run(std::string_view input, char* out, std::size_t room) noexcept = 0;
  bool complete = false;
};

namespace {

class GzipDecoder final : public Decoder::Codec {
 public:
  GzipDecoder() { CCR_ASSERT(inflateInit2(&stream_, kGzipWindow) == Z_OK); }
  ~GzipDecoder() override { inflateEnd(&stream_); }
  Made run(std::string_view input, char* out, std::size_t room) noexcept override {
    Made made;
    if (complete) {
      if (input.empty()) return made;
      inflateReset(&stream_);  // another member follows
      complete = false;
    }
    stream_.next_in = writable(input);
    stream_.avail_in = static_cast<uInt>(input.size());
    stream_.next_out = reinterpret_cast<unsigned char*>(out);
    stream_.avail_out = static_cast<uInt>(room);
    const int status = inflate(&stream_, Z_SYNC_FLUSH);
    made.read = input.size() - stream_.avail_in;
    made.written = room - stream_.avail_out;
    complete = status == Z_STREAM_END;
    made.failed = status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR;
    made.more = status == Z_OK && stream_.avail_out == 0;
    return made;
  }

 private:
  z_stream stream_{};
};

class BrotliDecoder final : public Decoder::Codec {
 public:
  BrotliDecoder() : state_(BrotliDecoderCreateInstance(nullptr, nullptr, nullptr)) {
    CCR_ASSERT(state_ != nullptr);
  }
  Made run(std::string_view input, char* out, std::size_t room) noexcept override {
    Made made;
    if (complete) {
      made.failed = !input.empty();
      return made;
    }
    std::size_t left = input.size();
    const std::uint8_t* from = readable(input);
    std::size_t room_left = room;
    auto* to = reinterpret_cast<std::uint8_t*>(out);
    const BrotliDecoderResult result =
        BrotliDecoderDecompressStream(state_.get(), &left, &from, &room_left, &to, nullptr);
    made.read = input.size() - left;
    made.written = room - room_left;
    made.failed = result == BROTLI_DECODER_RESULT_ERROR;
    made.more = result == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT;
    complete = result == BROTLI_DECODER_RESULT_SUCCESS;
    return made;
  }

 private:
  std::unique_ptr<BrotliDecoderState, FreeBrotli> state_;
};

class ZstdDecoder final : public Decoder::Codec {
 public:
  ZstdDecoder() : state_(ZSTD_createDStream()) {
    CCR_ASSERT(state_ != nullptr);
    ZSTD_DCtx_setParameter(state_.get(), ZSTD_d_windowLogMax, limits::kZstdWindowLog);
  }
  Made run(std::string_view input, char* out, std::size_t room) noexcept override {
    Made made;
    if (complete && input.empty()) return made;
    if (at_frame_ && !input.empty() && !begins_frame(static_cast<unsigned char>(input.front()))) {
      made.failed = true;
      complete = false;
      return made;
    }
    if (at_frame_) header_bytes_ = frame_bytes_ = 0;
    ZSTD_inBuffer in{input.data(), input.size(), 0};
    ZSTD_outBuffer to{out, room, 0};
    const std::size_t status = ZSTD_decompressStream(state_.get(), &to, &in);
    made.read = in.pos;
    made.written = to.pos;
    keep_header(input.substr(0, in.pos));
    frame_bytes_ += to.pos;
    made.failed = ZSTD_isError(status) != 0 || (status == 0 && !is_as_long_as_said());
    complete = status == 0 && !made.failed;  // of this frame; another may follow
    at_frame_ = complete || (at_frame_ && in.pos == 0);
    made.more = !complete && to.pos == room;
    return made;
  }

 private:
  /// A frame of zstd 1.0 or one to be skipped. Formats of before begin otherwise; the library's decoders of them are old and
  /// do not take their input in pieces.
  static bool begins_frame(unsigned char first) noexcept { return first == 0x28 || (first & 0xf0) == 0x50; }

  void keep_header(std::string_view taken) noexcept {
    const std::size_t size = std::min(taken.size(), header_.size() - header_bytes_);
    std::copy_n(taken.begin(), size, header_.begin() + static_cast<std::ptrdiff_t>(header_bytes_));
    header_bytes_ += size;
  }

  /// The library forgets to look when the last block is empty and the frame comes in pieces.
  [[nodiscard]] bool is_as_long_as_said() const noexcept {
    const unsigned long long said = ZSTD_getFrameContentSize(header_.data(), header_bytes_);
    return said == ZSTD_CONTENTSIZE_UNKNOWN || said == ZSTD_CONTENTSIZE_ERROR || said == frame_bytes_;
  }

  std::unique_ptr<ZSTD_DStream, FreeZstd> state_;
  bool at_frame_ = true;
  std::array<char, 18> header_{};  ///< as much of this frame as its header may take
  std::size_t header_bytes_ = 0;
  std::size_t frame_bytes_ = 0;  ///< decoded
};

std::unique_ptr<Decoder::Codec> decoder_for(Coding coding) {
  switch (coding) {
    case Coding::kGzip:
      return std::make_unique<GzipDecoder>();
    case Coding::kBrotli:
      return std::make_unique<BrotliDecoder>();
    case Coding::kZstd:
      return std::make_unique<ZstdDecoder>();
    case Coding::kIdentity:
    case Coding::kUnknown:
      break;
  }
  CCR_ASSERT(false);
  return nullptr;
}

}  // namespace

Decoder::Decoder(Coding coding) : coding_(coding), codec_(decoder_for(coding)) {}
Decoder::~Decoder() = default;

void Decoder::feed(std::string_view encoded) noexcept {
  CCR_ASSERT(input_.empty());
  input_ = encoded;
}

Decoder::Step Decoder::next(std::string_view& out) {
  static thread_local const std::unique_ptr<char[]> plain(new char[limits::kDecodeStepBytes]);
  while (!failed_ && (!input_.empty() || more_)) {
    const Codec::Made made = codec_->run(input_, plain.get(), limits::kDecodeStepBytes);
    input_.remove_prefix(made.read);
    more_ = made.more;
    encoded_bytes_ += made.read;
    decoded_bytes_ += made.written;
    bomb_ =
        decoded_bytes_ > limits::kDecodeFreeBytes && decoded_bytes_ / limits::kDecodeRatio > encoded_bytes_;
    if (bomb_) return Step::kFailed;
    failed_ = made.failed || (made.read == 0 && made.written == 0 && !made.more && !input_.empty());
    if (made.written > 0) {  // what came before the fault is good
      out = std::string_view(plain.get(), made.written);
      return Step::kBytes;
    }
    if (failed_) return Step::kFailed;
  }
  return failed_ ? Step::kFailed : Step::kNeedsInput;
}

void Decoder::keep_input() {
  if (input_.empty()) return;
  std::string rest(input_);  // it may lie in kept_
  kept_ = std::move(rest);
  input_ = kept_;
}

bool Decoder::complete() const noexcept {
  return codec_->complete && input_.empty() && !more_ && !failed_;
}

std::string Decoder::problem() const {
  if (bomb_)
    return "is more than " + std::to_string(limits::kDecodeRatio) + " times as large decoded as encoded";
  return "is not valid " + std::string(coding_name(coding_));
}

// --- encoding

struct Encoder::Codec {
  virtual ~Codec() = default;
  virtual void run(std::string_view bytes, bool last, std::string& out) = 0;
};

namespace {

class GzipEncoder final : public Encoder::Codec {
 public:
  explicit GzipEncoder(Encoder::Use use) {
    const bool stream = use == Encoder::Use::kStream;
    CCR_ASSERT(deflateInit2(&stream_, kFastLevel, Z_DEFLATED, stream ? kStreamWindow : kGzipWindow,
                            stream ? kStreamMemory : 8, Z_DEFAULT_STRATEGY) == Z_OK);
  }
  ~GzipEncoder() override { deflateEnd(&stream_); }
  void run(std::string_view bytes, bool last, std::string& out) override {
    stream_.next_in = writable(bytes);
    stream_.avail_in = static_cast<uInt>(bytes.size());
    int status = Z_OK;
    do {
      const std::size_t at = out.size();
      out.resize(at + deflateBound(&stream_, stream_.avail_in));
      stream_.next_out = reinterpret_cast<unsigned char*>(out.data() + at);
      stream_.avail_out = static_cast<uInt>(out.size() - at);
      status = deflate(&stream_, last ? Z_FINISH : Z_SYNC_FLUSH);
      out.resize(out.size() - stream_.avail_out);
    } while (last ? status == Z_OK : stream_.avail_out == 0);
  }

 private:
  z_stream stream_{};
};

class ZstdEncoder final : public Encoder::Codec {
 public:
  explicit ZstdEncoder(Encoder::Use use) : state_(ZSTD_createCCtx()) {
    CCR_ASSERT(state_ != nullptr);
    ZSTD_CCtx_setParameter(state_.get(), ZSTD_c_compressionLevel, kFastLevel);
    ZSTD_CCtx_setParameter(state_.get(), ZSTD_c_checksumFlag, 1);
    if (use == Encoder::Use::kStream)
      ZSTD_CCtx_setParameter(state_.get(), ZSTD_c_windowLog, kZstdStreamWindow);
  }
  void run(std::string_view bytes, bool last, std::string& out) override {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    std::size_t left = 0;
    do {
      const std::size_t at = out.size();
      out.resize(at + ZSTD_compressBound(in.size - in.pos));
      ZSTD_outBuffer to{out.data() + at, out.size() - at, 0};
      left = ZSTD_compressStream2(state_.get(), &to, &in, last ? ZSTD_e_end : ZSTD_e_flush);
      CCR_ASSERT(ZSTD_isError(left) == 0);
      out.resize(at + to.pos);
    } while (left > 0);
  }

 private:
  std::unique_ptr<ZSTD_CCtx, FreeZstd> state_;
};

}  // namespace

Encoder::Encoder(Coding coding, Use use) {
  if (coding == Coding::kZstd) {
    codec_ = std::make_unique<ZstdEncoder>(use);
  } else {
    CCR_ASSERT(coding == Coding::kGzip);
    codec_ = std::make_unique<GzipEncoder>(use);
  }
}
Encoder::~Encoder() = default;

void Encoder::write(std::string_view bytes, std::string& out) {
  codec_->run(bytes, false, out);
}
void Encoder::finish(std::string_view bytes, std::string& out) {
  codec_->run(bytes, true, out);
}

// --- whole bodies

namespace {

Error wrong_request_body(ErrorCode code, int status, std::string message) {
  Error error = bad_request(std::move(message));
  error.code = code;
  error.http_status = status;
  return error;
}

Result<std::string> decode_all(Coding coding, std::string_view encoded, std::size_t most_bytes) {
  Decoder decoder(coding);
  decoder.feed(encoded);
  std::string plain;
  plain.reserve(std::min(encoded.size() * 4, most_bytes) + json::kPadding);
  for (;;) {
    std::string_view bytes;
    switch (decoder.next(bytes)) {
      case Decoder::Step::kBytes:
        if (bytes.size() > most_bytes - plain.size()) {
          return wrong_request_body(
              ErrorCode::kTooLarge, 413,
              "the request body is larger than " + std::to_string(most_bytes) + " bytes once decompressed");
        }
        plain += bytes;
        break;
      case Decoder::Step::kFailed:
        return bad_request("the request body " + decoder.problem());
      case Decoder::Step::kNeedsInput:
        if (!decoder.complete()) {
          return bad_request("the request body ends before its " + std::string(coding_name(coding)) +
                             " data does");
        }
        plain.reserve(plain.size() + json::kPadding);
        return plain;
    }
  }
}

}  // namespace

Task<Result<std::string>> decode_body(Loop& loop, Coding coding, std::string encoded,
                                      std::size_t most_bytes) {
  Result<std::string> plain = std::string();
  const std::function<void()> work = [&plain, &encoded, coding, most_bytes] {
    plain = decode_all(coding, encoded, most_bytes);
  };
  if (encoded.size() <= limits::kCodingInlineBytes) {
    work();
  } else {
    co_await on_pool(loop, work);
  }
  co_return plain;
}

Task<std::string> encode_body(Loop& loop, Coding coding, std::string_view plain) {
  std::string encoded;
  const std::function<void()> work = [&encoded, plain, coding] {
    Encoder encoder(coding, Encoder::Use::kWhole);
    encoder.finish(plain, encoded);
  };
  if (plain.size() <= limits::kCodingInlineBytes) {
    work();
  } else {
    co_await on_pool(loop, work);
  }
  co_return encoded;
}

// --- replies

namespace {

class DecodedReply final : public ReplyStream {
 public:
  DecodedReply(std::unique_ptr<ReplyStream> encoded, Coding coding)
      : encoded_(std::move(encoded)), coding_(coding), decoder_(coding), headers_(encoded_->headers()) {
    headers_.remove("content-encoding");
    headers_.remove("content-length");
  }
  [[nodiscard]] int status() const noexcept override { return encoded_->status(); }
  [[nodiscard]] const Headers& headers() const noexcept override { return headers_; }
  [[nodiscard]] Coding coding() const noexcept override { return coding_; }
  void keep_encoded(std::string& copy) noexcept override { copy_ = &copy; }
  Task<Result<Chunk>> read(milliseconds patience, StopToken stop) override;

 private:
  [[nodiscard]] Error failure(ErrorCode code, const std::string& what) const {
    Error error;
    error.code = code;
    error.origin = ccrules::Origin::kUpstream;
    error.retry = Retry::kNextTarget;
    error.http_status = 502;
    error.message = "the upstream's compressed reply " + what;
    return error;
  }

  std::unique_ptr<ReplyStream> encoded_;
  Coding coding_;
  Decoder decoder_;
  Headers headers_;
  std::string* copy_ = nullptr;
  bool ended_ = false;  ///< all encoded bytes have come
};

Task<Result<Chunk>> DecodedReply::read(milliseconds patience, StopToken stop) {
  Chunk chunk;
  for (;;) {
    switch (decoder_.next(chunk.bytes)) {
      case Decoder::Step::kBytes:
        decoder_.keep_input();
        chunk.end = ended_ && decoder_.complete();
        co_return chunk;
      case Decoder::Step::kFailed:
        co_return failure(ErrorCode::kUpstreamProtocol, decoder_.problem());
      case Decoder::Step::kNeedsInput:
        break;
    }
    if (ended_) {
      if (!decoder_.complete()) co_return failure(ErrorCode::kConnectionLost, "ended before it was complete");
      chunk.end = true;
      co_return chunk;
    }
    auto got = co_await encoded_->read(patience, stop);
    if (!got.ok()) co_return std::move(got).error();
    if (got->quiet) co_return got;
    if (copy_ != nullptr) copy_->append(got->bytes);
    ended_ = got->end;
    decoder_.feed(got->bytes);
  }
}

}  // namespace

std::unique_ptr<ReplyStream> decoded(std::unique_ptr<ReplyStream> reply) {
  const Coding coding = content_coding(reply->headers());
  const int status = reply->status();
  const bool bodyless = status == 204 || status == 304;
  if (coding == Coding::kIdentity || coding == Coding::kUnknown || bodyless) return reply;
  return std::make_unique<DecodedReply>(std::move(reply), coding);
}

}  // namespace ccrules::http
