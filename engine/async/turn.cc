#include "async/turn.h"

#include <utility>

#include "core/limits.h"

namespace ccrules {

bool Turn::receive(Member& member, std::string_view bytes) {
  if (bytes.size() > limits::kTurnPieceBytes || in_.bytes.size() + bytes.size() > limits::kTurnBytes) return false;
  if (member.came_at_ != Member::kNone) return false;
  member.came_at_ = in_.entries.size();
  in_.entries.push_back({&member, in_.bytes.size(), bytes.size()});
  in_.bytes.append(bytes);
  return true;
}

std::span<char> Turn::take_received(Member& member) noexcept {
  if (member.came_at_ == Member::kNone) return {};
  Entry& entry = in_.entries[std::exchange(member.came_at_, Member::kNone)];
  entry.member = nullptr;
  return {in_.bytes.data() + entry.begin, entry.size};
}

bool Turn::post(Member& member, std::span<const std::string_view> pieces, std::size_t offset, std::size_t total) {
  if (total > limits::kTurnPieceBytes || out_.bytes.size() + total > limits::kTurnBytes) return false;
  if (member.send_at_ == Member::kNone) {
    member.send_at_ = out_.entries.size();
    out_.entries.push_back({&member, out_.bytes.size(), 0});
  } else if (member.send_at_ + 1 != out_.entries.size()) {
    return false;
  }
  out_.entries.back().size += total;
  for (const std::string_view piece : pieces) {
    if (offset >= piece.size()) {
      offset -= piece.size();
    } else {
      out_.bytes.append(piece.substr(std::exchange(offset, 0)));
    }
  }
  return true;
}

std::string_view Turn::take_posted(Member& member) noexcept {
  if (member.send_at_ == Member::kNone) return {};
  Entry& entry = out_.entries[std::exchange(member.send_at_, Member::kNone)];
  entry.member = nullptr;
  return std::string_view(out_.bytes).substr(entry.begin, entry.size);
}

void Turn::leave(Member& member) noexcept {
  (void)take_received(member);
  (void)take_posted(member);
  if (member.told_at_ != Member::kNone) told_[std::exchange(member.told_at_, Member::kNone)] = nullptr;
}

void Turn::finish() {
  while (!in_.entries.empty() || !out_.entries.empty()) {
    deliver();
    send_all();
  }
}

void Turn::deliver() {
  // Nothing is received meanwhile: only the loop's waiting does that.
  for (std::size_t i = 0; i < in_.entries.size(); ++i) {
    const Entry entry = in_.entries[i];
    if (entry.member == nullptr) continue;
    entry.member->came_at_ = Member::kNone;
    in_.entries[i].member = nullptr;
    entry.member->came(in_.bytes.data() + entry.begin, entry.size);
  }
  in_.entries.clear();
  in_.bytes.clear();
}

void Turn::send_all() {
  for (const Entry& entry : out_.entries) {
    if (entry.member == nullptr) continue;
    entry.member->send_at_ = Member::kNone;
    entry.member->send(std::string_view(out_.bytes).substr(entry.begin, entry.size));
    entry.member->told_at_ = told_.size();
    told_.push_back(entry.member);
  }
  out_.entries.clear();
  out_.bytes.clear();
  for (std::size_t i = 0; i < told_.size(); ++i) {
    Member* const member = told_[i];
    if (member == nullptr) continue;
    member->told_at_ = Member::kNone;
    told_[i] = nullptr;
    member->sent();
  }
  told_.clear();
}

}  // namespace ccrules
