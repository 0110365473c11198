#include "ledger/hold_file.h"

#include <array>
#include <atomic>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "core/digest.h"
#include "core/ids.h"
#include "core/limits.h"

namespace ccrules::ledger {
namespace {

constexpr std::string_view kMark = "-holds-";

/// What a slot begins with.
struct SlotHead {
  std::uint64_t version = 0;  ///< 0: nothing is held in it; stored behind all the rest
  std::uint64_t bytes = 0;  ///< behind the head
  std::uint64_t sum = 0;    ///< of those
};
constexpr std::uint64_t kVersion = 1;
constexpr std::uint64_t kSumSeed = 0x686f6c6473;  // of what a torn write leaves; nobody else writes the file

/// The texts of a row that its own place in the ledger will need, in the order of the file. New ones come last: a slot of an older
/// version ends before them, and an older version leaves them unread.
template <class Row, class Each>
void each_text(Row& row, Each&& each) {
  for (auto* text : {&row.id, &row.client, &row.dialect, &row.path, &row.session, &row.user, &row.project, &row.agent,
                     &row.request_class, &row.requested_model, &row.decision_id, &row.rule, &row.reason, &row.provider, &row.model,
                     &row.tags_json, &row.key, &row.subagent, &row.payer, &row.billed_model, &row.nested_run}) {
    each(*text);
  }
}

/// A slot as it is written, byte behind byte.
class Slot {
 public:
  template <class Value>
  void add(const Value& value) {
    add(&value, sizeof(Value));
  }
  void add(const std::string& text) {
    add(static_cast<std::uint32_t>(text.size()));
    add(text.data(), text.size());
  }
  /// With its head; empty when it does not fit.
  [[nodiscard]] std::string_view whole() {
    if (!fits_) return {};
    const std::string_view rest(bytes_.data() + sizeof(SlotHead), size_ - sizeof(SlotHead));
    const SlotHead head{kVersion, rest.size(), digest::hash64(rest, kSumSeed)};
    std::memcpy(bytes_.data(), &head, sizeof(head));
    return std::string_view(bytes_.data(), size_);
  }

