#pragma once
#include <string>
#include <utility>
#include <vector>

#include "config/snapshot.h"
#include "core/world.h"

namespace ccrules {

/// Any path holds the same text.
class OneFile final : public Files {
 public:
  explicit OneFile(std::string text) : text_(std::move(text)) {}
  [[nodiscard]] Result<std::string> read(const std::string&) const override { return text_; }
  [[nodiscard]] bool exists(const std::string&) const override { return true; }
  [[nodiscard]] std::vector<std::string> list(const std::string&) const override { return {}; }

 private:
  std::string text_;
};

/// The simulator, and rules in that file.
inline config::Snapshot config_with_rules(std::string path) {
  config::Provider provider;
  provider.id = "sim";
  provider.dialect = "sim";
  config::Snapshot snapshot;
  snapshot.providers.push_back(std::move(provider));
  snapshot.rules = {std::move(path)};
  return snapshot;
}

}  // namespace ccrules
