#include "http/coding.h"

#include <array>

#include <catch2/catch.hpp>

#include "core/limits.h"
#include "support/compress.h"

using namespace ccrules;
using http::Coding;
using http::Decoder;

namespace {

constexpr std::array kCodings = {Coding::kGzip, Coding::kBrotli, Coding::kZstd};

/// Everything that can be decoded now.
struct Decoded {
  std::string text;
  bool failed = false;
};
Decoded drain(Decoder& decoder, std::string_view encoded) {
  Decoded decoded;
  decoder.feed(encoded);
  for (;;) {
    std::string_view bytes;
    const Decoder::Step step = decoder.next(bytes);
    CHECK(bytes.size() <= limits::kDecodeStepBytes);
    decoded.failed = step == Decoder::Step::kFailed;
    if (step != Decoder::Step::kBytes) return decoded;
    decoded.text += bytes;
  }
}

std::string long_text() {
  std::string text;
  for (int i = 0; text.size() < 300'000; ++i)
    text += "{\"index\":" + std::to_string(i * 7919 % 10007) + ",\"text\":\"word\"}\n";
  return text;
}

/// `size` zeros as gzip packs them: a thousand to one.
std::string bomb(Coding coding, std::size_t size) {
  return test::compressed(coding, std::string(size, '\0'));
}

}  // namespace

TEST_CASE("what a header says of a body's coding: one that is known, or not; never two") {
  const std::array<std::pair<const char*, Coding>, 9> cases = {{{"gzip", Coding::kGzip},
                                                                {"X-GZIP", Coding::kGzip},
                                                                {"br", Coding::kBrotli},
                                                                {" zstd ", Coding::kZstd},
                                                                {"identity", Coding::kIdentity},
                                                                {"", Coding::kIdentity},
                                                                {"deflate", Coding::kUnknown},
                                                                {"gzip, br", Coding::kUnknown},
                                                                {"gzip,", Coding::kUnknown}}};
  for (const auto& [value, coding] : cases) {
    CAPTURE(value);
    http::Headers headers;
    headers.add("content-encoding", value);
    CHECK(http::content_coding(headers) == coding);
  }
  http::Headers twice;
  CHECK(http::content_coding(twice) == Coding::kIdentity);
  twice.add("Content-Encoding", "gzip");
  twice.add("content-encoding", "identity");
  CHECK(http::content_coding(twice) == Coding::kGzip);
  twice.add("content-encoding", "gzip");
  CHECK(http::content_coding(twice) == Coding::kUnknown);
}

TEST_CASE("an answer is compressed with what the client accepts, and not at all with what it forbids") {
  const std::array<std::pair<const char*, Coding>, 11> cases = {{{"", Coding::kIdentity},
                                                                 {"gzip", Coding::kGzip},
                                                                 {"gzip, deflate, br, zstd", Coding::kZstd},
                                                                 {"gzip, deflate", Coding::kGzip},
                                                                 {"GZIP;Q=0.5 , identity", Coding::kGzip},
                                                                 {"zstd;q=0, gzip;q=0.001", Coding::kGzip},
                                                                 {"gzip;q=0.000", Coding::kIdentity},
                                                                 {"*", Coding::kZstd},
                                                                 {"*;q=0", Coding::kIdentity},
                                                                 {"zstd;q=0, *", Coding::kGzip},
                                                                 {"br", Coding::kIdentity}}};
  for (const auto& [field, coding] : cases) {
    CAPTURE(field);
    CHECK(http::best_coding(field) == coding);
  }
  CHECK(http::accepts_coding("br;q=1.0", Coding::kBrotli));
  CHECK_FALSE(http::accepts_coding("br", Coding::kGzip));
  CHECK_FALSE(http::accepts_coding("", Coding::kGzip));
}

TEST_CASE("compressed bytes decode to the same text in every cut") {
  const std::string text = long_text();
  for (const Coding coding : kCodings) {
    CAPTURE(static_cast<int>(coding));
    const std::string encoded = test::compressed(coding, text);
    CHECK(encoded.size() < text.size() / 4);
    for (const std::size_t cut : {std::size_t{1}, std::size_t{7}, std::size_t{4096}, encoded.size()}) {
      Decoder decoder(coding);
      std::string out;
      for (std::size_t at = 0; at < encoded.size(); at += cut) {
        CHECK_FALSE(decoder.complete());
        const Decoded decoded = drain(decoder, std::string_view(encoded).substr(at, cut));
        REQUIRE_FALSE(decoded.failed);
        out += decoded.text;
      }
      CHECK(decoder.complete());
      CHECK(out == text);
    }
  }
}

TEST_CASE("a piece that its sender has flushed is decoded as soon as it is there") {
  const std::vector<std::string> events = {"event: a\ndata: {\"x\":1}\n\n", "event: b\ndata: {\"x\":2}\n\n",
                                           "event: b\ndata: {\"x\":3}\n\n", ""};
  for (const Coding coding : kCodings) {
    CAPTURE(static_cast<int>(coding));
    Decoder decoder(coding);
    const auto encoded = test::compressed(coding, events);
    for (std::size_t i = 0; i < events.size(); ++i) {
      CHECK(drain(decoder, encoded[i]).text == events[i]);
      CHECK(decoder.complete() == (i + 1 == events.size()));
    }
  }
}

TEST_CASE("compressed data cut anywhere is never complete") {
  for (const Coding coding : kCodings) {
    CAPTURE(static_cast<int>(coding));
    const std::string encoded = test::compressed(coding, std::string("all of it, and nothing but all of it"));
    for (std::size_t size = 0; size < encoded.size(); ++size) {
      Decoder decoder(coding);
      CHECK_FALSE(drain(decoder, encoded.substr(0, size)).failed);
      CHECK_FALSE(decoder.complete());
    }
  }
}

TEST_CASE("wrong data and data behind the end fail, and say of what") {
  for (const Coding coding : kCodings) {
    CAPTURE(static_cast<int>(coding));
    const std::string encoded = test::compressed(coding, long_text());
    for (const std::string& wrong :
         {std::string("<html>no</html>"), encoded + "{}", std::string(64, '\xff')}) {
      Decoder decoder(coding);
      CHECK(drain(decoder, wrong).failed);
      CHECK(decoder.problem() == "is not valid " + std::string(http::coding_name(coding)));
    }
  }
}

TEST_CASE("a zstd frame that holds less than its head says fails, in every cut") {
  // Two frames that promise 65 788 and 65 023 bytes; each is one last block of none.
  const std::string frame("\x28\xb5\x2f\xfd\x60\xfc\xff\x01\x00\x00", 10);
  const std::string other("\x28\xb5\x2f\xfd\x60\xff\xfc\x01\x00\x00", 10);
  for (const std::string& encoded : {frame, other, frame + other}) {
    for (std::size_t size = 1; size <= encoded.size(); ++size) {
      Decoder decoder(Coding::kZstd);
      bool failed = false;
      for (std::size_t at = 0; at < encoded.size() && !failed; at += size) failed = drain(decoder, encoded.substr(at, size)).failed;
      CHECK(failed);
      CHECK_FALSE(decoder.complete());
    }
  }
}

TEST_CASE("a byte changed on the way is noticed wherever a checksum covers it") {
  const std::string text = "a text that is long enough to have some bytes to change in it";
  for (const Coding coding : {Coding::kGzip, Coding::kZstd}) {
    CAPTURE(static_cast<int>(coding));
    const std::string encoded = test::compressed(coding, text);
    const std::size_t head = coding == Coding::kGzip ? 10 : 4;  // gzip's head holds a time and a system
    for (std::size_t at = head; at < encoded.size(); ++at) {
      std::string changed = encoded;
      changed[at] = static_cast<char>(changed[at] ^ 0x10);
      Decoder decoder(coding);
      const Decoded decoded = drain(decoder, changed);
      CHECK((decoded.failed || !decoder.complete() || decoded.text == text));
    }
  }
}

TEST_CASE("several members or frames in a row are one body") {
  for (const Coding coding : {Coding::kGzip, Coding::kZstd}) {
    Decoder decoder(coding);
    CHECK(drain(decoder,
                test::compressed(coding, std::string("one ")) + test::compressed(coding, std::string("two")))
              .text == "one two");
    CHECK(decoder.complete());
  }
}

TEST_CASE("a decompression bomb is given up long before it has unfolded") {
  for (const Coding coding : kCodings) {
    CAPTURE(static_cast<int>(coding));
    const std::string encoded = bomb(coding, 64u << 20);
    Decoder decoder(coding);
    const Decoded decoded = drain(decoder, encoded);
    CHECK(decoded.failed);
    CHECK(decoded.text.size() < (8u << 20));
    CHECK(decoder.problem() == "is more than 200 times as large decoded as encoded");
  }
}

TEST_CASE("zstd that wants more memory than HTTP allows is refused") {
  // A frame head that asks for a window of 128 MB.
  const std::string wide("\x28\xb5\x2f\xfd\x00\x88\x01\x00\x00", 9);
  Decoder decoder(Coding::kZstd);
  CHECK(drain(decoder, wide).failed);
}

TEST_CASE("zstd of the formats before 1.0 is refused, whole or in pieces") {
  const std::string old("\x26\xb5\x2f\xfd\x00\x00\x00\x00", 8);
  for (const std::size_t cut : {old.size(), std::size_t{3}}) {
    Decoder decoder(Coding::kZstd);
    Decoded decoded;
    for (std::size_t at = 0; at < old.size() && !decoded.failed; at += cut) decoded = drain(decoder, std::string_view(old).substr(at, cut));
    CHECK(decoded.failed);
  }
}

TEST_CASE("what the encoder writes piece by piece can be read piece by piece") {
  const std::vector<std::string> events = {"event: a\ndata: {\"x\":1}\n\n", long_text(), "data: [DONE]\n\n"};
  for (const Coding coding : {Coding::kGzip, Coding::kZstd}) {
    for (const auto use : {http::Encoder::Use::kStream, http::Encoder::Use::kWhole}) {
      http::Encoder encoder(coding, use);
      Decoder decoder(coding);
      for (const std::string& event : events) {
        std::string encoded;
        encoder.write(event, encoded);
        CHECK(drain(decoder, encoded).text == event);
        CHECK_FALSE(decoder.complete());
      }
      std::string last;
      encoder.finish("", last);
      CHECK(drain(decoder, last).text.empty());
      CHECK(decoder.complete());
    }
  }
}
