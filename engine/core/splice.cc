#include "core/splice.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "core/json.h"

namespace ccrules::json {
namespace {

/// The edits of one object, by member. A node either replaces its member, or removes it, or holds edits
/// inside of it.
struct Node {
  enum class Kind : std::uint8_t { kInside, kReplace, kRemove };
  std::string name;
  Kind kind = Kind::kInside;
  std::string value_json;  ///< kReplace
  std::vector<Node> inside;
};

Node& child(Node& parent, const std::string& name) {
  for (Node& node : parent.inside) {
    if (node.name == name) return node;
  }
  parent.inside.push_back({name, Node::Kind::kInside, {}, {}});
  return parent.inside.back();
}

/// `{"a":{"b":1}}` for what a node adds; empty when it adds nothing.
std::string added_json(const Node& node) {
  if (node.kind == Node::Kind::kReplace) return node.value_json;
  std::string out;
  for (const Node& inner : node.inside) {
    const std::string value = added_json(inner);
    if (value.empty()) continue;
    out += out.empty() ? '{' : ',';
    append_string(out, inner.name);
    out += ':';
    out += value;
  }
  if (!out.empty()) out += '}';
  return out;
}

/// Puts an edit into the tree. Later edits of one place win; an edit inside of a replaced value edits the new
/// value.
Result<void> plant(Node& root, const Edit& edit) {
  Node* node = &root;
  for (std::size_t i = 0; i < edit.path.size(); ++i) {
    node = &child(*node, edit.path[i]);
    const bool last = i + 1 == edit.path.size();
    if (last || node->kind == Node::Kind::kInside) continue;
    std::string now = node->kind == Node::Kind::kReplace ? node->value_json : "{}";
    if (!now.starts_with('{')) now = "{}";
    const std::vector<std::string> rest(edit.path.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                                        edit.path.end());
    CCR_TRY(edited, splice(now, {Edit{rest, edit.value_json}}));
    if (node->kind == Node::Kind::kRemove && edit.value_json.empty()) return {};
    node->kind = Node::Kind::kReplace;
    node->value_json = std::move(edited);
    return {};
  }
  node->inside.clear();
  node->kind = edit.value_json.empty() ? Node::Kind::kRemove : Node::Kind::kReplace;
  node->value_json = edit.value_json;
  return {};
}

/// Bytes [begin, end) of the text become `bytes`.
struct Change {
  std::size_t begin;
  std::size_t end;
  std::string bytes;
};

struct Span {
  std::size_t begin;
  std::size_t end;
};

/// Finds what one object's edits change. Positions count from `base`.
class ObjectEditor {
 public:
  ObjectEditor(const std::vector<Node>& edits, std::size_t base, std::vector<Change>& changes)
      : edits_(edits), found_(edits.size(), false), base_(base), changes_(changes) {}

  /// `begin`: position of the object's brace.
  Result<void> edit(Object& object, std::size_t begin) {
    while (object.next()) {
      const std::size_t key_begin = object.key_offset();
      const std::size_t edit = find(object.key());
      const std::size_t value_begin = object.value().offset();
      CCR_TRY(raw, object.value().raw());
      Span member{key_begin, value_begin + raw.size()};
      const bool remove = edit < edits_.size() && edits_[edit].kind == Node::Kind::kRemove;
      step_over(member, remove);
      if (edit == edits_.size() || remove) continue;
      found_[edit] = true;
      CCR_CHECK(change_value(edits_[edit], raw, value_begin));
    }
    CCR_CHECK(object.done());
    close_removed_run();
    append_missing(begin);
    return {};
  }

 private:
  std::size_t find(std::string_view key) const {
    std::size_t i = 0;
    while (i < edits_.size() && edits_[i].name != key) ++i;
    return i;
  }

  void change(std::size_t begin, std::size_t end, std::string bytes) {
    changes_.push_back({base_ + begin, base_ + end, std::move(bytes)});
  }

  /// A removed member takes the comma before it along, or the one behind it when nothing before it stays.
  void step_over(const Span& member, bool remove) {
    if (pending_removal_) {
      change(pending_removal_->begin, member.begin, "");
      pending_removal_.reset();
    }
    if (remove && kept_) {
      change(previous_end_, member.end, "");
    } else if (remove) {
      pending_removal_ = member;
    } else {
      kept_ = true;
      kept_end_ = member.end;
    }
    previous_end_ = member.end;
  }

  void close_removed_run() {
    if (pending_removal_) change(pending_removal_->begin, pending_removal_->end, "");
  }

  Result<void> change_value(const Node& node, std::string_view raw, std::size_t value_begin) {
    if (node.kind == Node::Kind::kReplace) {
      if (raw != node.value_json) change(value_begin, value_begin + raw.size(), node.value_json);
      return {};
    }
    if (!raw.starts_with('{')) {
      std::string added = added_json(node);
      if (!added.empty()) change(value_begin, value_begin + raw.size(), std::move(added));
      return {};
    }
    CCR_TRY(document, Document::open_view(raw));
    CCR_TRY(object, document.root_object());
    ObjectEditor inner(node.inside, base_ + value_begin, changes_);
    return inner.edit(object, 0);
  }

  void append_missing(std::size_t begin) {
    std::string bytes;
    for (std::size_t i = 0; i < edits_.size(); ++i) {
      if (found_[i]) continue;
      const std::string value = added_json(edits_[i]);
      if (value.empty()) continue;
      if (kept_ || !bytes.empty()) bytes += ',';
      append_string(bytes, edits_[i].name);
      bytes += ':';
      bytes += value;
    }
    if (bytes.empty()) return;
    const std::size_t at = kept_ ? kept_end_ : begin + 1;
    change(at, at, std::move(bytes));
  }

  const std::vector<Node>& edits_;
  std::vector<bool> found_;
  const std::size_t base_;
  std::vector<Change>& changes_;
  std::optional<Span> pending_removal_;
  bool kept_ = false;
  std::size_t kept_end_ = 0;
  std::size_t previous_end_ = 0;
};

std::string apply(std::string_view text, std::vector<Change>& changes) {
  std::stable_sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  std::string out;
  std::size_t extra = 0;
  for (const Change& change : changes) extra += change.bytes.size();
  out.reserve(text.size() + extra + kPadding);
  std::size_t at = 0;
  for (const Change& change : changes) {
    out.append(text, at, change.begin - at);
    out += change.bytes;
    at = change.end;
  }
  out.append(text, at);
  return out;
}

}  // namespace

Result<std::string> splice(std::string_view text, const std::vector<Edit>& edits) {
  Node root;
  for (const Edit& edit : edits) {
    if (!edit.path.empty()) CCR_CHECK(plant(root, edit));
  }
  // Bytes that stay are not judged again: escapes in them are the reader's business.
  CCR_TRY(document, Document::open_view(text, Escapes::kUnchecked));
  CCR_TRY(value, document.root());
  const std::size_t begin = value.offset();
  CCR_TRY(object, value.object());
  std::vector<Change> changes;
  CCR_CHECK(ObjectEditor(root.inside, 0, changes).edit(object, begin));
  CCR_CHECK(document.at_end());
  return apply(text, changes);
}

}  // namespace ccrules::json
