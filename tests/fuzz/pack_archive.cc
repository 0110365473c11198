// Any bytes as a pack's archive: refused or read within the limits; what was read is written and read back the same.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/assert.h"
#include "core/limits.h"
#include "packs/archive.h"
#include "packs/manifest.h"
#include "packs/seal.h"

using namespace ccrules;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  const Result<packs::Folder> folder = packs::read_archive(input);
  if (!folder.ok()) {
    CCR_ASSERT(!folder.error().message.empty());
    return 0;
  }
  std::size_t total = 0;
  for (const auto& [path, text] : *folder) {
    CCR_ASSERT(packs::check_path(path).ok());
    CCR_ASSERT(path.find("..") == std::string::npos || path.find("../") == std::string::npos);
    total += text.size();
  }
  CCR_ASSERT(total <= limits::kPackBytes && folder->size() <= limits::kPackFiles);
  const Result<std::string> again = packs::write_archive(*folder);
  if (again.ok()) {
    const Result<packs::Folder> read = packs::read_archive(*again);
    CCR_ASSERT(read.ok() && *read == *folder);
  }
  (void)packs::check_seal(*folder);  // whatever stands in pack.sums and pack.sig
  std::vector<config::Diagnostic> found;
  const auto manifest = packs::read_manifest(*folder, "pack.json", found);
  CCR_ASSERT(manifest.has_value() == found.empty());
  return 0;
}
