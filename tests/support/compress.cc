#include "support/compress.h"

#include <brotli/encode.h>
#include <stdexcept>
#include <zlib.h>
#include <zstd.h>

namespace ccrules::test {
namespace {

constexpr std::size_t kRoom = 16 * 1024;

std::vector<std::string> gzip(const std::vector<std::string>& pieces) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    std::string in = pieces[i];
    stream.next_in = reinterpret_cast<unsigned char*>(in.data());
    stream.avail_in = static_cast<uInt>(in.size());
    std::string& made = out.emplace_back();
    do {
      std::string room(kRoom, '\0');
      stream.next_out = reinterpret_cast<unsigned char*>(room.data());
      stream.avail_out = static_cast<uInt>(room.size());
      deflate(&stream, i + 1 == pieces.size() ? Z_FINISH : Z_SYNC_FLUSH);
      made.append(room, 0, room.size() - stream.avail_out);
    } while (stream.avail_out == 0);
  }
  deflateEnd(&stream);
  return out;
}

std::vector<std::string> brotli(const std::vector<std::string>& pieces) {
  BrotliEncoderState* state = BrotliEncoderCreateInstance(nullptr, nullptr, nullptr);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    std::size_t left = pieces[i].size();
    const auto* from = reinterpret_cast<const std::uint8_t*>(pieces[i].data());
    std::string& made = out.emplace_back();
    do {
      std::string room(kRoom, '\0');
      std::size_t room_left = room.size();
      auto* to = reinterpret_cast<std::uint8_t*>(room.data());
      BrotliEncoderCompressStream(state,
                                  i + 1 == pieces.size() ? BROTLI_OPERATION_FINISH : BROTLI_OPERATION_FLUSH,
                                  &left, &from, &room_left, &to, nullptr);
      made.append(room, 0, room.size() - room_left);
    } while (left > 0 || BrotliEncoderHasMoreOutput(state) != 0);
  }
  BrotliEncoderDestroyInstance(state);
  return out;
}

std::vector<std::string> zstd(const std::vector<std::string>& pieces) {
  ZSTD_CCtx* state = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(state, ZSTD_c_checksumFlag, 1);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    ZSTD_inBuffer in{pieces[i].data(), pieces[i].size(), 0};
    std::string& made = out.emplace_back();
    std::size_t left = 0;
    do {
      std::string room(kRoom, '\0');
      ZSTD_outBuffer to{room.data(), room.size(), 0};
      left = ZSTD_compressStream2(state, &to, &in, i + 1 == pieces.size() ? ZSTD_e_end : ZSTD_e_flush);
      made.append(room, 0, to.pos);
    } while (left > 0);
  }
  ZSTD_freeCCtx(state);
  return out;
}

}  // namespace

std::vector<std::string> compressed(http::Coding coding, const std::vector<std::string>& pieces) {
  switch (coding) {
    case http::Coding::kGzip:
      return gzip(pieces);
    case http::Coding::kBrotli:
      return brotli(pieces);
    case http::Coding::kZstd:
      return zstd(pieces);
    case http::Coding::kIdentity:
      return pieces;
    case http::Coding::kUnknown:
      break;
  }
  throw std::logic_error("nobody knows this coding");
}

std::string compressed(http::Coding coding, std::string_view text) {
  return compressed(coding, std::vector<std::string>{std::string(text)}).front();
}

}  // namespace ccrules::test
