// Configuration files, `.env` texts and environment variables as anyone may write them. Input: the file, and
// after a byte 0x1e the lines of the environment. Checks what callers rely on, and that every complaint can
// be shown.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/interpolate.h"
#include "config/load.h"

using namespace ccrules;

namespace {

class OneFile final : public Files {
 public:
  explicit OneFile(std::string_view text) : text_(text) {}
  [[nodiscard]] Result<std::string> read(const std::string& path) const override {
    if (path == "/c/ccrules.json" || path == "/c/secret") return std::string(text_);
    return bad_request("cannot read " + path);
  }
  [[nodiscard]] bool exists(const std::string& path) const override {
    return path == "/c/ccrules.json" || path.ends_with(".lua");
  }
  [[nodiscard]] std::vector<std::string> list(const std::string&) const override { return {}; }

 private:
  std::string_view text_;
};

void require(bool holds) {
  if (!holds) std::abort();
}

void check(const config::Loaded& loaded) {
  bool failed = false;
  for (const config::Diagnostic& diagnostic : loaded.diagnostics) {
    failed = failed || !diagnostic.warning;
    require(!diagnostic.message.empty());
    require(!config::render(diagnostic, true).empty());
    require(diagnostic.where.line == 0 || diagnostic.where.column >= 1);
  }
  require(failed == (loaded.snapshot == nullptr));
  if (!loaded.snapshot) return;
  const config::Snapshot& s = *loaded.snapshot;
  require(!s.providers.empty() && s.providers.back().id == "sim");
  require(s.listen.port >= 0 && s.listen.port <= 65535);
  require(!s.ledger.path.empty());
  for (const config::Provider& provider : s.providers) {
    require(provider.base_url.find_first_of("\r\n# ?") == std::string::npos);
    require(provider.api_key.find_first_of("\r\n") == std::string::npos);
  }
  for (const auto& [name, route] : s.routes)
    require(s.provider(route.provider) != nullptr && !route.model.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  const auto separator = input.find('\x1e');
  const OneFile files(input.substr(0, separator));
  Environment environment;
  if (separator != std::string_view::npos) environment = config::parse_dotenv(input.substr(separator + 1));
  config::Options options;
  options.working_directory = "/c";
  check(config::load(files, environment, options));
  return 0;
}