 private:
  void add(const void* from, std::size_t size) {
    fits_ = fits_ && size <= bytes_.size() - size_;
    if (!fits_) return;
    std::memcpy(bytes_.data() + size_, from, size);
    size_ += size;
  }
  std::array<char, HoldFile::kSlotBytes> bytes_;
  std::size_t size_ = sizeof(SlotHead);
  bool fits_ = true;
};

template <class Value>
bool take(std::string_view& from, Value& value) {
  if (from.size() < sizeof(Value)) return false;
  std::memcpy(&value, from.data(), sizeof(Value));
  from.remove_prefix(sizeof(Value));
  return true;
}

std::optional<Record> read(std::string_view slot) {
  SlotHead head;
  if (!take(slot, head) || head.version != kVersion || head.bytes > slot.size()) return std::nullopt;
  slot = slot.substr(0, head.bytes);
  if (digest::hash64(slot, kSumSeed) != head.sum) return std::nullopt;
  Record row;
  std::int64_t nanousd = 0;
  std::uint8_t stream = 0;
  bool whole = take(slot, row.at_us) && take(slot, nanousd) && take(slot, stream);
  row.cost_nanousd = nanousd;
  row.stream = stream != 0;
  each_text(row, [&](std::string& text) {
    if (slot.empty()) return;
    std::uint32_t size = 0;
    whole = whole && take(slot, size) && size <= slot.size();
    if (!whole) return;
    text = slot.substr(0, size);
    slot.remove_prefix(size);
  });
  return whole ? std::optional<Record>(std::move(row)) : std::nullopt;
}

std::size_t place_of(std::uint32_t slot) { return (slot - 1) * HoldFile::kSlotBytes; }

/// What a slot says is true from this store on. A kill comes before or after it.
void set_version(char* slot, std::uint64_t version) {
  std::atomic_ref(*reinterpret_cast<std::uint64_t*>(slot)).store(version, std::memory_order_release);
}

void store(char* slot, std::string_view bytes) {
  set_version(slot, 0);
  std::atomic_signal_fence(std::memory_order_seq_cst);  // in this order: what a kill leaves is what was stored until then
  std::memcpy(slot + sizeof(std::uint64_t), bytes.data() + sizeof(std::uint64_t), bytes.size() - sizeof(std::uint64_t));
  set_version(slot, kVersion);
}

std::vector<Record> read_all(int fd) {
  std::vector<Record> rows;
  std::string slot(HoldFile::kSlotBytes, '\0');
  for (std::uint32_t at = 1; at <= HoldFile::kSlots; ++at) {
    const ssize_t got = ::pread(fd, slot.data(), slot.size(), static_cast<off_t>(place_of(at)));
    if (got <= 0) break;
    if (auto row = read(std::string_view(slot).substr(0, static_cast<std::size_t>(got)))) rows.push_back(*std::move(row));
  }
  return rows;
}

}  // namespace

FileHandle::~FileHandle() {
  if (fd_ >= 0) ::close(fd_);
}

std::unique_ptr<HoldFile> HoldFile::create(const std::string& ledger_path) {
  const std::string path = ledger_path + std::string(kMark) + ids::make("", system_random());
  const std::string unlocked = path + "~";  // under its own name only when it is locked: whoever finds it so may take it over
  FileHandle file(::open(unlocked.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!file.is_open()) return nullptr;
  auto mapped = MappedFile::map(file.get(), kSlots * kSlotBytes);
  if (!mapped || ::flock(file.get(), LOCK_EX | LOCK_NB) != 0 || ::rename(unlocked.c_str(), path.c_str()) != 0) {
    ::unlink(unlocked.c_str());
    return nullptr;
  }
  return std::unique_ptr<HoldFile>(new HoldFile(std::move(file), path, std::move(mapped)));
}

HoldFile::~HoldFile() {
  if (free_.size() == used_) ::unlink(path_.c_str());
}

char* HoldFile::at(std::uint32_t slot) const { return mapped_->bytes() + place_of(slot); }

/// Whether the file is still what it was made: asked before it grows, which would hide a cut, and with each batch of rows.
void HoldFile::look_after() {
  struct stat now {};
  const bool is_whole = ::fstat(file_.get(), &now) == 0 && now.st_nlink > 0 && static_cast<std::size_t>(now.st_size) >= used_ * kSlotBytes;
  if (!is_whole) is_cut_.store(true, std::memory_order_relaxed);
}

bool HoldFile::is_lost() const { return is_cut_.load(std::memory_order_relaxed) || mapped_->is_lost(); }

/// A slot for whoever asks, which the disk has room for; kNone: there is none.
std::uint32_t HoldFile::take() {
  static constexpr std::array<char, kSlotBytes> kNothing{};
  const std::lock_guard lock(mutex_);
  if (!free_.empty()) {
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    return slot;
  }
  look_after();
  if (used_ == kSlots || is_lost()) return kNone;
  // A full disk is an error code here, and only a copying file system may have no room for it later.
  const ssize_t grown = ::pwrite(file_.get(), kNothing.data(), kNothing.size(), static_cast<off_t>(place_of(used_ + 1)));
  return grown == static_cast<ssize_t>(kNothing.size()) ? ++used_ : kNone;
}

void HoldFile::give_back(std::uint32_t slot) {
  set_version(at(slot), 0);
  const std::lock_guard lock(mutex_);
  free_.push_back(slot);
}

std::uint32_t HoldFile::put(const Record& row, std::int64_t nanousd, std::uint32_t before) {
  Slot written;
  written.add(row.at_us);
  written.add(nanousd);
  written.add(std::uint8_t{row.stream});
  each_text(row, [&written](const std::string& text) { written.add(text); });
  const std::string_view bytes = written.whole();
  if (bytes.empty() || is_lost()) return kNone;
  const std::uint32_t slot = take();
  if (slot == kNone) return kNone;
  store(at(slot), bytes);
  if (mapped_->is_lost()) {
    give_back(slot);
    return kNone;
  }
  if (before != kNone) give_back(before);  // killed until here it is held twice: the larger one counts
  return slot;
}

void HoldFile::release(std::span<const Record> rows) {
  const std::lock_guard lock(mutex_);
  for (const Record& row : rows) {
    if (row.held_slot == kNone) continue;
    set_version(at(row.held_slot), 0);
    free_.push_back(row.held_slot);
  }
  look_after();
}

std::vector<HoldFile::Left> HoldFile::left_behind(const std::string& ledger_path) {
  std::vector<Left> all;
  const std::filesystem::path ledger(ledger_path);
  const std::filesystem::path folder = ledger.has_parent_path() ? ledger.parent_path() : std::filesystem::path(".");
  const std::string start = ledger.filename().string() + std::string(kMark);
  std::error_code failed;
  for (std::filesystem::directory_iterator at(folder, failed), end; !failed && at != end; at.increment(failed)) {
    const std::string path = at->path().string();
    if (!at->path().filename().string().starts_with(start)) continue;
    FileHandle file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (!file.is_open() || ::flock(file.get(), LOCK_EX | LOCK_NB) != 0) continue;  // its process lives
    std::vector<Record> rows = read_all(file.get());
    all.push_back({path, std::move(file), std::move(rows)});
  }
  return all;
}

void HoldFile::remove(const Left& left) { ::unlink(left.path.c_str()); }

}  // namespace ccrules::ledger
