#include <filesystem>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "ledger/batches.h"
#include "ledger/ledger.h"

using namespace ccrules;
using namespace ccrules::ledger;

namespace {

constexpr std::int64_t kDay = 24 * 3600 * std::int64_t{1'000'000};

/// A ledger's file, with the batches in it.
class Store {
 public:
  Store() {
    char pattern[] = "/tmp/ccrules-batches-XXXXXX";
    folder_ = mkdtemp(pattern);
    Settings settings;
    settings.path = path();
    auto opened = Ledger::open(settings);
    REQUIRE(opened.ok());
    ledger_ = *std::move(opened);
    restart(0);
  }
  ~Store() {
    batches_.reset();
    ledger_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  void restart(std::int64_t forget_us) {
    batches_.reset();
    auto opened = Batches::open(path(), forget_us);
    REQUIRE(opened.ok());
    batches_ = *std::move(opened);
  }
  Batches* operator->() { return batches_.get(); }

  void add(const std::string& id, int items, std::int64_t at_us = 1000) {
    Batch batch;
    batch.id = id;
    batch.owner = "me";
    batch.created_us = at_us;
    batch.expires_us = at_us + kDay;
    std::vector<BatchItem> all;
    for (int i = 0; i < items; ++i) all.push_back({id + "-" + std::to_string(i), "{\"n\":" + std::to_string(i) + "}"});
    REQUIRE(batches_->add(batch, "user-agent: x\n", all).ok());
  }
  BatchJob claim(std::int64_t now_us = 2000) {
    auto job = batches_->claim(now_us);
    REQUIRE(job.ok());
    return job->value_or(BatchJob());
  }
  Batch find(const std::string& id, std::int64_t now_us = 2000) {
    auto batch = batches_->find(id, "me", now_us);
    REQUIRE(batch.ok());
    return batch->value_or(Batch());
  }
  std::string states(const std::string& id) {
    auto results = batches_->results(id, 0, 100);
    REQUIRE(results.ok());
    std::string text;
    for (const BatchResult& result : *results) text += "WRSECX"[static_cast<int>(result.state)];
    return text;
  }

 private:
  [[nodiscard]] std::string path() const { return folder_ + "/ledger.db"; }
  std::string folder_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<Batches> batches_;
};

}  // namespace

TEST_CASE("requests are claimed in order, the oldest batch first, and each once") {
  Store store;
  store.add("young", 1, 1500);
  store.add("old", 2, 1000);
  CHECK(store.claim().params_json == "{\"n\":0}");
  const BatchJob second = store.claim();
  CHECK(second.batch == "old");
  CHECK(second.at == 1);
  CHECK(second.headers == "user-agent: x\n");
  CHECK(second.owner == "me");
  CHECK(store.claim().batch == "young");
  CHECK(store.claim().batch.empty());
}

TEST_CASE("a batch ends with its last request") {
  Store store;
  store.add("b", 2);
  const BatchJob first = store.claim();
  const BatchJob second = store.claim();
  REQUIRE(store->finish(first, BatchState::kSucceeded, "{\"a\":1}", 3000).ok());
  CHECK(store.find("b").ended_us == 0);
  CHECK(store.find("b").counts.processing == 1);
  REQUIRE(store->finish(second, BatchState::kErrored, "{\"e\":1}", 4000).ok());
  const Batch batch = store.find("b");
  CHECK(batch.ended_us == 4000);
  CHECK(batch.counts.succeeded == 1);
  CHECK(batch.counts.errored == 1);
  CHECK(store.states("b") == "SE");
  CHECK((*store->results("b", 1, 5))[0].body_json == "{\"e\":1}");
}

TEST_CASE("what was under way when the proxy stopped is sent again") {
  Store store;
  store.add("b", 2);
  const BatchJob done = store.claim();
  REQUIRE(store->finish(done, BatchState::kSucceeded, "{}", 3000).ok());
  (void)store.claim();
  CHECK(store.states("b") == "SR");
  store.restart(0);
  CHECK(store.states("b") == "SW");
  CHECK(store.claim().at == 1);
}

TEST_CASE("cancelling keeps what is under way and ends with it") {
  Store store;
  store.add("b", 3);
  const BatchJob running = store.claim();
  REQUIRE(store->cancel("b", 5000).ok());
  CHECK(store.states("b") == "RCC");
  CHECK(store.find("b").canceled_us == 5000);
  CHECK(store.find("b").ended_us == 0);
  CHECK(store.claim().batch.empty());
  REQUIRE(store->finish(running, BatchState::kSucceeded, "{}", 6000).ok());
  CHECK(store.find("b").ended_us == 6000);
  CHECK(store.find("b").counts.canceled == 2);
}

TEST_CASE("a request of a cancelled batch that has to wait again is cancelled too") {
  Store store;
  store.add("b", 1);
  const BatchJob running = store.claim();
  REQUIRE(store->cancel("b", 5000).ok());
  REQUIRE(store->put_back(running, 9000, true).ok());
  CHECK(store.states("b") == "C");
  CHECK(store.find("b", 6000).ended_us == 6000);
}

TEST_CASE("what has not begun within a day expires") {
  Store store;
  store.add("b", 2);
  const BatchJob running = store.claim();
  CHECK(store.claim(1000 + kDay).batch.empty());
  CHECK(store.states("b") == "RX");
  REQUIRE(store->finish(running, BatchState::kSucceeded, "{}", 2000 + kDay).ok());
  CHECK(store.find("b", 3000 + kDay).counts.expired == 1);
  CHECK(store.find("b", 3000 + kDay).ended_us == 2000 + kDay);
}

TEST_CASE("a request that is put back comes again when it is due, with its tries counted") {
  Store store;
  store.add("b", 1);
  REQUIRE(store->put_back(store.claim(), 9000, true).ok());
  CHECK(store.claim(8999).batch.empty());
  CHECK(store->next_due_us().ok());
  CHECK(**store->next_due_us() == 9000);
  const BatchJob again = store.claim(9000);
  CHECK(again.tries == 1);
  REQUIRE(store->put_back(again, 9500, false).ok());
  CHECK(store.claim(9500).tries == 1);
}

TEST_CASE("lists are the owner's, newest first, in pages") {
  Store store;
  for (const char* id : {"a", "b", "c"}) store.add(id, 1);
  const auto ids = [&](const std::string& owner, BatchPage page) {
    std::string text;
    auto found = store->list(owner, page, 2000);
    REQUIRE(found.ok());
    for (const Batch& batch : *found) text += batch.id;
    return text;
  };
  CHECK(ids("me", {}) == "cba");
  CHECK(ids("you", {}).empty());
  CHECK(ids("me", {"", "", 2}) == "cb");
  CHECK(ids("me", {"b", "", 5}) == "a");
  CHECK(ids("me", {"", "b", 5}) == "c");
  CHECK_FALSE(store->find("a", "you", 2000)->has_value());
}

TEST_CASE("batches that were handed on are known, not listed, and their results count once") {
  Store store;
  Batch batch;
  batch.id = "there";
  batch.owner = "me";
  batch.provider = "anth";
  batch.created_us = 1000;
  REQUIRE(store->add(batch, {}, {}).ok());
  CHECK(store.find("there").provider == "anth");
  CHECK(store->list("me", {}, 2000)->empty());
  CHECK(*store->first_results("there", 5000));
  CHECK_FALSE(*store->first_results("there", 6000));
}

TEST_CASE("what ended long ago is forgotten at the next start") {
  Store store;
  store.add("done", 1);
  store.add("waiting", 1);
  REQUIRE(store->finish(store.claim(), BatchState::kSucceeded, "{}", 3000).ok());
  store.restart(3000);
  CHECK(store.find("done").id.empty());
  CHECK(store.states("done").empty());
  CHECK(store.find("waiting").id == "waiting");
}
