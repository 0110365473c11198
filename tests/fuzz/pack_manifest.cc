// Any bytes as pack.json, rules.lock and an index: every mistake has a message that can be shown, and what was read is sound.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/assert.h"
#include "packs/index.h"
#include "packs/lock.h"
#include "packs/manifest.h"

using namespace ccrules;

namespace {

void check(const std::vector<config::Diagnostic>& found) {
  for (const config::Diagnostic& one : found) {
    CCR_ASSERT(!one.message.empty());
    CCR_ASSERT(!config::render(one, true).empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(bytes), size);
  packs::Folder folder = {{"pack.json", text}, {"rules/a.lua", ""}, {"rules/b.json", "{}"}, {"tests/a.jsonl", ""}};
  std::vector<config::Diagnostic> found;
  const auto manifest = packs::read_manifest(folder, "p/pack.json", found);
  CCR_ASSERT(manifest.has_value() == found.empty());
  check(found);
  if (manifest) {
    CCR_ASSERT(packs::is_pack_name(manifest->name));
    CCR_ASSERT(packs::Version::parse(manifest->version.text()) == manifest->version);
    for (const std::string& path : manifest->rules) CCR_ASSERT(folder.contains(path));
    (void)packs::check_engine(*manifest, "0.1.0");  // either answer is fine
    CCR_ASSERT(packs::settings_lua(*manifest, {}).ok());
  }
  found.clear();
  const auto lock = packs::read_lock("rules.lock", text, found);
  CCR_ASSERT(lock.has_value() == found.empty());
  check(found);
  if (lock) {
    const auto again = packs::read_lock("rules.lock", packs::to_json(*lock), found);
    CCR_ASSERT(again && packs::to_json(*again) == packs::to_json(*lock));
  }
  found.clear();
  const auto index = packs::read_index("index.json", text, found);
  check(found);
  if (index) {
    const auto again = packs::read_index("index.json", packs::to_json(*index), found);
    CCR_ASSERT(again && packs::to_json(*again) == packs::to_json(*index));
  }
  (void)packs::Range::parse(text);  // must return
  return 0;
}
