#include "cache/store.h"

#include <algorithm>
#include <list>
#include <mutex>
#include <optional>
#include <random>
#include <unordered_map>

#include "cache/sketch.h"

namespace ccrules::cache {
namespace {

constexpr std::size_t kFlyingPart = 8;          ///< An eighth of the bytes is left to answers on their way: they push nothing out.
constexpr std::size_t kWindowPart = 100;        ///< 1 % of the bytes are for newcomers,
constexpr std::size_t kProtectedPercent = 80;   ///< 80 % of the others for what was asked for again.
constexpr std::size_t kBytesPerThing = 4096;    ///< The sketch has a counter for each; smaller answers are no burden.
constexpr std::size_t kMostThings = 1u << 20;
constexpr unsigned kMostStrangers = 8;    ///< Comparisons in vain, of the same beginnings and ends with other things between:
constexpr unsigned kStrangersAgain = 256;  ///< from then on only every so many questions of that family are compared,
constexpr unsigned kMostLeftOut = 4096;    ///< and twice as many after each that is in vain too, up to this.
constexpr std::size_t kKnownStrangers = 256;  ///< families
constexpr std::size_t kMostLookedAt = 16;     ///< Of a family, whether they are young enough to be compared.
constexpr std::size_t kMapBytes = 256;          ///< Of an entry in all maps and in its list, about.

constexpr std::size_t kSecretBytes = 32;

std::string new_secret() {
  std::random_device device;
  std::string secret;
  while (secret.size() < kSecretBytes) secret += static_cast<char>(device() & 0xffu);
  return secret;
}

std::uint64_t seed_of(const std::string& secret) { return digest::hash64(secret); }

enum class Segment : std::uint8_t { kFlying, kWindow, kProbation, kProtected };
constexpr std::size_t kSegments = 4;

struct Node {
  std::shared_ptr<Answer> answer;
  Segment segment = Segment::kFlying;
  std::size_t bytes = 0;
  std::int64_t kept_ms = 0;
  std::int64_t ttl_ms = 0;
  std::uint64_t hits = 0;
  std::int64_t saved_nanousd = 0;
  Node* older = nullptr;  ///< of the same family
  Node* newer = nullptr;
};
using List = std::list<Node>;
using Place = List::iterator;

std::size_t bytes_of(const Question& question) {
  return sizeof(Node) + sizeof(Answer) + kMapBytes + question.context.capacity() + question.dialect.capacity() + question.body.capacity();
}
std::size_t bytes_of(const Answer& answer) { return bytes_of(answer.question()) + answer.held_bytes(); }

/// Families whose questions begin and end alike and differ between, so that comparing them is in vain. Remembered by itself: answers
/// that nobody keeps leave no other trace. Of two families with one place the later one has it.
class Strangers {
 public:
  /// Whether the family's next question is to be compared with others.
  bool compare(std::uint64_t family) noexcept {
    Known& known = place(family);
    if (known.family != family || known.in_vain < kMostStrangers) return true;
    if (++known.left_out < known.pause) return false;
    known.left_out = 0;
    return true;
  }
  void compared(std::uint64_t family, bool was_same) noexcept {
    Known& known = place(family);
    if (known.family != family || was_same) known = {};
    known.family = family;
    if (was_same) return;
    if (known.in_vain < kMostStrangers) {
      ++known.in_vain;
    } else {
      known.pause = std::min(2 * known.pause, kMostLeftOut);
    }
  }

 private:
  struct Known {
    std::uint64_t family = 0;
    unsigned in_vain = 0;   ///< comparisons in a row that found nothing
    unsigned left_out = 0;  ///< comparisons that were not made since the last one
    unsigned pause = kStrangersAgain;
  };
  Known& place(std::uint64_t family) noexcept { return known_.at(family % known_.size()); }

  std::array<Known, kKnownStrangers> known_;
};

/// What a question is counted by.
const digest::Hash128& name_of(const Question& question) { return question.letter ? *question.letter : question.sample; }

/// Questions of one sample. At most one has no letter.
struct Bucket {
  std::optional<Place> unnamed;
  std::size_t questions = 0;
};

struct HashOfHash {
  std::size_t operator()(const digest::Hash128& hash) const noexcept { return static_cast<std::size_t>(hash.low); }
};

}  // namespace

/// Everything under the lock. What is taken out goes to `gone`, which the caller frees after it has let go of the lock.
struct Store::Inside {
  explicit Inside(std::size_t bound) : max(bound) {}

