#pragma once
#include <map>
#include <string>
#include <vector>

#include "cli/pack/workspace.h"

namespace ccrules::cli {

/// What whoever installs packs decides: what each may read, what its aliases and settings mean. From flags, from what was decided
/// before, else by asking on the terminal.
class Choices {
 public:
  /// `arguments` and `io` outlive this. Errors name the flag.
  static Result<Choices> read(const Arguments& arguments, Io& io);

  /// A mapping that no pack asks for is a typing error.
  [[nodiscard]] Result<void> check_aliases(const std::vector<Candidate>& candidates) const;
  /// Enters the candidate, as it was decided, in `lock`. `only`: settings are all meant for it.
  Result<void> enter(const Workspace& workspace, const Candidate& candidate, bool only, packs::Lock& lock);
  /// The last question. An error says that nothing was installed.
  Result<void> confirm();

 private:
  Choices(const Arguments& arguments, Io& io) : arguments_(&arguments), io_(&io) {}
  /// True when there is somebody to ask.
  [[nodiscard]] bool asks() const;
  std::string answer(const std::string& question);
  bool ask_grant(const packs::Manifest& manifest, const std::string& need);
  std::vector<std::string> granted_for(const packs::Manifest& manifest, const std::vector<std::string>& before);

  const Arguments* arguments_;
  Io* io_;
  std::vector<std::string> granted_;
  std::map<std::string, std::string> models_;
  std::map<std::string, std::string> settings_;
};

/// Gives every alias of a pack that stands for nothing here a target: asks on the terminal when it may.
/// Error: which alias needs a --model.
Result<void> map_aliases(const Workspace& workspace, const packs::Manifest& manifest, bool ask, Io& io,
                         std::map<std::string, std::string>& models);
/// "a,b" as a list; "none" and nothing are an empty one.
std::vector<std::string> comma_list(const std::string& text);

}  // namespace ccrules::cli
