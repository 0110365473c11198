#pragma once
#include <memory>
#include <string>

namespace ccrules::test {

/// A throw-away certificate authority, made when a test runs; its files go away with it.
class Authority {
 public:
  Authority();
  ~Authority();
  Authority(const Authority&) = delete;
  Authority& operator=(const Authority&) = delete;

  /// The authority's certificate as a PEM file.
  [[nodiscard]] std::string file() const;

  struct Files {
    std::string certificate;
    std::string key;
  };
  /// A server certificate for `alt_name` ("DNS:api.example" or "IP:127.0.0.1"), valid until `valid_s` seconds
  /// from now (may be negative).
  [[nodiscard]] Files issue(const std::string& alt_name, long valid_s = 3600);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ccrules::test
