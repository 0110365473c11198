#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "cache/sketch.h"
#include "cache/store.h"

using namespace ccrules;
using cache::Answer;
using cache::Question;
using cache::Store;

namespace {

constexpr std::chrono::milliseconds kHour{3600000};

Question question(int number, std::size_t bytes = 1000) {
  Question asked;
  asked.sample = asked.letter.emplace(digest::hash128(std::to_string(number), 7));
  asked.family = digest::hash64("family " + std::to_string(number / 3), 7);
  asked.context = "user";
  asked.dialect = "anthropic";
  asked.body.assign(bytes, static_cast<char>('a' + number % 26));
  return asked;
}

struct Found {
  std::shared_ptr<Answer> same;
  Store::Similar similar;
};

Found look(Store& store, int number, std::int64_t now_ms = 0, std::chrono::milliseconds ttl = kHour) {
  const Question asked = question(number);
  Found found;
  if (store.sampled(asked.sample, {now_ms, ttl}).some) found.same = store.same(*asked.letter, {now_ms, ttl});
  if (!found.same) found.similar = store.similar(asked.family, {now_ms, ttl});
  return found;
}

/// Asks, answers and keeps. False when it could not be asked.
bool answer(Store& store, int number, std::size_t question_bytes = 1000, std::size_t answer_bytes = 1000, std::int64_t now_ms = 0) {
  Question asked = question(number, question_bytes);
  const auto asking = store.ask(asked, {now_ms, kHour}, {});
  if (!asking) return false;
  asking->arrives({});
  asking->append(std::string(answer_bytes, 'x'), true);
  const bool room = store.grow(*asking);
  asking->complete();
  if (room) store.keep(asking, {now_ms, kHour});
  return true;
}

bool is_kept(Store& store, int number) {
  const auto found = look(store, number).same;
  return found && found->state() == Answer::State::kComplete;
}

}  // namespace

TEST_CASE("the sketch never counts less than it was told, up to its most, and forgets in time") {
  cache::Sketch sketch(1000);
  for (std::uint64_t thing = 0; thing < 100; ++thing) {
    for (std::uint64_t i = 0; i < thing % 12; ++i) sketch.count(digest::hash64(std::to_string(thing)));
  }
  int exact = 0;
  for (std::uint64_t thing = 0; thing < 100; ++thing) {
    const unsigned estimate = sketch.estimate(digest::hash64(std::to_string(thing)));
    CHECK(estimate >= thing % 12);
    exact += estimate == thing % 12 ? 1 : 0;
  }
  CHECK(exact >= 95);
  const std::uint64_t favourite = digest::hash64("favourite");
  for (int i = 0; i < 20; ++i) sketch.count(favourite);
  CHECK(sketch.estimate(favourite) == 15);
  for (int i = 0; i < 40000; ++i) sketch.count(digest::hash64("other " + std::to_string(i)));
  CHECK(sketch.estimate(favourite) < 15);
}

TEST_CASE("what was kept is found again until it is too old, for whoever asks and whatever was agreed") {
  Store store(1 << 20);
  REQUIRE(answer(store, 1));
  CHECK(look(store, 1, 3599999).same != nullptr);
  CHECK(look(store, 1, 1000, std::chrono::milliseconds(1000)).same == nullptr);  // this one wants it fresher
  CHECK(look(store, 1, 999, std::chrono::milliseconds(1000)).same != nullptr);
  CHECK(look(store, 1, 3600000, 10 * kHour).same == nullptr);
  CHECK(store.stats().entries == 0);  // too old for anybody: gone
  CHECK(store.stats().bytes == 0);
}

TEST_CASE("a question that others are asking is not asked again, and its answer can be read from the start") {
  Store store(1 << 20);
  Question first = question(1);
  const auto asking = store.ask(first, {0, kHour}, {});
  REQUIRE(asking);
  Question second = question(1);
  CHECK(store.ask(second, {0, kHour}, {}) == nullptr);
  CHECK(second.body.size() == 1000);  // untouched
  CHECK(look(store, 1).same == asking);
  store.drop(*asking);
  CHECK(look(store, 1).same == nullptr);
  CHECK(store.ask(second, {0, kHour}, {}) != nullptr);
}

