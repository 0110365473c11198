#include "rules/json_tree.h"

#include <algorithm>
#include <optional>

#include "core/json.h"
#include "core/text.h"

namespace ccrules::rules {
namespace {

class TreeBuilder {
 public:
  TreeBuilder(std::string_view text, Spot begin) : text_(text), begin_(begin) {}

  Result<Tree> read(json::Value value) {
    Tree tree;
    tree.at = place(value.offset());
    switch (value.type()) {
      case json::Type::kNull: {
        CCR_CHECK(value.raw());
        return tree;
      }
      case json::Type::kBool: {
        CCR_TRY(flag, value.boolean());
        tree.kind = Tree::Kind::kFlag;
        tree.flag = flag;
        return tree;
      }
      case json::Type::kNumber: {
        CCR_TRY(number, value.number());
        tree.kind = Tree::Kind::kNumber;
        tree.number = number;
        return tree;
      }
      case json::Type::kString: {
        CCR_TRY(string, value.string());
        tree.kind = Tree::Kind::kText;
        tree.text = string;
        return tree;
      }
      case json::Type::kArray: {
        tree.kind = Tree::Kind::kTable;
        CCR_TRY(array, value.array());
        while (array.next()) {
          CCR_TRY(item, read(array.value()));
          tree.items.push_back(std::move(item));
        }
        CCR_CHECK(array.done());
        return tree;
      }
      case json::Type::kObject: break;
    }
    tree.kind = Tree::Kind::kTable;
    CCR_TRY(object, value.object());
    while (object.next()) {
      Tree::Member member;
      member.key = object.key();
      member.at = place(object.key_offset());
      CCR_TRY(read_value, read(object.value()));
      member.value = std::move(read_value);
      tree.members.push_back(std::move(member));
    }
    CCR_CHECK(object.done());
    return tree;
  }

 private:
  // Values come in document order, so the count goes on where it stopped.
  Spot place(std::size_t offset) {
    offset = std::min(offset, text_.size());
    if (offset < counted_) {
      counted_ = 0;
      lines_ = 0;
      line_begin_ = 0;
    }
    for (; counted_ < offset; ++counted_) {
      if (text_[counted_] != '\n') continue;
      ++lines_;
      line_begin_ = counted_ + 1;
    }
    const int column = static_cast<int>(offset - line_begin_);
    return Spot{begin_.line + lines_, lines_ == 0 ? begin_.column + column : column + 1};
  }

  std::string_view text_;
  Spot begin_;
  std::size_t counted_ = 0;
  int lines_ = 0;
  std::size_t line_begin_ = 0;
};

std::size_t first_invalid_utf8(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const std::size_t bytes = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (!text::is_valid_utf8(text.substr(at, bytes))) break;
    at += bytes;
  }
  return at;
}

/// The quote of the string that runs over the end of its line, or a control character in a string: neither may be. Nothing when
/// all strings are sound.
std::optional<std::size_t> broken_string(std::string_view text) {
  constexpr unsigned char kFirstPlain = 0x20;
  for (std::size_t at = text.find('"'); at != std::string_view::npos; at = text.find('"', at + 1)) {
    const std::size_t begin = at;
    for (++at; at < text.size() && text[at] != '"' && text[at] != '\n'; ++at) {
      if (static_cast<unsigned char>(text[at]) < kFirstPlain) return at;
      if (text[at] == '\\') ++at;
    }
    if (at >= text.size() || text[at] == '\n') return begin;
  }
  return std::nullopt;
}

}  // namespace

Result<Tree> read_json(std::string_view text, Spot begin) {
  CCR_TRY(document, json::Document::open(text));
  CCR_TRY(root, document.root());
  CCR_TRY(tree, TreeBuilder(text, begin).read(root));
  CCR_CHECK(document.at_end());
  return tree;
}

Spot place_of(const Error& error, std::string_view text, Spot begin) {
  constexpr std::string_view kAtByte = " at byte ";
  const std::size_t said = error.message.find(kAtByte);
  std::optional<std::size_t> offset;
  if (said != std::string::npos) {
    const std::string_view rest = std::string_view(error.message).substr(said + kAtByte.size());
    const auto number = text::to_int(rest.substr(0, rest.find_first_not_of("0123456789")));
    if (number && *number >= 0) offset = static_cast<std::size_t>(*number);
  } else {
    offset = !text::is_valid_utf8(text) ? first_invalid_utf8(text) : broken_string(text);
  }
  if (!offset) return begin;
  const std::string_view before = text.substr(0, std::min(text.size(), *offset));
  const std::size_t line_begin = before.rfind('\n') + 1;  // npos + 1 is 0
  const int column = static_cast<int>(before.size() - line_begin);
  if (line_begin == 0) return {begin.line, begin.column + column};
  return {begin.line + static_cast<int>(std::count(before.begin(), before.end(), '\n')), column + 1};
}

}  // namespace ccrules::rules
