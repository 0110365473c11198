#include "proxy/service.h"

#include <algorithm>
#include <atomic>
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include "async/listener.h"
#include "async/signals.h"
#include "async/tls.h"
#include "async/uv_loop.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/text.h"
#include "core/world.h"
#include "ledger/ledger.h"
#include "proxy/worker.h"
#include "proxy/worker_thread.h"
#include "rules/engine.h"

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

/// One policy per worker (rule engines are not shared), or the reasons why not.
Result<std::vector<std::shared_ptr<Policy>>> make_policies(
    const std::shared_ptr<const config::Snapshot>& config, std::size_t count) {
  std::vector<std::shared_ptr<Policy>> policies;
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<config::Diagnostic> diagnostics;
    auto policy = std::make_shared<Policy>();
    policy->config = config;
    policy->rules = rules::Engine::load(*config, system_files(), diagnostics);
    if (!policy->rules) {
      std::string reasons = "the rules cannot be loaded:";
      for (const config::Diagnostic& diagnostic : diagnostics) {
        if (!diagnostic.warning) reasons += "\n" + config::render(diagnostic);
      }
      return bad_request(std::move(reasons));
    }
    policies.push_back(std::move(policy));
  }
  return policies;
}

Result<void> check_certificate(const config::Listen& listen) {
  if (listen.tls_cert.empty()) return {};
  auto context = TlsContext::server(listen.tls_cert, listen.tls_key);
  if (!context) return std::move(context).error();
  return {};
}

/// A message of several lines, one log line each.
void log_lines(log::Level level, std::string_view message) {
  for (const std::string_view line : text::split(message, '\n')) log::write(level, line);
}

class Service {
 public:
  explicit Service(const ServiceOptions& options) : options_(options), config_(options.snapshot) {}

  Result<void> run() {
    CCR_CHECK(check_certificate(config_->listen));
    CCR_TRY(policies, make_policies(config_, worker_count(*config_)));
    open_ledger();
    CCR_TRY(listener,
            Listener::open(loop_, config_->listen.host, static_cast<std::uint16_t>(config_->listen.port),
                           [this](int descriptor) { accept(descriptor); }));
    listener_ = std::move(listener);
    running_ = policies.size();
    for (auto& policy : policies) start_worker(std::move(policy));
    const Signals signals(loop_, [this](int signal) { on_signal(signal); });
    if (options_.on_listening) options_.on_listening(base_url(config_->listen, listener_->port()));
    loop_.run();
    workers_.clear();
    return {};
  }

 private:
  void open_ledger() {
    ledger::Settings settings;
    settings.path = config_->ledger.path;
    settings.keep_days = config_->ledger.keep_days;
    settings.durable = config_->ledger.durable;
    auto ledger = ledger::Ledger::open(settings);
    if (ledger.ok()) {
      ledger_ = *std::move(ledger);
    } else {
      log::error("requests are served but not recorded: " + ledger.error().message);
    }
  }

  void start_worker(std::shared_ptr<Policy> policy) {
    WorkerThread::Setup setup;
    setup.policy = std::move(policy);
    setup.ledger = ledger_.get();
    setup.rates = &rates_;
    setup.vitals = &vitals_;
    setup.home = home_directory();
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
      reload();
    } else if (!draining_) {
      drain();
    } else {
      log::warn("stopping now; running requests are cut");
      for (const auto& worker : workers_) worker->shutdown();
    }
  }

  void drain() {
    draining_ = true;
    log::info("stopping: running requests may finish, send the signal again to stop at once");
    listener_->close();
    for (const auto& worker : workers_) worker->drain();
    drain_timer_.start(loop_.timers(), limits::kDrainTime);
  }

  void reload() {
    auto loaded = load_again();
    if (!loaded) {
      const std::string& why = loaded.error().message;
      log_lines(log::Level::kError, "reload refused: " + why + "\nwhat ran before goes on");
      // The lines below the first quote files, which may hold keys: they stay in the log.
      vitals_.set_reload_problem(why.substr(0, why.find('\n')) + " (the log says where)");
      return;
    }
    vitals_.set_reload_problem({});
    log::info("configuration and rules reloaded");
  }

  /// All or nothing: what runs stays until everything new has loaded.
  Result<void> load_again() {
    config::Loaded loaded = config::load(system_files(), system_environment(), options_.config);
    for (const config::Diagnostic& diagnostic : loaded.diagnostics) {
      log_lines(diagnostic.warning ? log::Level::kWarn : log::Level::kError, config::render(diagnostic));
    }
    if (!loaded.snapshot) return bad_request("the configuration has errors");
    CCR_CHECK(check_certificate(loaded.snapshot->listen));
    CCR_TRY(policies, make_policies(loaded.snapshot, workers_.size()));
    warn_of_fixed_settings(*loaded.snapshot);
    config_ = loaded.snapshot;
    log::configure(config_->log);
    for (std::size_t i = 0; i < workers_.size(); ++i) workers_[i]->use(std::move(policies[i]));
    return {};
  }

  void warn_of_fixed_settings(const config::Snapshot& next) const {
    const config::Listen& before = config_->listen;
    const config::Listen& after = next.listen;
    if (before.host != after.host || before.port != after.port ||
        before.tls_cert.empty() != after.tls_cert.empty() || worker_count(*config_) != worker_count(next)) {
      log::warn("listen and workers change only with a restart; everything else is reloaded");
    }
  }

  const ServiceOptions& options_;
  std::shared_ptr<const config::Snapshot> config_;
  UvLoop loop_;
  Vitals vitals_{loop_.now_ns()};
  std::unique_ptr<ledger::Ledger> ledger_;
  rules::Rates rates_;
  std::unique_ptr<Listener> listener_;
  std::vector<std::unique_ptr<WorkerThread>> workers_;
  std::size_t running_ = 0;  ///< workers that have not drained
  bool draining_ = false;

  struct DrainTimer : Timer {
    explicit DrainTimer(Service& service)
        : Timer([](Timer& timer) noexcept {
            for (const auto& worker : static_cast<DrainTimer&>(timer).owner.workers_) worker->shutdown();
          }),
          owner(service) {}
    Service& owner;
  };
  DrainTimer drain_timer_{*this};
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