  static std::size_t things(std::size_t bound) { return std::clamp<std::size_t>(bound / kBytesPerThing, 256, kMostThings); }

  List& list(Segment segment) { return lists[static_cast<std::size_t>(segment)]; }
  std::size_t& bytes(Segment segment) { return sums[static_cast<std::size_t>(segment)]; }
  [[nodiscard]] std::size_t total() const {
    std::size_t sum = 0;
    for (const std::size_t part : sums) sum += part;
    return sum;
  }

  [[nodiscard]] std::size_t stored() { return total() - bytes(Segment::kFlying); }
  [[nodiscard]] std::size_t room() const { return max - max / kFlyingPart; }

  /// To the front of another list.
  void move(Place node, Segment to) {
    bytes(node->segment) -= node->bytes;
    bytes(to) += node->bytes;
    list(to).splice(list(to).begin(), list(node->segment), node);
    node->segment = to;
  }

  void take_out(Place node) {
    bytes(node->segment) -= node->bytes;
    const Question& question = node->answer->question();
    const auto bucket = samples.find(question.sample);
    if (question.letter) {
      letters.erase(*question.letter);
    } else {
      bucket->second.unnamed.reset();
    }
    if (--bucket->second.questions == 0) samples.erase(bucket);
    if (node->newer != nullptr) {
      node->newer->older = node->older;
    } else if (node->older != nullptr) {
      families[question.family] = node->older;
    } else {
      families.erase(question.family);
    }
    if (node->older != nullptr) node->older->newer = node->newer;
    gone.splice(gone.end(), list(node->segment), node);
  }

  void add(std::shared_ptr<Answer> answer, std::size_t its_bytes) {
    List& flying = list(Segment::kFlying);
    flying.emplace_front();
    const Place node = flying.begin();
    node->answer = std::move(answer);
    node->bytes = its_bytes;
    bytes(Segment::kFlying) += its_bytes;
    const Question& question = node->answer->question();
    Bucket& bucket = samples[question.sample];
    ++bucket.questions;
    if (question.letter) {
      letters.emplace(*question.letter, node);
    } else {
      bucket.unnamed = node;
    }
    Node*& newest = families[question.family];
    node->older = newest;
    if (newest != nullptr) newest->newer = &*node;
    newest = &*node;
  }

  /// Where this very answer stands; end of the flying ones when it does not any more.
  Place find(const Answer& answer) {
    const Place nowhere = list(Segment::kFlying).end();
    const Question& question = answer.question();
    std::optional<Place> found;
    if (!question.letter) {
      const auto bucket = samples.find(question.sample);
      if (bucket != samples.end()) found = bucket->second.unnamed;
    } else if (const auto letter = letters.find(*question.letter); letter != letters.end()) {
      found = letter->second;
    }
    return found && (*found)->answer.get() == &answer ? *found : nowhere;
  }
  bool is_here(Place node) { return node != list(Segment::kFlying).end(); }

  /// Makes the rest fit beside what is on its way: the oldest newcomer or the least useful of the others goes, whichever is less
  /// wanted. False: what is on its way is too much by itself.
  bool make_room() {
    while (total() > max) {
      List& window = list(Segment::kWindow);
      List& others = list(list(Segment::kProbation).empty() ? Segment::kProtected : Segment::kProbation);
      if (window.empty() && others.empty()) return false;
      const bool newcomer = others.empty() || (!window.empty() && wanted(window.back()) <= wanted(others.back()));
      if (newcomer && !others.empty()) {
        ++stats.rejected;
        take_out(std::prev(window.end()));
      } else {
        evict(std::prev(newcomer ? window.end() : others.end()));
      }
    }
    return true;
  }

  void evict(Place node) {
    ++stats.evicted;
    take_out(node);
  }

  [[nodiscard]] unsigned wanted(const Node& node) const { return sketch.estimate(name_of(node.answer->question()).low); }

