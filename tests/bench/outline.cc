// What one outline of a request costs, against the bare structural pass that any reader of the JSON must pay.
//   outline BODY.json...     (bodies as the load generator makes them: Anthropic requests)
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

#include <simdjson.h>

#include "core/json.h"
#include "core/splice.h"
#include "dialect/dialect.h"

namespace {

template <class Work>
void measure(const char* name, std::size_t bytes, const Work& work) {
  double best = 1e9;
  for (int round = 0; round < 400; ++round) {
    const auto start = std::chrono::steady_clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::printf("  %-28s %9.2f us %8.0f MB/s\n", name, best * 1e6, static_cast<double>(bytes) / best / 1e6);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace ccrules;
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    std::stringstream content;
    content << file.rdbuf();
    std::string body = content.str();
    const std::string_view padded = json::padded(body);
    std::printf("%s (%zu bytes, simdjson %s)\n", argv[i], body.size(),
                simdjson::get_active_implementation()->name().c_str());
    bool good = true;
    simdjson::ondemand::parser parser;
    const simdjson::padded_string copy(body);
    measure("simdjson: model and length", body.size(), [&] {
      auto document = parser.iterate(copy);
      std::string_view model;
      good = good && document["model"].get(model) == simdjson::SUCCESS;
    });
    measure("json: validate", body.size(), [&] { good = good && json::is_valid(padded); });
    measure("anthropic outline", body.size(),
            [&] { good = good && dialect::anthropic().outline(padded).ok(); });
    measure("anthropic read_request", body.size(),
            [&] { good = good && dialect::anthropic().read_request(padded).ok(); });
    measure("splice model", body.size(), [&] {
      good = good && json::splice(padded, {{{"model"}, "\"other\""}}).ok();
    });
    if (!good) std::puts("  a reader failed: the body is no Anthropic request");
  }
  return 0;
}
