#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace simdjson::internal {
class dom_parser_implementation;
}

namespace ccrules::json {

struct KnownContainer;

/// Where the structural characters of one text are: brackets, braces, colons, commas, and what begins a string or another value.
/// Memory is kept for the next text. One thread.
class Structurals {
 public:
  Structurals();
  Structurals(const Structurals&) = delete;
  Structurals& operator=(const Structurals&) = delete;
  ~Structurals();

  /// Finds them. Error when the text is empty or not UTF-8, when a string is not closed or holds a bare control character; nothing
  /// else is checked. A container that this thread remembers is not searched again.
  Result<void> find(std::string_view text);
  /// Their positions, in order; only after a find() that went well.
  [[nodiscard]] const std::uint32_t* begin() const;
  [[nodiscard]] std::uint32_t count() const;
  /// Remembers a large container of the text they were found in: from its first bracket, so many of them.
  void remember(std::string_view text, std::uint32_t first, std::uint32_t count) const;
  /// Gives back what a text of more than so many bytes needed.
  void trim(std::size_t most_bytes);

 private:
  bool find_around(const KnownContainer& known, std::string_view text);

  std::unique_ptr<simdjson::internal::dom_parser_implementation> parser_;
  std::vector<std::uint32_t> behind_known_;
  std::size_t known_at_ = 0;  ///< where a container stands that was remembered; 0: none
};

}  // namespace ccrules::json