TEST_CASE("of questions of one sample the first needs no letter, and all others are told apart by theirs") {
  Store store(1 << 20);
  const Store::Age age{0, kHour};
  const auto sampled_as = [](int number, const Question& other) {
    Question asked = question(number);
    asked.sample = other.sample;
    return asked;
  };
  Question first = question(1);
  const Question unasked = first;
  CHECK_FALSE(store.sampled(first.sample, age).some);
  first.letter.reset();
  const auto unnamed = store.ask(first, age, {});
  REQUIRE(unnamed);
  auto seen = store.sampled(unasked.sample, age);
  CHECK(seen.some);
  CHECK(seen.unnamed == unnamed);
  CHECK(seen.fresh);

  Question other = sampled_as(2, unasked);
  CHECK_FALSE(store.ask(other, age, {}));  // it may be the same for all that its caller knows
  const auto second = store.ask(other, age, {unnamed, false});
  REQUIRE(second);
  Question nameless = sampled_as(3, unasked);
  nameless.letter.reset();
  CHECK_FALSE(store.ask(nameless, age, {unnamed, false}));  // others have the sample
  CHECK(nameless.body.size() == 1000);
  other = sampled_as(2, unasked);
  CHECK_FALSE(store.ask(other, age, {unnamed, false}));  // is being asked
  CHECK(store.same(*sampled_as(2, unasked).letter, age) == second);

  store.drop(*unnamed);
  seen = store.sampled(unasked.sample, age);
  CHECK(seen.some);
  CHECK_FALSE(seen.unnamed);
  first = unasked;
  first.letter.reset();
  CHECK_FALSE(store.ask(first, age, {}));  // perhaps it is one of those with letters
  first = unasked;
  CHECK(store.ask(first, age, {}));
  CHECK(store.same(*unasked.letter, age));
  store.drop(*second);
  store.drop(*store.same(*unasked.letter, age));
  CHECK_FALSE(store.sampled(unasked.sample, age).some);
  CHECK(store.stats().bytes == 0);
}

TEST_CASE("an answer to a question without a letter makes way for the newer one that its caller wants") {
  Store store(1 << 20);
  Question asked = question(1);
  asked.letter.reset();
  const Question again = asked;
  const auto old = store.ask(asked, {0, kHour}, {});
  REQUIRE(old);
  old->arrives({});
  old->append("old", true);
  old->complete();
  store.keep(old, {0, kHour});
  const Store::Age now{5, std::chrono::milliseconds(0)};  // no-cache
  const auto seen = store.sampled(again.sample, now);
  CHECK(seen.unnamed == old);
  CHECK_FALSE(seen.fresh);
  const bool has_letter = GENERATE(false, true);
  asked = again;
  if (has_letter) asked.letter = digest::hash128("worked out before", 7);
  const auto fresh = store.ask(asked, now, {old, true});
  REQUIRE(fresh);
  CHECK(store.stats().entries == 0);
  const auto found = store.sampled(again.sample, now);
  CHECK(found.unnamed == (has_letter ? nullptr : fresh));
  asked = again;
  CHECK_FALSE(store.ask(asked, now, {old, true}));  // somebody else was first
  CHECK(store.sampled(again.sample, {kHour.count() + 5, kHour}).some);  // on its way
  store.drop(*old);
  CHECK(store.sampled(again.sample, now).some);
}

