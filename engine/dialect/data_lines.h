#pragma once
#include <string_view>

#include "core/json.h"
#include "core/text.h"

namespace ccrules::dialect {

/// The JSON texts in the data of one server-sent event: the whole of it, or one a line when a server forgot
/// the blank lines between its events. A text over several lines is no JSON up to its first one.
class DataLines {
 public:
  explicit DataLines(std::string_view data) : rest_(text::trim(data)) {
    const std::size_t line = rest_.find('\n');
    split_ = line != std::string_view::npos && json::is_valid(rest_.substr(0, line));
  }
  /// @return false when there is none left; none is empty
  bool next(std::string_view& json) {
    while (!rest_.empty()) {
      const std::size_t end = split_ ? rest_.find('\n') : std::string_view::npos;
      json = text::trim(rest_.substr(0, end));
      rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
      if (!json.empty()) return true;
    }
    return false;
  }

 private:
  std::string_view rest_;
  bool split_ = false;
};

}  // namespace ccrules::dialect
