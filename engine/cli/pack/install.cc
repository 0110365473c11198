#include <string>
#include <utility>
#include <vector>

#include "cli/load.h"
#include "cli/pack/choices.h"
#include "cli/pack/gather.h"
#include "cli/pack/offer.h"
#include "cli/pack/store.h"
#include "cli/pack/verbs.h"
#include "cli/paint.h"
#include "core/json.h"

namespace ccrules::cli {
namespace {

Exit unchanged(const Workspace& workspace, const Arguments& arguments, Io& io) {
  if (!arguments.json()) {
    io.out << "everything is up to date\n";
    return Exit::kOk;
  }
  std::string text;
  json::Writer(text).begin_object().member("schema", "ccrules.pack.install/1").member("changed", false)
      .member("lock", workspace.lock_path).key("packs").begin_array().end_array().end_object();
  io.out << text << "\n";
  return Exit::kOk;
}

Result<void> write(const Workspace& workspace, const std::vector<Candidate>& candidates, const packs::Lock& lock) {
  std::vector<Placement> placements;
  for (const Candidate& candidate : candidates) placements.push_back({workspace.directory + home_of(candidate), &candidate.folder});
  CCR_CHECK(commit(workspace.lock_path, workspace.lock_text, packs::to_json(lock), placements));
  forget_folders(workspace, lock);
  return {};
}

/// Fetched and checked, decided, tried out and shown, confirmed, written: in this order, and nothing is written before the end.
Exit install(const Workspace& workspace, const std::vector<std::string>& sources, bool again, const Arguments& arguments, Io& io) {
  Result<Choices> choices = Choices::read(arguments, io);
  if (!choices.ok()) return fail(io, choices.error());
  Gathering gathering(arguments, io, workspace);
  if (const Result<void> gathered = gathering.gather(sources, again); !gathered.ok()) {
    if (gathering.diagnostics().empty()) return fail(io, gathered.error());
    print_diagnostics(gathering.diagnostics(), io, Where::kErr);
    return Exit::kUsage;
  }
  const std::vector<Candidate>& candidates = gathering.candidates();
  if (candidates.empty()) return unchanged(workspace, arguments, io);
  if (const Result<void> known = choices->check_aliases(candidates); !known.ok()) return fail(io, known.error());
  packs::Lock lock = workspace.lock;
  for (const Candidate& candidate : candidates) {
    const Result<void> entered = choices->enter(workspace, candidate, candidates.size() == 1, lock);
    if (!entered.ok()) return fail(io, entered.error());
  }
  Offer offer(workspace, gathering, lock);
  if (const Exit tried = offer.try_out(arguments.json(), io); tried != Exit::kOk) return tried;
  if (const Result<void> confirmed = choices->confirm(); !confirmed.ok()) return fail(io, confirmed.error());
  const bool dry_run = arguments.has("dry-run");
  if (!dry_run) {
    if (const Result<void> written = write(workspace, candidates, lock); !written.ok()) return fail(io, written.error());
  }
  if (arguments.json()) {
    offer.write_json(!dry_run, io);
  } else if (dry_run) {
    io.out << "nothing was written (--dry-run)\n";
  } else {
    for (const Candidate& candidate : candidates) {
      io.out << paint_for_out(io).green("installed") << " " << candidate.manifest.name << " " << candidate.manifest.version.text() << "\n";
    }
  }
  return Exit::kOk;
}

}  // namespace

Exit pack_install(const Arguments& arguments, Io& io) {
  const std::optional<Workspace> workspace = open_workspace(arguments, io);
  if (!workspace) return Exit::kUsage;
  return install(*workspace, {arguments.words().begin() + 1, arguments.words().end()}, false, arguments, io);
}

Exit pack_update(const Arguments& arguments, Io& io) {
  const std::optional<Workspace> workspace = open_workspace(arguments, io);
  if (!workspace) return Exit::kUsage;
  std::vector<std::string> names(arguments.words().begin() + 1, arguments.words().end());
  if (names.empty()) {
    for (const packs::LockedPack& pack : workspace->lock.packs) names.push_back(pack.name);
  }
  std::vector<std::string> sources;
  for (const std::string& name : names) {
    const packs::LockedPack* locked = workspace->lock.find(name);
    if (locked == nullptr) return usage_error(io, "pack " + name + " is not installed");
    sources.push_back(source_of(*workspace, *locked));
  }
  return install(*workspace, sources, true, arguments, io);
}

}  // namespace ccrules::cli
