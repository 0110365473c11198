#include "core/json_text.h"

#include "core/assert.h"
#include "core/json.h"
#include "core/json_escapes.h"

namespace ccrules::json {

Text Text::spelt(std::string_view inside, bool has_escapes) {
  Text text(inside);
  text.kept_ = has_escapes ? Kept::kSpelt : Kept::kPlain;
  return text;
}

Text Text::lent(std::string_view inside, bool has_escapes) noexcept {
  Text text;
  text.lent_ = inside;
  text.kept_ = has_escapes ? Kept::kSpelt : Kept::kPlain;
  return text;
}

std::string_view Text::view() const {
  if (kept_ == Kept::kSpelt) {
    const std::string_view inside = bytes();
    std::string read(inside.size(), '\0');
    const char* end = unescape(inside.data(), inside.data() + inside.size(), read.data());
    CCR_ASSERT(end != nullptr);  // its escapes were looked at when it was made
    read.resize(static_cast<std::size_t>(end - read.data()));
    own_ = std::move(read);
    lent_ = {};
    kept_ = Kept::kRead;
  }
  return bytes();
}

std::string& Text::edit() {
  (void)view();  // for what it does to the bytes
  if (lent_.data() != nullptr) own_ = lent_;
  lent_ = {};
  kept_ = Kept::kRead;
  return own_;
}

void Text::own() {
  if (lent_.data() == nullptr) return;
  own_ = lent_;
  lent_ = {};
}

bool TextView::is_blank() const noexcept {
  constexpr std::string_view kBlanks = " \t\r\n";
  if (!spelt_) return bytes_.find_first_not_of(kBlanks) == std::string_view::npos;
  for (std::size_t i = 0; i < bytes_.size(); ++i) {
    if (bytes_[i] == ' ') continue;
    if (bytes_[i] != '\\') return false;
    const char letter = bytes_[++i];  // no backslash is the last byte
    if (letter != 't' && letter != 'r' && letter != 'n') return false;
  }
  return true;
}

void TextView::append_to(std::string& out) const {
  if (spelt_) {
    out += bytes_;
  } else {
    append_escaped(out, bytes_);
  }
}

}  // namespace ccrules::json
