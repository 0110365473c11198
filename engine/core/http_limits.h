#pragma once
#include "core/limits.h"

/// The chapter of limits.h about compressed bodies, forward proxies and HTTP/2.
namespace ccrules::limits {

// --- compressed bodies (gzip, br, zstd)
inline constexpr std::size_t kDecodeStepBytes = 64 * 1024;  ///< Decoded at once before somebody takes it.
inline constexpr std::size_t kDecodeRatio =
    200;  ///< Decoded bytes per encoded one, beyond kDecodeFreeBytes: JSON has 3 to 30, a bomb 1000.
inline constexpr std::size_t kDecodeFreeBytes = 1024 * 1024;  ///< Decoded before the ratio is looked at.
inline constexpr int kZstdWindowLog = 23;  ///< 8 MB: the largest window that HTTP allows (RFC 9659).
inline constexpr std::size_t kCodingInlineBytes =
    64 * 1024;  ///< A larger body is compressed or decompressed off the loop: more than a millisecond.
inline constexpr std::size_t kCompressBytes = 2048;  ///< A shorter answer is not worth compressing.

// --- HTTP/2, towards providers
inline constexpr std::size_t kH2StreamBytes =
    256 * 1024;  ///< A stream's window: what may lie here of one reply that its client does not take.
inline constexpr std::size_t kH2ConnectionBytes = 16u * 1024 * 1024;  ///< Wide: slow streams must not stop others.
inline constexpr std::size_t kH2IdleFrames =
    10000;                                     ///< Frames in a row that bring nothing before a peer counts as hostile.
inline constexpr int kH2Retries = 2;           ///< For requests that an upstream has refused without looking at them.
inline constexpr auto kH2PingTime = 30s;       ///< Silence with replies outstanding after which the peer is asked.
inline constexpr auto kH2PingAnswerTime = 15s; ///< Then it has so long to answer.

}  // namespace ccrules::limits
