#pragma once
#include <string>
#include <vector>

#include "cli/pack/workspace.h"

namespace ccrules::cli {

/// Packs that are to be installed, with everything they depend on, fetched and checked; nothing is written and none of their
/// code has run.
class Gathering {
 public:
  /// All of them outlive this.
  Gathering(const Arguments& arguments, Io& io, const Workspace& workspace)
      : arguments_(arguments), io_(io), workspace_(workspace), index_(index_place(arguments, io)) {}

  /// `again`: sources of installed packs, which may be as they were and are then left out. When diagnostics() says what is wrong,
  /// the error says no more.
  Result<void> gather(const std::vector<std::string>& sources, bool again);

  [[nodiscard]] const std::vector<Candidate>& candidates() const { return candidates_; }
  /// The candidates, and the installed packs that stay.
  [[nodiscard]] std::vector<const Candidate*> all() const;
  [[nodiscard]] const std::vector<config::Diagnostic>& diagnostics() const { return diagnostics_; }

 private:
  Result<void> take(const std::string& source, bool again);
  Result<void> take_dependency(const std::string& of, const std::string& name, const packs::Manifest::Depend& depend);
  [[nodiscard]] const Candidate* find(const std::string& name) const;
  [[nodiscard]] Result<void> check_keys() const;
  void check_dependencies();

  const Arguments& arguments_;
  Io& io_;
  const Workspace& workspace_;
  IndexPlace index_;
  std::vector<Candidate> candidates_;
  std::vector<Candidate> others_;  ///< installed packs that stay
  std::vector<config::Diagnostic> diagnostics_;
};

}  // namespace ccrules::cli
