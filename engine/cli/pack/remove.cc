#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "cli/load.h"
#include "cli/pack/report.h"
#include "cli/pack/store.h"
#include "cli/pack/verbs.h"
#include "cli/pack/workspace.h"
#include "core/text.h"

namespace ccrules::cli {
namespace {

/// What is wrong with the rules under this lock.
std::vector<config::Diagnostic> errors_with(const packs::Lock& lock, const Workspace& workspace, const Io& io) {
  std::vector<config::Diagnostic> found;
  (void)rules_with(*workspace.config, lock, workspace.lock_path, {}, io, found);
  return has_error(found) ? found : std::vector<config::Diagnostic>();
}

}  // namespace

Exit pack_remove(const Arguments& arguments, Io& io) {
  const std::optional<Workspace> workspace = open_workspace(arguments, io);
  if (!workspace) return Exit::kUsage;
  packs::Lock lock = workspace->lock;
  const std::vector<std::string> names(arguments.words().begin() + 1, arguments.words().end());
  const auto going = [&names](const std::string& name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  for (const std::string& name : names) {
    if (lock.find(name) != nullptr) continue;
    std::vector<std::string> known;
    for (const packs::LockedPack& pack : lock.packs) known.push_back(pack.name);
    const std::string near = text::did_you_mean(name, known);
    return usage_error(io, "pack " + name + " is not installed" + (near.empty() ? "" : "; did you mean '" + near + "'?"));
  }
  for (const packs::LockedPack& pack : lock.packs) {
    if (going(pack.name)) continue;
    std::vector<config::Diagnostic> ignored;
    const std::optional<Candidate> other = installed(*workspace, pack, io, ignored);
    if (!other) continue;
    for (const auto& [needed, depend] : other->manifest.depends) {
      if (going(needed)) return usage_error(io, pack.name + " depends on " + needed + "; remove it as well, or keep both");
    }
  }
  std::erase_if(lock.packs, [&going](const packs::LockedPack& pack) { return going(pack.name); });
  // Rules that do not load anyway may be the reason for removing it.
  if (const auto found = errors_with(lock, *workspace, io); !found.empty() && errors_with(workspace->lock, *workspace, io).empty()) {
    print_diagnostics(found, io, Where::kErr);
    return usage_error(io, "without " + joined(names) + " the other rules do not load, so nothing was removed; change them first");
  }
  const Result<void> done = commit(workspace->lock_path, workspace->lock_text, packs::to_json(lock), {});
  if (!done.ok()) return fail(io, done.error());
  forget_folders(*workspace, lock);
  if (arguments.json()) {
    std::string text;
    json::Writer writer(text);
    writer.begin_object().member("schema", "ccrules.pack.remove/1").key("removed");
    write_texts(writer, names);
    writer.end_object();
    io.out << text << "\n";
  } else {
    io.out << "removed " << joined(names) << "\n";
  }
  return Exit::kOk;
}

}  // namespace ccrules::cli
