#include "support/time_zone_file.h"

namespace ccrules::test {
namespace {

void append_number(std::string& out, std::int64_t number, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
    out += static_cast<char>(static_cast<std::uint64_t>(number) >> shift & 0xff);
}

void append_header(std::string& out, std::size_t changes, std::size_t kinds) {
  out += "TZif2" + std::string(15, '\0');
  for (const std::size_t count :
       {std::size_t{0}, std::size_t{0}, std::size_t{0}, changes, kinds, std::size_t{4}})
    append_number(out, static_cast<std::int64_t>(count), 4);
}

void append_kinds(std::string& out, const std::vector<std::int32_t>& offsets_s) {
  for (const std::int32_t offset_s : offsets_s) {
    append_number(out, offset_s, 4);
    out += std::string(2, '\0');
  }
  out += std::string("LMT\0", 4);
}

}  // namespace

std::string time_zone_file(std::string_view rule, const std::vector<std::int32_t>& offsets_s,
                           const std::vector<ZoneChange>& changes) {
  std::string out;
  append_header(out, 0, 1);
  append_kinds(out, {0});
  append_header(out, changes.size(), offsets_s.size());
  for (const ZoneChange& change : changes) append_number(out, change.at_s, 8);
  for (const ZoneChange& change : changes) out += static_cast<char>(change.kind);
  append_kinds(out, offsets_s);
  return out + "\n" + std::string(rule) + "\n";
}

}  // namespace ccrules::test