  /// A newcomer leaves the window: into the main part when there is room, or when it is asked for more often than all those
  /// together that would have to make room for it.
  void graduate(Place candidate) {
    const std::size_t now = stored();
    const unsigned worth = wanted(*candidate);
    std::size_t freed = 0;
    unsigned others = 0;
    bool loses = false;  // a large one may face hundreds of small ones: it is enough to look at the first of them
    std::vector<Place> victims;
    for (const Segment from : {Segment::kProbation, Segment::kProtected}) {
      for (Place node = list(from).end(); !loses && now - freed > room() && node != list(from).begin();) {
        --node;
        victims.push_back(node);
        freed += node->bytes;
        others += wanted(*node);
        loses = worth <= others;
      }
    }
    if (loses || now - freed > room()) {
      ++stats.rejected;
      take_out(candidate);
      return;
    }
    for (const Place victim : victims) evict(victim);
    move(candidate, Segment::kProbation);
  }

  /// Takes out what the question is asked again in place of. False: it may be there, and fresh.
  bool make_way(const Question& question, Age age, const Compared& compared) {
    const auto bucket = samples.find(question.sample);
    if (bucket == samples.end()) return true;
    if (const std::optional<Place> unnamed = bucket->second.unnamed) {
      if ((*unnamed)->answer != compared.with) return false;
      if (compared.is_same) take_out(*unnamed);
      if (compared.is_same) return true;
    }
    if (!question.letter) return false;
    const auto same = letters.find(*question.letter);
    if (same == letters.end()) return true;
    if (is_fresh(*same->second, age)) return false;
    take_out(same->second);
    return true;
  }

  void begin() {
    if (!used) sketch = Sketch(things(max));
    used = true;
  }

  /// An answer on its way is complete.
  void keep(Place node, std::size_t its_bytes, Age age) {
    bytes(Segment::kFlying) += its_bytes - node->bytes;
    node->bytes = its_bytes;
    node->kept_ms = age.now_ms;
    node->ttl_ms = age.ttl.count();
    move(node, Segment::kWindow);
    settle();
  }

  void settle() {
    List& window = list(Segment::kWindow);
    while (!window.empty() && bytes(Segment::kWindow) > max / kWindowPart) graduate(std::prev(window.end()));
    make_room();
  }

  void promote(Place node) {
    if (node->segment == Segment::kWindow) move(node, Segment::kWindow);
    if (node->segment != Segment::kProbation && node->segment != Segment::kProtected) return;
    move(node, Segment::kProtected);
    List& favourites = list(Segment::kProtected);
    while (favourites.size() > 1 && bytes(Segment::kProtected) > room() / 100 * kProtectedPercent) {
      move(std::prev(favourites.end()), Segment::kProbation);
    }
  }

  [[nodiscard]] static bool is_fresh(const Node& node, Age age) {
    return node.segment == Segment::kFlying || age.now_ms - node.kept_ms < std::min(node.ttl_ms, age.ttl.count());
  }
  [[nodiscard]] static bool is_over(const Node& node, Age age) {
    return node.segment != Segment::kFlying && age.now_ms - node.kept_ms >= node.ttl_ms;
  }

  std::mutex mutex;
  std::size_t max;
  Sketch sketch{0};    ///< of its full size from the first question on: most proxies have no cache
  bool used = false;
  std::array<List, kSegments> lists;
  std::array<std::size_t, kSegments> sums{};
  std::unordered_map<digest::Hash128, Bucket, HashOfHash> samples;
  std::unordered_map<digest::Hash128, Place, HashOfHash> letters;  ///< of those that have one
  std::unordered_map<std::uint64_t, Node*> families;  ///< the newest of the questions that may be the same in other words
  Strangers strangers;
  List gone;
  Stats stats;
  std::uint64_t generation = 0;  ///< how often everything was taken out
};

/// The lock, and what was taken out while it was held: freed behind it.
class StoreLock {
 public:
  template <class Inside>
  explicit StoreLock(Inside& inside) : lock_(inside.mutex), gone_(inside.gone) {}
  ~StoreLock() {
    List freed;
    freed.swap(gone_);
    lock_.unlock();
  }
  StoreLock(const StoreLock&) = delete;
  StoreLock& operator=(const StoreLock&) = delete;

