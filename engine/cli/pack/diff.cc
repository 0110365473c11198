#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/load.h"
#include "cli/pack/report.h"
#include "cli/pack/verbs.h"
#include "cli/pack/workspace.h"

namespace ccrules::cli {
namespace {

/// What `pack diff` compares: a folder, archive or other source, or an installed pack by name.
std::optional<Candidate> side_of(const std::string& what, const Workspace* workspace, const Arguments& arguments, Io& io) {
  std::vector<config::Diagnostic> found;
  std::optional<Candidate> candidate;
  const packs::LockedPack* locked = workspace != nullptr ? workspace->lock.find(what) : nullptr;
  if (locked != nullptr && io.files.look(absolute_path(io, what)).kind == Files::Kind::kNone) {
    candidate = installed(*workspace, *locked, io, found);
  } else {
    Result<Fetched> fetched = fetch(what, index_place(arguments, io), io);
    if (!fetched.ok()) {
      (void)fail(io, fetched.error());  // the caller ends with the same code
      return std::nullopt;
    }
    candidate = make_draft(*std::move(fetched), what, found);
  }
  if (!found.empty()) print_diagnostics(std::move(found), io, Where::kErr);
  return candidate;
}

}  // namespace

Exit pack_diff(const Arguments& arguments, Io& io) {
  const std::vector<std::string> words(arguments.words().begin() + 1, arguments.words().end());
  std::optional<Workspace> workspace;
  const auto is_place = [&io](const std::string& what) { return io.files.look(absolute_path(io, what)).kind != Files::Kind::kNone; };
  const bool both_given = words.size() == 2 && is_place(words[0]) && is_place(words[1]);
  if (!both_given) {
    workspace = open_workspace(arguments, io);
    if (!workspace) return Exit::kUsage;
  }
  const Workspace* place = workspace ? &*workspace : nullptr;
  std::optional<Candidate> before;
  std::optional<Candidate> after;
  if (words.size() == 2) {
    before = side_of(words[0], place, arguments, io);
    if (before) after = side_of(words[1], place, arguments, io);
  } else if (const packs::LockedPack* locked = place->lock.find(words[0])) {
    before = side_of(words[0], place, arguments, io);
    if (before) after = side_of(source_of(*place, *locked), place, arguments, io);
  } else {
    after = side_of(words[0], place, arguments, io);
    if (after && place->lock.find(after->manifest.name) == nullptr) {
      return usage_error(io, "pack " + after->manifest.name + " is not installed; name two packs to compare them");
    }
    if (after) before = side_of(after->manifest.name, place, arguments, io);
  }
  if (!before || !after) return Exit::kUsage;
  std::vector<config::Diagnostic> found;
  Candidate old = *before;
  Candidate now = *after;
  old.manifest.depends.clear();  // only what the two say themselves is compared
  now.manifest.depends.clear();
  const std::vector<rules::RuleLine> old_rules = rules_alone(old, {}, found);
  const std::vector<rules::RuleLine> new_rules = rules_alone(now, {}, found);
  if (has_error(found)) {
    print_diagnostics(std::move(found), io, Where::kErr);
    return Exit::kUsage;
  }
  const std::vector<rules::RuleChange> changes = rules::compare_rules(old_rules, new_rules);
  const bool needs_changed = before->manifest.needs != after->manifest.needs;
  const bool differs = !changes.empty() || needs_changed;
  if (arguments.json()) {
    std::string text;
    json::Writer writer(text);
    writer.begin_object().member("schema", "ccrules.pack.diff/1").member("before", before->manifest.version.text());
    writer.member("after", after->manifest.version.text()).member("same_files", before->seal.identity == after->seal.identity);
    writer.key("needs_before");
    write_texts(writer, before->manifest.needs);
    writer.key("needs_after");
    write_texts(writer, after->manifest.needs);
    writer.key("changes");
    write_changes(writer, changes);
    writer.end_object();
    io.out << text << "\n";
  } else {
    const Paint paint = paint_for_out(io);
    io.out << paint.bold(before->manifest.name + " " + before->manifest.version.text()) << " -> "
           << paint.bold(after->manifest.name + " " + after->manifest.version.text()) << "\n";
    if (needs_changed) {
      io.out << "  needs " << (before->manifest.needs.empty() ? "nothing" : joined(before->manifest.needs)) << " -> "
             << (after->manifest.needs.empty() ? "nothing" : joined(after->manifest.needs)) << "\n";
    }
    print_changes(io.out, paint, changes, "  ");
    if (!differs) {
      io.out << (before->seal.identity == after->seal.identity ? "  the same files\n" : "  the same rules; other files differ\n");
    }
  }
  return Exit::kOk;
}

}  // namespace ccrules::cli
