#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/splice.h"

/// Any bytes as a request body: an edit either refuses them or gives valid JSON that holds the new value.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ccrules;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::vector<json::Edit> edits = {
      {{"model"}, "\"another\""}, {{"thinking", "budget_tokens"}, "17"}, {{"stream"}, ""}};
  auto out = json::splice(text, edits);
  if (!out.ok()) return 0;
  if (!json::is_valid(*out) || out->find("another") == std::string::npos) std::abort();
  return 0;
}
