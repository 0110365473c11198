#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "async/loop.h"
#include "http/message.h"

/// Content codings: gzip, br and zstd in, gzip and zstd out. The only files that know their libraries.
namespace ccrules::http {

/// What the head says about its body.
[[nodiscard]] Coding content_coding(const Headers& headers) noexcept;
/// As it stands in content-encoding; empty for kIdentity and kUnknown.
[[nodiscard]] std::string_view coding_name(Coding coding) noexcept;
/// What decoding understands, as an accept-encoding field.
inline constexpr std::string_view kDecodable = "zstd, br, gzip";

/// True when the accept-encoding field allows the coding (q=0 forbids; an absent field allows none).
[[nodiscard]] bool accepts_coding(std::string_view accept_encoding, Coding coding) noexcept;
/// What to compress an answer with: zstd, gzip, or kIdentity.
[[nodiscard]] Coding best_coding(std::string_view accept_encoding) noexcept;

/// Turns encoded bytes into plain ones as they come, in any cut, with bounded memory. All that has come is
/// decoded at once: an event that the sender has flushed is not held back.
class Decoder {
 public:
  enum class Step : std::uint8_t {
    kBytes,       ///< `out` holds the next decoded bytes; call again
    kNeedsInput,  ///< all that came is decoded
    kFailed       ///< wrong data, or far more of it than its encoded size makes likely; see problem()
  };
  /// @param coding kGzip, kBrotli or kZstd
  explicit Decoder(Coding coding);
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  /// The next encoded bytes; only after kNeedsInput. They must live until then, or until keep_input().
  void feed(std::string_view encoded) noexcept;
  /// At most limits::kDecodeStepBytes, valid until any Decoder of this thread is called again.
  Step next(std::string_view& out);
  /// Copies what is not decoded yet, for when the bytes given to feed() end.
  void keep_input();
  /// True when the encoded data is complete as far as it came: only now is an end an end.
  [[nodiscard]] bool complete() const noexcept;
  /// "is not valid gzip": what is wrong, to follow the name of what was read.
  [[nodiscard]] std::string problem() const;

  struct Codec;

 private:
  Coding coding_;
  std::unique_ptr<Codec> codec_;
  std::string_view input_;
  std::string kept_;
  std::size_t encoded_bytes_ = 0;
  std::size_t decoded_bytes_ = 0;
  bool more_ = false;  ///< the codec holds decoded bytes that found no room
  bool failed_ = false;
  bool bomb_ = false;
};

/// Compresses quickly rather than well.
class Encoder {
 public:
  enum class Use : std::uint8_t {
    kWhole,  ///< a body at once
    kStream  ///< piece by piece, with little memory: there may be thousands
  };
  /// @param coding kGzip or kZstd
  Encoder(Coding coding, Use use);
  ~Encoder();
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;
  /// Appends all of `bytes`, encoded, so that the other side can decode it without what follows.
  void write(std::string_view bytes, std::string& out);
  /// The last ones.
  void finish(std::string_view bytes, std::string& out);

  struct Codec;

 private:
  std::unique_ptr<Codec> codec_;
};

/// A whole body decoded, with json::kPadding spare bytes; a large one on the pool. Errors: kTooLarge (413),
/// kBadRequest.
Task<Result<std::string>> decode_body(Loop& loop, Coding coding, std::string encoded, std::size_t most_bytes);
/// A whole body compressed; a large one on the pool. `plain` must live until it is done.
Task<std::string> encode_body(Loop& loop, Coding coding, std::string_view plain);

/// The reply with its body decoded, and headers that fit; the reply itself when it is not encoded or in a way
/// that we do not know. Reading it fails with kUpstreamProtocol when the data is wrong, and with
/// kConnectionLost when it is cut.
std::unique_ptr<ReplyStream> decoded(std::unique_ptr<ReplyStream> reply);

}  // namespace ccrules::http
