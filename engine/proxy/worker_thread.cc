#include "proxy/budget.h"
#include "proxy/worker_thread.h"

#include <utility>

#include "async/tcp.h"
#include "async/tls.h"
#include "async/uv_dialer.h"
#include "core/careful_files.h"
#include "core/limits.h"
#include "core/log.h"
#include "http/server.h"
#include "proxy/batch_runner.h"
#include "proxy/serve.h"

namespace ccrules::proxy {
namespace {

World world_of(UvLoop& loop, UvDialer& dialer, const WorkerThread::Setup& setup) {
  World world;
  world.loop = &loop;
  world.clock = &system_clock();
  world.random = &system_random();
  world.files = &careful_files();
  world.dialer = &dialer;
  world.ledger = setup.ledger;
  world.batches = setup.batches;
  world.tallies = setup.tallies;
  world.vitals = setup.vitals;
  world.board = setup.board;
  world.control = setup.control;
  world.home = setup.home;
  world.calibration = setup.calibration;
  return world;
}

}  // namespace

http::ServerLimits server_limits(const config::Snapshot& config) {
  http::ServerLimits limits;
  limits.header_bytes = config.limits.header;
  limits.compression = config.listen.compress == "on"    ? http::Compression::kAll
                       : config.listen.compress == "off" ? http::Compression::kOff
                                                         : http::Compression::kRemote;
  return limits;
}

struct WorkerThread::Inside {
  Inside(UvLoop& loop, const Setup& setup)
      : dialer(loop),
        worker(world_of(loop, dialer, setup), setup.policy),
        batches(worker),
        server(
            loop, [this](http::Exchange& exchange) { return serve(worker, exchange); },
            server_limits(*setup.policy->config)) {}

  UvDialer dialer;
  Worker worker;
  BatchRunner batches;
  http::Server server;
  std::function<void()> drained;
  std::shared_ptr<TlsContext> tls;  ///< null: plain HTTP
};

WorkerThread::WorkerThread(Setup setup)
    : thread_([this, setup = std::move(setup)]() mutable { run(std::move(setup)); }) {}

WorkerThread::~WorkerThread() {
  shutdown();
  loop_.post([this] { loop_.stop(); });
  thread_.join();
}

void WorkerThread::run(Setup setup) {
  inside_ = std::make_unique<Inside>(loop_, setup);
  const config::Listen& listen = setup.policy->config->listen;
  if (!listen.tls_cert.empty()) {
    auto context = TlsContext::server(listen.tls_cert, listen.tls_key);
    if (context.ok()) inside_->tls = *context;
  }
  inside_->drained = std::move(setup.drained);
  inside_->server.on_drained([this] { inside_->batches.stop(std::move(inside_->drained)); });
  inside_->batches.wake();  // what a restart left
  inside_->server.on_closed([this] { connections_.fetch_sub(1, std::memory_order_relaxed); });
  loop_.run();
  inside_.reset();
}

namespace {

/// Shakes hands, then serves. A handshake that fails is the peer's affair.
Task<void> serve_tls(http::Server& server, std::unique_ptr<ByteStream> plain,
                     std::shared_ptr<TlsContext> context, std::atomic<std::size_t>& connections) {
  auto secure = co_await tls_accept(std::move(plain), std::move(context), limits::kHeaderTime, StopToken());
  if (secure.ok()) {
    server.serve(*std::move(secure));
  } else {
    connections.fetch_sub(1, std::memory_order_relaxed);
  }
}

}  // namespace

void WorkerThread::adopt(int descriptor) {
  connections_.fetch_add(1, std::memory_order_relaxed);
  loop_.post([this, descriptor] {
    auto stream = adopt_tcp(loop_, descriptor);
    if (!stream) {
      connections_.fetch_sub(1, std::memory_order_relaxed);
      log::warn("a connection was lost before it was served: " + stream.error().message);
      return;
    }
    if (inside_->tls) {
      spawn(serve_tls(inside_->server, *std::move(stream), inside_->tls, connections_));
    } else {
      inside_->server.serve(*std::move(stream));
    }
  });
}

void WorkerThread::use(std::shared_ptr<Policy> policy) {
  loop_.post([this, policy = std::move(policy)]() mutable {
    const config::Listen& listen = policy->config->listen;
    if (inside_->tls) {
      auto context = TlsContext::server(listen.tls_cert, listen.tls_key);
      if (context.ok()) inside_->tls = *context;
    }
    inside_->dialer.reload_trust();
    Tallies& tallies = inside_->worker.tallies;
    if (policy->config->circuit.failures <= 0) tallies.circuits.set_free();
    tallies.spend.keep(named_in(policy->config->budgets));
    inside_->worker.policy = std::move(policy);
  });
}

void WorkerThread::drain() {
  loop_.post([this] { inside_->server.drain(); });
}

void WorkerThread::shutdown() {
  loop_.post([this] {
    inside_->server.shutdown();
    inside_->batches.stop({});
  });
}

}  // namespace ccrules::proxy
