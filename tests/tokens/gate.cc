// Compares our tokenizers with another's answers, read from stdin (tests/tokens/gate.mjs writes them):
// records of u32 size, then for o200k_base and cl100k_base u32 token count and u32 hash of the ids, then the
// text.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "tokens/tokenizer.h"

namespace {

using namespace ccrules;

std::uint32_t hash_of(const std::vector<std::uint32_t>& ids) {
  std::uint32_t hash = 2166136261u;
  for (const std::uint32_t id : ids) hash = (hash ^ id) * 16777619u;
  return hash;
}

struct Check {
  const char* name;
  tokens::Tokenizer tokenizer;
  std::uint64_t tokens = 0;
  int wrong = 0;

  void compare(std::size_t record, std::string_view text, std::uint32_t count, std::uint32_t hash) {
    std::vector<std::uint32_t> ids;
    tokenizer.encode(text, ids);
    const std::int64_t counted = tokenizer.count(text);
    const std::int64_t again = tokenizer.count(text);  // out of the caches
    tokens += count;
    if (counted == count && again == count && ids.size() == count && hash_of(ids) == hash) return;
    if (++wrong > 10) return;
    std::printf("%s: text %zu of %zu bytes: counted %lld, again %lld, encoded %zu%s; expected %u:", name,
                record, text.size(), static_cast<long long>(counted), static_cast<long long>(again),
                ids.size(), hash_of(ids) == hash ? "" : " (other ids)", count);
    for (const char byte : text.substr(0, 80)) std::printf("%02x", static_cast<unsigned char>(byte));
    std::printf("\n");
  }
};

}  // namespace

int main() {
  std::array<Check, 2> checks{Check{"o200k_base", tokens::Tokenizer(tokens::Encoding::kO200k)},
                              Check{"cl100k_base", tokens::Tokenizer(tokens::Encoding::kCl100k)}};
  std::size_t records = 0;
  std::uint64_t bytes = 0;
  for (std::array<std::uint32_t, 5> head{}; std::fread(head.data(), sizeof(head), 1, stdin) == 1; ++records) {
    // Of exactly its size, so that a sanitizer sees reading beyond it.
    const std::unique_ptr<char[]> text(new char[head[0]]);
    if (std::fread(text.get(), 1, head[0], stdin) != head[0]) {
      std::puts("the input ends within a record");
      return 2;
    }
    bytes += head[0];
    for (std::size_t i = 0; i < checks.size(); ++i) {
      checks[i].compare(records, {text.get(), head[0]}, head[1 + 2 * i], head[2 + 2 * i]);
    }
  }
  int wrong = 0;
  for (const Check& check : checks) {
    std::printf("%s: %zu texts, %.1f MB, %llu tokens, %d differ\n", check.name, records,
                static_cast<double>(bytes) / 1e6, static_cast<unsigned long long>(check.tokens), check.wrong);
    wrong += check.wrong;
  }
  return records == 0 || wrong != 0 ? 1 : 0;
}
