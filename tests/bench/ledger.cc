// What a ledger row costs: the producer's side per record(), and the whole process's CPU time per row, with
// rows as Claude Code makes them. Prints one line each; run it from a release build. Budget: 300 ns and 4 us.
#include "ledger/ledger.h"

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <sys/resource.h>
#include <thread>
#include <time.h>
#include <vector>

#include "core/ids.h"
#include "core/world.h"

using namespace ccrules;

namespace {

double cpu_us() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto us = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
  };
  return us(used.ru_utime) + us(used.ru_stime);
}

/// CPU time of this thread: the machine may be busy.
double thread_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

ledger::Record row() {
  ledger::Record record;
  record.id = ids::make("req_", system_random());
  record.at_us = system_clock().wall_us();
  record.client = "claude-cli/2.1.0";
  record.dialect = "anthropic";
  record.path = "/v1/messages";
  record.session = "5f0c7a3e-1111-2222-3333-" + std::to_string(system_random().next() % 50);
  record.project = "/srv/projects/a-typical-project";
  record.agent = "main";
  record.request_class = "foreground";
  record.requested_model = "claude-sonnet-5-5";
  record.decision_id = ids::make("dec_", system_random());
  record.rule = "default";
  record.reason = "default model";
  record.provider = "anthropic";
  record.model = "claude-sonnet-5-5";
  record.attempts = 1;
  record.status = 200;
  record.stop_reason = "tool_use";
  record.stream = true;
  record.usage.input_tokens = 1200;
  record.usage.output_tokens = 300;
  record.usage.cache_read_tokens = 50000;
  record.usage.cache_write_tokens = 900;
  record.cost_nanousd = 123456;
  record.requested_cost_nanousd = 123456;
  record.ttft_us = 400000;
  record.duration_us = 3000000;
  return record;
}

}  // namespace

int main() {
  constexpr int kRows = 200'000;
  constexpr int kBurst = 1000;
  const auto folder = std::filesystem::temp_directory_path() / ids::make("ccrules-bench-", system_random());
  {
    ledger::Settings settings;
    settings.path = (folder / "ledger.db").string();
    auto ledger = ledger::Ledger::open(settings);
    if (!ledger) return std::puts(ledger.error().message.c_str()), 1;
    std::vector<ledger::Record> rows;
    rows.reserve(kBurst);
    double making_us = 0;
    double producing_ns = 0;
    const double started = cpu_us();
    for (int done = 0; done < kRows; done += kBurst) {
      const double before = cpu_us();
      for (int i = 0; i < kBurst; ++i) rows.push_back(row());
      making_us +=
          cpu_us() - before;  // counts the writer's concurrent work too: the total below is a lower bound
      const double begin_ns = thread_ns();
      for (const ledger::Record& record : rows) (*ledger)->record(record);
      producing_ns += thread_ns() - begin_ns;
      rows.clear();
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    (*ledger)->flush();
    const double used = cpu_us() - started;
    std::printf("record(): %.0f ns a row\n", producing_ns / kRows);
    std::printf("CPU, all threads: %.2f us a row, of which making the rows at most %.2f us\n", used / kRows,
                making_us / kRows);
    const ledger::Health health = (*ledger)->health();
    std::printf("written %llu, dropped %llu\n", static_cast<unsigned long long>(health.rows_written),
                static_cast<unsigned long long>(health.rows_dropped));
  }
  std::printf("file: %.0f bytes a row\n",
              static_cast<double>(std::filesystem::file_size(folder / "ledger.db")) / kRows);
  std::filesystem::remove_all(folder);
  return 0;
}