 private:
  std::unique_lock<std::mutex> lock_;
  List& gone_;
};

Store::Store(std::size_t max_bytes)
    : secret_(new_secret()), seed_(seed_of(secret_)), max_bytes_(max_bytes), inside_(std::make_unique<Inside>(max_bytes)) {}
Store::~Store() = default;

void Store::adopt(std::string secret) {
  secret_ = std::move(secret);
  seed_ = seed_of(secret_);
}

Store::Sampled Store::sampled(const digest::Hash128& sample, Age age) {
  Sampled sampled;
  Inside& in = *inside_;
  const StoreLock lock(in);
  in.begin();
  in.sketch.count(sample.low);
  auto bucket = in.samples.find(sample);
  if (bucket != in.samples.end() && bucket->second.unnamed && Inside::is_over(**bucket->second.unnamed, age)) {
    in.take_out(*bucket->second.unnamed);
    bucket = in.samples.find(sample);
  }
  if (bucket == in.samples.end()) return sampled;
  sampled.some = true;
  if (!bucket->second.unnamed) return sampled;
  const Node& node = **bucket->second.unnamed;
  sampled.unnamed = node.answer;
  sampled.fresh = Inside::is_fresh(node, age);
  return sampled;
}

std::shared_ptr<Answer> Store::same(const digest::Hash128& letter, Age age) {
  Inside& in = *inside_;
  const StoreLock lock(in);
  in.begin();
  in.sketch.count(letter.low);
  const auto found = in.letters.find(letter);
  if (found == in.letters.end()) return nullptr;
  const Place node = found->second;
  if (Inside::is_fresh(*node, age)) return node->answer;
  if (Inside::is_over(*node, age)) in.take_out(node);
  return nullptr;
}

Store::Similar Store::similar(std::uint64_t family, Age age) {
  Similar found;
  Inside& in = *inside_;
  const StoreLock lock(in);
  const auto newest = in.families.find(family);
  if (newest == in.families.end() || !in.strangers.compare(family)) return found;
  std::size_t count = 0;
  std::size_t looked_at = 0;
  for (Node* node = newest->second; node != nullptr && count < found.size() && looked_at < kMostLookedAt; node = node->older) {
    ++looked_at;
    if (Inside::is_fresh(*node, age)) found.at(count++) = node->answer;
  }
  return found;
}

void Store::compared(std::uint64_t family, bool was_same) {
  Inside& in = *inside_;
  const StoreLock lock(in);
  in.strangers.compared(family, was_same);
}

std::shared_ptr<Answer> Store::ask(Question& question, Age age, const Compared& compared) {
  const std::size_t bytes = bytes_of(question);
  std::shared_ptr<Answer> answer;
  bool is_newer = age.ttl.count() <= 0;  // than what a keeper has, even where the store has forgotten it
  {
    Inside& in = *inside_;
    const StoreLock lock(in);
    const std::size_t before = in.gone.size();
    if (!in.make_way(question, age, compared)) return nullptr;
    is_newer = is_newer || in.gone.size() > before;
    if (in.bytes(Segment::kFlying) + bytes <= in.max) {
      answer = std::make_shared<Answer>(std::move(question));
      in.add(answer, bytes);
      in.make_room();
    }
  }
  // Whatever becomes of this one, the old one is not to come back.
  Keeper* keeper = is_newer ? keeper_.load(std::memory_order_acquire) : nullptr;
  if (keeper != nullptr) keeper->forget(answer ? answer->question() : question);
  return answer;
}

bool Store::grow(const Answer& answer) {
  const std::size_t bytes = bytes_of(answer);
  Inside& in = *inside_;
  const StoreLock lock(in);
  const Place node = in.find(answer);
  if (!in.is_here(node)) return false;
  in.bytes(node->segment) += bytes - node->bytes;
  node->bytes = bytes;
  if (in.make_room()) return true;
  in.take_out(node);
  return false;
}

void Store::keep(const std::shared_ptr<Answer>& answer, Age age) {
  const std::size_t bytes = bytes_of(*answer);
  {
    Inside& in = *inside_;
    const StoreLock lock(in);
    const Place node = in.find(*answer);
    if (!in.is_here(node) || node->segment != Segment::kFlying) return;
    in.keep(node, bytes, age);
    if (!in.is_here(in.find(*answer))) return;
  }
  Keeper* keeper = keeper_.load(std::memory_order_acquire);
  if (keeper == nullptr) return;
  keeper->keep(answer, age.ttl);
  // Cleared or dropped meanwhile: the keeper may have been told that first.
  bool here = false;
  {
    Inside& in = *inside_;
    const StoreLock lock(in);
    here = in.is_here(in.find(*answer));
  }
  if (!here) keeper->forget(answer->question());
}

void Store::restore(const std::shared_ptr<Answer>& answer, Age age, std::uint64_t generation) {
  const std::size_t bytes = bytes_of(*answer);
  Inside& in = *inside_;
  const StoreLock lock(in);
  in.begin();
  if (in.generation != generation || bytes > in.max) return;
  const Question& question = answer->question();
  const auto bucket = in.samples.find(question.sample);
  // What is there is newer; what has no letter may be the same.
  if (bucket != in.samples.end() && (bucket->second.unnamed || !question.letter || in.letters.contains(*question.letter))) return;
  in.add(answer, bytes);
  in.keep(in.list(Segment::kFlying).begin(), bytes, age);
}

std::uint64_t Store::generation() const {
  Inside& in = *inside_;
  const StoreLock lock(in);
  return in.generation;
}

void Store::drop(const Answer& answer) {
  {
    Inside& in = *inside_;
    const StoreLock lock(in);
    const Place node = in.find(answer);
    if (!in.is_here(node)) return;
    in.take_out(node);
  }
  if (answer.state() != Answer::State::kComplete) return;
  if (Keeper* keeper = keeper_.load(std::memory_order_acquire)) keeper->forget(answer.question());
}

void Store::hit(const Answer& answer, std::int64_t saved_nanousd) {
  Inside& in = *inside_;
  const StoreLock lock(in);
  ++in.stats.hits;
  in.stats.saved_nanousd += saved_nanousd;
  const Place node = in.find(answer);
  if (!in.is_here(node)) return;
  ++node->hits;
  node->saved_nanousd += saved_nanousd;
  in.promote(node);
}

void Store::missed() {
  Inside& in = *inside_;
  const StoreLock lock(in);
  ++in.stats.misses;
}

Store::Cleared Store::clear() {
  Cleared cleared;
  {
    Inside& in = *inside_;
    const StoreLock lock(in);
    cleared.bytes = in.total();
    ++in.generation;
    for (List& list : in.lists) {
      if (&list != &in.list(Segment::kFlying)) cleared.entries += list.size();
      while (!list.empty()) in.take_out(list.begin());
    }
  }
  if (Keeper* keeper = keeper_.load(std::memory_order_acquire)) keeper->clear();
  return cleared;
}

Store::Stats Store::stats() const {
  Inside& in = *inside_;
  const StoreLock lock(in);
  Stats stats = in.stats;
  stats.bytes = in.total();
  stats.max_bytes = in.max;
  for (const Segment segment : {Segment::kWindow, Segment::kProbation, Segment::kProtected}) stats.entries += in.list(segment).size();
  return stats;
}

std::vector<Store::Top> Store::top(std::size_t most) const {
  std::vector<Top> rows;
  {
    Inside& in = *inside_;
    const StoreLock lock(in);
    for (const List& list : in.lists) {
      for (const Node& node : list) {
        if (node.hits > 0) rows.push_back({name_of(node.answer->question()), node.hits, node.saved_nanousd});
      }
    }
  }
  const auto better = [](const Top& a, const Top& b) {
    return a.saved_nanousd != b.saved_nanousd ? a.saved_nanousd > b.saved_nanousd : a.hits > b.hits;
  };
  const std::size_t shown = std::min(most, rows.size());
  std::partial_sort(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(shown), rows.end(), better);
  rows.resize(shown);
  return rows;
}

void Store::resize(std::size_t max_bytes) {
  if (max_bytes_.load(std::memory_order_relaxed) == max_bytes) return;
  Inside& in = *inside_;
  const StoreLock lock(in);
  max_bytes_.store(max_bytes, std::memory_order_relaxed);
  in.max = max_bytes;
  in.used = false;
  in.make_room();
}

}  // namespace ccrules::cache
