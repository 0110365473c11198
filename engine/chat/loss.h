#pragma once
#include <string>
#include <vector>

namespace ccrules::chat {

/// What a writer could not carry into its dialect, or changed on the way. Shown in x-ccrules-loss and in traces.
struct Loss {
  std::string what;  ///< stable slug: "cache_control", "thinking.signature", "tools[].defer_loading", "n"
  std::string why;   ///< one short sentence
};

class LossNotes {
 public:
  /// A slug is kept once.
  void add(std::string what, std::string why);
  [[nodiscard]] const std::vector<Loss>& all() const { return losses_; }
  [[nodiscard]] bool empty() const { return losses_.empty(); }
  /// "cache_control, n": the header's value.
  [[nodiscard]] std::string header_value() const;

 private:
  std::vector<Loss> losses_;
};

}  // namespace ccrules::chat