TEST_CASE("strangers of one sample do not make each other popular") {
  const bool one_sample = GENERATE(false, true);
  Store store(4'000'000);
  const auto fill = [&](int number, bool is_favourite) {
    Question asked = question(number, 20'000);
    if (one_sample && !is_favourite) asked.sample = digest::hash128("strangers", 7);
    const Store::Age age{0, kHour};
    if (store.sampled(asked.sample, age).some && store.same(*asked.letter, age)) return;
    const auto asking = store.ask(asked, age, {});
    REQUIRE(asking);
    asking->arrives({});
    asking->append(std::string(15'000, 'x'), true);
    REQUIRE(store.grow(*asking));
    asking->complete();
    store.keep(asking, age);
  };
  for (int times = 0; times < 5; ++times) {
    for (int number = 0; number < 80; ++number) fill(number, true);
  }
  for (int number = 1000; number < 1400; ++number) fill(number, false);
  int left = 0;
  for (int number = 0; number < 80; ++number) left += is_kept(store, number) ? 1 : 0;
  CHECK(left == 80);
}

TEST_CASE("of a large family only a few are looked at, whether or not they are young enough") {
  Store store(1 << 22);
  const auto ask = [&](int number, std::int64_t now_ms) {
    Question asked = question(number);
    asked.family = 1;
    const auto asking = store.ask(asked, {now_ms, kHour}, {});
    REQUIRE(asking);
    asking->arrives({});
    asking->append("x", true);
    asking->complete();
    store.keep(asking, {now_ms, kHour});
  };
  ask(0, 1000);
  for (int number = 1; number <= 14; ++number) ask(number, 0);
  const Store::Age young{1100, std::chrono::milliseconds(500)};
  CHECK(store.similar(1, young)[0] != nullptr);
  for (int number = 15; number <= 40; ++number) ask(number, 0);
  CHECK(store.similar(1, young)[0] == nullptr);
  CHECK(store.similar(1, {1100, kHour})[3] != nullptr);
}

TEST_CASE("whoever asks questions of few samples, each has one place and all bytes are counted") {
  std::mt19937 dice(11);
  Store store(60'000);
  std::vector<std::shared_ptr<Answer>> under_way;
  std::map<int, std::string> newest;  // what the last complete answer to a question said, as long as it may be there
  for (int i = 0; i < 30'000; ++i) {
    const int number = static_cast<int>(dice() % 40);
    Question asked = question(number);
    const digest::Hash128 letter = *asked.letter;
    asked.letter.reset();
    asked.sample = digest::hash128(std::to_string(number % 4), 7);
    asked.body = std::to_string(number) + std::string(500, '.');
    const std::string body = asked.body;
    const Store::Age age{i, dice() % 5 == 0 ? std::chrono::milliseconds(0) : kHour};
    Store::Sampled sampled = store.sampled(asked.sample, age);
    Store::Compared compared{sampled.unnamed, sampled.unnamed && sampled.unnamed->question().body == body};
    std::shared_ptr<Answer> found = compared.is_same && sampled.fresh ? sampled.unnamed : nullptr;
    if (sampled.some && !compared.is_same) {
      asked.letter = letter;
      found = store.same(letter, age);
    }
    if (found) {
      CHECK(found->question().body == body);
      if (found->state() == Answer::State::kComplete) CHECK(found->bytes() == newest[number]);
    } else if (auto asking = store.ask(asked, age, compared)) {
      asking->arrives({});
      under_way.push_back(std::move(asking));
    } else {
      CHECK(under_way.size() > 3);  // else there is room
    }
    if (under_way.size() > 3 && dice() % 2 == 0) {
      const std::size_t which = dice() % under_way.size();
      const std::shared_ptr<Answer> done = under_way[which];
      under_way.erase(under_way.begin() + static_cast<std::ptrdiff_t>(which));
      if (dice() % 4 == 0) {
        store.drop(*done);
      } else {
        done->append(std::to_string(i), true);
        if (!store.grow(*done)) continue;
        done->complete();
        newest[std::stoi(done->question().body)] = std::to_string(i);
        store.keep(done, {i, kHour});
      }
    }
    CHECK(store.stats().bytes <= 60'000);
  }
  for (const auto& asking : under_way) store.drop(*asking);
  (void)store.clear();
  CHECK(store.stats().bytes == 0);
  CHECK_FALSE(store.sampled(digest::hash128("1", 7), {0, kHour}).some);
}

TEST_CASE("the newest of a family are offered for a closer look") {
  Store store(1 << 20);
  for (const int number : {0, 1, 2}) REQUIRE(answer(store, number));  // one family of three
  const auto found = look(store, 1);
  CHECK(found.same != nullptr);
  Question stranger = question(0);
  stranger.letter = digest::hash128("in other words", 7);
  const auto similar = store.similar(stranger.family, {0, kHour});
  REQUIRE(similar[0]);
  REQUIRE(similar[1]);
  CHECK(similar[0]->question().letter == question(2).letter);
  CHECK(similar[1]->question().letter == question(1).letter);
}

TEST_CASE("whatever comes and goes, the bytes never exceed the bound") {
  for (const std::size_t bound : {std::size_t{0}, std::size_t{3000}, std::size_t{100'000}, std::size_t{1'000'000}}) {
    CAPTURE(bound);
    std::mt19937 dice(5);
    Store store(bound);
    std::vector<std::shared_ptr<Answer>> under_way;
    for (int i = 0; i < 20'000; ++i) {
      const int number = static_cast<int>(dice() % 3000);
      const auto now_ms = static_cast<std::int64_t>(i);
      switch (dice() % 6) {
        case 0: {
          Question asked = question(number, dice() % 20'000);
          if (auto asking = store.ask(asked, {now_ms, kHour}, {})) {
            asking->arrives({});
            under_way.push_back(std::move(asking));
          }
          break;
        }
        case 1:
        case 2:
          if (!under_way.empty()) {
            auto& one = under_way[dice() % under_way.size()];
            one->append(std::string(dice() % 5000, 'y'), false);
            if (!store.grow(*one)) std::swap(one, under_way.back()), under_way.pop_back();
          }
          break;
        case 3:
          if (!under_way.empty()) {
            under_way.back()->complete();
            store.keep(under_way.back(), {now_ms, std::chrono::milliseconds(dice() % 5000)});
            under_way.pop_back();
          }
          break;
        case 4:
          if (const auto found = look(store, number, now_ms).same) store.hit(*found, 1);
          break;
        default:
          if (dice() % 50 == 0) store.clear();
          if (!under_way.empty() && dice() % 4 == 0) {
            store.drop(*under_way.back());
            under_way.pop_back();
          }
      }
      REQUIRE(store.stats().bytes <= bound);
    }
    store.clear();
    CHECK(store.stats().bytes == 0);
    CHECK(store.stats().entries == 0);
  }
}

TEST_CASE("what is asked for again and again stays while a flood of single questions goes by") {
  Store store(200'000);
  for (int round = 0; round < 5; ++round) {
    for (int number = 0; number < 20; ++number) {
      if (const auto found = look(store, number).same) {
        store.hit(*found, 1);
      } else {
        answer(store, number);
      }
    }
  }
  for (int number = 1000; number < 6000; ++number) {
    (void)look(store, number);
    answer(store, number);
  }
  int stayed = 0;
  for (int number = 0; number < 20; ++number) stayed += is_kept(store, number) ? 1 : 0;
  CHECK(stayed == 20);
  CHECK(store.stats().rejected > 4000);
}

TEST_CASE("new favourites take the place of old ones") {
  Store store(100'000);
  const auto ask_for = [&store](int from, int rounds) {
    for (int round = 0; round < rounds; ++round) {
      for (int number = from; number < from + 30; ++number) {
        if (const auto found = look(store, number).same) {
          store.hit(*found, 1);
        } else {
          answer(store, number);
        }
      }
    }
  };
  ask_for(0, 20);
  ask_for(500, 200);
  int kept = 0;
  for (int number = 500; number < 530; ++number) kept += is_kept(store, number) ? 1 : 0;
  CHECK(kept >= 25);
}

TEST_CASE("clearing empties the cache, and what is under way then is not kept") {
  Store store(1 << 20);
  REQUIRE(answer(store, 1));
  Question asked = question(2);
  const auto asking = store.ask(asked, {0, kHour}, {});
  asking->arrives({});
  const Store::Cleared cleared = store.clear();
  CHECK(cleared.entries == 1);
  CHECK(cleared.bytes > 3000);
  asking->complete();
  store.keep(asking, {0, kHour});
  CHECK(store.stats().entries == 0);
  CHECK(look(store, 2).same == nullptr);
}

TEST_CASE("the most useful answers come first") {
  Store store(1 << 20);
  for (const int number : {1, 2, 3}) REQUIRE(answer(store, number));
  store.hit(*look(store, 2).same, 500);
  store.hit(*look(store, 3).same, 100);
  store.hit(*look(store, 3).same, 100);
  const auto top = store.top(10);
  REQUIRE(top.size() == 2);
  CHECK(top[0].hash == question(2).letter);
  CHECK(top[0].saved_nanousd == 500);
  CHECK(top[1].hits == 2);
  CHECK(store.top(1).size() == 1);
}

TEST_CASE("a smaller bound takes effect at once") {
  Store store(1 << 20);
  for (int number = 0; number < 100; ++number) REQUIRE(answer(store, number));
  store.resize(10'000);
  CHECK(store.stats().bytes <= 10'000);
  CHECK(store.stats().max_bytes == 10'000);
}

TEST_CASE("readers get every byte from the first on, whenever they join") {
  const auto answer = std::make_shared<Answer>(question(1));
  int rung = 0;
  const auto ring = [&rung] { ++rung; };
  cache::Reader early(answer);
  CHECK(early.wait_for_arrival(ring));
  answer->append("he", false);
  answer->restart();  // that attempt failed
  answer->append("hel", false);
  answer->arrives({});
  CHECK(rung >= 1);
  CHECK_FALSE(early.wait_for_arrival(ring));
  std::string got;
  CHECK_FALSE(early.read(2, got, ring).end);
  CHECK(got == "he");
  CHECK_FALSE(early.read(100, got, ring).end);
  CHECK_FALSE(early.read(100, got, ring).end);  // nothing new: rings when there is
  const int before = rung;
  answer->append("lo", true);
  CHECK(rung == before + 1);
  cache::Reader late(answer);
  std::string all;
  CHECK(late.read(100, all, ring).end);
  CHECK(all == "hello");
  CHECK(early.read(100, got, ring).end);
  CHECK(got == "hello");
}

TEST_CASE("who asked is told when the last reader leaves, and may leave himself while there is one") {
  const auto answer = std::make_shared<Answer>(question(1));
  CHECK(answer->asker_left([] {}));  // nobody reads
  bool alone = false;
  {
    const cache::Reader reader(answer);
    CHECK_FALSE(answer->asker_left([&alone] { alone = true; }));
    CHECK_FALSE(answer->give_up({}));
    CHECK_FALSE(alone);
  }
  CHECK(alone);
  CHECK(answer->give_up(internal_error("too long")));
  cache::Reader late(answer);
  std::string got;
  const auto progress = late.read(10, got, [] {});
  REQUIRE(progress.failure);
  CHECK(progress.failure->message == "too long");
}

TEST_CASE("many threads ask, answer, read and clear at once") {
  Store store(300'000);
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&store, seed] {
      std::mt19937 dice(seed);
      for (int i = 0; i < 3000; ++i) {
        const int number = static_cast<int>(dice() % 60);
        if (const auto found = look(store, number, i).same) {
          cache::Reader reader(found);
          std::string got;
          (void)reader.read(10'000, got, [] {});
          store.hit(*found, 1);
        } else {
          answer(store, number, 1000, dice() % 3000, i);
        }
        if (dice() % 500 == 0) store.clear();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(store.stats().bytes <= 300'000);
}

TEST_CASE("a family of strangers is hardly ever compared any more, until one of them turns out to be the same") {
  Store store(1 << 20);
  REQUIRE(answer(store, 3));
  const std::uint64_t family = question(3).family;
  const auto is_offered = [&] { return store.similar(family, {0, kHour}).front() != nullptr; };
  for (int i = 0; i < 8; ++i) {
    CHECK(is_offered());
    store.compared(family, false);
  }
  std::vector<int> pauses = {0};
  while (pauses.size() < 8) {
    ++pauses.back();
    if (!is_offered()) continue;
    store.compared(family, false);
    pauses.push_back(0);
  }
  pauses.pop_back();
  CHECK(pauses == std::vector{256, 512, 1024, 2048, 4096, 4096, 4096});
  CHECK(store.same(*question(3).letter, {0, kHour}));  // the same words are found as ever
  store.compared(family, true);
  for (int i = 0; i < 8; ++i) {
    CHECK(is_offered());
    store.compared(family, false);
  }
  int pause = 1;
  while (!is_offered()) ++pause;
  CHECK(pause == 256);
  store.compared(digest::hash64("nobody"), false);
}

TEST_CASE("strangers are remembered when none of their answers is kept") {
  Store store(1 << 20);
  const std::uint64_t family = question(3).family;
  int offered = 0;
  for (int i = 0; i < 100; ++i) {
    cache::Question asked = question(3);
    const std::shared_ptr<Answer> flying = store.ask(asked, {i, kHour}, {});
    REQUIRE(flying);
    if (store.similar(family, {i, kHour}).front()) {
      ++offered;
      store.compared(family, false);
    }
    store.drop(*flying);
  }
  CHECK(offered == 8);
  CHECK(store.stats().entries == 0);
}

TEST_CASE("answers from elsewhere are kept with their age, and not once the cache has been emptied") {
  Store store(1 << 20);
  const auto kept = [](int number) {
    auto whole = std::make_shared<Answer>(question(number));
    whole->arrives({});
    whole->append("x", true);
    whole->complete();
    return whole;
  };
  const std::uint64_t generation = store.generation();
  store.restore(kept(1), {-1'800'000, kHour}, generation);
  CHECK(store.stats().entries == 1);
  CHECK(look(store, 1, 1'799'999).same);
  CHECK_FALSE(look(store, 1, 1'800'000).same);
  REQUIRE(answer(store, 2));
  const auto own = look(store, 2).same;
  store.restore(kept(2), {0, kHour}, generation);  // what is there is newer
  CHECK(look(store, 2).same == own);
  store.clear();
  store.restore(kept(3), {0, kHour}, generation);
  CHECK(store.stats().bytes == 0);
}

TEST_CASE("whoever keeps answers elsewhere is told what is kept, what is useless, and when all is forgotten") {
  struct Told final : cache::Keeper {
    void keep(std::shared_ptr<const Answer> answer, std::chrono::milliseconds ttl) override {
      CHECK(ttl == kHour);
      what += " keep " + std::string(1, answer->question().body.front());
    }
    void forget(const Question& asked) override { what += " forget " + std::string(1, asked.body.front()); }
    void clear() override { what += " clear"; }
    std::string what;
  };
  Told told;
  Store store(1 << 20);
  store.tell(&told);
  REQUIRE(answer(store, 1));
  REQUIRE(answer(store, 2));
  Question broken = question(3);
  const auto asking = store.ask(broken, {0, kHour}, {});
  store.drop(*asking);  // never was complete
  store.drop(*look(store, 1).same);
  store.clear();
  CHECK(told.what == " keep b keep c forget b clear");
  // A newer answer is wanted: the old one is forgotten, whatever becomes of the new one and whether or not the store has it still.
  told.what.clear();
  REQUIRE(answer(store, 4));
  for (const bool has_it : {true, false}) {
    CHECK((look(store, 4).same != nullptr) == has_it);
    Question again = question(4);
    const auto newer = store.ask(again, {1, std::chrono::milliseconds(0)}, {});
    REQUIRE(newer);
    store.drop(*newer);
  }
  Question other = question(5);
  store.drop(*store.ask(other, {1, kHour}, {}));  // nobody asks for it anew
  CHECK(told.what == " keep e forget e forget e");
}
