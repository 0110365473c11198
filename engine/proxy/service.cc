#include "proxy/service.h"

#include <algorithm>
#include <deque>
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include "async/listener.h"
#include "async/signals.h"
#include "async/uv_loop.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/start_pages.h"
#include "core/text.h"
#include "core/world.h"
#include "ledger/batches.h"
#include "ledger/ledger.h"
#include "ledger/queries.h"
#include "proxy/board.h"
#include "proxy/budget.h"
#include "proxy/cache_file.h"
#include "proxy/file_watch.h"
#include "proxy/reload.h"
#include "proxy/worker.h"
#include "proxy/worker_thread.h"
#include "rules/engine.h"
#include "tokens/calibration.h"

namespace ccrules::proxy {
namespace {

/// Bodies of some 100 KB come and go with every request: keep their memory instead of returning it to the
/// kernel each time.
void keep_memory_of_bodies() {
  constexpr int kKeptBytes = 64 * 1024 * 1024;
  mallopt(M_MMAP_THRESHOLD, kKeptBytes);
  mallopt(M_TRIM_THRESHOLD, kKeptBytes);
}

void allow_many_descriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::size_t worker_count(const config::Snapshot& config) {
  if (config.workers > 0) return static_cast<std::size_t>(config.workers);
  return std::max(1u, std::thread::hardware_concurrency());
}

std::string home_directory() {
  const Environment environment = system_environment();
  const auto home = environment.find("HOME");
  return home == environment.end() ? std::string() : home->second;
}

std::string base_url(const config::Listen& listen, int port) {
  const bool everywhere = listen.host == "0.0.0.0" || listen.host == "::";
  const std::string host = everywhere                                   ? "127.0.0.1"
                           : listen.host.find(':') != std::string::npos ? "[" + listen.host + "]"
                                                                        : listen.host;
  return (listen.tls_cert.empty() ? "http://" : "https://") + host + ":" + std::to_string(port);
}

/// A message of several lines, one log line each.
void log_lines(log::Level level, std::string_view message) {
  for (const std::string_view line : text::split(message, '\n')) log::write(level, line);
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += "\n" + line;
  return text;
}

class Service final : public Control {
 public:
  explicit Service(const ServiceOptions& options) : options_(options), config_(options.snapshot) {}

  Result<void> run() {
    std::vector<std::string> why;
    Result<Candidate> first = build(config_, system_files(), worker_count(*config_), why);
    if (!first.ok()) {
      Error error = std::move(first).error();
      if (!why.empty()) error.message += ":" + joined(why);
      return error;
    }
    for (const std::string& line : why) log_lines(log::Level::kWarn, line);
    put_in_force(*first, system_clock().wall_us());
    open_ledger();
    open_cache_file();
    CCR_TRY(listener,
            Listener::open(loop_, config_->listen.host, static_cast<std::uint16_t>(config_->listen.port),
                           [this](int descriptor) { accept(descriptor); }));
    listener_ = std::move(listener);
    running_ = first->policies.size();
    for (auto& policy : first->policies) start_worker(std::move(policy));
    const Signals signals(loop_, [this](int signal) { on_signal(signal); });
    watch();
    if (options_.on_listening) options_.on_listening(base_url(config_->listen, listener_->port()));
    give_back_start_pages();
    loop_.run();
    if (reloading_.joinable()) reloading_.join();
    workers_.clear();
    return {};
  }

  void reload(std::string accept, std::function<void(std::string report_json)> done) override {
    Wish wish{std::move(accept), std::move(done)};
    loop_.post([this, wish = std::move(wish)] { begin_reload(wish); });
  }

 private:
  void open_ledger() {
    ledger::Settings settings;
    settings.path = config_->ledger.path;
    settings.keep_days = config_->ledger.keep_days;
    settings.durable = config_->ledger.durable;
    settings.calendar = calendar_of(*config_);
    tallies_.spend.use(settings.calendar);
    tallies_.spend.keep(named_in(config_->budgets));
    settings.spend = &tallies_.spend;
    auto ledger = ledger::Ledger::open(settings);
    if (ledger.ok()) {
      ledger_ = *std::move(ledger);
      learn_again(settings.path);
      open_batches(settings);
    } else {
      log::error("requests are served but not recorded: " + ledger.error().message);
    }
  }

  void open_batches(const ledger::Settings& settings) {
    constexpr std::int64_t kDayUs = 24 * 3600 * std::int64_t{1'000'000};
    const std::int64_t forget_us = settings.keep_days == 0 ? 0 : system_clock().wall_us() - settings.keep_days * kDayUs;
    auto batches = ledger::Batches::open(settings.path, forget_us);
    if (batches.ok()) {
      batches_ = *std::move(batches);
    } else {
      log::error("batches for other providers than Anthropic are refused: " + batches.error().message);
    }
  }

