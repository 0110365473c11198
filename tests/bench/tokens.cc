// Megabytes counted a second, on one thread: kinds of text that agents send and the worst input we know, against a tokenizer written
// for being read; then a history of 1 MB that grows by 2 KB.
//   tokens [FOLDER...]       (of files that are taken as code, JSON and Markdown; default: this project's)
// tests/tokens/bench runs it beside the counters of npm, on the same files.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "core/digest.h"
#include "tokens/block_cache.h"
#include "tokens/prompt.h"
#include "tokens/tokenizer.h"
#include "support/plain_tokenizer.h"

namespace {

using namespace ccrules;

template <class Work>
double seconds(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

template <class Work>
double best_of(int rounds, const Work& work) {
  double best = 1e9;
  for (int i = 0; i < rounds; ++i) best = std::min(best, seconds(work));
  return best;
}

struct Text {
  std::string name, bytes;
};

/// Files in the order of their paths, one after the other.
std::string files(const std::vector<std::string>& folders, const std::vector<std::string>& endings) {
  std::vector<std::string> paths;
  for (const std::string& folder : folders) {
    if (!std::filesystem::exists(folder)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
      const std::string ending = entry.path().extension().string();
      if (entry.is_regular_file() && std::find(endings.begin(), endings.end(), ending) != endings.end())
        paths.push_back(entry.path().string());
    }
  }
  std::sort(paths.begin(), paths.end());
  std::string all;
  for (const std::string& path : paths) {
    std::stringstream content;
    content << std::ifstream(path, std::ios::binary).rdbuf();
    all += content.str();
    if (all.size() > 4'000'000) break;
  }
  return all;
}

std::vector<Text> hard_texts() {
  constexpr std::size_t kSize = 1'000'000;
  std::vector<Text> out = {{"one letter", std::string(kSize, 'a')}, {"spaces", std::string(kSize, ' ')}};
  std::uint64_t state = 20261121;
  const auto random = [&state] {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
  };
  Text letters{"random letters", {}}, bytes{"random bytes", {}}, base64{"base64", {}}, ideographs{"random ideographs", {}};
  static constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  while (letters.bytes.size() < kSize) letters.bytes.push_back(static_cast<char>('a' + random() % 26));
  while (bytes.bytes.size() < kSize) bytes.bytes.push_back(static_cast<char>(random()));
  while (base64.bytes.size() < kSize) base64.bytes.push_back(kBase64[random() % 64]);
  while (ideographs.bytes.size() < kSize) {
    const auto point = static_cast<std::uint32_t>(0x4e00 + random() % 0x5000);
    ideographs.bytes.push_back(static_cast<char>(0xe0 | (point >> 12)));
    ideographs.bytes.push_back(static_cast<char>(0x80 | ((point >> 6) & 0x3f)));
    ideographs.bytes.push_back(static_cast<char>(0x80 | (point & 0x3f)));
  }
  for (Text* text : {&letters, &bytes, &base64, &ideographs}) out.push_back(std::move(*text));
  return out;
}

void speed(const Text& text, bool plain) {
  const double megabytes = static_cast<double>(text.bytes.size()) / 1e6;
  std::printf("  %-20s %6.2f MB", text.name.c_str(), megabytes);
  for (const tokens::Encoding encoding : {tokens::Encoding::kO200k, tokens::Encoding::kCl100k}) {
    std::int64_t count = 0;
    tokens::Tokenizer tokenizer(encoding);
    const double cold = seconds([&] { count = tokenizer.count(text.bytes); });
    const double warm = best_of(15, [&] { count = tokenizer.count(text.bytes); });
    std::printf("  %s %8.1f MB/s (first time %6.1f) %9lld tokens", encoding == tokens::Encoding::kO200k ? "o200k" : "cl100k",
                megabytes / warm, megabytes / cold, static_cast<long long>(count));
  }
  if (plain) {
    const std::string_view part = std::string_view(text.bytes).substr(0, 100'000);
    const double took = best_of(2, [&] { (void)test::plain_encode(tokens::Encoding::kO200k, part); });
    std::printf("  plain o200k %5.1f MB/s", static_cast<double>(part.size()) / 1e6 / took);
  }
  std::printf("\n");
}

/// A session's body: `bytes` of history in blocks of about 4 KB, then one more turn of 2 KB.
std::string session(std::string_view from, std::size_t bytes, bool grown) {
  std::string body = R"({"model":"gpt-5.5","messages":[{"role":"user","content":"begin"})";
  const auto turn = [&](std::string_view text, const char* role) {
    body += std::string(R"(,{"role":")") + role + R"(","content":")";
    for (const char c : text) body += static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\' ? ' ' : c;
    body += "\"}";
  };
  for (std::size_t at = 0, n = 0; at + 4096 < bytes; at += 4096, ++n) turn(from.substr(at, 4096), n % 2 ? "user" : "assistant");
  if (grown) turn(from.substr(bytes, 2048), "user");
  return body + "]}";
}

void growing(std::string_view from) {
  constexpr std::size_t kHistory = 1'000'000;
  if (from.size() < kHistory + 2048) return;
  const std::string before = session(from, kHistory, false);
  (void)tokens::read_prompt(before);
  double best = 1e9;
  double blocks = 1e9;
  // Every round's new turn is another one: only the history is known.
  for (std::size_t round = 0; round < 40; ++round) {
    std::string grown = session(from, kHistory, true);
    const std::size_t at = grown.size() - 1500;
    for (std::size_t i = 0; i < 8; ++i) grown[at + i] = static_cast<char>('a' + (round * 31 + i * 7) % 26);
    best = std::min(best, seconds([&] { (void)tokens::read_prompt(grown); }));
    // Without the JSON: a hash and a look-up for each block, the new one counted.
    tokens::BlockCache cache;
    std::vector<std::string_view> parts;
    for (std::size_t from_byte = 0; from_byte + 4096 < kHistory; from_byte += 4096) parts.push_back(from.substr(from_byte, 4096));
    for (const std::string_view part : parts) cache.keep(digest::hash128(part, 1), 1);
    const std::string_view news = std::string_view(grown).substr(grown.size() - 2048);
    std::int64_t sum = 0;
    blocks = std::min(blocks, seconds([&] {
                        for (const std::string_view part : parts) sum += cache.find(digest::hash128(part, 1)).value_or(0);
                        sum += tokens::Tokenizer::local(tokens::Encoding::kO200k).count(news);
                      }));
    if (sum < 0) std::puts("");
  }
  std::printf("  1 MB of history and 2 KB of news: %.0f us with the JSON read, %.0f us without\n", best * 1e6, blocks * 1e6);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> folders(argv + 1, argv + argc);
  if (folders.empty()) folders = {"engine", "tests", "docs", "config", "rules"};
  const std::vector<Text> texts = {{"code", files(folders, {".cc", ".h", ".lua"})},
                                   {"JSON", files(folders, {".json"})},
                                   {"Markdown", files(folders, {".md"})}};
  for (const Text& text : texts) {
    if (!text.bytes.empty()) speed(text, true);
  }
  for (const Text& text : hard_texts()) speed(text, false);
  growing(texts.front().bytes);
  return 0;
}
