#include "tokens/table.h"

#include "core/assert.h"

// Made when ccrules is built: engine/CMakeLists.txt, tokens/generate/make_tables.cc.
extern "C" {
extern const unsigned char ccr_tokens_cl100k[];
extern const unsigned char ccr_tokens_o200k[];
extern const unsigned char ccr_tokens_classes[];
}

namespace ccrules::tokens {
namespace {

template <class T>
const T* at(const unsigned char* table, std::uint32_t offset) noexcept {
  return static_cast<const T*>(static_cast<const void*>(table + offset));
}

}  // namespace

Table::Table(const unsigned char* embedded) noexcept {
  format::Header header{};
  std::memcpy(&header, embedded, sizeof(header));
  CCR_ASSERT(header.magic == format::kMagic);
  single_ = at<std::uint32_t>(embedded, header.single);
  double_ = at<std::uint32_t>(embedded, header.double_);
  filter_ = at<std::uint64_t>(embedded, header.filter);
  pairs_ = at<std::uint64_t>(embedded, header.pairs);
  words_ = at<std::uint64_t>(embedded, header.words);
  blob_ = embedded + header.blob;
  filter_bits_ = header.filter_bits;
  pair_bits_ = header.pair_bits;
  word_bits_ = header.word_bits;
  tokens_ = header.tokens;
  bytes_ = header.bytes;
}

const Table& Table::of(Encoding encoding) noexcept {
  static const Table cl100k(ccr_tokens_cl100k);
  static const Table o200k(ccr_tokens_o200k);
  return encoding == Encoding::kCl100k ? cl100k : o200k;
}

format::Class class_of(std::uint32_t code_point) noexcept {
  std::uint16_t block = 0;
  std::memcpy(&block, ccr_tokens_classes + code_point / format::kBlock * 2, 2);
  return static_cast<format::Class>(
      ccr_tokens_classes[format::kBlocks * 2 + block * format::kBlock + code_point % format::kBlock]);
}

}  // namespace ccrules::tokens
