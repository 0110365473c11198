#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "http/server.h"
#include "ledger/batches.h"
#include "ledger/ledger.h"
#include "proxy/batch_runner.h"
#include "proxy/board.h"
#include "proxy/worker.h"
#include "support/memory_files.h"
#include "support/sim_world.h"

/// The whole proxy in virtual time: one worker, memory connections, scripted providers, a real ledger in a
/// temporary folder.
namespace ccrules::test {

/// A row of the ledger: column name -> text, NULL as "".
using Row = std::map<std::string, std::string>;

class ProxyWorld {
 public:
  /// @param config ccrules.json as text; the test fails when it does not load
  /// @param files other files the configuration names (rules), by absolute path
  /// @param ledger a database to start with, as crash() left it
  explicit ProxyWorld(SimWorld& world, const std::string& config,
                      std::map<std::string, std::string> files = {}, const std::string& ledger = {});
  ~ProxyWorld();

  /// A client connection that has sent one request.
  std::unique_ptr<MemoryClient> ask(const std::string& path, const std::string& body,
                                    const std::string& headers = {});
  /// Sends one request, runs the loop to rest and returns the answer.
  Message answer(const std::string& path, const std::string& body, const std::string& headers = {});
  /// Any other method.
  Message call(const std::string& method, const std::string& path, const std::string& headers = {});
  /// Everything recorded so far, in order.
  std::vector<Row> rows();
  /// What is committed at this moment.
  [[nodiscard]] std::vector<Row> committed_rows() const;
  /// What a kill at this moment leaves on the disk: the path of a copy.
  [[nodiscard]] std::string crash() const;
  /// Runs the loop to rest, waiting for a durable ledger's commits.
  void run();

  [[nodiscard]] http::Server& server() { return *server_; }
  [[nodiscard]] proxy::Vitals& vitals() { return vitals_; }
  [[nodiscard]] proxy::Worker& worker() { return *worker_; }
  [[nodiscard]] proxy::Tallies& tallies() { return tallies_; }
  [[nodiscard]] ledger::Ledger& ledger() { return *ledger_; }

 private:
  SimWorld& world_;
  MemoryFiles files_;
  std::string folder_;
  proxy::Tallies tallies_;
  std::unique_ptr<ledger::Ledger> ledger_;
  std::unique_ptr<ledger::Batches> batches_;
  proxy::Vitals vitals_{0};
  bool waits_for_ledger_ = false;
  proxy::Board board_;
  std::unique_ptr<proxy::Worker> worker_;
  std::unique_ptr<proxy::BatchRunner> runner_;
  std::unique_ptr<http::Server> server_;
};

/// An HTTP reply with this body, as a scripted upstream sends it.
std::string http_reply(int status, std::string_view content_type, std::string_view body,
                       std::string_view more_headers = {});
/// The same in chunks (a stream), one per piece; without the final chunk when `cut`.
std::string http_stream(const std::vector<std::string>& pieces, bool cut = false);
/// A small complete Anthropic stream saying `text`; its events one by one.
std::vector<std::string> anthropic_events(std::string_view text);
/// A small complete OpenAI stream saying `text`; its events one by one, usage chunk and [DONE] last.
std::vector<std::string> openai_events(std::string_view text);

}  // namespace ccrules::test