  void open_cache_file() {
    if (config_->cache.persist.empty()) return;
    tallies_.answers.resize(config_->cache.max_bytes);
    CacheFile::Settings settings;
    constexpr std::int64_t kNanosecondsPerMs = 1'000'000;
    settings.path = config_->cache.persist;
    settings.clock = &system_clock();
    settings.now_ms = [this] { return loop_.now_ns() / kNanosecondsPerMs; };  // of any thread
    auto file = CacheFile::open(std::move(settings), tallies_.answers);
    if (file.ok()) {
      cache_file_ = *std::move(file);
    } else {
      log::error(file.error().message);
    }
  }

  /// What providers' counts taught before the restart.
  void learn_again(const std::string& path) {
    const auto counts = ledger::learned_counts(path, limits::kLearnAgainRows);
    if (!counts) return;  // a ledger that cannot be read is reported where rows are written
    for (const ledger::LearnedCount& count : *counts) {
      calibration_->learn(count.key, count.estimate_tokens, count.billed_tokens);
    }
  }

  void start_worker(std::shared_ptr<Policy> policy) {
    WorkerThread::Setup setup;
    setup.policy = std::move(policy);
    setup.ledger = ledger_.get();
    setup.batches = batches_.get();
    setup.tallies = &tallies_;
    setup.vitals = &vitals_;
    setup.board = &board_;
    setup.control = this;
    setup.home = home_directory();
    setup.calibration = calibration_;
    setup.drained = [this] {
      loop_.post([this] {
        if (--running_ == 0) loop_.stop();
      });
    };
    workers_.push_back(std::make_unique<WorkerThread>(std::move(setup)));
  }

  /// Long streams and few of them: the least busy worker, not the kernel's hash (docs/architecture.md).
  void accept(int descriptor) {
    std::size_t total = 0;
    WorkerThread* least = workers_.front().get();
    for (const auto& worker : workers_) {
      total += worker->connections();
      if (worker->connections() < least->connections()) least = worker.get();
    }
    if (total >= config_->limits.connections) {
      ::close(descriptor);
      log::warn("more than limits.connections (" + std::to_string(config_->limits.connections) +
                ") clients: one was turned away");
      return;
    }
    least->adopt(descriptor);
  }

  void on_signal(int signal) {
    if (signal == SIGHUP) {
      begin_reload({});
    } else if (!draining_) {
      drain();
    } else {
      log::warn("stopping now; running requests are cut");
      cut();
    }
  }

  void drain() {
    draining_ = true;
    vitals_.ledger_reads().stop();
    log::info("stopping: running requests may finish, send the signal again to stop at once");
    listener_->close();
    for (const auto& worker : workers_) worker->drain();
    drain_timer_.start(loop_.timers(), limits::kDrainTime);
  }

  /// Ends what still runs.
  void cut() {
    for (const auto& worker : workers_) worker->shutdown();
    leave_timer_.start(loop_.timers(), limits::kLeaveTime);
  }

  /// Requests that do not end when they are cut wait for the pool, where nothing can be interrupted: the process goes without them.
  /// As after a crash, what hard budgets have set aside for them is held in the ledger; of others there is no row.
  [[noreturn]] void leave() {
    log::warn("some requests did not end when they were cut; they are left where they are");
    if (cache_file_) cache_file_->settle();
    if (ledger_) {
      const auto give_up = std::chrono::steady_clock::now() + limits::kLedgerCloseTime;
      ledger_->flush();
      while (ledger_->in_trouble() && std::chrono::steady_clock::now() < give_up) {
        std::this_thread::sleep_for(limits::kLedgerRetryFirst);
        ledger_->flush();
      }
    }
    ::_exit(0);
  }

  /// Somebody wants configuration and rules read again.
  struct Wish {
    std::string accept;
    std::function<void(std::string report_json)> done;  ///< may be empty
  };

  /// On a thread of its own: tests and past decisions take their time, and connections go on being accepted.
  void begin_reload(const Wish& wish) {
    if (draining_) {
      ReloadReport report;
      report.why.emplace_back("the proxy is stopping");
      if (wish.done) wish.done(to_json(report));
      return;
    }
    if (reloading_.joinable()) {
      wishes_.push_back(wish);
      return;
    }
    ReloadOrder order;
    order.config = options_.config;
    order.file = config_->file;
    order.dotenv = config_->dotenv;
    order.files = &system_files();
    order.environment = system_environment();
    order.workers = workers_.size();
    order.now_us = system_clock().wall_us();
    order.live = witness_.get();
    order.accept = wish.accept;
    reloading_ = std::thread([this, order = std::move(order), wish] {
      auto candidate = std::make_shared<Candidate>();
      auto report = std::make_shared<const ReloadReport>(prepare(order, *candidate));
      loop_.post([this, candidate, report, wish] { end_reload(*candidate, *report, wish); });
    });
  }

