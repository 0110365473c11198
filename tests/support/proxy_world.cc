#include "support/proxy_world.h"

#include <filesystem>
#include <stdexcept>
#include <unistd.h>
#include <utility>

#include <sqlite3.h>

#include "config/load.h"
#include "core/log.h"
#include "proxy/budget.h"
#include "proxy/reload.h"
#include "proxy/serve.h"
#include "proxy/worker_thread.h"

namespace ccrules::test {
namespace {

constexpr const char* kConfigPath = "/etc/ccrules/ccrules.json";

std::string all_lines(const std::vector<config::Diagnostic>& diagnostics) {
  std::string text;
  for (const config::Diagnostic& diagnostic : diagnostics) text += config::render(diagnostic) + "\n";
  return text;
}

class StillClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t wall_us() const override { return 1'795'000'000'000'000; }  // 2026-11-18T...
};

class CountingRandom final : public Random {
 public:
  std::uint64_t next() override { return state_ += 0x9e3779b97f4a7c15u; }

 private:
  std::uint64_t state_ = 1;
};

/// All its files: "ledger.db", "ledger.db-wal", "ledger.db-holds-..."
void copy_ledger(const std::filesystem::path& from, const std::string& to) {
  const std::string name = from.filename().string();
  for (const auto& file : std::filesystem::directory_iterator(from.parent_path())) {
    const std::string found = file.path().filename().string();
    if (!found.starts_with(name) || found.ends_with("-shm")) continue;
    std::filesystem::copy_file(file.path(), to + found.substr(name.size()), std::filesystem::copy_options::overwrite_existing);
  }
}

}  // namespace

ProxyWorld::ProxyWorld(SimWorld& world, const std::string& config, std::map<std::string, std::string> files,
                       const std::string& ledger_copy)
    : world_(world) {
  log::Settings silent;
  silent.level = log::Level::kOff;
  log::configure(silent);
  files[kConfigPath] = config;
  files_ = MemoryFiles(std::move(files));
  config::Options options;
  options.config_path = kConfigPath;
  options.working_directory = "/";
  config::Loaded loaded = config::load(files_, {}, options);
  if (!loaded.snapshot)
    throw std::runtime_error("the test's configuration does not load:\n" + all_lines(loaded.diagnostics));

  std::vector<std::string> why;
  auto built = proxy::build(loaded.snapshot, files_, 1, why);
  if (!built || !why.empty()) {
    std::string lines = "the test's rules do not load:";
    for (const std::string& line : why) lines += "\n" + line;
    throw std::runtime_error(lines);
  }
  proxy::Board::InForce in_force;
  in_force.rule_set = built->witness->status().rule_set;
  board_.in_force(std::move(in_force));

  char pattern[] = "/tmp/ccrules-test-XXXXXX";
  folder_ = mkdtemp(pattern);
  ledger::Settings settings;
  settings.path = folder_ + "/ledger.db";
  settings.durable = loaded.snapshot->ledger.durable;
  settings.keep_days = 0;  // our clock stands still, and the one by which old rows are deleted does not
  settings.calendar = proxy::calendar_of(*loaded.snapshot);
  tallies_.spend.use(settings.calendar);
  tallies_.spend.keep(proxy::named_in(loaded.snapshot->budgets));
  settings.spend = &tallies_.spend;
  settings.owner = "0 0";  // of no process: to another world, requests of this one are those of a killed proxy
  if (!ledger_copy.empty()) {
    settings.owner = "0 1";
    copy_ledger(ledger_copy, settings.path);
  }
  waits_for_ledger_ = settings.durable || !loaded.snapshot->budgets.empty();
  auto ledger = ledger::Ledger::open(settings);
  if (!ledger) throw std::runtime_error(ledger.error().message);
  ledger_ = *std::move(ledger);
  auto batches = ledger::Batches::open(settings.path, 0);
  if (!batches) throw std::runtime_error(batches.error().message);
  batches_ = *std::move(batches);

  static const StillClock clock;
  static CountingRandom random;
  proxy::World below;
  below.loop = &world.loop;
  below.clock = &clock;
  below.random = &random;
  below.files = &files_;
  below.rule_files = &files_;
  below.dialer = &world.dialer;
  below.ledger = ledger_.get();
  below.batches = batches_.get();
  below.tallies = &tallies_;
  below.vitals = &vitals_;
  below.home = "/home/tester";
  below.board = &board_;
  worker_ = std::make_unique<proxy::Worker>(below, std::move(built->policies.front()));
  runner_ = std::make_unique<proxy::BatchRunner>(*worker_);
  runner_->wake();
  proxy::Worker* worker = worker_.get();
  server_ = std::make_unique<http::Server>(
      world.loop, [worker](http::Exchange& exchange) { return proxy::serve(*worker, exchange); },
      proxy::server_limits(*loaded.snapshot));
}

ProxyWorld::~ProxyWorld() {
  server_->shutdown();
  runner_->stop({});
  run();
  server_.reset();
  runner_.reset();
  worker_.reset();
  batches_.reset();
  ledger_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::unique_ptr<MemoryClient> ProxyWorld::ask(const std::string& path, const std::string& body,
                                              const std::string& headers) {
  auto client = std::make_unique<MemoryClient>(world_.loop, *server_);
  client->send("POST " + path + " HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n" +
               headers + "content-length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  return client;
}

Message ProxyWorld::answer(const std::string& path, const std::string& body, const std::string& headers) {
  const auto client = ask(path, body, headers);
  run();
  return read_message(client->received());
}

Message ProxyWorld::call(const std::string& method, const std::string& path, const std::string& headers) {
  MemoryClient client(world_.loop, *server_);
  client.send(method + " " + path + " HTTP/1.1\r\nhost: localhost\r\n" + headers + "content-length: 0\r\n\r\n");
  run();
  return read_message(client.received());
}

void ProxyWorld::run() {
  constexpr int kWaits = 3;  // of one request: until it is held, held for more, and recorded
  world_.loop.run();
  for (int i = 0; waits_for_ledger_ && i < kWaits; ++i) {
    ledger_->flush();
    world_.loop.run();
  }
}

std::string ProxyWorld::crash() const {
  const std::string copy = folder_ + "/crashed.db";
  copy_ledger(folder_ + "/ledger.db", copy);
  return copy;
}

std::vector<Row> ProxyWorld::rows() {
  ledger_->flush();
  return committed_rows();
}

std::vector<Row> ProxyWorld::committed_rows() const {
  std::vector<Row> rows;
  sqlite3* database = nullptr;
  if (sqlite3_open_v2((folder_ + "/ledger.db").c_str(), &database, SQLITE_OPEN_READWRITE, nullptr) !=
      SQLITE_OK) {
    throw std::runtime_error("cannot open the ledger");
  }
  sqlite3_stmt* statement = nullptr;
  sqlite3_prepare_v2(database, "SELECT * FROM requests ORDER BY seq", -1, &statement, nullptr);
  while (sqlite3_step(statement) == SQLITE_ROW) {
    Row row;
    for (int i = 0; i < sqlite3_column_count(statement); ++i) {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, i));
      row[sqlite3_column_name(statement, i)] = text == nullptr ? "" : text;
    }
    rows.push_back(std::move(row));
  }
  sqlite3_finalize(statement);
  sqlite3_close(database);
  return rows;
}

std::string http_reply(int status, std::string_view content_type, std::string_view body,
                       std::string_view more_headers) {
  return "HTTP/1.1 " + std::to_string(status) + " Said\r\ncontent-type: " + std::string(content_type) +
         "\r\n" + std::string(more_headers) + "content-length: " + std::to_string(body.size()) + "\r\n\r\n" +
         std::string(body);
}

std::string http_stream(const std::vector<std::string>& pieces, bool cut) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text =
      "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
  for (const std::string& piece : pieces) {
    std::string size;
    for (std::size_t left = piece.size(); left > 0; left /= 16) size.insert(size.begin(), kHex[left % 16]);
    text += size + "\r\n" + piece + "\r\n";
  }
  return cut ? text : text + "0\r\n\r\n";
}

std::vector<std::string> anthropic_events(std::string_view text) {
  return {
      "event: message_start\ndata: "
      "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\","
      "\"model\":\"claude-sonnet-4-5\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{"
      "\"input_tokens\":11,"
      "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":1}}}\n\n",
      "event: content_block_start\ndata: "
      "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}"
      "\n\n",
      "event: content_block_delta\ndata: "
      "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"" +
          std::string(text) + "\"}}\n\n",
      "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
      "event: message_delta\ndata: "
      "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},"
      "\"usage\":{\"output_tokens\":7}}\n\n",
      "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
  };
}

std::vector<std::string> openai_events(std::string_view text) {
  const std::string head =
      "data: "
      "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-x\","
      "\"choices\":[";
  return {
      head + "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",
      head + "{\"index\":0,\"delta\":{\"content\":\"" + std::string(text) +
          "\"},\"finish_reason\":null}]}\n\n",
      head + "{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
      head + "],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7,\"total_tokens\":18}}\n\n",
      "data: [DONE]\n\n",
  };
}

}  // namespace ccrules::test
