#pragma once
#include <cstdio>
#include <string>

namespace ccrules::test {

/// One entry of a tar archive, byte for byte as asked for, however hostile. `type`: '0' file, '1' hard link, '2' symbolic
/// link, '3' device, '5' folder, 'x' extended header.
inline std::string tar_entry(const std::string& path, const std::string& bytes, char type = '0', const std::string& link = {},
                             std::size_t claimed_size = std::string::npos) {
  constexpr std::size_t kBlock = 512;
  std::string head(kBlock, '\0');
  const auto put = [&head](std::size_t at, const std::string& text) { head.replace(at, text.size(), text); };
  char number[32];
  put(0, path.substr(0, 100));
  put(100, "0000644");
  put(108, "0000000");
  put(116, "0000000");
  std::snprintf(number, sizeof number, "%011zo", claimed_size == std::string::npos ? bytes.size() : claimed_size);
  put(124, number);
  put(136, "00000000000");
  put(148, "        ");
  head[156] = type;
  put(157, link);
  put(257, std::string("ustar\0" "00", 8));
  unsigned sum = 0;
  for (const char byte : head) sum += static_cast<unsigned char>(byte);
  std::snprintf(number, sizeof number, "%06o", sum);
  put(148, std::string(number) + '\0' + ' ');
  std::string out = head + bytes;
  out.append((kBlock - bytes.size() % kBlock) % kBlock, '\0');
  return out;
}

/// Ends an archive.
inline std::string tar_end() { return std::string(1024, '\0'); }

}  // namespace ccrules::test