  /// All or nothing: what runs stays until everything new has proved itself.
  void end_reload(Candidate& candidate, const ReloadReport& report, const Wish& wish) {
    reloading_.join();
    board_.tried(report);
    if (report.outcome == ReloadReport::Outcome::kLive) {
      for (const std::string& line : report.why) log_lines(log::Level::kWarn, line);
      go_live(candidate, report.at_us);
      vitals_.set_reload_problem({});
      log::info("configuration and rules reloaded");
    } else {
      const bool held = report.outcome == ReloadReport::Outcome::kHeld;
      log_lines(log::Level::kError, std::string(held ? "reload held" : "reload refused") + ": the last good rules stay:" +
                                        joined(report.why));
      vitals_.set_reload_problem(report.why.front());
    }
    if (wish.done) wish.done(to_json(report));
    if (wishes_.empty()) return;
    const Wish next = std::move(wishes_.front());
    wishes_.pop_front();
    begin_reload(next);
  }

  void go_live(Candidate& candidate, std::int64_t now_us) {
    const config::Listen& before = config_->listen;
    const config::Listen& after = candidate.config->listen;
    if (before.host != after.host || before.port != after.port ||
        before.tls_cert.empty() != after.tls_cert.empty() ||
        worker_count(*config_) != worker_count(*candidate.config) || config_->time_zone != candidate.config->time_zone) {
      log::warn("listen, workers and time_zone change only with a restart; everything else is reloaded");
    }
    config_ = candidate.config;
    log::configure(config_->log);
    put_in_force(candidate, now_us);
    for (std::size_t i = 0; i < workers_.size(); ++i) workers_[i]->use(std::move(candidate.policies[i]));
    watch();
  }

  void put_in_force(Candidate& candidate, std::int64_t now_us) {
    const rules::EngineStatus status = candidate.witness->status();
    Board::InForce rules;
    rules.rule_set = status.rule_set;
    rules.since_us = now_us;
    const std::unique_ptr<rules::Shadow>& shadow = candidate.policies.front()->shadow;
    if (shadow) rules.candidate = shadow->candidate().hash();
    board_.in_force(std::move(rules));
    witness_ = std::move(candidate.witness);
  }

  void watch() {
    watched_ = FileWatch(*config_, system_files());
    if (config_->reload.watch) {
      for (const std::string& what : watched_.blind_spots()) log::warn(what);
      watch_timer_.start(loop_.timers(), limits::kWatchTime);
    } else {
      watch_timer_.stop();
    }
  }

  void look_at_files() {
    if (draining_ || !config_->reload.watch) return;
    watch_timer_.start(loop_.timers(), limits::kWatchTime);
    if (!watched_.changed()) return;
    log::info("a file of the configuration or the rules has changed: reading them again");
    begin_reload({});
  }

  const ServiceOptions& options_;
  std::shared_ptr<const config::Snapshot> config_;
  UvLoop loop_;
  Vitals vitals_{loop_.now_ns()};
  Tallies tallies_;
  std::unique_ptr<ledger::Ledger> ledger_;  ///< fills in the tallies
  std::unique_ptr<CacheFile> cache_file_;   ///< so does this
  std::unique_ptr<ledger::Batches> batches_;
  std::shared_ptr<tokens::Calibration> calibration_ = std::make_shared<tokens::Calibration>();
  std::unique_ptr<Listener> listener_;
  std::vector<std::unique_ptr<WorkerThread>> workers_;
  std::size_t running_ = 0;  ///< workers that have not drained
  bool draining_ = false;
  Board board_;
  std::unique_ptr<rules::Engine> witness_;  ///< the rules in force once more, for comparing; the reload's thread may use it
  std::thread reloading_;                   ///< joinable while a reload is on its way
  std::deque<Wish> wishes_;                 ///< reloads that wait for it
  FileWatch watched_;

  struct DrainTimer : Timer {
    explicit DrainTimer(Service& service)
        : Timer([](Timer& timer) noexcept { static_cast<DrainTimer&>(timer).owner.cut(); }), owner(service) {}
    Service& owner;
  };
  DrainTimer drain_timer_{*this};

  struct LeaveTimer : Timer {
    explicit LeaveTimer(Service& service)
        : Timer([](Timer& timer) noexcept { static_cast<LeaveTimer&>(timer).owner.leave(); }), owner(service) {}
    Service& owner;
  };
  LeaveTimer leave_timer_{*this};

  struct WatchTimer : Timer {
    explicit WatchTimer(Service& service)
        : Timer([](Timer& timer) noexcept { static_cast<WatchTimer&>(timer).owner.look_at_files(); }), owner(service) {}
    Service& owner;
  };
  WatchTimer watch_timer_{*this};
};

}  // namespace

Result<void> run_service(const ServiceOptions& options) {
  keep_memory_of_bodies();
  allow_many_descriptors();
  log::configure(options.snapshot->log);
  Service service(options);
  return service.run();
}

}  // namespace ccrules::proxy
